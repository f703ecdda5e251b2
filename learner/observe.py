"""What is seen of a canary and of the version that it is compared with: votes and faults of their answers, by person.

Answers are looked at once: the counts are kept, and each look adds what is new. Votes, which may change, and the few answers
that the engine failed to begin are counted anew.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncConnection

from learner.canary import Fault, Observed
from learner.config import ReleaseSettings
from learner.policy.fold import fold
from learner.policy.policy import OPENING, declines
from learner.repetition import distinct
from storage import answers, failures
from storage.answers import Given
from storage.database import Database
from storage.records import BROKEN_OFF, Canary, MessageStatus

PAGE = 500  # answers that are read at once
TOO_LONG = "length"  # the finish reason of an answer that did not come to an end


@dataclass
class _Tally:
    """Of one version since a canary began."""

    answers: Counter[str] = field(default_factory=Counter)  # person → answers
    faults: defaultdict[Fault, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def add(self, given: Given, faults: Iterable[Fault]) -> None:
        self.answers[given.person_id] += 1
        for fault in faults:
            self.faults[fault][given.person_id] += 1


@dataclass
class _Seen:
    """A canary's and its rival's tallies, up to a message."""

    upto: int
    tallies: defaultdict[str, _Tally] = field(default_factory=lambda: defaultdict(_Tally))


class Observer:
    """Looks at canaries, again and again."""

    def __init__(self, database: Database, settings: ReleaseSettings, repetition_floor: float) -> None:
        self._database, self._settings, self._floor = database, settings, repetition_floor
        self._seen: dict[int, _Seen] = {}
        self._looking = asyncio.Lock()

    async def observe(self, canary: Canary) -> tuple[Observed, Observed]:
        """What was seen of the canary, and of the version that it is compared with, since it began."""
        versions = (canary.adapter, canary.against)
        async with self._looking:
            seen = self._seen.setdefault(canary.id, _Seen(canary.since))
            await self._catch_up(seen, versions)
            thumbs = await self._database.read(lambda c: answers.select_thumbs(c, versions, canary.since))
            failed = await self._database.read(lambda c: failures.count_failures(c, versions, canary.started_at_s))
            found = [_observed(seen.tallies[version], thumbs[version], failed[version]) for version in versions]
        return found[0], found[1]

    async def _catch_up(self, seen: _Seen, versions: Sequence[str]) -> None:
        async def select(connection: AsyncConnection) -> list[Given]:
            return await answers.select_given(connection, versions, seen.upto, PAGE)

        while page := await self._database.read(select):
            judged = await asyncio.to_thread(lambda: [faults_of(given, self._settings, self._floor) for given in page])
            for given, faults in zip(page, judged, strict=True):
                seen.tallies[given.version].add(given, faults)
            seen.upto = page[-1].position


def faults_of(given: Given, settings: ReleaseSettings, repetition_floor: float) -> set[Fault]:
    """What is wrong with an answer. One that its reader broke off can only be slow or repeat itself."""
    if given.finish_reason == BROKEN_OFF:
        return {Fault.ERROR}
    whole = given.status is MessageStatus.COMPLETE
    found = {
        Fault.SLOW: given.first_token_ms is not None and given.first_token_ms > settings.slow_first_token_ms,
        Fault.EMPTY: whole and not given.content.strip(),
        Fault.REPEATING: distinct(given.token_ids) < repetition_floor,
        Fault.RUNAWAY: given.finish_reason == TOO_LONG,
        Fault.REFUSED: whole and declines(fold(given.content[: 2 * OPENING]).text),
    }
    return {fault for fault, there in found.items() if there}


def _observed(tally: _Tally, votes: dict[str, tuple[int, int]], failed: dict[str, int]) -> Observed:
    """An answer that the engine failed to begin is one with an error."""
    faults = {fault: dict(counts) for fault, counts in tally.faults.items()}
    if failed:
        faults[Fault.ERROR] = dict(Counter(faults.get(Fault.ERROR, {})) + Counter(failed))
    return Observed(votes=votes, answers=dict(tally.answers + Counter(failed)), faults=faults)
