"""Rounds of `rloo` and `grpo`, on the service's side: the newest version gives answers, and a job learns from their rewards.

A round's version is served under a name of its own from a folder of its own, both named by content and never used for
anything else; people never get it. Only what the last round made is the cycle's candidate. What a round has finished is
there when the cycle goes on after a crash.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from random import Random

import msgspec

from learner import release
from learner.adapter import check_adapter
from learner.context import Context, StageError
from learner.engine import gather_limited
from learner.rows import Row, RowKind, Split, write_rows
from learner.train.methods import READS
from learner.train.rewards import newest_reward
from learner.train.round import Round, read_round, write_round
from learner.train.spec import ADAPTER, RESULT, ROWS, Result
from storage.records import Cycle

METHODS = ("rloo", "grpo")  # that learn so
SERVED = "served"  # below the stage's folder: what the engine has loaded from here
SEEDS_PER_ROUND = 1_000_000

TrainOnce = Callable[[Path, Path], Awaitable[None]]


async def learn_in_rounds(
    context: Context, cycle: Cycle, rows: Sequence[Row], parent: str, folder: Path, train_once: TrainOnce
) -> Path:
    """Learns from answers to the prompts of `rows`, and gives the folder of the last round's job, with adapter and result.

    `train_once(job_folder, parent_dir)` runs a job in a folder that has its rows, continuing the adapter in `parent_dir`, unless
    it ran there already; it raises where no adapter came of it. `folder` is the stage's own. Raises `StageError` without a
    reward model or without prompts, `EngineError`, and what `train_once` raises.
    """
    rounds = context.settings.train.rounds
    told = Round(str(await newest_reward(context)), str(context.artifacts.adapter_dir(parent)))
    await release.load(context, parent)
    name, parent_dir = parent, Path(told.live_dir)
    served: list[str] = []
    try:
        for number in range(1, rounds + 1):
            job = folder / f"round-{number}"
            context.progress.detail = f"round {number} of {rounds}: {name} gives answers"
            await _prepare(context, job, name, rows, told, number)
            await train_once(job, parent_dir)
            if number == rounds or _result(job).stopped:
                break
            parent_dir = await _serve(context, cycle, job, folder / SERVED, number)
            name = parent_dir.name
            served.append(name)
    finally:
        for name in served:
            await context.engine.unload(name)
        shutil.rmtree(folder / SERVED, ignore_errors=True)
    return job


def draw_prompts(rows: Sequence[Row], count: int, max_tokens: int, seed: int) -> list[Row]:
    """Training rows to be answered anew, `count` at most, drawn at random: each prompt once, none longer than `max_tokens`."""
    prompts: dict[tuple[int, ...], Row] = {}
    for row in sorted(rows, key=lambda row: row.id):
        if row.split is Split.TRAIN and row.kind in READS["rloo"] and 0 < len(row.prompt_ids) <= max_tokens:
            prompts.setdefault(row.prompt_ids, row)
    found = list(prompts.values())
    return Random(seed).sample(found, min(count, len(found)))


async def sample(context: Context, model: str, prompts: Sequence[Row], answers_each: int, seed: int) -> list[Row]:
    """Answers of `model` to the rows' prompts as rows of kind sampled, with token ids and log-probs. Raises `EngineError`.

    An answer that was cut off has weight 0. The same seed draws the same answers.
    """
    tokens = context.settings.train.sample_tokens
    jobs = [
        partial(context.engine.draw, model, row.prompt_ids, answers_each, tokens, seed + place * answers_each)
        for place, row in enumerate(prompts)
    ]
    drawn = await gather_limited(context.settings.evaluation_concurrency, jobs)
    return [
        Row(
            id=f"{prompt.id}/{seed}.{number}",
            person_id=prompt.person_id,
            kind=RowKind.SAMPLED,
            split=Split.TRAIN,
            weight=float(answer.whole),
            prompt_ids=prompt.prompt_ids,
            answer_ids=answer.token_ids,
            logps=answer.logps,
        )
        for prompt, answers in zip(prompts, drawn, strict=True)
        for number, answer in enumerate(answers)
        if answer.token_ids
    ]


async def _prepare(context: Context, job: Path, name: str, rows: Sequence[Row], told: Round, number: int) -> None:
    """Puts a round's rows into its job's folder, unless an earlier try of the cycle did."""
    settings = context.settings.train
    if read_round(job) == told and (job / ROWS).exists():
        return
    seed = settings.seed + number * SEEDS_PER_ROUND
    prompts = draw_prompts(rows, settings.prompts_per_round, settings.max_row_tokens - settings.sample_tokens, seed)
    if not prompts:
        raise StageError(f"none of the dataset's {len(rows)} rows has a prompt to answer; expected votes or replay")
    sampled = await sample(context, name, prompts, settings.answers_each, seed)
    job.mkdir(parents=True, exist_ok=True)
    await asyncio.to_thread(write_rows, job / ROWS, sampled)
    write_round(job, told)  # comes last: without it the rows do not count


def _result(job: Path) -> Result:
    return msgspec.json.decode((job / RESULT).read_bytes(), type=Result)


async def _serve(context: Context, cycle: Cycle, job: Path, served: Path, number: int) -> Path:
    """Makes the engine answer by what a round made; gives its folder, whose name is the version's."""
    settings = context.settings.train
    await asyncio.to_thread(check_adapter, job / ADAPTER, context.model_dir, settings.rank, settings.max_change)
    sha256 = await asyncio.to_thread(context.artifacts.sha256_of, job / ADAPTER)
    target = served / f"r{cycle.id}-round{number}-{sha256[:8]}"
    if not target.exists():
        unfinished = target.with_suffix(".tmp")
        shutil.rmtree(unfinished, ignore_errors=True)
        await asyncio.to_thread(shutil.copytree, job / ADAPTER, unfinished)
        unfinished.rename(target)
    await context.engine.load(target.name, target.resolve())
    return target
