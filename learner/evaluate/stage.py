"""Stage 4: candidates, live and base on every frozen suite and on the held-out votes, each suite scored once per version."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from learner.adapter import BASE
from learner.context import Context
from learner.evaluate.spec import EVALUATION, LINES, RESULT, Advance, EvaluationJob, EvaluationResult
from learner.evaluate.suite import Suite
from learner.gate import Case, SuiteScores, VoteScore
from learner.jobs import run_job
from learner.pace import Pace
from learner.rows import heldout_votes
from storage import evaluations
from storage.records import Cycle, SuiteRecord
from storage.suites import ensure_suite

TIME_LIMIT_S = 3600.0

Scores = dict[str, dict[str, dict[str, float]]]  # model → suite → item → score


class VotedAnswer(Struct, frozen=True):
    """An answer that somebody voted on who never teaches, and its mean log-prob per token by version."""

    id: str
    person_id: str
    label: int  # +1 or -1
    means: dict[str, float]


class Evaluated(Struct, frozen=True):
    """`sha256` are the hashes of the suites that were scored; the scores themselves are in the database."""

    candidates: list[str]
    live: str  # whom they are judged against
    sha256: dict[str, str]
    votes: list[VotedAnswer]
    seconds: float

    def votes_on(self, candidate: str) -> list[VoteScore]:
        """The votes under the live version and this candidate, as the gate reads them."""
        return [VoteScore(vote.id, vote.person_id, vote.label, vote.means[self.live], vote.means[candidate]) for vote in self.votes]


async def evaluate(context: Context, cycle: Cycle, dataset_id: str, candidates: Sequence[str], live: str) -> Evaluated:
    """Has the engine score what is not known yet, and keeps it. Raises `JobError` when it could not be scored whole."""
    rows_file = await context.dataset_file(dataset_id)
    folder, models = context.folder(cycle.id) / "evaluate", sorted({*candidates, live, BASE})
    result = await _score(context, folder, models, cycle.id, rows_file, models)
    votes = [
        VotedAnswer(row.id, row.person_id, row.label, {model: means[row.id] for model, means in result.votes.items()})
        for row in heldout_votes(rows_file)
    ]
    return Evaluated(list(candidates), live, {suite.name: suite.sha256 for suite in context.suites()}, votes, result.seconds)


async def score_baseline(context: Context) -> None:
    """Scores base on the frozen suites, once per home and suite, so that the first cycle need not. Slows chats meanwhile."""
    await _score(context, context.home / "cycles" / "baseline", [BASE], None, None, [])


async def _score(
    context: Context, folder: Path, models: list[str], cycle_id: int | None, rows_file: Path | None, vote_models: list[str]
) -> EvaluationResult:
    """Runs an evaluation job for what is not known of these models, and keeps what it finds. One at a time."""
    async with context.evaluating:
        suites = context.suites()
        known = await known_scores(context, models, suites)
        missing = {model: [suite.name for suite in suites if suite.name not in known[model]] for model in models}
        folder.mkdir(parents=True, exist_ok=True)
        (folder / RESULT).unlink(missing_ok=True)
        job = EvaluationJob(
            engine_url=context.engine.url,
            suites_dir=str(context.suites_dir),
            model_dir=str(context.model_dir),
            suites=missing,
            rows_file=str(rows_file or ""),
            vote_models=vote_models,
            concurrency=context.settings.evaluation_concurrency,
        )
        if not (rows_file or any(missing.values())):
            return EvaluationResult({}, {}, {}, 0.0)
        (folder / EVALUATION).write_bytes(msgspec.json.encode(job))
        result = await _run(context, folder)
        await context.database.write(lambda connection: _keep(connection, context, suites, cycle_id, result))
        return result


async def known_scores(context: Context, models: list[str], suites: list[Suite]) -> Scores:
    """What the database has of these models on these very suites."""

    async def select(connection: AsyncConnection) -> Scores:
        found: Scores = {model: {} for model in models}
        for model in models:
            for suite in suites:
                scores = await evaluations.select_scores(connection, model, suite.name, suite.sha256)
                if scores is not None:
                    found[model][suite.name] = scores
        return found

    return await context.database.read(select)


async def cases(context: Context, evaluated: Evaluated) -> dict[str, Case]:
    """The gate's input for each candidate, the suites' scores from the database: what is missing there stays missing."""
    suites = context.suites()
    models = [*evaluated.candidates, evaluated.live, BASE]
    known = await known_scores(context, models, [suite for suite in suites if evaluated.sha256.get(suite.name) == suite.sha256])
    return {
        candidate: Case(_suite_scores(suites, known, candidate, evaluated.live), evaluated.votes_on(candidate))
        for candidate in evaluated.candidates
    }


def _suite_scores(suites: Sequence[Suite], known: Scores, candidate: str, live: str) -> list[SuiteScores]:
    return [
        SuiteScores(
            name=suite.name,
            sha256=suite.sha256,
            margin=suite.header.margin,
            veto=suite.header.veto,
            items=tuple(item.id for item in suite.items),
            live=known[live].get(suite.name, {}),
            candidate=known[candidate].get(suite.name, {}),
            base=known[BASE].get(suite.name, {}),
        )
        for suite in suites
    ]


async def _run(context: Context, folder: Path) -> EvaluationResult:
    pace = Pace()

    def show(line: bytes) -> None:
        step, progress = msgspec.json.decode(line, type=Advance), context.progress
        progress.done, progress.total, progress.detail = step.done, step.total, step.detail
        progress.eta_s = pace.eta_s(step.done, step.total)

    await run_job("learner.evaluate.job", folder, folder / LINES, show, TIME_LIMIT_S)
    return msgspec.json.decode((folder / RESULT).read_bytes(), type=EvaluationResult)


async def _keep(
    connection: AsyncConnection, context: Context, suites: list[Suite], cycle_id: int | None, result: EvaluationResult
) -> None:
    for suite in suites:
        if result.sha256.get(suite.name) == suite.sha256:
            await ensure_suite(connection, _record(suite, context.clock()))
    for model, by_suite in result.suites.items():
        for name, scores in by_suite.items():
            await evaluations.insert_evaluation(connection, cycle_id, model, name, result.sha256[name], scores, context.clock())


def _record(suite: Suite, now_s: float) -> SuiteRecord:
    header = suite.header
    return SuiteRecord(
        suite.sha256, suite.name, header.version, header.kind, len(suite.items), header.margin, header.veto, created_at_s=now_s
    )
