"""PyPI openai-codex, the official SDK. Called with STEP CODEX HOME [THREAD] TEXT; prints {"thread", "text"} as JSON."""

import json
import sys

from openai_codex import Codex
from openai_codex.client import CodexConfig

step, codex, home, thread, text = sys.argv[1:6]
with Codex(CodexConfig(codex_bin=codex, env={"CODEX_HOME": home})) as client:
    if step == "list":
        print(json.dumps({"threads": [row.id for row in client.thread_list().data]}))
    else:
        at = client.thread_resume(thread) if step == "resume" else client.thread_start()
        print(json.dumps({"thread": at.id, "text": at.run(text).final_response}))
