"""The picture of README.md: a conversation as people have it, with a scripted model and a helper of its own."""

import json
import os
import sys

from page import Model, helper, until
from steps import picture, with_provider

LOG = "02:10 billing   timeout after 2000 ms\n02:11 billing   timeout after 2000 ms\n02:40 billing   timeout after 2000 ms\n03:05 search    slow: 1840 ms"
QUERY = {"type": "object", "properties": {"since": {"type": "string"}, "level": {"type": "string"}}}
FILE = {"type": "object", "properties": {"path": {"type": "string"}, "text": {"type": "string"}}}
TOOLS = [
    {"tool": {"name": "search_logs", "description": "Lines of the log.", "inputSchema": QUERY, "annotations": {"readOnlyHint": True}}, "answer": LOG},
    {"tool": {"name": "write_file", "description": "Replaces a file.", "inputSchema": FILE, "annotations": {"destructiveHint": True}}, "answer": "written"},
]
FOUND = """Two services were slow between midnight and six:

| service | what happened | times |
|---|---|---|
| **billing** | timeout after 2000 ms | 3 |
| **search** | an answer after 1840 ms | 1 |

`billing` is the one to look at: all its failures end at exactly the limit of 2000 ms."""
# What the model does, request by request: the name and arguments of a tool, or words.
STEPS = [
    ("search_logs", {"since": "00:00", "level": "warn"}),
    FOUND,
    ("write_file", {"path": "deploy/billing.toml", "text": "[http]\ntimeout_ms = 5000\n"}),
    "Done: `deploy/billing.toml` has a timeout of 5000 ms. It takes effect with the next start of billing.",
]
EARLIER = ["Draft of the release notes", "Why is the build slow?", "Names for the new service"]


class Scripted(Model):
    """A provider that does the steps in their order."""

    def __init__(self, world):
        self.steps = iter(STEPS)
        super().__init__(world)

    def speak(self, handler):
        match next(self.steps):
            case (name, arguments):
                # The name as the server offers it, which has the helper's in it.
                [offered] = [it["function"]["name"] for it in handler.asked["tools"] if it["function"]["name"].endswith(name)]
                call = {"index": 0, "id": f"call-{name}", "type": "function", "function": {"name": offered, "arguments": json.dumps(arguments)}}
                handler.piece({"role": "assistant", "tool_calls": [call]})
                handler.piece({}, "tool_calls")
            case text:
                handler.piece({"role": "assistant", "content": text})
                handler.piece({}, "stop")


def portrait(door):
    """A question, a tool that reads, an answer, a tool that writes, which waits for the user; helpers beside it."""
    for name in EARLIER:
        thread = door.server.call("thread/start")["thread"]["id"]
        door.server_turn(thread, name)
    page = door.page(options={"viewport": {"width": 1400, "height": 940}})
    with_provider(door, page, "local", model="scripted-model", base_url=f"http://127.0.0.1:{Scripted(door.world).port}/v1")
    page.keys("Alt+KeyD")
    page.send("Which of our services were slow last night?")
    until("the table", lambda: "billing" in page.last())
    page.until_idle()
    page.send("Give billing 5 seconds, please.")
    page.until_there("dialog", "Approval: write_file")
    until("armed buttons", lambda: page.by("button", "Approve once", "getAttribute", "aria-disabled") != "true")
    until("plots", lambda: page.ask("document.querySelector('.plot polygon')?.getAttribute('points').split(' ').length ?? 0") > 9)
    page.ask("document.querySelector('[role=log]').scrollTop = 1e6")
    picture(page, "page")
    page.answer("Approve once")
    until("the end", lambda: page.last().startswith("Done"))
    page.until_idle()


def settings(world):
    program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "given_helper.py")
    return helper("ops", sys.executable, world.mark) + f"args = {json.dumps([program, json.dumps(TOOLS)])}\n"


portrait.settings = settings
