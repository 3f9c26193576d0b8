"""PyPI codex-app-server-client. Arguments: STEP CODEX HOME THREAD TEXT. Its output: see driver.py."""

import os
import sys

from codex_app_server_client import SyncCodexAppServer
from codex_app_server_client.thread import EventAction
from driver import Heard

step, codex, home, thread, text = sys.argv[1:6]
heard = Heard()


def on_event(method, event):
    if method == "item/agentMessage/delta":
        heard.piece(event.delta)
        return EventAction.INTERRUPT if step == "interrupt" else None


with SyncCodexAppServer(codex_bin=codex, env={**os.environ, "CODEX_HOME": home}) as client:
    if step == "list":
        heard.tell(threads=[row.id for row in client.low_level.thread_list().data])
    else:
        at = client.resume_thread(thread) if step == "resume" else client.start_thread()
        if step == "start":
            heard.tell(thread=at.id)
        else:
            client.low_level.on_server_request("mcpServer/elicitation/request", heard.answer)
            ran = at.run(text, on_event=on_event)
            heard.tell(thread=at.id, text=ran.final_response, status=ran.status)
