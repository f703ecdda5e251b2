"""Who is answered by which version while some are tried. A person's place never changes, so nobody swings between versions.

A share of the people is those whose place lies in its slot's part of [0, 1): when the share grows, whoever was in it stays.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from learner.chance import fraction_of
from learner.config import ReleaseSettings
from storage.canaries import SLOTS
from storage.records import Canary, CanaryState


class Tried(Struct, frozen=True):
    """A version that some people are answered by."""

    adapter: str
    slot: int
    share: float  # of all people; 0 while it waits for an operator


class Standing(Struct, frozen=True):
    """Who answers: the live version, what a rollback returns to, and what is tried."""

    live: str
    previous: str | None
    tried: tuple[Tried, ...] = ()


def place(person_id: str) -> float:
    """Where in [0, 1) a person is; not that by which people are held out, or the judges would be all who try the first slot's."""
    return fraction_of(f"trial/{person_id}")


def assign(person_id: str, tried: Sequence[Tried]) -> str | None:
    """The version that this person tries; None for the live one."""
    at = place(person_id)
    return next((one.adapter for one in tried if one.slot / SLOTS <= at < one.slot / SLOTS + one.share), None)


def tried(canary: Canary, settings: ReleaseSettings) -> Tried:
    """What a canary is to those who route requests."""
    early = settings.shares[:-1]  # the last is everybody: then it is live
    share = 0.0 if canary.state is CanaryState.WAITING_APPROVAL else early[min(canary.stage, len(early) - 1)]
    return Tried(canary.adapter, canary.slot, share)
