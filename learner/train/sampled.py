"""Learning from sampled answers by their rewards: the lesson that `rloo` and `grpo` teach, each with advantages of its own.

Rows are of kind sampled, with the log-probs of the version that gave them. A row of weight 0, such as an answer that was cut
off, is not there: it earns nothing, also not for the end that it lacks, and nothing is compared with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import torch
from torch import Tensor

from learner.config import TrainSettings
from learner.rows import Row, RowKind
from learner.train.brakes import Brakes
from learner.train.loop import fit
from learner.train.objective import token_logps
from learner.train.parallel import Ranks
from learner.train.policy import Policy
from learner.train.policy_gradient import answers_loss, clipped_loss, k3
from learner.train.reward_model import read_reward_model, wear
from learner.train.round import Round, read_round
from learner.train.scored import rows_in_chunks, texts_of
from learner.train.spec import Diverged, Outcome, Work

Advantages = Callable[[Tensor, Tensor], Tensor]  # (reward_R, group_R) -> advantage_R


def learn_from_samples(work: Work, advantages: Advantages) -> Outcome:
    """Fits the adapter to the sampled rows. Ends early when the KL budget is spent. Raises `Diverged`."""
    sampled = [row for row in work.rows if row.kind is RowKind.SAMPLED]
    rows = [row for row in sampled if row.weight > 0]
    if not rows:
        raise Diverged(f"none of {len(sampled)} sampled answers came to an end: there is nothing to learn from")
    told = read_round(work.folder)
    reward_R = _rewards(work, rows, told)
    advantage_R = advantages(reward_R, group_by_prompt(rows))
    if not advantage_R.any():
        raise Diverged(f"no two of {len(rows)} sampled answers to one prompt differ in reward: there is nothing to learn from")
    with _live(work.policy, told):
        reference = answer_logps(work.policy, rows, work.settings)
    by_id = {row.id: float(advantage) for row, advantage in zip(rows, advantage_R, strict=True)}
    lesson = SampledLesson(work.policy, by_id, reference, work.settings)
    outcome = fit(work, rows, lesson, Brakes(work.policy.parameters(), work.settings))
    measures = {"reward": float(reward_R.mean()), "whole_share": len(rows) / len(sampled)}
    return Outcome(outcome.final_loss, {**outcome.measures, **measures}, outcome.stopped)


def group_by_prompt(rows: Sequence[Row]) -> Tensor:
    """The number of each row's prompt, (R,)."""
    numbers: dict[tuple[int, ...], int] = {}
    return torch.tensor([numbers.setdefault(row.prompt_ids, len(numbers)) for row in rows])


def _rewards(work: Work, rows: Sequence[Row], told: Round | None) -> Tensor:
    """(R,), by the round's reward model, or as the rows have it."""
    if told is None:
        return torch.tensor([row.reward for row in rows])
    model = read_reward_model(Path(told.reward_dir))
    return model.score(work.policy, [texts_of(row)[0] for row in rows], work.settings.chunk_tokens)


def _live(policy: Policy, told: Round | None) -> AbstractContextManager[None]:
    return policy.reference() if told is None else wear(policy, Path(told.live_dir))


class SampledLesson:
    """Each answer's tokens by its advantage, within a region around the version that gave them. By row id: advantages, and
    log-probs under the version that the KL is measured from."""

    def __init__(
        self, policy: Policy, advantages: Mapping[str, float], reference: Mapping[str, Tensor], settings: TrainSettings
    ) -> None:
        self._policy, self._advantages, self._reference, self._settings = policy, advantages, reference, settings
        self._ranks = Ranks.here()

    def backward(self, batch: Sequence[Row]) -> dict[str, float]:
        """Adds the gradient of this process's share; gives the batch's loss and, over its tokens, the mean KL and the share
        outside the region."""
        loss, kl, outside = 0.0, 0.0, 0.0
        for rows in rows_in_chunks(self._ranks.share(batch), self._settings.chunk_tokens):
            logits_TV, tokens_T, rows_T = self._policy.logits([texts_of(row)[0] for row in rows])
            logps_T = token_logps(logits_TV, tokens_T)
            loss += self._descend(rows, logps_T, rows_T, len(batch))
            now_T, old_T = logps_T.detach(), _old(rows)
            kl += float(k3(now_T, torch.cat([self._reference[row.id] for row in rows])).sum())
            outside += float(((now_T - old_T).exp() - 1).abs().gt(self._settings.ratio_clip).sum())
        loss, kl, outside = map(sum, zip(*self._ranks.gather((loss, kl, outside)), strict=True))
        tokens = sum(len(row.answer_ids) for row in batch)
        return {"loss": loss, "kl": kl / tokens, "outside": outside / tokens}

    def _descend(self, rows: Sequence[Row], logps_T: Tensor, rows_T: Tensor, answers: int) -> float:
        advantage_R = torch.tensor([self._advantages[row.id] for row in rows])
        weight_R = torch.tensor([row.weight for row in rows])
        loss_T = clipped_loss(logps_T, _old(rows), advantage_R[rows_T], self._settings.ratio_clip)
        loss = answers_loss(loss_T, rows_T, weight_R, answers, self._settings.sample_tokens)
        loss.backward()
        return float(loss.detach())

    def state(self) -> dict[str, float]:
        return {}

    def restore(self, state: Mapping[str, float]) -> None:
        """A step leaves nothing for the next beside weights."""


@torch.no_grad()
def answer_logps(policy: Policy, rows: Sequence[Row], settings: TrainSettings) -> dict[str, Tensor]:
    """The log-probs of each answer's tokens by the policy as it is, by row id."""
    found: dict[str, Tensor] = {}
    side_by_side = sorted(rows, key=lambda row: row.prompt_ids)  # answers to one prompt
    for chunk in rows_in_chunks(side_by_side, settings.chunk_tokens):
        logits_TV, tokens_T, _ = policy.logits([texts_of(row)[0] for row in chunk])
        parts = token_logps(logits_TV, tokens_T).split([len(row.answer_ids) for row in chunk])
        found.update(zip([row.id for row in chunk], parts, strict=True))
    return found


def _old(rows: Sequence[Row]) -> Tensor:
    return torch.tensor([logp for row in rows for logp in row.logps])
