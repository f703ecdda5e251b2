"""Which of several engines gets a request: the one that has the prompt's beginning in its cache, unless it has too much to do.

Each beginning has a favourite by rendezvous hashing (Thaler and Ravishankar 1998): when an engine comes or goes, only the
beginnings that are its own move. No engine gets much more than its share for that: consistent hashing with bounded loads
(Mirrokni, Thorup and Zadimoghaddam, arXiv 1608.01350).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any

HEAD_TOKENS = 64  # of a prompt given as token ids: a system prompt and what comes first, mostly
MOST_OF_MEAN, MORE = 1.25, 1  # a favourite has at most so many times the mean, and so many requests beyond that


def head_of_chat(body: Mapping[str, Any]) -> bytes:
    """What all turns of a conversation begin with: its messages up to the first of a user's.

    The version asked for is no part of it: two versions that are compared answer on the same engine.
    """
    head = []
    for message in body["messages"]:
        head.append(f"{message['role']}\n{message['content']}")
        if message["role"] == "user":
            break
    return "\n".join(head).encode()


def head_of_tokens(token_ids: Sequence[int]) -> bytes:
    """What texts with a common beginning begin with."""
    return repr(tuple(token_ids[:HEAD_TOKENS])).encode()


def choose(head: bytes, loads: Mapping[str, int]) -> str:
    """One of the addresses of `loads`, which says how many requests each has: the head's favourite, or the least busy."""
    if len(loads) == 1:
        return next(iter(loads))
    ranked = rank(head, loads)
    most = MOST_OF_MEAN * sum(loads.values()) / len(loads) + MORE
    return ranked[0] if loads[ranked[0]] <= most else min(ranked, key=loads.__getitem__)


def rank(head: bytes, addresses: Iterable[str]) -> list[str]:
    """The addresses, favourite first; the same in every process."""
    return sorted(addresses, key=lambda address: _weight(head, address), reverse=True)


def _weight(head: bytes, address: str) -> bytes:
    return blake2b(head, digest_size=8, person=blake2b(address.encode(), digest_size=16).digest()).digest()
