"""The class of all errors, readers of values of any shape, values that are watched, and stores."""

import asyncio
import json
import logging
import os
import sqlite3
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

PASSING = {"linkLost", "serverStops", "serverEnded", "dropped", "archivedMeanwhile", "withdrawn"}
NEVER = 1e6  # As good as never, and still a time that timers have, in seconds.
T = TypeVar("T")
log = logging.getLogger("skein_client")


class SkeinError(Exception):
    """An error of the server, or of the client: `closed`, `linkLost`, `refused`, `tooLarge`, `deleted`, `discarded`, `badAnswer`,
    `badParams`, `address`, `storeInUse`. `todo` is the next step, if the message does not say it."""

    def __init__(self, reason: str, message: str | None = None, code: int = 0, data: dict[str, Any] | None = None) -> None:
        super().__init__(message or reason)
        self.reason, self.code, self.data, wait = reason, code, data, dig(data, "retryAfterMs")
        self.retry_after_ms = None if wait is None else 1000 * seconds(wait, 0)
        self.todo = str(dig(data, "hint") or (f"try again in {self.retry_after_ms:.0f} ms" if self.retry_after_ms else ""))

    @property
    def passing(self) -> bool:
        """Whether the same request may succeed later without a change."""
        return self.retry_after_ms is not None or self.reason in PASSING


def wire_error(error: Any = None) -> SkeinError:
    """The error of an answer of any shape."""
    reason, message = str(dig(error, "data", "reason") or "badAnswer"), str(dig(error, "message") or "bad answer")
    code, data = dig(error, "code"), dig(error, "data")
    return SkeinError(reason, message, code if isinstance(code, int) else 0, data if isinstance(data, dict) else None)


def dig(value: Any, *keys: str) -> Any:
    """A member of a member; None if one is missing or is no object."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def seconds(milliseconds: Any, otherwise: float) -> float:
    """A time of the server in seconds, within what timers have."""
    return min(milliseconds / 1000, NEVER) if isinstance(milliseconds, int | float) and milliseconds > 0 else otherwise


@contextmanager
def guarded(what: str) -> Iterator[None]:
    """Logs an error and goes on: it disturbs nobody else."""
    try:
        yield
    except Exception:
        log.warning(what, exc_info=True)


class Watched(Generic[T]):
    """`async for view in it` gives the present view, then newer ones. A slow reader skips those in between."""

    _closed = False

    def __init__(self) -> None:
        self._listeners: dict[object, Callable[[T], object]] = {}

    @property
    def view(self) -> T:
        """The present value: another object after each change."""
        raise NotImplementedError

    def watch(self, listener: Callable[[T], object]) -> Callable[[], object]:
        """Calls `listener` now, then for each new view. Returns the way to stop."""
        key = object()
        self._listeners[key] = listener
        with guarded("a listener raised an error"):
            listener(self.view)
        return lambda: self._listeners.pop(key, None)

    async def __aiter__(self) -> AsyncGenerator[T, None]:
        news = asyncio.Event()
        stop = self.watch(lambda _: news.set())
        try:
            while not self._closed:
                news.clear()
                yield self.view
                await news.wait()
        finally:
            stop()

    async def until(self, holds: Callable[[T], object]) -> T:
        """Waits for a view for which `holds` is true. Raises `closed` if none can come any more."""
        async with aclosing(self.__aiter__()) as views:
            async for view in views:
                if holds(view):
                    return view
        raise SkeinError("closed")

    def _tell(self) -> None:
        for listener in list(self._listeners.values()):
            with guarded("a listener raised an error"):
                listener(self.view)


class Store(Protocol):
    """The storage of one client, for values that JSON has. `get` returns None for an unknown key."""

    def get(self, key: str, /) -> Any: ...
    def set(self, key: str, value: Any, /) -> object: ...
    def delete(self, key: str, /) -> object: ...


class Memory(dict[str, Any]):
    """Keeps everything until the program ends."""

    set = dict.__setitem__

    def delete(self, key: str, /) -> None:
        self.pop(key, None)


class FileStore:
    """Keeps everything in the file `path`, a database of SQLite that one program at a time has open."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        Path(path).touch(mode=0o600)
        self._db = sqlite3.connect(path, timeout=0, isolation_level=None)
        try:
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._db.execute("CREATE TABLE IF NOT EXISTS kept (key TEXT PRIMARY KEY, value TEXT NOT NULL)")
            self._db.execute("PRAGMA user_version = 1")  # A write takes the lock.
        except sqlite3.Error as error:
            self._db.close()
            raise SkeinError("storeInUse", f"cannot use {path}, give each client a file of its own: {error}") from error

    def get(self, key: str, /) -> Any:
        row = self._db.execute("SELECT value FROM kept WHERE key = ?", (key,)).fetchone()
        return json.loads(row[0]) if row else None

    def set(self, key: str, value: Any, /) -> None:
        self._db.execute("INSERT OR REPLACE INTO kept VALUES (?, ?)", (key, json.dumps(value)))

    def delete(self, key: str, /) -> None:
        self._db.execute("DELETE FROM kept WHERE key = ?", (key,))

    def close(self) -> None:
        """Lets another program use the file. The end of the program does the same."""
        self._db.close()
