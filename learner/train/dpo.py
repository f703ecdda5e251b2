"""Method `dpo`, by TRL's trainer: corrections and preferences, the better answer over the other (arXiv 2305.18290).

The loss is -log sigmoid(beta (gain of better - gain of the other)), a gain being an answer's summed log-prob over the
parent's: with sums, unlike in `mixed`, a margin between answers of unlike length is cheap to have.
"""

from __future__ import annotations

from datasets import Dataset
from trl import DPOConfig, DPOTrainer

from learner.train.spec import Outcome, Work
from learner.train.trl import Batches, OnRows, arguments, batch_rows, padding_only, teach


class _Trainer(OnRows, DPOTrainer):
    pass


def train(work: Work) -> Outcome:
    """Fits the policy's adapter to the pairs. Raises `Diverged`. Weights only leave out: TRL has none."""
    return teach(work, batch_rows(work, [row for row in work.rows if row.better_ids]), make_trainer)


def make_trainer(work: Work, batches: Batches) -> DPOTrainer:
    """TRL's trainer over the rows' answers, as they are; what the policy is now is its reference."""
    examples = [
        {"prompt_ids": list(row.prompt_ids), "chosen_ids": list(row.better_ids), "rejected_ids": list(row.answer_ids)}
        for batch in batches
        for row in batch
    ]
    settings = arguments(DPOConfig, work, beta=work.settings.summed_beta, precompute_ref_log_probs=True)
    dataset = Dataset.from_list(examples)
    return _Trainer(work.policy.peft, args=settings, train_dataset=dataset, processing_class=padding_only())
