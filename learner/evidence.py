"""How much there is to learn from: not how many votes, but how many independent ones, of both kinds, from how many people."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from learner.config import CurateSettings, ScheduleSettings
from learner.curate.balance import effective_size
from storage.feedback import EvidenceCount


class Condition(Struct, frozen=True):
    """Something that must be there before a cycle starts by itself: how much there is, and how much it takes."""

    what: str
    have: float
    need: float

    @property
    def met(self) -> bool:
        return self.have >= self.need


class Readiness(Struct, frozen=True):
    """`effective` is how many independent votes the new ones are worth."""

    effective: float
    conditions: tuple[Condition, ...]

    @property
    def missing(self) -> tuple[str, ...]:
        """What is not met, in words; empty where the votes are enough."""
        return tuple(f"{one.have:g} of {one.need:g} {one.what}" for one in self.conditions if not one.met)


def judge_evidence(fresh: EvidenceCount, of_people: Sequence[int], curate: CurateSettings, schedule: ScheduleSettings) -> Readiness:
    """Whether the new votes are enough for a cycle. `of_people` has how many answers each person voted on or corrected."""
    counts = [min(count, curate.max_rows_per_person) for count in of_people]
    people = [str(number) for number, count in enumerate(counts) for _ in range(count)]
    effective = round(effective_size([1.0] * len(people), people, curate.likeness), 1)
    conditions = (
        Condition("independent votes", effective, schedule.min_effective_votes),
        Condition("votes of the rarer kind", min(fresh.up, fresh.down), schedule.min_minority_votes),
        Condition("people", fresh.people, schedule.min_people),
    )
    return Readiness(effective, conditions)
