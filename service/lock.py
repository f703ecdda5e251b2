"""One at a time in a home: a lock that the system drops however its holder ends."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK_FILE = "lock"


class InUseError(Exception):
    """Somebody else holds the home; the message says what to do."""


@contextmanager
def hold(home: Path) -> Iterator[None]:
    """Keeps services, and whatever else must be alone in this home, out of it for the block. Raises `InUseError`."""
    with (home / LOCK_FILE).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InUseError(f"{home} is in use by another service: end that one, or give another --home") from None
        yield
