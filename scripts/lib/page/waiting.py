"""Cases of messages that wait behind the running turn."""

import json

from page import Model, until
from steps import equal, picture, with_provider

ROWS = "[...document.querySelectorAll('.queue li .said')].map((it) => it.innerText)"
FOCUS = "document.activeElement.getAttribute('aria-label')"


def add(page, text, *keys):
    """Queues a message: with these keys, or with the button."""
    page.by("textbox", "Message", "fill", text)
    page.keys(*keys) if keys else page.press("Queue")
    until(f"{text!r} in the queue", lambda: text in page.ask(ROWS))


def given(door, thread):
    """The user's messages that have become turns, oldest first."""
    params = {"threadId": thread, "limit": 100, "itemsView": "full", "sortDirection": "asc"}
    turns = door.server.call("thread/turns/list", params)["data"]
    return [part["text"] for turn in turns for item in turn["items"] if item["type"] == "userMessage" for part in item["content"]]


def queued(door):
    """Two messages are queued during a turn, one is edited and moved; a reload keeps both, and they run in order."""
    page, model = door.page(), Model(door.world)
    with_provider(door, page, "slow", base_url=f"http://127.0.0.1:{model.port}/v1")
    page.send("zero")
    until("the first piece", lambda: page.last() == "first")
    thread = page.thread()
    equal(page.count("region", "Queue"), 0)
    add(page, "one")
    add(page, "two", "Alt+Enter")
    equal(page.by("textbox", "Message", "inputValue"), "")
    until("the count", lambda: "2 messages wait for the end of the turn." in page.body())
    until("the announcement", lambda: "2 messages wait" in page.ask("document.getElementById('polite').innerText"))
    equal(page.by("button", "Send now: one", "getAttribute", "aria-disabled"), "true")
    page.press("Edit: one")
    until("the focus in the message", lambda: page.ask(FOCUS) == "Waiting message")
    page.axe()
    page.by("textbox", "Waiting message", "fill", "edited")
    # What is typed stays when another client changes the queue.
    door.server.call("thread/queue/add", {"threadId": thread, "clientUserMessageId": "other", "input": [{"type": "text", "text": "of another"}]})
    until("the other message", lambda: "of another" in page.ask(ROWS))
    page.by("textbox", "Waiting message", "press", "Enter")
    until("the edited message", lambda: page.ask(ROWS) == ["edited", "two", "of another"])
    page.press_by_key("Delete: of another")
    until("the edited message", lambda: page.ask(ROWS) == ["edited", "two"])
    page.press_by_key("Move down: edited")
    until("the other order", lambda: page.ask(ROWS) == ["two", "edited"])
    equal(page.ask(FOCUS), "Move down: edited")
    waiting = lambda: [it["input"][0]["text"] for it in door.server.call("thread/queue/list", {"threadId": thread})["data"]]
    until("the order at the server", lambda: waiting() == ["two", "edited"])
    picture(page, "queue")
    passes = page.axe()
    page.do("reload")
    page.ready()
    until("the queue after the reload", lambda: page.ask(ROWS) == ["two", "edited"])
    model.whole.set()
    page.until_gone("region", "Queue")
    page.until_idle()
    equal(given(door, thread), ["zero", "two", "edited"])
    return f"{passes} rules passed, 0 violations"


def held(door):
    """A turn that is stopped holds the queue, which says so; a button goes on with it."""
    page = door.page()
    page.send("/stream 2000 8 20")
    until("a piece of the stream", lambda: "2 " in page.last())
    for text in ("later", "next", "never"):
        add(page, text, "Alt+Enter")
    page.press_by_key("Delete: never")
    until("the end of that message", lambda: page.ask(ROWS) == ["later", "next"])
    page.press("Stop")
    until("the words about the hold", lambda: "The queue is held: 2 messages wait." in page.body())
    page.axe()
    page.do("reload")
    page.ready()
    until("the words about the hold", lambda: "The queue is held: 2 messages wait." in page.body())
    # Another chat has no queue, and this one still has it.
    address = page.ask("location.hash")
    page.press("New chat")
    until("an empty chat", lambda: "What shall we work on?" in page.text())
    equal(page.count("region", "Queue"), 0)
    page.ask(f"location.hash = {json.dumps(address)}")
    page.press("Send now: next")
    page.until_gone("region", "Queue")
    page.until_idle()
    equal(given(door, page.thread())[1:], ["next", "later"])
    page.send("/stream 2000 8 20")
    until("a piece of the stream", lambda: "2 " in page.last())
    add(page, "at last", "Alt+Enter")
    page.keys("Escape")
    page.press("Start the queue")
    page.until_answer("at last")
    page.until_gone("region", "Queue")
