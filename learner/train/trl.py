"""What the methods on TRL's trainers share: rows as they are, batches that are set, and a run that can be killed.

The losses are TRL's own. What is ours is what goes in, and when: token ids are those of the rows, nothing is tokenised or
cut; optimiser, schedule and checkpoints are those of `loop.fit`. Every pass has the same batches, so that what the
reference says is computed once. TRL weighs no rows: one of weight 0 is left out, all others count alike.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from datasets import Dataset, disable_progress_bars
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader
from transformers import (
    PreTrainedTokenizerFast,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from learner.machine import resolve
from learner.rows import Row
from learner.train.checkpoint import Checkpoint, Checkpoints
from learner.train.loop import make_batches, make_optimiser, schedule
from learner.train.spec import Diverged, Outcome, Step, Work

Batches = Sequence[Sequence[Row]]
Arguments = TypeVar("Arguments", bound=TrainingArguments)

PADDING = 0  # a token id that is never looked at


class OnRows:
    """Mixed into a TRL trainer: its data set holds token ids and stays as it is, and its batches are set."""

    batches: Sequence[Sequence[int]]  # rows of the data set, by place, that each step takes

    def _prepare_dataset(self, dataset: Dataset, *_: object) -> Dataset:
        return dataset

    def _send_telemetry(self) -> None:
        """Nobody is told that somebody trains here."""

    def get_train_dataloader(self: Any) -> DataLoader[Any]:
        return DataLoader(self.train_dataset, batch_sampler=self.batches, collate_fn=self.data_collator)


def arguments(kind: type[Arguments], work: Work, **more: object) -> Arguments:
    """TRL's settings for this work. Steps, their rates and their batches are laid out by `teach`."""
    return kind(
        output_dir=str(work.folder),
        per_device_train_batch_size=work.settings.batch_rows,
        num_train_epochs=1,
        max_grad_norm=work.settings.max_grad_norm,
        seed=work.settings.seed,
        max_length=None,  # longer rows are dropped by curation: none is cut here
        pad_to_multiple_of=None,
        bf16=resolve(work.settings.precision) == "bfloat16",
        use_cpu=True,
        gradient_checkpointing=False,  # memory is not what a small model lacks
        logging_steps=1,
        logging_nan_inf_filter=False,  # a loss that is no number is to be seen
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
        **more,
    )


def padding_only() -> PreTrainedTokenizerFast:
    """The trainers insist on a tokenizer, and ask it for nothing but the token to pad with."""
    vocabulary = Tokenizer(WordLevel({"[PAD]": PADDING}, unk_token="[PAD]"))
    return PreTrainedTokenizerFast(tokenizer_object=vocabulary, pad_token="[PAD]")


def lesson_of(row: Row) -> dict[str, list[int]]:
    """A row's answer from where the lesson begins, and all that comes before it, by TRL's names."""
    before = [*row.prompt_ids, *row.answer_ids[: row.lesson_from]]
    return {"prompt_ids": before, "completion_ids": list(row.answer_ids[row.lesson_from :])}


def batch_rows(work: Work, rows: Sequence[Row]) -> list[list[Row]]:
    """The batches of one pass over the rows that have a weight. Raises `Diverged` where there is none."""
    weighed = [row for row in rows if row.weight > 0]
    if not weighed:
        raise Diverged(f"there is no row of any weight to learn from by {work.settings.method}")
    return make_batches(weighed, work.settings, passes=1)


def teach(work: Work, batches: Batches, make_trainer: Callable[[Work, Batches], Trainer]) -> Outcome:
    """Runs the trainer over the batches, `passes` times, from the newest checkpoint if there is one. Raises `Diverged`."""
    disable_progress_bars()
    policy, settings = work.policy, work.settings
    parameters = policy.parameters()
    optimiser = make_optimiser(parameters, settings)
    checkpoints = Checkpoints(work, [row for batch in batches for row in batch])
    trainer = make_trainer(work, batches)  # before weights are put back: what they are now is the reference
    done, losses = 0, list[float]()
    if (found := checkpoints.load()) is not None:
        done, losses = found.step, list(found.losses)
        found.put_back(parameters, optimiser)
    steps = len(batches) * settings.passes
    trainer.batches = _places(batches, settings.passes)[done:]
    trainer.optimizer = optimiser
    trainer.lr_scheduler = LambdaLR(optimiser, lambda after: schedule(done + after + 1, steps))
    trainer.remove_callback(PrinterCallback)

    def keep(step: int) -> None:
        if step % settings.checkpoint_steps == 0 and step < steps:
            checkpoints.save(Checkpoint.of(step, losses, {}, parameters, optimiser, kept=[]))

    trainer.add_callback(_Watch(work, trainer.batches, done, losses, keep))
    try:
        trainer.train()
    finally:
        _take_back(trainer, work)
    last_pass = losses[-len(batches) :]
    return Outcome(sum(last_pass) / len(last_pass))


class _Watch(TrainerCallback):
    """Adds each step's loss to `losses`, reports it, and ends a run that has diverged before anything is kept of it."""

    def __init__(
        self, work: Work, batches: Sequence[Sequence[int]], done: int, losses: list[float], keep: Callable[[int], None]
    ) -> None:
        self._work, self._done, self._losses, self._keep = work, done, losses, keep
        self._rows_after = [0, *itertools.accumulate(map(len, batches))]  # so many steps of this process
        self._steps = done + len(batches)
        self._started_s = time.monotonic()

    def on_train_begin(self, *_: object, **__: object) -> None:
        self._started_s = time.monotonic()

    def on_log(self, _: TrainingArguments, state: TrainerState, __: TrainerControl, logs: dict[str, float], **___: object) -> None:
        if "loss" not in logs:
            return  # the summary of a run that is over
        step, loss, norm = self._done + state.global_step, logs["loss"], logs["grad_norm"]
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise Diverged(f"the loss diverged at step {step} of {self._steps} (loss {loss}, gradient norm {norm})")
        self._losses.append(loss)
        rate = self._rows_after[state.global_step] / (time.monotonic() - self._started_s)
        terms = {name: value for name, value in logs.items() if name not in ("learning_rate", "epoch")}
        self._work.report(Step(step, self._steps, loss, rate, terms))
        self._keep(step)


def _places(batches: Batches, passes: int) -> list[list[int]]:
    """Where each step's rows are in a data set that has those of one pass, in their order."""
    ends = list(itertools.accumulate(map(len, batches)))
    return [list(range(end - len(batch), end)) for batch, end in zip(batches, ends, strict=True)] * passes


def _take_back(trainer: Trainer, work: Work) -> None:
    """Takes off the policy what the trainer put on it: autocast, the copy it calls "ref", and the mode for dropout."""
    peft = work.policy.peft
    trainer.accelerator.unwrap_model(peft, keep_fp32_wrapper=False)
    if "ref" in peft.peft_config:
        peft.delete_adapter("ref")
    work.policy.make_learn()
    peft.eval()
