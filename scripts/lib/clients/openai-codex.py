"""PyPI openai-codex, the official SDK. Arguments: STEP CODEX HOME THREAD TEXT. Its output: see driver.py."""

import sys

from driver import Heard
from openai_codex import Codex
from openai_codex.client import CodexClient, CodexConfig

step, codex, home, thread, text = sys.argv[1:6]
config = CodexConfig(codex_bin=codex, env={"CODEX_HOME": home})
heard = Heard()


def approve():
    """Only the inner client receives questions."""
    with CodexClient(config, approval_handler=heard.answer) as client:
        client.initialize()
        at = client.thread_start().thread.id
        turn = client.turn_start(at, text).turn.id
        client.wait_for_turn_completed(turn)
        items = client.thread_read(at, include_turns=True).thread.turns[-1].items
        heard.tell(thread=at, text=items[-1].root.text)


def run():
    with Codex(config) as client:
        if step == "list":
            return heard.tell(threads=[row.id for row in client.thread_list().data])
        at = client.thread_resume(thread) if step == "resume" else client.thread_start()
        if step == "start":
            return heard.tell(thread=at.id)
        if step in ("prompt", "resume"):
            return heard.tell(thread=at.id, text=at.run(text).final_response)
        turn = at.turn(text)
        for event in turn.stream():
            if event.method == "item/agentMessage/delta":
                heard.piece(event.payload.delta)
                if step == "interrupt" and len(heard.pieces) == 1:
                    turn.interrupt()
            if event.method == "turn/completed":
                heard.tell(thread=at.id, text="".join(heard.pieces), status=event.payload.turn.status.value)


approve() if step == "approve" else run()
