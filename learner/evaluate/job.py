"""The evaluation job: a process of its own that asks the serving engines, at low priority, and writes scores to a file.

Run as `python -m learner.evaluate.job FOLDER`. It never opens the database; killed, it leaves nothing that counts.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import msgspec

from learner.engines import Engines
from learner.evaluate.judge import Judge, JudgeError
from learner.evaluate.judged import pin_judge
from learner.evaluate.score import score_suite
from learner.evaluate.spec import EVALUATION, RESULT, EvaluationJob, EvaluationResult, telling
from learner.evaluate.suite import Suite, load_suites
from learner.jobs import leave_result, settle_in
from learner.tokens import Tokens


async def evaluate(job: EvaluationJob, suites: dict[str, Suite], advance: Callable[[int, str], None]) -> EvaluationResult:
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
    used = {name for names in job.suites.values() for name in names}
    sha256 = {name: suites[name].sha256 for name in sorted(used)}
    return EvaluationResult(scores, sha256, time.monotonic() - started_s, unjudged)


def main(folder: Path) -> None:
    job = msgspec.json.decode((folder / EVALUATION).read_bytes(), type=EvaluationJob)
    suites = {suite.name: suite for suite in pin_judge(load_suites(*map(Path, job.suites_dirs)), job.judge)}
    total = sum(len(suites[name].items) for names in job.suites.values() for name in names)
    with telling(folder, total) as advance:
        result = asyncio.run(evaluate(job, suites, advance))
    leave_result(folder / RESULT, result)


if __name__ == "__main__":
    settle_in()
    main(Path(sys.argv[1]))
