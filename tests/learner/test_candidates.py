"""A cycle trains what its settings say and their variants, as far as time goes, and goes on where it was cut off."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncConnection

from learner.config import TrainSettings, Variant
from learner.context import Context
from learner.curate.dataset import publish_rows
from learner.jobs import JobError
from learner.rebuild import Basis
from learner.rows import write_rows
from learner.train.candidates import Learner, expect_s, with_variant
from learner.train.spec import ADAPTER, CHECKPOINTS, METRICS, RESULT, Job, Result, Step
from learner.train.stage import train
from learner.train.trial import run_trial
from storage import adapters, cycles, datasets
from storage.records import AdapterState, Cycle, Dataset, StageName
from tests.learner.tiny import SETTINGS, replays, thumbs
from tests.learner.world import learner

Body = Callable[[Context], Awaitable[None]]
FROM_BASE = Basis("base", "base", "base", ())
# A job that may hold no memory is ended before it does anything: what its folder has then is what was prepared.
STARVED = replace(SETTINGS, memory_limit_mb=1)


@pytest.fixture
def run(model_dir: Path, zero_dir: Path, tmp_path: Path) -> Callable[[Body], None]:
    async def go(body: Body) -> None:
        async with learner(tmp_path, model_dir, zero_dir) as context:
            await body(context)

    return lambda body: asyncio.run(go(body))


@pytest.fixture
def rows_file(tmp_path: Path) -> Path:
    write_rows(tmp_path / "rows.jsonl", thumbs(4))
    return tmp_path / "rows.jsonl"


async def begin(context: Context, method: str = "mixed") -> tuple[Cycle, str]:
    """A cycle with a dataset that may be trained on."""
    cycle = await context.database.write(lambda c: cycles.insert_cycle(c, "test", method, 1.0))
    id = publish_rows(context.artifacts, [*thumbs(16), *replays(4)])
    path = str(context.artifacts.dataset_file(id).relative_to(context.home))
    proved = {suite.name: suite.sha256 for suite in context.suites()}
    dataset = Dataset(id, cycle.id, path, 20, 1.0, {}, file_sha256=id, suites=proved)
    await context.database.write(lambda c: datasets.insert_dataset(c, dataset, []))
    return cycle, id


def test_a_variant_sets_what_it_names_and_nothing_else() -> None:
    changed = with_variant(SETTINGS, Variant("gentle", learning_rate=1e-4, kl_weight=9.0))
    assert changed == replace(SETTINGS, learning_rate=1e-4, kl_weight=9.0)
    assert with_variant(SETTINGS, Variant("the same")) == SETTINGS


def test_what_a_variant_takes_follows_its_passes_and_the_last_evaluation() -> None:
    own = TrainSettings(passes=2)
    assert expect_s(100.0, own, replace(own, passes=3), judging_s=40.0) == 190.0


def test_variants_are_made_beside_the_settings_own_while_there_is_time(run: Callable[[Body], None]) -> None:
    async def body(context: Context) -> None:
        variants = (Variant("endless", passes=10**9), Variant("gentle", learning_rate=1e-3))
        settings = replace(SETTINGS, passes=1, candidates=variants, candidates_time_s=600)
        context.settings = replace(context.settings, train=settings)
        cycle, dataset_id = await begin(context)
        trained = await train(context, cycle, dataset_id, replace(FROM_BASE, why="learnt anew"))

        assert [candidate.variant for candidate in trained.candidates] == ["", "gentle"]
        names = [candidate.adapter for candidate in trained.candidates]
        assert len(set(names)) == 2 and set(trained.probes) == set(names) and all(trained.probes.values())
        made = [await context.database.read(lambda c, name=name: adapters.select_adapter(c, name)) for name in names]
        assert [one.state for one in made if one] == [AdapterState.CANDIDATE] * 2
        why, endless = trained.notes
        assert why == "learnt anew" and endless.startswith("variant 'endless' was left out: it would take ")

        again = await train(context, cycle, dataset_id, FROM_BASE)  # cut off before its output was kept
        assert again.candidates == trained.candidates  # to the second: nothing was trained anew

    run(body)


def test_what_a_variant_meets_is_noted_and_takes_of_the_time(run: Callable[[Body], None], rows_file: Path, tmp_path: Path) -> None:
    async def body(context: Context) -> None:
        cycle, dataset_id = await begin(context)
        judged: dict[str, object] = {"seconds": 30.0, "candidates": ["r0-a", "r0-b", "r0-c"]}

        async def judge(connection: AsyncConnection) -> None:
            before = await cycles.insert_cycle(connection, "test", "mixed", 1.0)
            await cycles.start_stage(connection, before.id, StageName.EVALUATE, 1.0)
            await cycles.finish_stage(connection, before.id, StageName.EVALUATE, 2.0, judged)

        await context.database.write(judge)
        settings = replace(STARVED, passes=1, candidates_time_s=210.0)
        variants = (Variant("long", passes=3), Variant("short"))
        student = Learner(context, cycle, dataset_id, rows_file, "base")
        made, left_out = await student.learn_variants(tmp_path / "variants", variants, settings, own_s=50.0)
        assert made == []
        assert left_out[0].startswith("variant 'long' came to nothing: learner.train.job held ")
        assert left_out[1] == "variant 'short' was left out: it would take 60 s of the 50 s that are left"

    run(body)


def test_a_job_that_may_hold_no_memory_fails_the_stage_with_both_figures(run: Callable[[Body], None]) -> None:
    async def body(context: Context) -> None:
        context.settings = replace(context.settings, train=replace(SETTINGS, memory_limit_mb=1))
        cycle, dataset_id = await begin(context)
        with pytest.raises(JobError, match=r"held \d+ MB of memory, allowed are 1 MB"):
            await train(context, cycle, dataset_id, FROM_BASE)
        assert [one.name for one in await context.database.read(adapters.select_adapters)] == ["base"]

    run(body)


async def try_again(context: Context, folder: Path, settings: TrainSettings, rows: Path) -> Result | None:
    """Runs the job that there is, or one of other settings; gives its result, if it has one."""
    try:
        return await run_trial(context, folder, Job("model", "base", "parent", "d", settings), rows)
    except JobError:
        return None


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*") if path.name in (CHECKPOINTS, METRICS, ADAPTER, RESULT))


def leave(folder: Path, *names: str) -> None:
    """What a job leaves that was killed, or that ran to its end."""
    step, result = Step(1, 9, 0.5, 3.0), Result(None, [], 4, 7.0, 0.5)
    contents = {METRICS: msgspec.json.encode(step) + b"\n", RESULT: msgspec.json.encode(result)}
    for name in names:
        if name in contents:
            (folder / name).write_bytes(contents[name])
        else:
            (folder / name).mkdir()


def test_the_same_job_goes_on_where_it_was_and_keeps_its_figures(
    run: Callable[[Body], None], rows_file: Path, tmp_path: Path
) -> None:
    async def body(context: Context) -> None:
        folder = tmp_path / "job"
        assert await try_again(context, folder, STARVED, rows_file) is None
        leave(folder, CHECKPOINTS, METRICS)
        assert await try_again(context, folder, STARVED, rows_file) is None
        assert left_in(folder) == [CHECKPOINTS, METRICS] and b'"loss":0.5' in (folder / METRICS).read_bytes()

    run(body)


def test_a_job_that_had_ended_is_not_run_again_unless_what_it_made_is_gone(
    run: Callable[[Body], None], rows_file: Path, tmp_path: Path
) -> None:
    async def body(context: Context) -> None:
        folder = tmp_path / "job"
        await try_again(context, folder, STARVED, rows_file)
        leave(folder, ADAPTER, RESULT)
        result = await try_again(context, folder, STARVED, rows_file)
        assert result is not None and result.seconds == 7.0
        (folder / ADAPTER).rmdir()
        assert await try_again(context, folder, STARVED, rows_file) is None
        assert left_in(folder) == []

    run(body)


def other_settings(rows_file: Path) -> TrainSettings:
    return replace(STARVED, seed=9)


def other_rows(rows_file: Path) -> TrainSettings:
    write_rows(rows_file, thumbs(3))
    return STARVED


@pytest.mark.parametrize("change", [other_settings, other_rows])
def test_nothing_is_taken_over_from_another_job(
    run: Callable[[Body], None], rows_file: Path, tmp_path: Path, change: Callable[[Path], TrainSettings]
) -> None:
    async def body(context: Context) -> None:
        folder = tmp_path / "job"
        await try_again(context, folder, STARVED, rows_file)
        leave(folder, CHECKPOINTS, METRICS, ADAPTER, RESULT)
        assert await try_again(context, folder, change(rows_file), rows_file) is None
        assert left_in(folder) == []

    run(body)
