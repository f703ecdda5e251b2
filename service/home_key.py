"""Keys as such, and the one that a home comes with: its holder is the admin of the service.

It is in `<home>/operator.key`, readable by the owner alone, or in `RATCHET_ADMIN_KEY`, as several services on one database
need it. A file that is removed is made anew at the next start: so whoever owns the home is never locked out.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path

from service.config import OPERATOR_KEY_FILE

KEY_PREFIX = "rt_"
KEY_BYTES = 32
MIN_CHARACTERS = 25  # of a key in the environment: `rt_` and 128 bits in base 64
SHOWN_CHARACTERS = 9  # of a key, by which it is told from others
VARIABLE = "RATCHET_ADMIN_KEY"


class HomeKeyError(Exception):
    """The key of the home cannot be used; the message says what was expected."""


def sha256(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def new_key() -> str:
    """A key of 256 random bits: so many that a plain hash of it may be stored."""
    return KEY_PREFIX + secrets.token_urlsafe(KEY_BYTES)


def operator_key(home: Path) -> str:
    """The key of this home's admin, made on first use. Raises `HomeKeyError` for one in the environment that is no key."""
    if named := os.environ.get(VARIABLE):
        if not named.startswith(KEY_PREFIX) or len(named) < MIN_CHARACTERS:
            raise HomeKeyError(
                f"{VARIABLE} is no key: expected {KEY_PREFIX!r} and {MIN_CHARACTERS - len(KEY_PREFIX)} characters or more"
            )
        return named
    file = home / OPERATOR_KEY_FILE
    if is_new(home):
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(new_key())
    return file.read_text().strip()


def is_new(home: Path) -> bool:
    """Whether the home has no key yet, so that its admin is to be told the one it gets."""
    return not os.environ.get(VARIABLE) and not (home / OPERATOR_KEY_FILE).exists()
