"""One thread: subscribes, applies the events, keeps unsent messages, hands out questions."""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import uuid4

from . import protocol
from .base import SkeinError, Watched, dig, guarded, wire_error
from .reducer import At, ThreadState, caught_up, empty_thread, find, listed, reduce, resumed, with_older

if TYPE_CHECKING:
    from .client import Link, Skein

STORE_EVERY = 1.0  # At most this often a view is stored, in seconds.
PAGE = 20  # A page of `history()`, in turns.
# Whether this link is subscribed; OBSERVES: as an observer of an archived thread. A negative number is that of the resume
# whose answer the chat waits for.
NO, OBSERVES, YES = 0, 1, 2

Input: TypeAlias = str | list[protocol.UserInputParam]
Answer: TypeAlias = protocol.QuestionAnswer | None
Handler: TypeAlias = Callable[[Any], Answer | Awaitable[Answer]]


@dataclass(eq=False)
class Unsent:
    """A message that the server has not confirmed. With `error` it is not sent again until `resend(id)`."""

    id: str
    input: list[protocol.UserInputParam]
    options: dict[str, Any]
    error: SkeinError | None = None
    sent: bool = False  # On this link.
    turn: str | None = None  # Of the server's answer.
    done: asyncio.Future[str] | None = None


@dataclass(frozen=True, kw_only=True)
class View(ThreadState):
    """What a chat shows: another object after each change. `answered` has the ids of open questions that this client has
    answered. `error`: why the thread cannot be shown or continued."""

    unsent: tuple[Unsent, ...]
    answered: frozenset[protocol.RequestId]
    link: Link
    error: SkeinError | None


class Chat(Watched[View]):
    """One thread. Iterate over it for its views. Its id is None until the thread has started."""

    def __init__(self, core: Skein, id: str | None) -> None:
        super().__init__()
        self._core, self._state, self._params = core, empty_thread(id), protocol.ThreadStartParams()
        self._view: View | None = None
        self._error: SkeinError | None = None
        self._subscription = self._resumes = self._attempt = NO
        self._wanted = self._storing = False
        self._unsent: list[Unsent] = []
        self._handler: Handler | None = None
        self._handed: set[Any] = set()
        self._answers: dict[Any, dict[str, Any]] = {}
        core.parts[self] = None
        if id is not None:
            core.chats[id] = self
            with guarded("the store failed"):
                self._load()
            self._go()

    @property
    def id(self) -> str | None:
        return self._state.id

    @property
    def view(self) -> View:
        if not self._view:
            answered = frozenset(one["id"] for one in self._state.questions if one["id"] in self._answers)
            own: Any = {"answered": answered, "link": self._core.link, "error": self._error}
            self._view = View(**vars(self._state), **own, unsent=tuple(replace(one) for one in self._unsent))
        return self._view

    def on_question(self, handler: Handler) -> Handler:
        """Hands each question out once, to a function or coroutine function that returns its answer. None leaves the question to
        `answer()`. It is a decorator, too."""
        self._handler = handler
        for question in self._state.questions if self._subscription == YES else ():
            if question["id"] not in self._answers:
                self._ask(question)
        return handler

    async def start(self, params: protocol.ThreadStartParams) -> None:
        """Starts the thread with settings. Without it the first `send` starts the thread."""
        self._wanted, self._params = True, params
        self._go()
        view = await self.until(lambda view: view.id or view.error)
        if view.error:
            raise view.error

    def send(self, message: Input, **options: Any) -> asyncio.Future[str]:
        """Sends a message, or adds it to the running turn. Kept while offline. The result is the id of the turn. To cancel the
        wait does not take the message back: `discard` does. `options` are settings of `turn/start`, such as `effort`."""
        done: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        done.add_done_callback(lambda done: done.cancelled() or done.exception())  # The view has the error, too.
        one = Unsent(str(uuid4()), _input(message), options, done=done)
        if self._closed or self._state.deleted:
            self._refuse(one, self._error or SkeinError("closed"))
            return done
        self._wanted = True
        self._keep_unsent([*self._unsent, one])
        self._go()
        return done

    async def steer(self, message: Input) -> None:
        """Adds to the running turn; raises an error if none runs."""
        turn, own = self._running() or "none", str(uuid4())
        params: Any = {"threadId": self.id, "expectedTurnId": turn, "clientUserMessageId": own, "input": _input(message)}
        await self._core.call("turn/steer", params)

    async def interrupt(self) -> None:
        """Interrupts the running turn, if any."""
        if self.id and (turn := self._running()):
            await self._core.call("turn/interrupt", {"threadId": self.id, "turnId": turn})

    def answer(self, id: protocol.RequestId, answer: protocol.QuestionAnswer) -> None:
        """Answers a question. The answer is sent again if the link breaks before it arrives."""
        self._settle(id, {"result": answer})

    async def history(self, pages: int = 1) -> bool:
        """Reads older turns into the view. Returns whether there are more."""
        for _ in range(pages):
            if self.id and (cursor := self._state.older):
                params: Any = {"threadId": self.id, "cursor": cursor, "limit": PAGE, "itemsView": "full"}
                answer = await self._core.call("thread/turns/list", params)
                if self._state.older == cursor:
                    self._show(with_older(self._state, answer), keep=True)
        return bool(self._state.older)

    def resend(self, id: str) -> None:
        """Sends a failed message again, with the same id."""
        for one in self._unsent:
            one.error = None if one.id == id else one.error
        self._go()

    def discard(self, id: str) -> None:
        """Removes an unsent message."""
        for one in [one for one in self._unsent if one.id == id]:
            self._refuse(one, SkeinError("discarded"))
            self._keep_unsent([other for other in self._unsent if other is not one])
        self._show(self._state)

    def close(self) -> None:
        """Ends the subscription. A later `thread(id)` opens the thread again."""
        if not self._closed:
            self.end()
            self._core.parts.pop(self)
            self._core.chats.pop(self.id or "", None)
            if self._subscription:
                self._core.send({"id": f"close {self.id}", "method": "thread/unsubscribe", "params": {"threadId": self.id}})

    def end(self) -> None:
        """Stores the view, and ends everybody's wait."""
        self._storing = True
        self._store_view()
        self._closed = True
        for one in self._unsent:
            self._finish(one, SkeinError("closed"))
        self._tell()

    def _running(self) -> str | None:
        return next((turn["id"] for turn in reversed(self._state.turns) if turn["status"] == "inProgress"), None)

    def _show(self, state: ThreadState, keep: bool = False) -> None:
        self._state, self._view = state, None
        for one in list(self._unsent):
            if turn := next((turn["id"] for turn in reversed(state.turns) if _confirms(turn, one)), None):
                self._finish(one, turn)
                self._keep_unsent([other for other in self._unsent if other is not one])
        if keep and not self._storing:
            self._storing = True
            self._core.later(self._store_view, STORE_EVERY)
        self._tell()

    def _finish(self, one: Unsent, end: str | SkeinError) -> None:
        """Tells its sender the end of a message."""
        if one.done and not one.done.done():
            one.done.set_exception(end) if isinstance(end, SkeinError) else one.done.set_result(end)

    def _refuse(self, one: Unsent, error: SkeinError) -> None:
        one.error = error
        self._finish(one, error)

    def _keep(self, kind: str, value: Any) -> None:
        """A store that fails costs only what it stores."""
        with guarded("the store failed"):
            key, store = f"{kind}.{self.id}", self._core.store
            store.set(key, value) if value else store.delete(key)

    def _keep_unsent(self, unsent: list[Unsent]) -> None:
        self._unsent, self._view = unsent, None
        if self.id:
            self._keep("unsent", [{"id": one.id, "input": one.input, "options": one.options} for one in unsent])

    def _store_view(self) -> None:
        if self._storing and not self._closed and self._state.at and not self._state.deleted:
            self._keep("thread", {"v": 1, "state": vars(self._state)})
        self._storing = False

    def _load(self) -> None:
        kept, unsent = (self._core.store.get(f"{kind}.{self.id}") for kind in ("thread", "unsent"))
        self._unsent = [Unsent(one["id"], one["input"], one["options"]) for one in listed(unsent)]
        if dig(kept, "v") == 1 and dig(kept, "state", "id") == self.id:
            turns, questions = (tuple(listed(list(kept["state"][key]))) for key in ("turns", "questions"))
            self._state = ThreadState(**{**kept["state"], "turns": turns, "questions": questions, "at": At(*kept["state"]["at"])})

    def _go(self) -> None:
        self._show(self._state)
        self._core.spawn(self._subscribe())
        self._core.spawn(self._flush())

    def _again(self) -> None:
        self._subscription = NO
        self._core.spawn(self._subscribe())

    def _retry(self, error: SkeinError | None = None) -> None:
        self._attempt += 1
        self._core.later(self._go, self._core.pause(self._attempt, (error.retry_after_ms or 0) / 1000 if error else 0))

    def _observes(self) -> bool:
        """Whether the thread need not be loaded."""
        return self._state.archived and all(one.error for one in self._unsent)

    async def _subscribe(self) -> None:
        if self._closed or not self._core.ready or self._subscription or self._state.deleted or not (self.id or self._wanted):
            return
        self._resumes -= 1
        mine = self._subscription = self._resumes
        observe, at = self._observes(), None if self._state.stale else self._state.at
        skein = {**({"afterSeq": at.seq, "epoch": at.epoch} if at else {}), **({"observe": True} if observe else {})}
        resume = ("thread/resume", {"threadId": self.id, "skein": skein}) if self.id else ("thread/start", self._params)
        try:
            answer = await self._core.request(*resume)
            state = resumed(self._state, answer) if dig(answer, "thread", "id") else None
        except SkeinError as error:
            return self._failed(error) if self._subscription == mine and not self._closed else None
        if self._subscription != mine or self._closed:
            return
        if not state or not state.id:
            return self._failed(wire_error())
        self._subscription, self._error = OBSERVES if observe else YES, None
        if not self.id:
            self._core.chats[state.id], self._state = self, state
            self._keep_unsent(self._unsent)
        self._show(state, keep=True)
        await self._flush()

    def _failed(self, error: SkeinError) -> None:
        self._subscription = NO
        if error.passing:
            return None if error.reason == "linkLost" else self._retry(error)
        if error.reason == "threadNotFound" and self._wanted and not self._state.turns:
            # A thread without a message is not saved, and a restart of the server forgets it.
            self._core.chats.pop(self.id or "", None)
            self._keep("unsent", None)
            self._state = empty_thread()
            return self._retry()
        self._give_up(error)

    def _give_up(self, error: SkeinError) -> None:
        """Nothing more goes to the thread."""
        self._error = error
        for one in self._unsent:
            self._refuse(one, error)
        if error.reason in ("deleted", "threadNotFound"):
            self._keep("thread", None)
            self._state = replace(self._state, deleted=True, questions=())
        self._show(self._state)

    async def _flush(self) -> None:
        """Sends the unsent messages, one after the other."""
        if self._subscription == OBSERVES and not self._observes():
            return self._again()
        while one := next((one for one in self._unsent if not one.error and not one.turn), None):
            if self._subscription != YES or one.sent:
                return
            one.sent = True
            try:
                params = {**one.options, "threadId": self.id, "clientUserMessageId": one.id, "input": one.input}
                answer = await self._core.request("turn/start", params)
                if not dig(answer, "turn", "id"):
                    raise wire_error()
                one.turn, self._attempt = answer["turn"]["id"], 0
                self._finish(one, answer["turn"]["id"])
                if dig(answer, "turn", "status") != "inProgress":
                    # A repeated message of a turn that the view may no longer have.
                    self._keep_unsent([other for other in self._unsent if other is not one])
            except SkeinError as error:
                if error.passing or error.reason == "notLoaded":
                    self._subscription = NO if error.reason == "notLoaded" else self._subscription
                    return None if error.reason == "linkLost" else self._retry(error)
                self._refuse(one, error)
            finally:
                one.sent = False
            self._show(self._state)

    def _ask(self, question: Any) -> None:
        id = question["id"]
        if id in self._answers:
            self._core.send({"id": id, **self._answers[id]})
        elif not self._handler:
            self._nobody(question)
        elif id not in self._handed:
            self._handed.add(id)
            self._core.spawn(self._hand_out(question, self._handler))

    async def _hand_out(self, question: Any, handler: Handler) -> None:
        try:
            given = handler(question)
            answer = await given if inspect.isawaitable(given) else given
            self._nobody(question) if answer is None else self._settle(question["id"], {"result": answer})
        except Exception as error:
            self._settle(question["id"], {"error": {"code": -32603, "message": str(error)}})

    def _nobody(self, question: Any) -> None:
        """A person can answer later; a tool that the client does not have cannot."""
        if not re.search("requestUserInput$|elicitation", question["method"]):
            self._core.send({"id": question["id"], "error": {"code": -32601, "message": "nobody can answer"}})

    def _settle(self, id: Any, answer: dict[str, Any]) -> None:
        """Answers an open question. The answer is kept until the server confirms it."""
        if not self._closed and find(self._state.questions, id) is not None:
            if self._subscription == YES:
                self._core.send({"id": id, **answer})
            self._answers[id] = answer
            self._show(self._state)

    def on_up(self) -> None:
        """The link is ready: nothing of the last one counts any more."""
        self._again()

    def on_change(self) -> None:
        """The link's state has changed."""
        self._subscription = self._subscription if self._core.ready else NO
        self._show(self._state)

    def is_settled(self) -> bool:
        """Whether it shows what the server has."""
        idle = self._closed or self._error or self._state.deleted or not (self.id or self._wanted)
        return bool(idle) or (self._subscription > NO and caught_up(self._state))

    def on_message(self, message: Any, missed: bool = False) -> None:
        """A message of the server. `missed`: it comes late, from the catalog."""
        method, moved = message["method"], message["method"].endswith(("archived", "deleted"))
        if not self.id or dig(message, "params", "threadId") != self.id or (not moved and (missed or self._subscription <= NO)):
            return
        state = reduce(self._state, message)
        if state is self._state:
            return
        self._attempt = 0 if method == "turn/completed" else self._attempt
        self._show(state, keep="seq" in message or method == "thread/reverted")
        if "id" in message:
            self._ask(state.questions[-1])
        elif method == "thread/deleted":
            self._give_up(SkeinError("deleted"))
        elif moved:
            self._again()
        elif state.stale and self._subscription:
            self._subscription = NO
            self._retry()


def _input(given: Input) -> list[protocol.UserInputParam]:
    return [{"type": "text", "text": given}] if isinstance(given, str) else given


def _confirms(turn: Any, one: Unsent) -> bool:
    """Whether the turn shows the message, or is the message's and over."""
    shown = any(item.get("type") == "userMessage" and item.get("clientId") == one.id for item in turn["items"])
    return shown or (turn["id"] == one.turn and turn["status"] != "inProgress")
