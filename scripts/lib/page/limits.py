"""Cases of budgets: at a limit the user is asked, and the question outlives its tab and its server."""

import itertools

from page import Model, until
from steps import equal, picture, with_provider

LIMIT = 1000
DIALOG = "Budget of the turn"
# 600 tokens were below the limit, 1,200 are not.
QUESTION = "This turn has used 1200 of 1000 tokens (budget.turn_tokens). May it use 1000 more?"


class Counted(Model):
    """A provider that asks for a tool three times in a turn, and then answers. Each of its answers costs 600 tokens."""

    COST = 600

    def __init__(self, world):
        self.requests = 0
        super().__init__(world)

    def speak(self, handler):
        self.requests += 1
        roles = reversed([it["role"] for it in handler.asked["messages"]])
        calls = list(itertools.takewhile(lambda role: role != "user", roles)).count("tool")
        usage = {"prompt_tokens": self.COST - 10, "completion_tokens": 10, "total_tokens": self.COST}
        if calls == 3:
            handler.piece({"role": "assistant", "content": "after 3 calls"})
            return handler.piece({}, "stop", usage=usage)
        [name] = [it["function"]["name"] for it in handler.asked["tools"] if it["function"]["name"].endswith("helper__pid")]
        call = {"index": 0, "id": f"call-{self.requests}", "type": "function", "function": {"name": name, "arguments": "{}"}}
        handler.piece({"role": "assistant", "tool_calls": [call]})
        handler.piece({}, "tool_calls", usage=usage)


def budget(door):
    """A turn reaches its limit: the page asks, also after a reload and on a new server. Another tab allows more, and the turn goes on;
    without it, the turn says which limit it has reached, and how to raise it."""
    first, model = door.page(), Counted(door.world)
    limits = {"budget": {"turn_tokens": LIMIT}}
    with_provider(door, first, "counted", config=limits, base_url=f"http://127.0.0.1:{model.port}/v1")
    first.send("count")
    until_asked(first)
    equal(model.requests, 2)
    if "helper" in first.by("dialog", DIALOG, "innerText"):
        raise AssertionError("the dialog speaks of a helper, but the server asks")
    until("armed buttons", lambda: first.by("button", "Stop the turn", "getAttribute", "aria-disabled") != "true")
    picture(first, "budget")
    passes = first.axe()
    # An Enter meant for something else allows nothing.
    first.keys("Enter")
    first.do("reload")
    first.ready()
    until_asked(first)
    first.cuts = True
    port = door.server.port
    door.server.kill()
    first.until_link("reconnecting", "offline")
    door.server.serve(port)
    first.until_link("connected")
    until_asked(first)
    until("one question at the server", lambda: len(door.server.call("skein/questions/list")["data"]) == 1)
    second = door.page(context=first.context, address=f"http://{door.server.host}/#/t/{first.thread()}")
    until_asked(second)
    equal(model.requests, 2)
    second.answer("Allow 1000 more")
    for page in (first, second):
        page.until_gone("dialog", DIALOG)
        page.until_answer("after 3 calls")
        page.until_idle()
    equal(model.requests, 4)
    refused(door, first, model)
    return f"{passes} rules passed, 0 violations"


def refused(door, page, model):
    """The next turn has its own limit. The user allows no more: by a key, since the keys are on the buttons."""
    page.send("count again")
    until_asked(page)
    until("armed buttons", lambda: page.by("button", "Stop the turn", "getAttribute", "aria-disabled") != "true")
    page.keys("Alt+KeyN")
    page.until_gone("dialog", DIALOG)
    page.until_text("The turn failed. This turn has used 1200 of 1000 tokens (budget.turn_tokens). Raise it in config.toml or with skein/budget/set")
    page.until_idle()
    picture(page, "budget-stopped")
    equal(model.requests, 6)
    equal(door.newest(page.thread())["error"]["codexErrorInfo"], "sessionBudgetExceeded")
    equal(door.server.call("skein/questions/list")["data"], [])


def until_asked(page):
    """The page shows the question, once: which limit, its use, and what an accept adds."""
    page.until_there("dialog", DIALOG)
    equal(page.ask("document.querySelectorAll('[role=dialog]').length"), 1)
    equal(page.ask("document.querySelector('[role=dialog] p').innerText"), QUESTION)


def spent(door):
    """A thread without room takes no message: the page says so, and the message is back in the box."""
    page, model = door.page(), Counted(door.world)
    limits = {"budget": {"thread_tokens": LIMIT, "ask": False}}
    with_provider(door, page, "counted", config=limits, base_url=f"http://127.0.0.1:{model.port}/v1")
    page.send("count")
    page.until_text("The turn failed. This thread has used 1200 of 1000 tokens (budget.thread_tokens). Raise it in config.toml or with")
    page.by("textbox", "Message", "fill", "and on")
    page.by("button", "Send", "click")
    until("the reason", lambda: "The message was not sent: This thread has used 1200 of 1000 tokens" in page.body())
    until("the message in the box", lambda: page.by("textbox", "Message", "inputValue") == "and on")
    equal(model.requests, 2)
    door.server.call("skein/budget/set", {"threadId": page.thread(), "threadTokens": 10 * LIMIT})
    page.by("button", "Send", "click")
    page.until_answer("after 3 calls")
