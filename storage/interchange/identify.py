"""Identifiers of what comes from elsewhere: the same record has the same one each time it comes."""

from __future__ import annotations

import hashlib


def stable_id(prefix: str, *parts: str) -> str:
    """The prefix and the first 24 hexadecimal digits of the SHA-256 of where something came from and its id there."""
    return f"{prefix}-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:24]}"
