"""PyPI codex-sdk-python. Arguments: STEP CODEX HOME THREAD TEXT. Its output: see driver.py."""

import asyncio
import os
import sys

from codex_sdk.app_server import AppServerClient, AppServerOptions
from driver import Heard

step, codex, home, thread, text = sys.argv[1:6]
heard = Heard()


async def answer(client, session):
    async for question in session.requests():
        await client.respond(question.id, heard.answer(question.method, question.params))


async def prompt(client, at):
    """Returns the agent's whole message and the status of the turn."""
    said = None
    session = await client.turn_session(at, text)
    answering = asyncio.create_task(answer(client, session))
    async for told in session.notifications():
        if told.method == "item/agentMessage/delta":
            heard.piece(told.params["delta"])
            if step == "interrupt" and len(heard.pieces) == 1:
                await client.turn_interrupt(at, session.turn_id)
        if told.method == "item/completed" and told.params["item"]["type"] == "agentMessage":
            said = told.params["item"]["text"]
    await answering
    return said, (session.final_turn or {}).get("status")


async def main():
    options = AppServerOptions(codex_path_override=codex, env={**os.environ, "CODEX_HOME": home})
    async with AppServerClient(options) as client:
        if step == "list":
            return heard.tell(threads=[row["id"] for row in (await client.thread_list())["data"]])
        started = await (client.thread_resume(thread) if step == "resume" else client.thread_start())
        at = started["thread"]["id"]
        said, status = (None, None) if step == "start" else await prompt(client, at)
        heard.tell(thread=at, text=said, status=status)


asyncio.run(main())
