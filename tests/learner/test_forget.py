"""Forgetting reaches files and weights, byte by byte, and a crash on the way only delays it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from learner import cycle as story
from learner.collect import FILE as EVIDENCE
from learner.collect import collect
from learner.context import Context
from learner.curate.dataset import curate, read_datasets
from learner.forget import forget, resume
from learner.release import live_release
from learner.rows import Split, read_rows, write_rows
from storage import adapters, cycles, datasets, erase
from storage.artifacts import ADAPTERS, DATASETS
from storage.cycles import NotRunning, check_running
from storage.records import AdapterState, Cycle, CycleState
from storage.release import select_history, select_previous
from storage.remains import search_files, select_marks
from tests.databases import Place
from tests.learner.world import Talker, learner, make_live

Body = Callable[[Context, list[Talker]], Awaitable[None]]


@pytest.fixture
def run(place: Place, model_dir: Path, zero_dir: Path, tmp_path: Path) -> Callable[[Body], None]:
    """Runs a body with three people whom a promoted cycle has learnt from."""

    async def go(body: Body) -> None:
        home = tmp_path / "home"
        home.mkdir()
        async with learner(home, model_dir, zero_dir, None if isinstance(place, Path) else place) as context:
            people = [Talker() for _ in range(3)]
            for person in people:
                await context.database.write(person.talk)
            await learn(context, "r1-00000001", "base")
            await body(context, people)

    return lambda body: asyncio.run(go(body))


async def learn(context: Context, name: str, parent: str) -> Cycle:
    """Collect and curate as a cycle does them, the files that jobs leave, and an adapter that is live by it."""
    database = context.database
    cycle = await database.write(lambda c: cycles.insert_cycle(c, "test", "mixed", 1.0))
    seen = (await collect(context, cycle)).watermark
    curated = await curate(context, cycle, "base")
    words = (context.folder(cycle.id) / EVIDENCE).read_text()
    for file in ("train/dataset.jsonl", "train/result.json", "train/job.log", "evaluate/result.json", "train/adapter/x"):
        (context.folder(cycle.id) / file).parent.mkdir(exist_ok=True, parents=True)
        (context.folder(cycle.id) / file).write_text(words)
    (context.folder(cycle.id) / "train" / "metrics.jsonl").write_text("{}\n")
    await make_live(context, name, parent, curated.dataset_id, cycle.id)
    await database.write(lambda c: cycles.update_cycle(c, cycle.id, state=CycleState.PROMOTED, ended_at_s=2.0, watermark=seen))
    return cycle


async def nothing_runs() -> None:
    pass


def traces(home: Path, person: Talker) -> list[tuple[str, str]]:
    """Every file below the home that holds a word or an identifier of the person's."""
    known = [person.word, *person.ids]
    files = [path for path in home.rglob("*") if path.is_file()]
    return [(str(path), trace) for path in files for trace in known if trace.encode() in path.read_bytes()]


def test_no_byte_of_a_person_is_left_below_the_home(run: Callable[[Body], None]) -> None:
    async def body(context: Context, people: list[Talker]) -> None:
        ann, bob, _ = people
        assert {Path(file).name for file, _ in traces(context.home, ann)} >= {"evidence.jsonl", "result.json", "job.log"}
        receipt = await forget(context, ann.id, "operator", nothing_runs)
        assert traces(context.home, ann) == []
        assert receipt.counts["files"] >= 5 and receipt.adapters == ("r1-00000001",) and receipt.cleaned_at_s is None
        _, marks = await context.database.read(select_marks)
        assert search_files(context.home, marks)[1] == []
        assert (context.home / "cycles/1/train/metrics.jsonl").exists()

        [dataset] = await context.database.read(lambda c: datasets.select_promoted(c, before=9))
        left = {row.person_id for row in read_rows(await context.dataset_file(dataset.id))}
        assert left == {person.id for person in people} - {ann.id}
        assert dataset.rows == len([*read_rows(context.home / dataset.path)]) == 8
        assert traces(context.home, bob) != []

    run(body)


@pytest.mark.parametrize("cut_off", ["before the files", "after a file was written", "after a file was lost"])
def test_what_a_crash_leaves_undone_is_done_at_the_next_start(run: Callable[[Body], None], cut_off: str) -> None:
    async def body(context: Context, people: list[Talker]) -> None:
        ann = people[0]
        receipt = await context.database.write(lambda c: erase.erase_person(c, ann.id, 5.0))
        [dataset] = await context.database.read(datasets.select_overfull)
        file = context.home / dataset.path
        if cut_off == "after a file was written":
            rows = [row for row in read_rows(file) if row.person_id != ann.id]
            tmp = context.artifacts.temporary_dir() / "rows"
            write_rows(tmp, rows)
            context.artifacts.replace(tmp, file)
        if cut_off == "after a file was lost":
            file.unlink()
        assert traces(context.home, ann) != []
        await resume(context)
        assert traces(context.home, ann) == []
        assert await context.database.read(erase.select_unfinished) == []
        assert await context.database.read(datasets.select_overfull) == []
        left = await read_datasets(context, await context.database.read(lambda c: datasets.select_promoted(c, before=9)))
        assert len(left) == (0 if cut_off == "after a file was lost" else 8)
        with pytest.raises(LookupError, match=ann.id):
            await forget(context, ann.id, "operator", nothing_runs)
        assert [one.id for one in await context.database.read(lambda c: erase.select_erasures(c, 5))] == [receipt.id]

    run(body)


def test_asking_again_finishes_what_was_cut_off(run: Callable[[Body], None]) -> None:
    async def body(context: Context, people: list[Talker]) -> None:
        await context.database.write(lambda c: erase.erase_person(c, people[0].id, 5.0))
        with pytest.raises(LookupError):
            await forget(context, people[0].id, "operator", nothing_runs)
        assert traces(context.home, people[0]) == []

    run(body)


def test_a_running_cycle_keeps_nothing_of_what_it_had_read(run: Callable[[Body], None]) -> None:
    async def body(context: Context, people: list[Talker]) -> None:
        ann, late = people[0], Talker()
        await context.database.write(late.talk)
        running = await context.database.write(lambda c: cycles.insert_cycle(c, "test", "mixed", 3.0))
        await collect(context, running)
        orphan = context.artifacts.dataset_file("ab" * 32)  # published, and then the cycle was ended
        orphan.write_text(late.word)
        stopped: list[bool] = []

        async def stop() -> None:
            stopped.append((await context.database.read(cycles.select_running)) is None)

        await forget(context, late.id, "operator", stop)
        assert stopped == [True]  # by then it could no longer keep anything
        with pytest.raises(NotRunning, match="cancelled"):
            await context.database.read(lambda c: check_running(c, running.id))
        assert traces(context.home, late) == [] and not orphan.exists()
        assert traces(context.home, ann) != [] and len(context.artifacts.published(DATASETS)) == 1

    run(body)


def test_the_next_cycle_replaces_and_erases_what_learnt_from_them(run: Callable[[Body], None]) -> None:
    """Also when it has nothing to learn: the clean ancestor then takes the place."""

    async def body(context: Context, people: list[Talker]) -> None:
        for person in people:
            await forget(context, person.id, "operator", nothing_runs)
        database = context.database
        assert (await live_release(context)).adapter == "r1-00000001"
        assert await database.read(select_previous) == "base"
        begun = await database.write(lambda c: cycles.insert_cycle(c, "forgotten", "mixed", 3.0))
        ended = await story.run(context, begun)
        assert ended.state is CycleState.SKIPPED and "base takes its place" in ended.reasons[-1]
        assert (await live_release(context)).adapter == "base"
        assert await database.read(select_previous) is None
        assert [path.name for path in context.artifacts.published(ADAPTERS)] == ["base"]
        assert set(await context.engine.models()) == {"base"}
        erased = await database.read(lambda c: adapters.select_adapter(c, "r1-00000001"))
        assert erased is not None and erased.state is AdapterState.ERASED
        for receipt in await database.read(lambda c: erase.select_erasures(c, 5)):
            assert receipt.cycle_id == begun.id and receipt.cleaned_at_s is not None

    run(body)


def test_what_is_not_live_is_erased_at_once(run: Callable[[Body], None]) -> None:
    async def body(context: Context, people: list[Talker]) -> None:
        ann, late = people[0], Talker()
        await context.database.write(late.talk)
        await make_live(context, "r9-00000009", "base", None)
        receipt = await forget(context, ann.id, "operator", nothing_runs)
        assert receipt.adapters == ("r1-00000001",)
        assert [path.name for path in context.artifacts.published(ADAPTERS)] == ["base", "r9-00000009"]
        assert "r1-00000001" not in await context.engine.models()
        assert await context.database.read(select_previous) == "base"
        assert len(await context.database.read(lambda c: select_history(c, 9))) == 3
        [closed] = await context.database.read(lambda c: erase.select_erasures(c, 1))
        assert closed.cleaned_at_s is not None and closed.cycle_id is None

    run(body)


def test_a_rebuild_learns_once_more_from_those_who_are_left(run: Callable[[Body], None]) -> None:
    async def body(context: Context, people: list[Talker]) -> None:
        ann, bob, cid = people
        await forget(context, ann.id, "operator", nothing_runs)
        promoted = await context.database.read(lambda c: datasets.select_promoted(c, before=9))
        cycle = await context.database.write(lambda c: cycles.insert_cycle(c, "forgotten", "mixed", 3.0))
        assert (await collect(context, cycle, may_be_none=True)).answers == 0
        curated = await curate(context, cycle, "base", promoted)
        rows = list(read_rows(await context.dataset_file(curated.dataset_id)))
        assert {(row.person_id, row.split) for row in rows} == {(bob.id, Split.TRAIN), (cid.id, Split.TRAIN)}
        assert sorted(row.label for row in rows) == [-1] * 4 + [1] * 4

    run(body)
