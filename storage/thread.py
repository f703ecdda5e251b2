"""A connection to SQLite that does a batch of work in one hop to its thread.

aiosqlite has a thread for each connection and hops there and back for every call: three or four hops a statement, ~30 µs
each and far more beside a busy event loop. Here a whole coroutine can move to that thread, and what it asks of the
connection is then done on the spot.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite

T = TypeVar("T")
ITERATION_ROWS = 64  # as aiosqlite has it


class ThreadConnection(aiosqlite.Connection):
    """aiosqlite's connection, with `run`."""

    @classmethod
    def to(cls, path: Path) -> ThreadConnection:
        """A connection that awaits its opening."""
        connection = cls(partial(sqlite3.connect, path), ITERATION_ROWS)
        connection._thread.daemon = True  # one that is left open does not keep the process from its end
        return connection

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The outcome of a coroutine that awaits nothing but this connection: anything else raises RuntimeError in it."""
        outcome: T = await self._execute(_drive, work)
        return outcome

    @property
    def at_hand(self) -> sqlite3.Connection | None:
        """SQLite's own connection, in the thread of this one; None in any other."""
        return self._conn if threading.current_thread() is self._thread else None

    async def _execute(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """All of aiosqlite's calls go through here."""
        if threading.current_thread() is self._thread:
            return fn(*args, **kwargs)
        return await super()._execute(fn, *args, **kwargs)  # type: ignore[no-untyped-call]  # aiosqlite's


def _drive(work: Coroutine[Any, Any, T]) -> T:
    """Runs it to its end. What it awaits beside the connection fails, there where it awaits it."""
    step: Callable[[], object] = partial(work.send, None)
    while True:
        try:
            step()
        except StopIteration as end:
            result: T = end.value
            return result
        step = partial(work.throw, RuntimeError("a write awaited something else than its connection"))
