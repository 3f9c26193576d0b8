"""The connection: keeps one link up, with watchdog and backoff, and gives what it carries to the chats and lists."""

import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, Protocol, Self, cast

from websockets.asyncio.client import connect as open_websocket
from websockets.exceptions import ConnectionClosed, InvalidStatus, InvalidURI
from websockets.typing import Subprotocol

from . import protocol
from .base import NEVER, Memory, SkeinError, Store, Watched, dig, guarded, log, seconds, wire_error
from .chat import Chat
from .threads import ThreadList

# Bounds of the pause before a try, in seconds. The real pause is random between them ("full jitter").
SHORTEST_PAUSE, LONGEST_PAUSE = 0.1, 10.0
HANDSHAKE = 10.0  # A handshake has this long.
GOOD = 5.0  # A link that lived this long was good: the pauses begin again.
FIRST = 0  # The id of `initialize`. No other request has it.
TOO_LARGE = 1009  # The close code for a message above the server's limit.
REFUSED = (400, 401, 403, 421)  # HTTP: a handshake that the server refuses for good.

LinkState = Literal["connecting", "live", "catchingUp", "reconnecting", "refused", "closed"]


@dataclass(frozen=True)
class Link:
    """The connection to the server. Times are Unix seconds: `since` of this state, `next_try` while it waits for one."""

    state: LinkState
    since: float
    next_try: float | None = None
    reason: str | None = None
    message: str | None = None


class Socket(Protocol):
    """A websocket. `recv` raises an error when it has ended."""

    async def send(self, text: str, /) -> None: ...
    async def recv(self) -> str | bytes: ...
    async def close(self) -> None: ...


async def dial(url: str, token: str | None) -> Socket:
    """Opens a websocket; the token travels as a subprotocol. A `SkeinError` is a refusal for good."""
    offered = [Subprotocol("skein.v1"), Subprotocol(f"skein.auth.{token}")] if token else None
    own: Any = {"max_size": None, "compression": None, "ping_interval": None, "close_timeout": 1, "proxy": None}
    try:
        return await open_websocket(url, subprotocols=offered, **own)
    except InvalidStatus as refused:
        if refused.response.status_code not in REFUSED:
            raise
        body = _parse(bytes(refused.response.body or b""))
        reason = str(dig(body, "reason") or "refused")
        raise SkeinError(reason, str(dig(body, "message") or reason)) from refused
    except (InvalidURI, ValueError) as error:
        raise SkeinError("address", str(error)) from error


class Skein(Watched[Link]):
    """A client. Watch it, or iterate over it, for the states of its link."""

    def __init__(
        self, url: str, token: str | None = None, *, store: Store | None = None, client_info: protocol.ClientInfo | None = None,
        dial: Callable[[str, str | None], Awaitable[Socket]] = dial, chance: Callable[[], float] = random.random,
    ) -> None:  # fmt: skip
        super().__init__()
        self._url, self._token, self._dial, self._chance = url, token, dial, chance
        self._info = client_info or {"name": "skein-client-python", "version": "0.1.0"}
        self.store: Store = Memory() if store is None else store
        self.link, self.ready = Link("connecting", time.time()), False
        self._outbox: asyncio.Queue[str] | None = None
        self._up, self._tries, self._limit, self._last_id = NEVER, 0, HANDSHAKE, FIRST
        self._stopping = 0.0  # The pause that a stopping server wants, in seconds.
        self._runner: asyncio.Task[None] | None = None
        self._tasks: dict[asyncio.Task[None], bool] = {}
        self._requests: dict[Any, tuple[asyncio.Future[Any], int]] = {}
        self._named: dict[object, tuple[str, Callable[[Any], object]]] = {}
        self.parts: dict[Chat | ThreadList, None] = {}
        self.chats: dict[str, Chat] = {}
        self.call, self.on = cast(protocol.Call, self._call), cast(protocol.On, self._on)

    async def __aenter__(self) -> Self:
        return self.open()

    async def __aexit__(self, *_: object) -> None:
        self.close()
        while self._tasks:
            await asyncio.wait(self._tasks)

    @property
    def view(self) -> Link:
        return self.link

    def open(self) -> Self:
        """Begins to connect, for programs without `async with`."""
        self._runner = self._runner or self.spawn(self._run())
        return self

    def retry(self, token: str | None = None) -> None:
        """Tries now. It is the way out of `refused`, with a new token if the server refused the old one."""
        if not self._closed and (not self.ready or token):
            self._token, self._tries = token or self._token, 0
            self._leave("reconnecting")
            self.open()

    def close(self) -> None:
        """Ends the link. `async with` also waits until everything has ended."""
        if not self._closed:
            for part in list(self.parts):
                part.end()
            self._closed = True
            self._leave("closed")
            for task, lasts in list(self._tasks.items()):
                lasts or task.cancel()

    def thread(self, id: str | None = None) -> Chat:
        """The chat of a thread, one object for each id. Without an id it is a new thread."""
        return self.chats.get(id or "") or Chat(self, id)

    def threads(self, search: str = "", archived: bool = False, limit: int = 50) -> ThreadList:
        """The list of threads, newest first, in pages of `limit` rows. It follows the server by itself."""
        return ThreadList(self, search, archived, limit)

    async def _call(self, method: str, params: Any, /) -> Any:
        while not self.ready:
            link = await self.until(lambda link: self.ready or link.state == "refused")
            if link.state == "refused":
                raise SkeinError("refused", link.message)
        return await self.request(method, params)

    def _on(self, method: str, listener: Callable[[Any], object], /) -> Callable[[], object]:
        self._named[key := object()] = (method, listener)
        return lambda: self._named.pop(key, None)

    async def request(self, method: str, params: Any) -> Any:
        """Makes a request on the present link. Its sender runs before the next message is applied."""
        self._last_id += 1
        result: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        try:
            size = self.send({"id": self._last_id, "method": method, "params": params})
        except (TypeError, ValueError) as error:
            raise SkeinError("badParams", str(error)) from error
        self._requests[self._last_id] = (result, size)
        return await result

    def send(self, message: dict[str, Any]) -> int:
        """Sends a message if there is a link, and returns its length. Raises an error for what JSON does not have."""
        text = json.dumps(message, ensure_ascii=False, allow_nan=False)
        size = len(text.encode())
        if self._outbox:
            self._outbox.put_nowait(text)
        return size

    def pause(self, attempt: int, least: float = 0) -> float:
        """The pause before a try, in seconds, at least `least` long."""
        return max(least, SHORTEST_PAUSE, self._chance() * min(SHORTEST_PAUSE * 2.0 ** min(attempt, 20), LONGEST_PAUSE))

    def later(self, run: Callable[[], object], pause: float) -> None:
        """Runs after a pause, unless the client has ended."""
        asyncio.get_running_loop().call_later(pause, lambda: self._closed or run())

    def spawn(self, work: Coroutine[Any, Any, None], lasts: bool = False) -> asyncio.Task[None]:
        """Starts a task. The end of the client waits for it, and cancels it unless it `lasts`."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks[task] = lasts
        task.add_done_callback(self._on_end)
        return task

    def _on_end(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task)
        if not task.cancelled() and (error := task.exception()):
            log.warning("a task of the client failed", exc_info=error)

    def settle(self) -> None:
        """The link is live as soon as all parts show what the server has."""
        if self.link.state == "catchingUp" and all(part.is_settled() for part in self.parts):
            self._set("live")

    def _set(self, state: LinkState, **more: Any) -> None:
        self.link = Link(state, self.link.since if state == self.link.state else time.time(), **more)
        for part in list(self.parts):
            part.on_change()
        self._tell()

    def _leave(self, state: LinkState) -> None:
        if self._runner:
            self._runner.cancel()
        self._runner = None
        self._lose(None)
        self._set(state)

    def _lose(self, code: int | None) -> None:
        """Ends all requests: their link is gone. After 1009 the largest one is what the server refused."""
        lost = [(result, size) for result, size in self._requests.values() if not result.done()]
        self._outbox, self.ready, self._requests = None, False, {}
        largest = max((size for _, size in lost), default=0) if code == TOO_LARGE else float("inf")
        for result, size in lost:
            large = size >= largest
            result.set_exception(SkeinError("tooLarge") if large else SkeinError("linkLost", "the link broke: was it done?"))

    async def _run(self) -> None:
        """Connects, again and again, until the server refuses."""
        while True:
            code, least, self._up = None, 0.0, NEVER
            try:
                await self._live()
            except SkeinError as error:
                if not error.passing:
                    self._lose(None)
                    return self._set("refused", reason=error.reason, message=str(error))
                least = (error.retry_after_ms or 0) / 1000
            except ConnectionClosed as error:
                code, least = error.rcvd.code if error.rcvd else None, self._stopping
            except Exception as error:
                log.debug("no link to %s: %r", self._url, error)
            self._tries = 1 if asyncio.get_running_loop().time() - self._up > GOOD else self._tries + 1
            self._lose(code)
            pause = self.pause(self._tries, least)
            self._set("reconnecting", next_try=time.time() + pause)
            await asyncio.sleep(pause)
            self._set("reconnecting")

    async def _live(self) -> None:
        """One link, from its handshake to its end, which is an exception."""
        async with asyncio.timeout(HANDSHAKE):
            socket = await self._dial(self._url, self._token)
        self._outbox, self._limit, self._stopping = asyncio.Queue(), HANDSHAKE, 0.0
        writer = self.spawn(self._write(socket, self._outbox))
        try:
            capabilities = {"extensions": {"skein/events": {"version": 1}}}
            self.send({"id": FIRST, "method": "initialize", "params": {"clientInfo": self._info, "capabilities": capabilities}})
            while True:
                async with asyncio.timeout(self._limit):
                    text = await socket.recv()
                message = _parse(text)
                if dig(message, "method") == "skein/stopping":
                    self._stopping = seconds(dig(message, "params", "retryAfterMs"), 0)
                if self.ready:
                    with guarded("a message of the server was dropped"):
                        await self._take(message)
                elif dig(message, "id") == FIRST:
                    self._greet(message)
        finally:
            writer.cancel()
            self.spawn(socket.close(), lasts=True)

    async def _write(self, socket: Socket, outbox: asyncio.Queue[str]) -> None:
        """Sends what waits. The reader notices a link that takes nothing."""
        with suppress(Exception):
            while True:
                await socket.send(await outbox.get())

    def _greet(self, message: dict[str, Any]) -> None:
        if message.get("error") is not None:
            raise wire_error(message["error"])
        beat = dig(message, "result", "skein", "extensions", "skein/events", "heartbeatMs")
        self.ready, self._up, self._limit = True, asyncio.get_running_loop().time(), min(3 * seconds(beat, NEVER), NEVER)
        self.send({"method": "initialized"})
        self._set("catchingUp")
        for part in list(self.parts):
            part.on_up()
        self.settle()

    async def _take(self, message: Any) -> None:
        if isinstance(method := dig(message, "method"), str):
            for part in list(self.parts):
                part.on_message(message)
            for wanted, listener in list(self._named.values()):
                with guarded("a listener raised an error"):
                    listener(message) if wanted in (method, "*") else None
        elif (found := self._requests.pop(dig(message, "id"), None)) and not found[0].done():
            failed = message.get("error") is not None
            found[0].set_exception(wire_error(message["error"])) if failed else found[0].set_result(message.get("result"))
            await asyncio.sleep(0)
        self.settle()


def _parse(text: str | bytes) -> Any:
    """What a text has as JSON; None if it is garbage."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


connect = Skein
