"""Of the schedule: a cycle starts for enough evidence of enough people, or for any at all when it has been long."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from learner.config import CurateSettings, LearnerSettings, ScheduleSettings
from learner.evidence import judge_evidence
from learner.schedule import News, Scheduler, due
from storage import cycles
from storage.feedback import EvidenceCount
from tests.learner.world import learner

SETTINGS = ScheduleSettings(interval_s=1000, min_effective_votes=20, min_minority_votes=5, min_people=3)
ALL_COUNT = CurateSettings(max_rows_per_person=1000, likeness=0.0)
LEARNER = LearnerSettings(curate=ALL_COUNT, schedule=SETTINGS)
SOON, LATE = 10.0, 1000.0


def fresh(up: int = 0, down: int = 0, people: int = 3, corrections: int = 0, comments: int = 0) -> EvidenceCount:
    return EvidenceCount(up + down + corrections + comments, people, up, down, corrections)


def news(count: EvidenceCount, waits: bool = False, tainted: bool = False) -> News:
    """Where everybody says about as much."""
    answers = count.up + count.down + count.corrections
    people = [answers // max(count.people, 1)] * count.people
    people[:1] = [answers - sum(people[1:])] if people else []
    return News(count, people, waits, tainted)


@pytest.mark.parametrize(
    ("count", "since_last_s", "expected"),
    [
        pytest.param(fresh(people=0), SOON, None, id="nothing"),
        pytest.param(fresh(people=0), 1e9, None, id="nothing for ever"),
        pytest.param(fresh(15, 5), SOON, "evidence", id="just enough"),
        pytest.param(fresh(5, 15), SOON, "evidence", id="just enough, mostly down"),
        pytest.param(fresh(14, 5), SOON, None, id="one vote too few"),
        pytest.param(fresh(16, 4), SOON, None, id="one dislike too few"),
        pytest.param(fresh(4, 16), SOON, None, id="one like too few"),
        pytest.param(fresh(15, 5, people=2), SOON, None, id="one person too few"),
        pytest.param(fresh(500, 0), SOON, None, id="a crowd of one opinion"),
        pytest.param(fresh(15, 5), LATE, "evidence", id="enough and late"),
        pytest.param(fresh(1, 0, people=1), LATE, "interval", id="a vote, and the interval to the second"),
        pytest.param(fresh(1, 0, people=1), LATE - 0.1, None, id="a vote, and not yet"),
        pytest.param(fresh(corrections=1, people=1), LATE, "interval", id="a correction"),
        pytest.param(fresh(corrections=500), SOON, None, id="corrections are not votes"),
    ],
)
def test_a_cycle_is_due(count: EvidenceCount, since_last_s: float, expected: str | None) -> None:
    assert due(news(count), since_last_s, LEARNER).trigger == expected


def test_a_person_who_is_forgotten_waits_for_nobody() -> None:
    assert due(news(fresh(people=0), tainted=True), SOON, LEARNER).trigger == "forgotten"


def test_a_cycle_waits_while_nothing_more_can_be_tried_unless_somebody_is_forgotten() -> None:
    full = replace(news(fresh(15, 5), waits=True), full=True)
    assert due(full, LATE, LEARNER).trigger is None
    assert due(replace(full, tainted=True), SOON, LEARNER).trigger == "forgotten"


def test_what_was_held_back_is_looked_at_again_when_it_has_been_long() -> None:
    assert due(news(fresh(people=0), waits=True), LATE, LEARNER).trigger == "interval"
    assert due(news(fresh(people=0), waits=True), SOON, LEARNER).trigger is None


def test_votes_count_by_how_independent_they_are() -> None:
    count, settings = fresh(30, 30, people=3), CurateSettings(max_rows_per_person=20, likeness=0.1)
    alone = judge_evidence(count, [58, 1, 1], settings, SETTINGS)
    assert alone.effective == pytest.approx(22**2 / 22 / (1 + (402 / 22 - 1) * 0.1), abs=0.1), "what is over the limit is none"
    assert alone.missing == (f"{alone.effective:g} of 20 independent votes",)
    assert judge_evidence(count, [20, 20, 20], settings, SETTINGS).missing == ()
    assert judge_evidence(fresh(1, 1, people=2), [1, 1], settings, SETTINGS).missing == (
        "2 of 20 independent votes", "1 of 5 votes of the rarer kind", "2 of 3 people",
    )  # fmt: skip


def test_a_cycle_begins_with_the_method_it_was_asked_for_or_the_settings_own(
    model_dir: Path, zero_dir: Path, tmp_path: Path
) -> None:
    async def body() -> None:
        (home := tmp_path / "home").mkdir()
        async with learner(home, model_dir, zero_dir) as context:
            scheduler = Scheduler(context, lease_s=1.0)
            with pytest.raises(ValueError, match="there is no method 'magic'"):
                await scheduler.run_now("test", "magic")
            assert await context.database.read(lambda connection: cycles.select_cycles(connection, 5)) == []
            for asked, expected in ((("cpt", "novels"), ("cpt", "novels")), ((), ("mixed", ""))):
                begun = await scheduler.run_now("test", *asked)
                assert (begun.method, begun.corpus) == expected
                await scheduler.cancel("operator")

    asyncio.run(body())


def test_it_is_told_what_a_cycle_still_waits_for() -> None:
    told = due(replace(news(fresh(15, 2), waits=True), full=True), SOON, LEARNER)
    assert told.trigger is None
    assert [(one.what, one.have, one.need, one.met) for one in told.evidence] == [
        ("independent votes", 17.0, 20, False), ("votes of the rarer kind", 2, 5, False), ("people", 3, 3, True),
    ]  # fmt: skip
    assert [one.met for one in told.interval] == [True, False]
    assert [one.what for one in told.blocks] == ["a free slot for a trial"]
