"""The list of threads, which follows the server's catalog. What a change says shows at once; the rows are read again soon."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from . import protocol
from .base import SkeinError, Watched, dig, wire_error
from .reducer import listed

if TYPE_CHECKING:
    from .client import Skein

READ_AGAIN = 0.25  # Rows are read again so long after a change, in seconds.
# What of a row a notification changes at once: the member there, and here.
NEWS = {
    "thread/status/changed": ("status", "status"),
    "thread/name/updated": ("threadName", "name"),
    "thread/readState/changed": ("readState", "readState"),
}


@dataclass(frozen=True)
class ListView:
    """Rows are threads, with `snippet` in the results of a search, and with `readState` if the server has one. `needs_you` counts
    the questions that wait in all threads."""

    rows: tuple[Any, ...] = ()
    has_more: bool = False
    loading: bool = True
    needs_you: protocol.NeedsYou | None = None
    error: SkeinError | None = None


class ThreadList(Watched[ListView]):
    """The list of threads, newest first. Iterate over it for its views."""

    def __init__(self, core: Skein, search: str, archived: bool, limit: int) -> None:
        super().__init__()
        self._core, self._term, self._archived, self._limit = core, search.strip(), archived, limit
        self._view = ListView()
        self._place: Any = None  # The catalog's number of this list.
        self._cursor: str | None = None
        self._round = self._attempt = 0  # What belongs to an earlier round is void.
        self._listed = self._planned = False
        core.parts[self] = None
        if core.ready:
            core.spawn(self._read())

    @property
    def view(self) -> ListView:
        return self._view

    def more(self) -> None:
        """Reads one more page."""
        if self._cursor and not self._view.loading:
            self._core.spawn(self._read(self._cursor))

    def search(self, text: str) -> None:
        """Searches names and messages; an empty text shows the whole list again."""
        if text.strip() != self._term:
            self._term, self._cursor = text.strip(), None
            self._show(rows=())
            self._core.spawn(self._read())

    def close(self) -> None:
        """Ends the list."""
        self._core.parts.pop(self, None)
        self.end()

    def end(self) -> None:
        """Ends everybody's wait."""
        self._closed = True
        self._tell()

    def on_up(self) -> None:
        """The link is ready: nothing of the last one counts any more."""
        self._core.spawn(self._catch_up())

    def on_change(self) -> None:
        """The link's state has changed."""

    def is_settled(self) -> bool:
        """Whether it shows what the server has."""
        return self._closed or bool(self._view.error) or self._listed

    def on_message(self, message: Any, missed: bool = False) -> None:
        """A message of the server. `missed`: it comes late, from the catalog."""
        method, params, at = message["method"], message.get("params"), dig(message, "params", "skein")
        id = dig(params, "threadId") or dig(params, "thread", "id")
        if not id or not dig(at, "catalogSeq"):
            return
        self._place = self._place if missed else at
        wire, member = NEWS.get(method, ("", ""))
        gone = method in ("thread/deleted", "thread/unarchived" if self._archived else "thread/archived")
        rows = (row for row in self._view.rows if not gone or row["id"] != id)
        changed = tuple({**row, member: params.get(wire)} if member and row["id"] == id else row for row in rows)
        self._show(rows=changed, needs_you=params.get("needsYou") or self._view.needs_you)
        self._plan()

    def _show(self, **changes: Any) -> None:
        self._view = replace(self._view, **changes)
        self._tell()

    def _plan(self) -> None:
        """Reads the rows again, some time after the first of many changes."""
        if not self._planned:
            self._planned = True
            self._core.later(self._begin, READ_AGAIN)

    def _begin(self) -> None:
        self._planned = False
        self._plan() if self._view.loading else self._core.spawn(self._read())

    async def _catch_up(self) -> None:
        """Asks the catalog for what was missed, and reads the rows again: all of them, if the catalog cannot say."""
        answer: Any = None
        place = self._place
        if place:
            with suppress(SkeinError):
                params = {"after": place["catalogSeq"], "catalogEpoch": place["catalogEpoch"]}
                answer = await self._core.request("skein/catalog/resume", params)
        said = dig(answer, "tooOld") is False and isinstance(dig(answer, "changes"), list)
        for change in [one for one in answer["changes"] if isinstance(dig(one, "method"), str)] if said else ():
            # A chat learns here, too, that its thread was archived meanwhile.
            for part in list(self._core.parts):
                part.on_message(change, missed=True)
        self._show(needs_you=dig(answer, "needsYou") or self._view.needs_you)
        await self._read(whole=not said)

    async def _read(self, cursor: str | None = None, whole: bool = False) -> None:
        """Reads a page: the next one, or the first one again."""
        if self._closed or not self._core.ready:
            return
        self._round += 1
        mine, self._attempt = self._round, self._attempt + 1
        self._show(loading=True)
        params: Any = {"archived": self._archived, "limit": self._limit, "sortKey": "updated_at"}
        params |= ({"searchTerm": self._term} if self._term else {}) | ({"cursor": cursor} if cursor else {})
        try:
            answer = await self._core.request("thread/search" if self._term else "thread/list", params)
            if not isinstance(dig(answer, "data"), list):
                raise wire_error()
        except SkeinError as error:
            if mine == self._round and not self._closed:
                self._show(loading=False, error=None if error.passing else error)
                if error.passing and error.reason != "linkLost":
                    self._core.later(self._begin, self._core.pause(self._attempt, (error.retry_after_ms or 0) / 1000))
                self._core.settle()
            return
        if mine == self._round and not self._closed:
            self._listed, self._attempt = True, 0
            self._take(answer, cursor, whole or bool(self._term))
            self._core.settle()

    def _take(self, answer: Any, cursor: str | None, whole: bool) -> None:
        found = [{**one["thread"], "snippet": one.get("snippet")} if dig(one, "thread") else one for one in answer["data"]]
        states: Any = answer.get("readStates") or {}
        added = [{**row, "readState": states[row["id"]]} if states.get(row["id"]) else row for row in listed(found)]
        fresh, next_one = {row["id"] for row in added}, answer.get("nextCursor")
        kept = [row for row in self._view.rows if row["id"] not in fresh]
        if not cursor:
            # Rows behind the first page stay: what changes of them stands in the first page, or was said by the catalog.
            kept = [row for row in kept if next_one and added and not whole and _newest(row) < _newest(added[-1])]
            self._place = answer["skein"] if dig(answer, "skein", "catalogSeq") is not None else self._place
        self._cursor = next_one if cursor or not kept else self._cursor
        needs_you = dig(answer, "skein", "needsYou") or self._view.needs_you
        rows = (*kept, *added) if cursor else (*added, *kept)
        self._show(rows=rows, has_more=bool(self._cursor), loading=False, needs_you=needs_you, error=None)
        if self._term and not added and self._cursor:
            self._core.later(self.more, self._core.pause(0))  # A page of a search can be empty before the last one.


def _newest(row: Any) -> Any:
    return (row["updatedAt"], row["id"])
