"""Steps that several cases take."""

import json
import os

from page import Page, until

FORM = {
    "method": "elicitation/create",
    "params": {
        "mode": "form",
        "message": "Which colour?",
        "requestedSchema": {"type": "object", "properties": {"colour": {"type": "string", "title": "Colour"}}, "required": ["colour"]},
    },
}


STREAM = "/stream 60 8 20"


def streamed(count):
    """The answer to a stream of so many pieces."""
    return "".join(f"{number} ".ljust(8, ".") for number in range(count))


STREAMED = streamed(60)


def equal(found, wanted):
    if found != wanted:
        raise AssertionError(f"{found!r} instead of {wanted!r}")


def call(tool, **arguments):
    return f"/tool helper {tool} {json.dumps(arguments)}"


def picture(page, name):
    if folder := page.door.options.pictures:
        os.makedirs(folder, exist_ok=True)
        page.do("screenshot", {"path": os.path.join(os.path.abspath(folder), f"{name}.png")})


def with_provider(door, page, name, model="m", config=None, **settings):
    """Opens a thread with a model of this provider, and with these settings of its own."""
    value = {"name": f"The {name}", "wire_api": "chat", **settings}
    door.server.call("config/value/write", {"keyPath": f"model_providers.{name}", "value": value, "mergeStrategy": "replace"})
    thread = door.server.call("thread/start", {"model": model, "modelProvider": name, "config": config})["thread"]["id"]
    page.ask(f"location.hash = '/t/{thread}'")
    until("the model of the thread", lambda: page.count("button", f"Model: {model}") == 1)


def refusal(door, address, options=None):
    page = Page(door, address=address, options=options)
    page.cuts = True
    return page


def answers_of(door, thread):
    """The answers of the finished turns, oldest first."""
    params = {"threadId": thread, "limit": 100, "itemsView": "full", "sortDirection": "asc"}
    turns = [it for it in door.server.call("thread/turns/list", params)["data"] if it["status"] == "completed"]
    return [item["text"] for turn in turns for item in turn["items"] if item["type"] == "agentMessage"]


def has_ended(door, thread):
    return door.newest(thread)["status"] == "completed"
