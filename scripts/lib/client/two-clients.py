"""The Python client for scripts/two-clients: pages ("tabs") in one program, like two-clients.mjs. It reads a command in each
line of stdin, and writes an answer for each. Argument: the address of the proxy."""

import asyncio
import json
import sys
from types import SimpleNamespace

from skein_client import Memory, connect, dial

tabs = {}


class Faulty:
    """A websocket that breaks after a number of messages: between two frames, where a test wants it."""

    def __init__(self, tab, inner):
        self.tab, self.inner = tab, inner
        self.send, self.close = inner.send, inner.close

    async def recv(self):
        found = await self.inner.recv()
        if self.tab.cut_after is not None:
            self.tab.cut_after -= 1
            if self.tab.cut_after < 0:
                self.tab.cut_after = None
                self.tab.cuts += 1
                raise ConnectionError("cut by the test")
        return found


def answer_open(tab):
    """Answers open questions, once the test lets it."""
    view = tab.chat.view
    for question in view.questions if tab.answers else ():
        if question["id"] not in view.answered:
            id = question["params"]["questions"][0]["id"]
            tab.chat.answer(question["id"], {"answers": {id: {"answers": ["an answer of a page"]}}})


def load(url, number, thread):
    """A page begins, or is loaded again: its storage stays."""
    tab = tabs.setdefault(number, SimpleNamespace(storage=Memory(), cut_after=None, cuts=0, skein=None, failed=None))
    if tab.skein:
        tab.skein.close()
    tab.answers, once = False, set()

    async def faulty(url, token):
        return Faulty(tab, await dial(url, token))

    def hand_out(question):
        if question["id"] in once:
            tab.failed = f"the question {question['id']} was handed out twice"
        once.add(question["id"])

    # Without chance the pauses are as short as they may be.
    tab.skein = connect(url, store=tab.storage, dial=faulty, chance=lambda: 0).open()
    tab.chat = tab.skein.thread(thread)
    tab.chat.on_question(hand_out)
    tab.chat.watch(lambda _: answer_open(tab))


async def interrupt(chat):
    try:
        await chat.interrupt()
    except Exception as error:
        print(f"not interrupted: {error!r}", file=sys.stderr)


def there(tab, seq):
    """Whether the page has come this far, and nothing of it waits."""
    view = tab.chat.view
    return {"there": bool(view.at and view.at.seq >= seq and not view.unsent and view.link.state == "live")}


def show(tab):
    view = tab.chat.view
    error = tab.failed or (view.error and str(view.error))
    questions = [[question["id"], question["params"]] for question in view.questions]
    thread = {"turns": view.turns, "name": view.name, "status": view.status, "questions": questions, "usage": view.usage}
    rest = {"at": view.at, "unsent": len(view.unsent), "link": view.link.state, "error": error, "gaps": view.gaps}
    return {**thread, **rest, "cuts": tab.cuts}


def command(url, order, tasks):
    tab = tabs.get(order["tab"])
    match order["do"]:
        case "load":
            load(url, order["tab"], order["thread"])
        case "cut":
            tab.cut_after = order["after"]
        case "send":
            tab.chat.send(order["text"])
        case "interrupt":
            tasks.add(asyncio.ensure_future(interrupt(tab.chat)))
        case "answer":
            tab.answers = order["on"]
            answer_open(tab)
        case "there":
            return there(tab, order["seq"])
        case "view":
            return show(tab)
    return {}


async def main(url):
    tasks = set()
    while line := await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps(command(url, json.loads(line), tasks)), flush=True)
    for tab in tabs.values():
        await tab.skein.__aexit__()
    await asyncio.gather(*tasks)


asyncio.run(main(sys.argv[1]))
