"""The evaluation job: a process of its own that asks the serving engines, at low priority, and writes scores to a file.

Run as `python -m learner.evaluate.job FOLDER`. It never opens the database; killed, it leaves nothing that counts.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import msgspec

from learner.engine import gather_limited
from learner.engines import Engines
from learner.evaluate.judge import Judge, JudgeError
from learner.evaluate.judged import pin_judge
from learner.evaluate.score import answer_mean, score_suite
from learner.evaluate.spec import EVALUATION, RESULT, EvaluationJob, EvaluationResult, telling
from learner.evaluate.suite import Suite, load_suites
from learner.jobs import leave_result, settle_in
from learner.rows import Row, heldout_votes
from learner.tokens import Tokens


async def evaluate(
    job: EvaluationJob, suites: dict[str, Suite], rows: list[Row], advance: Callable[[int, str], None]
) -> EvaluationResult:
    """Scores everything the job names. Raises `EngineError`: half an evaluation is none.

    A judge is somebody else's and may fail: what it does not score is left out, with the reason.
    """
    started_s = time.monotonic()
    tokens = Tokens(Path(job.model_dir))
    scores: dict[str, dict[str, dict[str, float]]] = {}
    unjudged: dict[str, str] = {}
    async with Engines.of(job.engine_urls) as engine, Judge(job.judge) if job.judge else nullcontext() as judge:
        for model, names in job.suites.items():
            scores[model] = {}
            for name in names:
                said = f"{name} by {model}"
                try:
                    scores[model][name] = await score_suite(
                        engine, model, suites[name], tokens, job.concurrency, lambda count, said=said: advance(count, said), judge
                    )
                except JudgeError as error:
                    unjudged[name] = str(error)
        votes = {model: await _vote_scores(engine, model, rows, job.concurrency, advance) for model in job.vote_models}
    used = {name for names in job.suites.values() for name in names}
    sha256 = {name: suites[name].sha256 for name in sorted(used)}
    return EvaluationResult(scores, votes, sha256, time.monotonic() - started_s, unjudged)


async def _vote_scores(
    engine: Engines, model: str, rows: list[Row], concurrency: int, advance: Callable[[int, str], None]
) -> dict[str, float]:
    async def one(row: Row) -> float:
        mean = await answer_mean(engine, model, row.prompt_ids, row.answer_ids)
        advance(1, f"held-out votes by {model}")
        return mean

    means = await gather_limited(concurrency, [partial(one, row) for row in rows])
    return {row.id: mean for row, mean in zip(rows, means, strict=True)}


def main(folder: Path) -> None:
    job = msgspec.json.decode((folder / EVALUATION).read_bytes(), type=EvaluationJob)
    suites = {suite.name: suite for suite in pin_judge(load_suites(*map(Path, job.suites_dirs)), job.judge)}
    rows = heldout_votes(Path(job.rows_file)) if job.rows_file else []
    total = sum(len(suites[name].items) for names in job.suites.values() for name in names) + len(rows) * len(job.vote_models)
    with telling(folder, total) as advance:
        result = asyncio.run(evaluate(job, suites, rows, advance))
    leave_result(folder / RESULT, result)


if __name__ == "__main__":
    settle_in()
    main(Path(sys.argv[1]))
