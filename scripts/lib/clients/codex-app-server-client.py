"""PyPI codex-app-server-client. Called with STEP CODEX HOME [THREAD] TEXT; prints {"thread", "text"} as JSON."""

import json
import os
import sys

from codex_app_server_client import SyncCodexAppServer

step, codex, home, thread, text = sys.argv[1:6]
with SyncCodexAppServer(codex_bin=codex, env={**os.environ, "CODEX_HOME": home}) as client:
    at = client.resume_thread(thread) if step == "resume" else client.start_thread()
    print(json.dumps({"thread": at.id, "text": at.run(text).final_response}))
