"""The report of a cycle tells what there was, however it ended; it names nobody, and needs nothing to be read."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest
from msgspec import Struct

from learner.collect import Collected
from learner.context import Context
from learner.evaluate.stage import Evaluated, VotedAnswer
from learner.forget import forget
from learner.gate import Choice, Decision, Verdict
from learner.report.curves import MAX_STEPS, read_curves
from learner.report.document import Report
from learner.report.matrix import read_transfer
from learner.report.moved import moved
from learner.report.write import read_page, read_report, write_report
from learner.train.spec import METRICS, Step
from learner.train.stage import Candidate, Trained
from storage import cycles, feedback
from storage.artifacts import REPORTS
from storage.heldout import HeldOut
from storage.records import CycleState, Feedback, FeedbackKind, StageName, new_id
from storage.remains import IDENTIFIER
from tests.learner.ended import GAINED, answers, keep, promoted, two_cycles
from tests.learner.world import Talker, learner

Body = Callable[[Context, list[Talker]], Awaitable[None]]


@pytest.fixture
def run(model_dir: Path, zero_dir: Path, tmp_path: Path) -> Callable[[Body], None]:
    """Runs a body with four people who have voted on four answers each, up and down in turn."""

    async def go(body: Body) -> None:
        async with learner(tmp_path, model_dir, zero_dir) as context:
            people = [Talker() for _ in range(4)]
            for person in people:
                await context.database.write(person.talk)
            await body(context, people)

    return lambda body: asyncio.run(go(body))


class Loads(HTMLParser):
    """Everything in a page that a browser would run or fetch."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "link", "iframe", "object", "embed", "form", "base"):
            self.found.append(tag)
        for name, value in attributes:
            fetches = name in ("src", "href", "xlink:href", "action") and not str(value).startswith("#")
            if fetches or name.startswith("on") or (name == "style" and "url(" in str(value) and "url(#" not in str(value)):
                self.found.append(f"{tag} {name}={value}")


def test_a_report_has_figures_of_every_stage_and_is_kept(run: Callable[[Body], None]) -> None:
    async def body(context: Context, people: list[Talker]) -> None:
        _, second = await two_cycles(context, people)
        await write_report(context, second)
        kept = msgspec.json.decode(context.artifacts.report_file("cycle-2.json").read_bytes(), type=Report)
        assert kept == await read_report(context, 2)
        assert kept.cycle.adapter == "r2-00000002" and kept.rows == {"heldout": {"thumb": 16}, "dropped": {"thumb": 1}}
        assert [(one.stage, one.seconds) for one in kept.timings] == [
            (name.value, 2.5) for name in StageName if name is not StageName.RELEASE
        ]
        [curve], [tried], [suite] = kept.curves, kept.tried, kept.suites
        assert curve.run == "train" and [step.step for step in curve.steps] == [*range(1, 21)]
        assert (tried.final_loss, tried.measures, tried.verdict) == (0.7, {"kl_base": 0.1}, "promote")
        assert (suite.margin, suite.delta, suite.lower_bound) == (0.02, -0.01, -0.015) and kept.votes == GAINED
        assert kept.origin is not None and (kept.origin.parent, kept.origin.suites) == ("r1-00000001", {"facts": "5" * 64})
        assert {one.kind: round(one.change, 6) for one in kept.moved} == {"liked": -0.25, "disliked": 0.25}
        assert kept.transfer.slices == (1, 2)

    run(body)


def test_the_page_shows_it_all_and_loads_nothing(run: Callable[[Body], None]) -> None:
    async def body(context: Context, people: list[Talker]) -> None:
        _, second = await two_cycles(context, people)
        await write_report(context, second)
        page = context.artifacts.report_file("cycle-2.html").read_text()
        assert page == await read_page(context, 2)
        assert Loads(page).found == [] and "@import" not in page
        assert page.count("<svg") == 4  # training, kinds of feedback, suites, matrix
        for said in (
            "Cycle 2: ",
            "promoted",
            "liked answers gained",
            "r2-00000002 passed the gate",
            "left out: cap",
            "r1-00000001",
            "-0.5000",
            "default-src 'none'",
        ):
            assert said in page, said

    run(body)


def test_who_reads_russian_has_a_page_of_their_own_with_the_same_figures(run: Callable[[Body], None]) -> None:
    async def body(context: Context, people: list[Talker]) -> None:
        _, second = await two_cycles(context, people)
        await write_report(context, second)
        page = context.artifacts.report_file("cycle-2.ru.html").read_text()
        assert page == await read_page(context, 2, "ru") and page != await read_page(context, 2)
        assert Loads(page).found == [] and page.count("<svg") == 4
        for said in ('<html lang="ru">', "Цикл 2: ", "r2-00000002 прошла проверку", "принята", "-0,5000", "отброшено: cap"):
            assert said in page, said

    run(body)


def test_a_page_that_was_not_written_is_drawn(run: Callable[[Body], None]) -> None:
    """As of a cycle that an older service reported, which wrote no page in Russian."""

    async def body(context: Context, people: list[Talker]) -> None:
        _, second = await two_cycles(context, people)
        await write_report(context, second)
        context.artifacts.report_file("cycle-2.ru.html").unlink()
        assert "r2-00000002 прошла проверку" in await read_page(context, 2, "ru")

    run(body)


def test_nobody_is_named_in_it(run: Callable[[Body], None]) -> None:
    async def body(context: Context, people: list[Talker]) -> None:
        first, second = await two_cycles(context, people)
        for cycle in (first, second):
            await write_report(context, cycle)
        files = context.artifacts.published(REPORTS)
        assert len(files) == 6  # of each cycle the figures, and a page in both languages
        for file in files:
            content = file.read_bytes()
            assert IDENTIFIER.findall(content) == []
            assert [trace for person in people for trace in (person.word, *person.ids) if trace.encode() in content] == []

    run(body)


@pytest.mark.parametrize("ended", [CycleState.SKIPPED, CycleState.FAILED, CycleState.CANCELLED])
def test_a_cycle_that_came_to_nothing_has_a_report_of_what_there_was(run: Callable[[Body], None], ended: CycleState) -> None:
    async def body(context: Context, people: list[Talker]) -> None:
        cycle = await context.database.write(lambda c: cycles.insert_cycle(c, "interval", "mixed", 1.0))
        if ended is CycleState.FAILED:
            await keep(context, cycle, {StageName.COLLECT: Collected(9, 16, 4)})
            await context.database.write(lambda c: cycles.start_stage(c, cycle.id, StageName.CURATE, 13.0))
        await context.database.write(lambda c: cycles.update_cycle(c, 1, state=ended, reasons=("curate: <no> disk",)))
        closed = await context.database.read(lambda c: cycles.select_cycle(c, 1))
        assert closed is not None
        await write_report(context, closed)
        report, page = await read_report(context, 1), await read_page(context, 1)
        assert report.cycle.state is ended and report.tried == [] and report.origin is None
        assert "curate: &lt;no&gt; disk" in page and Loads(page).found == []
        if ended is CycleState.FAILED:
            assert [(one.stage, one.seconds) for one in report.timings] == [("collect", 2.5), ("curate", None)]

    run(body)


def test_a_report_that_cannot_be_made_harms_no_cycle(run: Callable[[Body], None], caplog: pytest.LogCaptureFixture) -> None:
    class Nonsense(Struct):
        votes: int

    async def body(context: Context, people: list[Talker]) -> None:
        cycle = await context.database.write(lambda c: cycles.insert_cycle(c, "interval", "mixed", 1.0))
        await keep(context, cycle, {StageName.EVALUATE: Nonsense(3)})
        with caplog.at_level(logging.CRITICAL + 1, "learner.report.write"):
            await write_report(context, cycle)
        assert context.artifacts.published(REPORTS) == []

    run(body)


def test_the_matrix_is_read_from_what_evaluations_kept(run: Callable[[Body], None]) -> None:
    async def body(context: Context, people: list[Talker]) -> None:
        await two_cycles(context, people)
        transfer = await context.database.read(read_transfer)
        margins = [[cell and round(cell.margin, 6) for cell in line.cells] for line in transfer.lines]
        assert [line.adapter for line in transfer.lines] == ["base", "r1-00000001", "r2-00000002"]
        assert margins == [[0.2, 0.2], [1.0, 1.0], [0.5, 0.5]] and transfer.votes == (8, 8)
        assert transfer.backward.value == pytest.approx(-0.5) and transfer.forward.value == pytest.approx(0.8)
        assert transfer.kept == pytest.approx(1 - 0.5 / 0.8)
        as_it_was = await context.database.read(lambda c: read_transfer(c, until=1))
        assert [[cell and cell.margin for cell in line.cells] for line in as_it_was.lines] == [[0.0], [1.0]]

    run(body)


def test_who_is_forgotten_is_in_no_cell(run: Callable[[Body], None]) -> None:
    async def body(context: Context, people: list[Talker]) -> None:
        await two_cycles(context, people)

        async def nothing_runs() -> None:
            pass

        await forget(context, people[0].id, "operator", nothing_runs)
        left = await context.database.read(read_transfer)
        assert left.votes == (4, 8)
        assert {cell.votes for line in left.lines if (cell := line.cells[0])} == {4}

    run(body)


def test_reasons_say_what_moved(run: Callable[[Body], None]) -> None:
    async def body(context: Context, people: list[Talker]) -> None:
        for person in people[:3]:
            given = Feedback(new_id("fb"), answers(person)[1], person.id, FeedbackKind.REASON, ["wrong"], 1.0, new_id("fb"))
            await context.database.write(lambda c, given=given: feedback.insert_feedback(c, [given]))
        cycle = await promoted(context, people, {"base": 0.0, "r1-00000001": 1.0}, "base")
        report = await read_report(context, cycle.id)
        assert [(one.kind, one.votes, one.people, one.change) for one in report.moved] == [
            ("disliked", 8, 4, -0.5),
            ("liked", 8, 4, 0.5),
            ("because: wrong", 3, 3, -0.5),
        ]

    run(body)


def test_a_running_cycle_is_told_as_far_as_it_has_come(run: Callable[[Body], None]) -> None:
    async def body(context: Context, people: list[Talker]) -> None:
        cycle = await context.database.write(lambda c: cycles.insert_cycle(c, "operator", "mixed", 1.0))
        assert (await read_report(context, cycle.id)).timings == []
        await keep(context, cycle, {StageName.COLLECT: Collected(9, 16, 4)})
        assert [one.stage for one in (await read_report(context, cycle.id)).timings] == ["collect"]
        assert "Cycle 1: " in await read_page(context, cycle.id)
        with pytest.raises(LookupError, match="no cycle 9"):
            await read_report(context, 9)

    run(body)


def test_how_far_answers_moved_is_a_mean_with_people_as_its_units() -> None:
    changes = {"ann": [0.1, 0.3], "bob": [0.2], "cy": [0.6]}
    votes = [
        VotedAnswer(f"{who}-{n}", who, 1, {"base": -1.0, "r1": -1.0 + by})
        for who, own in changes.items()
        for n, by in enumerate(own)
    ]
    [liked] = moved(Evaluated(["r1"], "base", {}, votes, 1.0), "r1", [])
    assert (liked.kind, liked.votes, liked.people) == ("liked", 4, 3) and liked.change == pytest.approx(0.3)
    without = [0.8 / 2, 1.0 / 3, 0.6 / 3]
    assert liked.error == pytest.approx((2 / 3 * sum((one - 0.3) ** 2 for one in without)) ** 0.5)


def test_of_few_people_nothing_is_told() -> None:
    votes = [VotedAnswer(f"{n}", f"person {n % 2}", -1, {"base": -1.0, "r1": -2.0}) for n in range(8)]
    assert (
        moved(Evaluated(["r1"], "base", {}, votes, 1.0), "r1", [HeldOut(str(n), "correction", ("style",)) for n in range(8)]) == []
    )


def test_curves_are_thinned_out_and_a_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    for run, count in (("train", 5), ("train/variants/1", 3 * MAX_STEPS + 1)):
        (tmp_path / run).mkdir(parents=True)
        lines = [msgspec.json.encode(Step(n, count, 1.0, 2.0)) for n in range(1, count + 1)]
        (tmp_path / run / METRICS).write_bytes(b"\n".join(lines) + b'\n{"step": 6, "st')
    short, long = read_curves(tmp_path)
    assert (short.run, [step.step for step in short.steps]) == ("train", [1, 2, 3, 4, 5])
    assert len(long.steps) <= MAX_STEPS and long.steps[-1].step == 3 * MAX_STEPS + 1


def test_one_candidate_of_several_is_reported_with_the_others_beside_it(run: Callable[[Body], None]) -> None:
    async def body(context: Context, people: list[Talker]) -> None:
        cycle = await context.database.write(lambda c: cycles.insert_cycle(c, "operator", "mixed", 1.0))
        made = [Candidate("r1-aaaaaaaa", "", 4, 1.0, 0.5, {}, ""), Candidate("r1-bbbbbbbb", "long", 4, 2.0, 0.4, {}, "at step 3")]
        refused = Decision(Verdict.REJECT, ("facts: worse",), {}, None)
        await keep(
            context,
            cycle,
            {
                StageName.TRAIN: Trained(made, "base", "base", "base", {}),
                StageName.GATE: Choice(Verdict.PROMOTE, ("better",), {}, GAINED, "r1-bbbbbbbb", {"r1-aaaaaaaa": refused}),
            },
        )
        tried = (await read_report(context, cycle.id)).tried
        assert [(one.variant, one.verdict, one.reasons, one.votes) for one in tried] == [
            ("", "reject", ("facts: worse",), None),
            ("long", "promote", ("better",), GAINED),
        ]

    run(body)
