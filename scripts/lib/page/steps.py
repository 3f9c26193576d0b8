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


def equal(found, wanted):
    if found != wanted:
        raise AssertionError(f"{found!r} instead of {wanted!r}")


def call(tool, **arguments):
    return f"/tool helper {tool} {json.dumps(arguments)}"


def picture(page, name):
    if folder := page.door.options.pictures:
        os.makedirs(folder, exist_ok=True)
        page.do("screenshot", {"path": os.path.join(os.path.abspath(folder), f"{name}.png")})


def with_provider(door, page, name, model="m", **settings):
    """Opens a thread with a model of this provider."""
    value = {"name": f"The {name}", "wire_api": "chat", **settings}
    door.server.call("config/value/write", {"keyPath": f"model_providers.{name}", "value": value, "mergeStrategy": "replace"})
    thread = door.server.call("thread/start", {"model": model, "modelProvider": name})["thread"]["id"]
    page.ask(f"location.hash = '/t/{thread}'")
    until("the model of the thread", lambda: page.count("button", f"Model: {model}") == 1)


def refusal(door, address, options=None):
    page = Page(door, address=address, options=options)
    page.cuts = True
    return page
