"""The training of a cycle: as the settings say, and as their variants do while time allows."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import asdict, replace
from sqlalchemy.ext.asyncio import AsyncConnection

from learner.config import TrainSettings, Variant
from learner.context import Context, StageError
from learner.jobs import JobError
from learner.rows import read_rows
from learner.train.rounds import METHODS as IN_ROUNDS
from learner.train.rounds import learn_in_rounds
from learner.train.spec import RESULT, ROWS, Job, Result
from learner.train.trial import run_trial
from storage import cycles
from storage.records import Cycle, StageName

RECENT = 50  # cycles back that the duration of an evaluation is looked for


class Finished(Struct, frozen=True):
    """A job that has ended well, with what it made in its folder."""

    folder: Path
    variant: str  # of the settings; empty for the settings as they are
    result: Result


class _Judged(Struct, frozen=True):
    """What of an evaluation's output says how long a candidate takes."""

    seconds: float = 0.0
    candidates: tuple[str, ...] = ()


class Learner:
    """Teaches one parent one dataset, in as many ways as are asked for."""

    def __init__(self, context: Context, cycle: Cycle, dataset_id: str, rows: Path, parent: str) -> None:
        self._context, self._cycle, self._dataset_id, self._rows, self._parent = context, cycle, dataset_id, rows, parent

    async def learn(self, folder: Path, settings: TrainSettings, variant: str = "") -> Finished:
        """One way of learning, to its end. Raises `JobError`, `StageError`, and in rounds also `EngineError`."""
        if settings.method not in IN_ROUNDS:
            result = await self._run(folder, self._context.artifacts.adapter_dir(self._parent), settings, self._rows, variant)
            return Finished(folder, variant, result)

        async def train_once(job_folder: Path, parent_dir: Path) -> None:
            await self._run(job_folder, parent_dir, settings, job_folder / ROWS, variant)

        rows = await asyncio.to_thread(lambda: list(read_rows(self._rows)))
        last = await learn_in_rounds(self._context, self._cycle, rows, self._parent, folder, train_once)
        return Finished(last, variant, msgspec.json.decode((last / RESULT).read_bytes(), type=Result))

    async def learn_variants(
        self, folder: Path, variants: tuple[Variant, ...], settings: TrainSettings, own_s: float
    ) -> tuple[list[Finished], list[str]]:
        """The variants for which there is time, where the settings as they are took `own_s`; and why others are left out."""
        budget_s, judging_s = settings.candidates_time_s, await self._judging_s() if variants else 0.0
        finished: list[Finished] = []
        left_out: list[str] = []
        for number, variant in enumerate(variants, 1):
            other = with_variant(settings, variant)
            expected_s = expect_s(own_s, settings, other, judging_s)
            if expected_s > budget_s:
                told = f"it would take {expected_s:.0f} s of the {budget_s:.0f} s that are left"
                left_out.append(f"variant {variant.name!r} was left out: {told}")
                continue
            try:
                finished.append(await self.learn(folder / str(number), other, variant.name))
            except (JobError, StageError) as error:
                left_out.append(f"variant {variant.name!r} came to nothing: {error}")
                budget_s -= expected_s
            else:
                budget_s -= finished[-1].result.seconds + judging_s
        return finished, left_out

    async def _run(self, folder: Path, parent_dir: Path, settings: TrainSettings, rows: Path, variant: str) -> Result:
        job = Job(str(self._context.model_dir), self._parent, str(parent_dir), self._dataset_id, settings)
        result = await run_trial(self._context, folder, job, rows, variant)
        if result.error:
            raise StageError(result.error)
        return result

    async def _judging_s(self) -> float:
        """How long it took to judge a candidate the last time; 0 where none was judged yet."""

        async def select(connection: AsyncConnection) -> float:
            since = self._cycle.id - RECENT
            ended = await cycles.select_outputs(connection, StageName.EVALUATE, since)
            last = msgspec.convert(ended[-1].output, _Judged) if ended else _Judged()
            return last.seconds / max(len(last.candidates), 1)

        return await self._context.database.read(select)


def with_variant(settings: TrainSettings, variant: Variant) -> TrainSettings:
    """The settings with what the variant sets otherwise."""
    given = {field: value for field, value in asdict(variant).items() if field != "name" and value is not None}
    return replace(settings, **given)


def expect_s(own_s: float, own: TrainSettings, other: TrainSettings, judging_s: float) -> float:
    """How long a variant is likely to take, to train and to judge, by what the settings as they are took to train (seconds)."""
    return own_s * other.passes / own.passes + judging_s
