"""Threads of a Skein server that survive broken links and restarts of both sides. README.md shows the use; `protocol` has the
types of all messages, made from the server's table of methods."""

from . import protocol
from .base import FileStore, Memory, SkeinError, Store, Watched
from .chat import Chat, Unsent, View
from .client import Link, Skein, Socket, connect, dial
from .reducer import At, ThreadState, caught_up, empty_thread, reduce, resumed, with_older
from .threads import ListView, ThreadList

__all__ = [
    "At", "Chat", "FileStore", "Link", "ListView", "Memory", "Skein", "SkeinError", "Socket", "Store", "ThreadList", "ThreadState",
    "Unsent", "View", "Watched", "caught_up", "connect", "dial", "empty_thread", "protocol", "reduce", "resumed", "with_older",
]  # fmt: skip
