"""PyPI codex-sdk-python. Called with STEP CODEX HOME [THREAD] TEXT; prints {"thread", "text"} as JSON."""

import asyncio
import json
import os
import sys

from codex_sdk.app_server import AppServerClient, AppServerOptions

step, codex, home, thread, text = sys.argv[1:6]


async def main():
    options = AppServerOptions(codex_path_override=codex, env={**os.environ, "CODEX_HOME": home})
    async with AppServerClient(options) as client:
        if step == "list":
            return {"threads": [row["id"] for row in (await client.thread_list())["data"]]}
        started = await (client.thread_resume(thread) if step == "resume" else client.thread_start())
        at, said = started["thread"]["id"], None
        async for told in (await client.turn_session(at, text)).notifications():
            if told.method == "item/completed" and told.params["item"]["type"] == "agentMessage":
                said = told.params["item"]["text"]
            if told.method == "turn/completed":
                break
        return {"thread": at, "text": said}


print(json.dumps(asyncio.run(main())))
