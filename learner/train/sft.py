"""Method `sft`, by TRL's trainer: answers as they should be, by their negative log-likelihood.

Learnt are demonstrations, answers with a thumb up, and what people wrote in an answer's place. The loss is the mean over
the answers' tokens of a batch, so a long answer counts for more than a short one; prompts have none.
"""

from __future__ import annotations

import msgspec
from datasets import Dataset
from trl import SFTConfig, SFTTrainer

from learner.rows import Row, RowKind
from learner.train.spec import Outcome, Work
from learner.train.trl import Batches, OnRows, arguments, batch_rows, lesson_of, padding_only, teach

IGNORED = -100  # the label of a token that is not learnt


class _Trainer(OnRows, SFTTrainer):
    pass


def train(work: Work) -> Outcome:
    """Fits the policy's adapter to the good answers. Raises `Diverged`. Weights only leave out: TRL has none."""
    return teach(work, batch_rows(work, [good for row in work.rows if (good := _good(row))]), make_trainer)


def make_trainer(work: Work, batches: Batches) -> SFTTrainer:
    """TRL's trainer over the rows' answers, as they are."""
    dataset = Dataset.from_list([_example(row) for batch in batches for row in batch])
    return _Trainer(work.policy.peft, arguments(SFTConfig, work), train_dataset=dataset, processing_class=padding_only())


def _good(row: Row) -> Row | None:
    """The row with the answer to learn; none where it has no good one."""
    if row.kind is RowKind.CORRECTION:
        return msgspec.structs.replace(row, answer_ids=row.better_ids, better_ids=(), lesson_from=0)
    liked = row.kind is RowKind.THUMB and row.label > 0
    return row if liked or row.kind is RowKind.DEMONSTRATION else None


def _example(row: Row) -> dict[str, list[int]]:
    lesson = lesson_of(row)
    before, answer = lesson["prompt_ids"], lesson["completion_ids"]
    return {"input_ids": before + answer, "labels": [IGNORED] * len(before) + answer}
