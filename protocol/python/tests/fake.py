"""A server in memory, and a clock that leaps to the next timer, so that no test waits."""

import asyncio
import functools
import json
import selectors
import time
import unittest
from unittest import mock

from websockets.exceptions import ConnectionClosedError
from websockets.frames import Close

from skein_client import connect

THREAD = "01a1f8d1-0000-7000-8000-000000000001"
EPOCH = "01a1f905-0000-7000-8000-000000000009"


class Leaping(selectors.SelectSelector):
    """Instead of waiting for a timer it moves the clock."""

    now = 1000.0

    def select(self, timeout=None):
        found = super().select(0)
        if not found and timeout is None:
            raise AssertionError("nothing will ever happen: the test waits for ever")
        self.now += 0 if found else max(timeout, 0)
        return found


def played(test):
    """Runs a test on the leaping clock, which `time.time` shows, too."""

    @functools.wraps(test)
    def run(self):
        selector = Leaping()
        loop = asyncio.SelectorEventLoop(selector)
        loop.time = lambda: selector.now
        with mock.patch.object(time, "time", loop.time), asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(test(self))

    return run


async def settle():
    """Lets everything run that does not wait for a timer."""
    for _ in range(20):
        await asyncio.sleep(0)


def thread(**more):
    path = f"/home/threads/00/{THREAD}.jsonl"
    base = {"id": THREAD, "name": None, "preview": "", "status": {"type": "idle"}, "turns": [], "updatedAt": 1}
    return {**base, "ephemeral": False, "path": path, **more}


def turn(id, **more):
    return {"id": id, "status": "inProgress", "error": None, "items": [], "itemsView": "notLoaded", **more}


def message(id, text, **more):
    return {"type": "agentMessage", "id": id, "text": text, **more}


def event(method, params=None, seq=None, epoch=1):
    numbers = {} if seq is None else {"seq": seq, "epoch": epoch}
    return {"method": method, "params": {"threadId": THREAD, **(params or {})}, "emittedAtMs": 0, **numbers}


def question(id, method="item/tool/requestUserInput", **params):
    return {**event(method, {"turnId": "t1", "itemId": "i1", "questions": [], **params}), "id": id}


class Socket:
    """The server's side of one link. To close it takes `lingers` seconds."""

    lingers = 0

    def __init__(self, token):
        self.token, self.sent, self.inbox, self.closed, self.at = token, [], asyncio.Queue(), False, asyncio.get_running_loop().time()

    async def send(self, text):
        self.sent.append(json.loads(text))

    async def recv(self):
        found = await self.inbox.get()
        if isinstance(found, Exception):
            raise found
        return found

    async def close(self):
        await asyncio.sleep(self.lingers)
        self.closed = True

    async def give(self, found):
        self.inbox.put_nowait(found if isinstance(found, (str, bytes)) else json.dumps(found))
        await settle()

    async def end(self, code=1006):
        self.inbox.put_nowait(ConnectionClosedError(Close(code, ""), None))
        await settle()

    def asked(self, method):
        return [one for one in self.sent if one.get("method") == method]

    async def answer(self, method, result):
        assert self.asked(method), f"{method} was not asked, but {[one.get('method') for one in self.sent]}"
        request = self.asked(method)[-1]
        await self.give({"id": request["id"], "result": result})
        return request

    async def refuse(self, method, error):
        await self.give({"id": self.asked(method)[-1]["id"], "error": error})

    async def up(self, extension={"version": 1, "heartbeatMs": 20000}):
        """`initialize` succeeds."""
        extensions = {"skein/events": extension} if extension else {}
        await self.answer("initialize", {"skein": {"version": "0.1.0", "extensions": extensions}})


class World:
    """A client with its server. `async with` gives it; `sockets` are its links, the newest last."""

    def __init__(self, url="ws://127.0.0.1:4500", token=None, refusal=None, chance=lambda: 1, **options):
        self.sockets, self.links, self.refusal = [], [], refusal
        self.skein = connect(url, token, dial=self.dial, chance=chance, **options)
        self.skein.watch(self.links.append)

    async def dial(self, url, token):
        if self.refusal:
            raise self.refusal
        self.sockets.append(Socket(token))
        return self.sockets[-1]

    async def __aenter__(self):
        await self.skein.__aenter__()
        await settle()
        return self

    async def __aexit__(self, *_):
        await self.skein.__aexit__()
        assert all(socket.closed for socket in self.sockets), "a socket is left open"

    @property
    def socket(self):
        return self.sockets[-1]

    @property
    def link(self):
        return self.skein.link

    @property
    def wait(self):
        """Seconds until the next try."""
        return round(self.link.next_try - time.time(), 6)

    @property
    def states(self):
        states = [link.state for link in self.links]
        return [state for at, state in enumerate(states) if at == 0 or states[at - 1] != state]

    async def reconnect(self):
        await self.socket.end()
        await asyncio.sleep(self.wait)
        await settle()
        await self.socket.up()

    async def chat(self, skein=None, **more):
        """A chat of the thread, subscribed, with this answer."""
        chat = self.skein.thread(THREAD)
        await self.socket.up()
        await self.resumed(skein or {"seq": 2, "epoch": 1, "pendingRequests": []}, **more)
        return chat

    async def resumed(self, skein, **more):
        answer = {"thread": thread(**more), "skein": skein, "model": "echo", "modelProvider": "echo", "cwd": "/"}
        return await self.socket.answer("thread/resume", answer)


def on(seq=2, replay_to=None, pending=()):
    """The `skein` of an answer that continues."""
    return {"seq": seq, "epoch": 1, "replayTo": seq if replay_to is None else replay_to, "pendingRequests": list(pending)}


class Case(unittest.TestCase):
    maxDiff = None

    async def fails(self, awaitable, reason):
        """The error with which something ends."""
        from skein_client import SkeinError

        with self.assertRaises(SkeinError) as found:
            await awaitable
        self.assertEqual(found.exception.reason, reason)
        return found.exception
