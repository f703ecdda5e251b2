"""The pretraining job: a process of its own that turns a folder with `job.json` and `documents.jsonl` into a base model.

Run as `python -m learner.pretrain.job FOLDER`. It never opens the database. Killed and run again in the same folder it goes on
from its newest checkpoint, and ends with the weights of a run that was not.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec
import torch
from transformers import PreTrainedTokenizerBase

from learner.config import TrainSettings
from learner.jobs import leave_result, settle_in
from learner.model import model_sha256
from learner.pretrain.model import SERVED, WholeModel, check_model, new_model, read_model, write_model
from learner.pretrain.spec import (
    DOCUMENTS,
    JOB,
    LEARNING_RATE,
    LINEAGE,
    METRICS,
    MODEL,
    RESULT,
    SCRATCH_RATE,
    TOKENIZER,
    Job,
    Lineage,
    PretrainError,
    Progress,
    Request,
    Result,
)
from learner.pretrain.tokenizer import end_of_text, train_tokenizer
from learner.pretrain.windows import make_windows, read_texts
from learner.rows import Row, Split
from learner.tokens import load_tokenizer
from learner.train.cpt import NextTokens, perplexity, predicted
from learner.train.loop import fit
from learner.train.spec import CHECKPOINTS, Diverged, Outcome, Step, Work

BETTER_THAN_CHANCE = 0.98  # of the perplexity of one who knows nothing, which is the number of tokens


class Begun(NamedTuple):
    """A model before its first step, and the type it will be written in."""

    model: WholeModel
    tokenizer: PreTrainedTokenizerBase
    kept: torch.dtype


def run(folder: Path) -> Result:
    """Trains, checks what came out, and leaves model and result in the folder. A bad outcome is a result too."""
    job = msgspec.json.decode((folder / JOB).read_bytes(), type=Job)
    torch.set_num_threads(job.threads or len(os.sched_getaffinity(0)))
    try:
        result = Result(lineage=_pretrain(job, folder))
    except (Diverged, PretrainError) as error:
        result = Result(str(error))
    leave_result(folder / RESULT, result)
    return result


def _pretrain(job: Job, folder: Path) -> Lineage:
    started_s = time.monotonic()
    begun = _begin(job, folder)
    rows, heldout = (_windows(job.request, folder, begun.tokenizer, split) for split in (Split.TRAIN, Split.HELDOUT))
    settings = settings_of(job)
    before = perplexity(begun.model, heldout, settings.chunk_tokens)
    outcome = _fit(begun.model, rows, settings, folder)
    unfinished = folder / f"{MODEL}.tmp"
    shutil.rmtree(unfinished, ignore_errors=True)
    write_model(begun.model.causal, begun.tokenizer, begun.kept, unfinished)
    written = WholeModel(check_model(unfinished), job.precision)
    after = _judge(written, heldout or rows[: settings.batch_rows], settings.chunk_tokens)
    tokens = sum(map(predicted, rows))
    lineage = Lineage(
        job.request.name,
        model_sha256(unfinished),
        job.origin,
        job.request,
        parameters=sum(parameter.numel() for parameter in written.parameters()),
        tokens=tokens,
        tokens_seen=tokens * settings.passes,
        final_loss=outcome.final_loss,
        heldout_tokens=sum(map(predicted, heldout)),
        perplexity_before=before,
        perplexity_after=after if heldout else None,
        seconds=time.monotonic() - started_s,
    )
    (unfinished / LINEAGE).write_bytes(msgspec.json.format(msgspec.json.encode(lineage), indent=1))
    shutil.rmtree(folder / MODEL, ignore_errors=True)  # of an earlier try, whose result was never left
    unfinished.rename(folder / MODEL)
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    return lineage


def _judge(written: WholeModel, rows: Sequence[Row], chunk_tokens: int) -> float | None:
    """The perplexity of what was written. Weights that are finite can still be spoilt: then every token is as likely as any."""
    found, tokens = perplexity(written, rows, chunk_tokens), written.causal.config.vocab_size
    if found is not None and found > BETTER_THAN_CHANCE * tokens:
        raise PretrainError(f"the new model is no better than chance: its perplexity is {found:.1f}, it has {tokens} tokens")
    return found


def _begin(job: Job, folder: Path) -> Begun:
    shape = job.request.scratch
    if shape is None:
        causal, kept = read_model(Path(job.model_dir))
        if causal.config.max_position_embeddings <= job.request.window_tokens:
            longest = causal.config.max_position_embeddings
            raise PretrainError(f"window_tokens is {job.request.window_tokens}, expected less than the model's {longest} positions")
        return Begun(WholeModel(causal, job.precision), load_tokenizer(Path(job.model_dir)), kept)
    if not (folder / TOKENIZER).is_dir():
        unfinished = folder / f"{TOKENIZER}.tmp"
        shutil.rmtree(unfinished, ignore_errors=True)
        texts = read_texts(folder / DOCUMENTS, Split.TRAIN)
        train_tokenizer(texts, shape.vocabulary, shape.positions).save_pretrained(unfinished)
        unfinished.rename(folder / TOKENIZER)
    tokenizer = load_tokenizer(folder / TOKENIZER)
    return Begun(WholeModel(new_model(shape, tokenizer, job.request.seed), job.precision), tokenizer, SERVED)


def _windows(request: Request, folder: Path, tokenizer: PreTrainedTokenizerBase, split: Split) -> list[Row]:
    def encode(text: str) -> list[int]:
        return list(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    return make_windows(read_texts(folder / DOCUMENTS, split), encode, end_of_text(tokenizer), request.window_tokens, split)


def settings_of(job: Job) -> TrainSettings:
    """The request in the terms of the training loop, whose rows are windows."""
    request = job.request
    return TrainSettings(
        method="pretrain",
        learning_rate=request.learning_rate or (LEARNING_RATE if request.scratch is None else SCRATCH_RATE),
        passes=request.passes,
        batch_rows=request.batch_windows,
        max_row_tokens=request.window_tokens + 1,
        chunk_tokens=2 * (request.window_tokens + 1),
        checkpoint_steps=request.checkpoint_steps,
        seed=request.seed,
        precision=job.precision,
        threads=job.threads,
    )


def _fit(model: WholeModel, rows: Sequence[Row], settings: TrainSettings, folder: Path) -> Outcome:
    tokens = sum(map(predicted, rows)) / max(len(rows), 1)
    with (folder / METRICS).open("ab", buffering=0) as metrics:
        report = partial(_report, metrics.write, tokens=tokens, batch_rows=settings.batch_rows)
        work = Work(model, rows, (), settings, folder, report)  # type: ignore[arg-type]  # the loop asks for parameters alone
        return fit(work, rows, NextTokens(model, settings.chunk_tokens))


def _report(write: Callable[[bytes], object], step: Step, tokens: float, batch_rows: int) -> None:
    left_s = (step.steps - step.step) * batch_rows / step.rows_per_s
    progress = Progress(step.step, step.steps, step.loss, step.rows_per_s * tokens, left_s)
    write(msgspec.json.encode(progress) + b"\n")


if __name__ == "__main__":
    settle_in()
    run(Path(sys.argv[1]))
