"""Scoring by jobs of their own: what is not known yet of versions, on frozen suites and on held-out votes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from learner import release
from learner.adapter import BASE
from learner.context import CYCLES, Context
from learner.evaluate.kept import keep_scores, known_scores
from learner.evaluate.spec import EVALUATION, LINES, RESULT, Advance, Appraisal, Appraised, EvaluationJob, EvaluationResult
from learner.jobs import JobError, run_job
from learner.pace import Pace

Left = TypeVar("Left", EvaluationResult, Appraised)


async def score_baseline(context: Context) -> None:
    """Scores base on the frozen suites, once per home and suite, so that the first cycle need not. Slows chats meanwhile."""
    await score_missing(context, context.home / CYCLES / "baseline", [BASE])


async def score_missing(
    context: Context,
    folder: Path,
    models: Sequence[str],
    cycle_id: int | None = None,
    names: Collection[str] = (),
) -> EvaluationResult:
    """Has the engine score what is not known of these models on these suites, or on all, and keeps it; one job at a time.

    Raises `JobError` when it could not be scored whole, but for judged suites: where their judge fails, the result says why
    they have no scores.
    """
    async with context.evaluating:
        suites = [suite for suite in context.suites() if not names or suite.name in names]
        known = await known_scores(context, models, suites)
        missing = {model: [suite.name for suite in suites if suite.name not in known[model]] for model in models}
        if not any(missing.values()):
            return EvaluationResult({}, {}, 0.0)
        job = EvaluationJob(
            engine_urls=context.engine.urls,
            suites_dirs=[str(folder) for folder in context.suites_dirs],
            model_dir=str(context.model_dir),
            suites=missing,
            concurrency=context.settings.evaluation_concurrency,
            judge=context.settings.judge,
        )
        result = await _run(context, "learner.evaluate.job", folder, job, EvaluationResult)
        await context.database.write(lambda connection: keep_scores(connection, suites, cycle_id, result, context.clock()))
        return result


async def appraise(context: Context, folder: Path, rows_file: Path, live: str, candidates: Sequence[str]) -> Appraised:
    """Has the held-out votes tell how much more often people would like each candidate's answers than the live version's.

    Raises `JobError` when it could not be told of all, `StageError` for an unknown version, `AdapterError` for damaged files.
    """
    async with context.evaluating:
        live_dir, *candidate_dirs = [str(await release.folder_of(context, name)) for name in (live, *candidates)]
        settings = context.settings.train
        job = Appraisal(
            model_dir=str(context.model_dir),
            live=live,
            live_dir=live_dir,
            candidate_dirs=dict(zip(candidates, candidate_dirs, strict=True)),
            rows_file=str(rows_file),
            precision=settings.precision,
            threads=settings.threads,
            chunk_tokens=settings.chunk_tokens,
        )
        return await _run(context, "learner.evaluate.appraising", folder, job, Appraised)


async def _run(context: Context, module: str, folder: Path, job: msgspec.Struct, left: type[Left]) -> Left:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RESULT).unlink(missing_ok=True)
    (folder / EVALUATION).write_bytes(msgspec.json.encode(job))
    pace = Pace()

    def show(line: bytes) -> None:
        step, progress = msgspec.json.decode(line, type=Advance), context.progress
        progress.done, progress.total, progress.detail = step.done, step.total, step.detail
        progress.eta_s = pace.eta_s(step.done, step.total)

    await run_job(module, folder, folder / LINES, show, context.settings.evaluation_time_limit_s)
    try:
        return msgspec.json.decode((folder / RESULT).read_bytes(), type=left)
    except (OSError, msgspec.DecodeError) as error:  # a score that is no number is written as null
        raise JobError(f"the evaluation left no proper result: {error}") from error
