"""The state of one thread as a pure function of the server's messages, by the rules of docs/events.md. Everything is kept by
ids, so a message that comes twice changes nothing."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from . import protocol
from .base import dig


class At(NamedTuple):
    """The number of the last applied event, and the version of the history."""

    seq: int
    epoch: int


@dataclass(frozen=True)
class ThreadState:
    """The state of one thread: what `reduce` computes from answers and events. Deltas complete the items of its turns. A running
    tool has its last word in `progress`. A turn with `saved: false` is not on the server's disk."""

    id: str | None = None
    name: str | None = None
    status: protocol.ThreadStatus = field(default_factory=lambda: protocol.ThreadStatusNotLoaded(type="notLoaded"))
    turns: tuple[protocol.Turn, ...] = ()
    questions: tuple[protocol.Question, ...] = ()
    usage: protocol.ThreadTokenUsage | None = None
    model: str | None = None
    model_provider: str | None = None
    cwd: str | None = None
    at: At | None = None  # Stored together with the rest.
    replay_to: int | None = None  # The end of the running replay.
    older: str | None = None  # The cursor of older turns, which `history()` reads.
    gaps: bool = False  # The last resume could not continue: the view was replaced by the server's.
    retrying: dict[str, str] | None = None  # `turnId` and `message` of an error after which the server tries again.
    stale: bool = False  # The numbers contradict the view: it has to be read again from the start.
    deleted: bool = False
    archived: bool = False


empty_thread = ThreadState  # A thread of which nothing is known but its id.


def is_archived(thread: Any) -> bool:
    """Whether the thread lies in the archive."""
    return bool(re.search(r"[\\/]archived_sessions", str(dig(thread, "path"))))


def resumed(state: ThreadState, answer: Any) -> ThreadState:
    """The state after the answer to `thread/start` or `thread/resume`."""
    thread, skein = answer["thread"], answer.get("skein") or {}
    pending = skein.get("pendingRequests") or []
    state = ThreadState(
        thread["id"], thread.get("name"), thread.get("status"), state.turns,
        tuple(one for one in state.questions if one["id"] in pending), state.usage, answer.get("model"),
        answer.get("modelProvider"), answer.get("cwd"), state.at, skein.get("replayTo"), state.older, bool(skein.get("gap")),
        archived=is_archived(thread),
    )  # fmt: skip
    if state.replay_to is not None:
        return state
    seq, epoch = skein.get("seq"), skein.get("epoch")
    at = At(seq, epoch) if isinstance(seq, int) and isinstance(epoch, int) else None
    return replace(state, at=at, older=skein.get("olderTurns"), usage=None, turns=_turns(thread.get("turns")))


def with_older(state: ThreadState, page: Any) -> ThreadState:
    """The state with a page of `thread/turns/list`, newest first, before its turns."""
    known = {turn["id"] for turn in state.turns}
    added = tuple(turn for turn in _turns(page.get("data")) if turn["id"] not in known)
    return replace(state, turns=added[::-1] + state.turns, older=page.get("nextCursor"))


def caught_up(state: ThreadState) -> bool:
    """Whether the replay of the last resume is complete."""
    return (state.at.seq if state.at else 0) >= (state.replay_to or 0)


def reduce(state: ThreadState, message: Any) -> ThreadState:
    """The state after a message about its thread. A message that changes nothing returns the same object."""
    seq, epoch = message.get("seq"), message.get("epoch")
    if not isinstance(seq, int) or not isinstance(epoch, int):
        return _apply(state, message)
    if state.at and (epoch, seq) <= (state.at.epoch, state.at.seq):
        return state
    if state.at and epoch > state.at.epoch and message["method"] != "thread/reverted":
        return _restart(state)
    return replace(_apply(state, message), at=At(seq, epoch))


def _apply(state: ThreadState, message: Any) -> ThreadState:
    method, params = message["method"], message.get("params")
    if not isinstance(params, dict):
        return state
    if "id" in message:
        question: Any = {key: message[key] for key in ("id", "method", "params")}
        return replace(state, questions=(*_without(state, message["id"]), question))
    if method in SIMPLE:
        return replace(state, **change) if (change := SIMPLE[method](params)) else state
    if method in LONGER:
        return _longer(state, params, *LONGER[method])
    if method in ("turn/started", "turn/completed") and dig(params, "turn", "id"):
        return _with_news(state, params["turn"], dig(params, "skein", "saved") is False, method == "turn/completed")
    if method in ("item/started", "item/completed") and dig(params, "item", "id"):
        return _with_turn(state, params.get("turnId"), lambda turn: _with_item(turn, params["item"]))
    if method == "serverRequest/resolved":
        return replace(state, questions=_without(state, params.get("requestId")))
    if method == "thread/reverted":
        return _reverted(state, dig(params, "skein", "beforeTurnId"), "seq" in message)
    return state


def listed(value: Any) -> list[Any]:
    """What of a list has an id. A server and a storage may have anything."""
    return [one for one in value if dig(one, "id")] if isinstance(value, list) else []


def find(values: Any, id: Any) -> int | None:
    """The place of the last one with this id."""
    return next((at for at in reversed(range(len(values))) if values[at]["id"] == id), None)


def _turns(value: Any) -> tuple[Any, ...]:
    return tuple({**turn, "items": listed(turn.get("items"))} for turn in listed(value))


def _without(state: ThreadState, id: Any) -> tuple[protocol.Question, ...]:
    return tuple(question for question in state.questions if question["id"] != id)


def _restart(state: ThreadState) -> ThreadState:
    """Without its number, so that the next resume shows the whole."""
    return replace(state, at=None, stale=True)


def _with_turn(state: ThreadState, id: Any, change: Callable[[Any], Any]) -> ThreadState:
    """With one turn changed. An unknown turn is added: its beginning was missed. The turn goes on, so an error is void."""
    turns: list[Any] = list(state.turns)
    if (at := find(turns, id)) is None:
        at = len(turns)
        turns.append({"id": id, "status": "inProgress", "items": []})
    turns[at] = change(turns[at])
    return replace(state, turns=tuple(turns), retrying=None)


def _with_item(turn: Any, item: Any) -> Any:
    items = turn["items"]
    at = len(items) if (found := find(items, item["id"])) is None else found
    return {**turn, "items": [*items[:at], item, *items[at + 1 :]]}


def _with_news(state: ThreadState, news: Any, unsaved: bool, ends: bool) -> ThreadState:
    """With the state of a turn, and the items that are known of it. The end of a turn voids its questions."""

    def change(known: Any) -> Any:
        kept = {"items": known["items"], "itemsView": known.get("itemsView", "full")}
        return {**news, **kept, **({"saved": False} if unsaved else {})}

    left = tuple(one for one in state.questions if not ends or dig(one, "params", "turnId") != news["id"])
    return replace(_with_turn(state, news["id"], change), questions=left)


def _longer(state: ThreadState, params: Any, member: str, change: Callable[[Any, Any], Any]) -> ThreadState:
    """With more content of one item. Without the item nothing changes: its start or end brings the content."""
    turn: Any = {"items": []} if (at := find(state.turns, params.get("turnId"))) is None else state.turns[at]
    if (at := find(turn["items"], params.get("itemId"))) is None:
        return state
    item = {**turn["items"][at], member: change(turn["items"][at].get(member), params)}
    return _with_turn(state, turn["id"], lambda turn: _with_item(turn, item))


def _part(old: Any, index: Any, params: Any) -> list[str]:
    """Parts of a reasoning, the one at the index longer."""
    parts, delta = list(old or []), params.get("delta", "")
    if isinstance(index, int) and 0 <= index < len(parts):
        return [*parts[:index], parts[index] + delta, *parts[index + 1 :]]
    return [*parts, delta]


def _reverted(state: ThreadState, before: Any, saved: bool) -> ThreadState:
    if (at := find(state.turns, before)) is None:
        return _restart(state)
    gone = {turn["id"] for turn in state.turns[at:]}
    questions = tuple(one for one in state.questions if dig(one, "params", "turnId") not in gone)
    return replace(state, turns=state.turns[:at], questions=questions, at=state.at if saved else None)


def _retrying(params: Any) -> dict[str, Any]:
    return {"turnId": str(params.get("turnId")), "message": str(dig(params, "error", "message"))}


# The change of the state by messages that concern neither turns nor questions.
SIMPLE: dict[str, Callable[[Any], dict[str, Any]]] = {
    "thread/name/updated": lambda params: {"name": params.get("threadName")},
    "thread/status/changed": lambda params: {"status": params["status"]} if dig(params, "status", "type") else {},
    "thread/tokenUsage/updated": lambda params: {"usage": params.get("tokenUsage")},
    "thread/settings/updated": lambda params: {
        key: dig(params, "threadSettings", wire)
        for key, wire in (("model", "model"), ("model_provider", "modelProvider"), ("cwd", "cwd"))
    },
    "error": lambda params: {"retrying": _retrying(params)} if params.get("willRetry") else {},
    "thread/archived": lambda params: {"archived": True},
    "thread/unarchived": lambda params: {"archived": False},
    "thread/deleted": lambda params: {"deleted": True, "questions": ()},
}
# The member of an item that a message makes longer, and how.
LONGER: dict[str, tuple[str, Callable[[Any, Any], Any]]] = {
    "item/agentMessage/delta": ("text", lambda old, params: (old or "") + params["delta"]),
    "item/plan/delta": ("text", lambda old, params: (old or "") + params["delta"]),
    "item/reasoning/summaryTextDelta": ("summary", lambda old, params: _part(old, params["summaryIndex"], params)),
    "item/reasoning/summaryPartAdded": ("summary", lambda old, params: _part(old, params["summaryIndex"], params)),
    "item/reasoning/textDelta": ("content", lambda old, params: _part(old, params["contentIndex"], params)),
    "item/mcpToolCall/progress": ("progress", lambda old, params: params.get("message")),
}
