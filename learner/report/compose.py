"""A cycle's report from what the database and its folder have of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TypeVar

import msgspec
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from learner.collect import Collected
from learner.context import CYCLES, Context
from learner.curate.dataset import Curated
from learner.evaluate.stage import Evaluated
from learner.gate import Choice, Decision
from learner.report.curves import read_curves
from learner.report.document import Origin, Report, Timing, Tried
from learner.report.language import LANGUAGES, words_in
from learner.report.matrix import read_transfer
from learner.report.moved import moved
from learner.report.path import read_path
from learner.report.suites import load_frozen, read_suites
from learner.report.words import explain
from learner.train.stage import Candidate, Trained
from storage import adapters, cycles, datasets, heldout, reviews
from storage.records import Adapter, Cycle, Stage, StageName

Output = TypeVar("Output", bound=Struct)


async def compose(context: Context, cycle: Cycle) -> Report:
    """What there is to say about a cycle by now, whatever became of it."""
    curves = await asyncio.to_thread(read_curves, context.home / CYCLES / str(cycle.id))
    frozen = await load_frozen(context)

    async def read(connection: AsyncConnection) -> Report:
        stages = await cycles.select_stages(connection, cycle.id)
        curated, trained = _output(stages, StageName.CURATE, Curated), _output(stages, StageName.TRAIN, Trained)
        evaluated, choice = _output(stages, StageName.EVALUATE, Evaluated), _output(stages, StageName.GATE, Choice)
        candidate = _candidate(trained, choice)
        held_out = await heldout.select_heldout(connection, curated.dataset_id) if curated else []
        suites = await read_suites(connection, choice, evaluated, frozen) if evaluated and choice else []
        path = await read_path(connection, cycle.id, context.settings.release)
        told = {one: explain(words_in(one), cycle, choice, evaluated, suites, path) for one in LANGUAGES}
        made = await adapters.select_adapter(connection, candidate.adapter) if candidate else None
        return Report(
            cycle=cycle,
            made_at_s=context.clock(),
            timings=[_timing(stage) for stage in stages],
            collected=_output(stages, StageName.COLLECT, Collected),
            curated=curated,
            rows=await datasets.count_rows(connection, curated.dataset_id) if curated else {},
            held=await reviews.count_held(connection, cycle.id),
            curves=curves,
            tried=[_tried(one, choice) for one in trained.candidates] if trained else [],
            origin=_origin(trained, made, evaluated) if trained and made else None,
            votes=choice.votes if choice else None,
            moved=moved(evaluated, candidate.adapter, held_out) if evaluated and candidate else [],
            suites=suites,
            transfer=await read_transfer(connection, cycle.id),
            summary=told.pop(LANGUAGES[0]),
            path=path,
            summaries=told,
        )

    return await context.database.read(read)


def _output(stages: Sequence[Stage], name: StageName, kind: type[Output]) -> Output | None:
    """What a stage put out, None where it has not ended."""
    ended = [stage.output for stage in stages if stage.name is name and stage.output is not None]
    return msgspec.convert(ended[0], kind) if ended else None


def _candidate(trained: Trained | None, choice: Choice | None) -> Candidate | None:
    """The one that the gate chose; before its verdict, that of the settings as they are."""
    made = trained.candidates if trained else []
    return next((one for one in made if choice is None or one.adapter == choice.adapter), None)


def _timing(stage: Stage) -> Timing:
    return Timing(stage.name.value, None if stage.ended_at_s is None else round(stage.ended_at_s - stage.started_at_s, 3))


def _tried(candidate: Candidate, choice: Choice | None) -> Tried:
    decisions: dict[str, Decision] = {choice.adapter: choice, **choice.others} if choice else {}
    decision = decisions.get(candidate.adapter)
    return Tried(
        candidate.adapter,
        candidate.variant,
        candidate.seconds,
        candidate.final_loss,
        candidate.measures,
        candidate.stopped,
        verdict=decision.verdict.value if decision else None,
        reasons=decision.reasons if decision else (),
        votes=decision.votes if decision else None,
    )


def _origin(trained: Trained, made: Adapter, evaluated: Evaluated | None) -> Origin:
    return Origin(
        adapter=made.name,
        parent=trained.parent,
        against=trained.against,
        replaced=trained.replaced,
        sha256=made.sha256,
        base_sha256=made.base_sha256,
        dataset_id=made.dataset_id or "",
        suites=evaluated.sha256 if evaluated else {},
    )
