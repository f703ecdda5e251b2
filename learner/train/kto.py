"""Method `kto`, by TRL's trainer: thumbs, each by itself (arXiv 2402.01306).

The loss is 1 - sigmoid(y (beta gain - beta z0)), a gain being an answer's summed log-prob over the parent's. z0 is the mean
gain of answers that belong to other prompts of the batch, so a batch has two rows or more, and thumbs up and down are
dealt evenly over batches.
"""

from __future__ import annotations

from datasets import Dataset
from trl import KTOConfig, KTOTrainer

from learner.rows import RowKind
from learner.train.spec import Diverged, Outcome, Work
from learner.train.trl import Batches, OnRows, arguments, batch_rows, lesson_of, padding_only, teach


class _Trainer(OnRows, KTOTrainer):
    pass


def train(work: Work) -> Outcome:
    """Fits the policy's adapter to the thumbs. Raises `Diverged`. Weights only leave out: TRL has none.

    A last row that would be a batch of its own is left out.
    """
    batches = [batch for batch in batch_rows(work, [row for row in work.rows if row.kind is RowKind.THUMB]) if len(batch) > 1]
    if not batches:
        raise Diverged("kto compares the answers of a batch, and there is no batch of two rows or more to learn from")
    return teach(work, batches, make_trainer)


def make_trainer(work: Work, batches: Batches) -> KTOTrainer:
    """TRL's trainer over the rows' answers, as they are; what the policy is now is its reference."""
    examples = []
    for batch in batches:
        lessons = [lesson_of(row) for row in batch]
        for place, (row, lesson) in enumerate(zip(batch, lessons, strict=True)):
            another = lessons[place - 1]["completion_ids"]  # TRL turns answers round by one, too
            examples.append({**lesson, "KL_completion_ids": another, "label": row.label > 0})
    settings = arguments(KTOConfig, work, beta=work.settings.summed_beta, precompute_ref_log_probs=True)
    dataset = Dataset.from_list(examples)
    return _Trainer(work.policy.peft, args=settings, train_dataset=dataset, processing_class=padding_only())
