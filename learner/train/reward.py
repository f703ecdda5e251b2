"""Method `reward`: a model of what people like, from their votes and from pairs, against which `rloo` and `grpo` learn.

| signal                 | loss                                                                                     |
|------------------------|------------------------------------------------------------------------------------------|
| thumb                  | binary cross-entropy of up against down                                                  |
| correction, preference | -log sigmoid(score of the better - score of the other) (Bradley-Terry; arXiv 2203.02155) |

What comes out is no adapter to be served: the job leaves it as `reward/`. TRL's RewardTrainer knows pairs alone, and no row
weights, while most of what people say here are single thumbs. On pairs its loss is the one above.

Length is not rewarded by accident: what of the scores goes with the logarithm of length over all training answers is taken
off (less for a `length_control` below 1, where a taste is about length), and an answer that repeats itself loses.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import msgspec
import torch
import torch.nn.functional as F
from torch import Tensor

from learner.adapter import Card, check_adapter, write_adapter
from learner.config import TrainSettings
from learner.model import model_sha256
from learner.rows import Row
from learner.train.judged import Judged, fit_scale, measure
from learner.train.loop import fit
from learner.train.methods import READS
from learner.train.parallel import Ranks
from learner.train.policy import Policy
from learner.train.reward_model import Head, RewardCard, fit_head, score_texts, states_of, write_head
from learner.train.scored import rows_in_chunks, texts_of
from learner.train.spec import JOB, REWARD, Diverged, Job, Outcome, Work
from learner.train.validation import set_apart


def train(work: Work) -> Outcome:
    """Fits a reward model and leaves it in the job's folder. Raises `Diverged`, `AdapterError`."""
    policy, settings = work.policy, work.settings
    told = [row for row in work.rows if row.kind in READS["reward"] and (row.label or row.better_ids) and row.weight > 0]
    rows = [row for row in told if not row.lesson_from]  # a lesson about an end says nothing of the whole answer
    rows, others = set_apart(rows, settings)
    learnt = Judged.of(rows)
    if not learnt.of_both_kinds():
        raise Diverged(f"{len(rows)} rows do not have both an answer that is liked and one that is not: nothing tells them apart")
    head = fit_head(states_of(policy, learnt.texts, settings.chunk_tokens), learnt.label_N, learnt.weight_N)
    outcome = fit(work, rows, RewardLesson(policy, head, settings))
    score = partial(score_texts, policy, head, chunk_tokens=settings.chunk_tokens)
    scale = fit_scale(score, learnt, Judged.of_votes(others), settings)
    measures = {"temperature": scale.temperature, "length_slope": scale.length.slope, **measure(score, scale, work.heldout)}
    if Ranks.here().leads:
        _save(work, head, RewardCard(scale, measures))
    return Outcome(outcome.final_loss, {**outcome.measures, **measures}, outcome.stopped)


class RewardLesson:
    """Each row's loss on the scores of its answers. A lesson of `learner.train.loop`."""

    def __init__(self, policy: Policy, head: Head, settings: TrainSettings) -> None:
        self._policy, self._head, self._settings, self._ranks = policy, head, settings, Ranks.here()

    def backward(self, batch: Sequence[Row]) -> dict[str, float]:
        """Adds the gradient of this process's share; gives the batch's loss and the share of its rows on the right side."""
        total, right, share = 0.0, 0, self._ranks.share(batch)
        for rows in rows_in_chunks(share, self._settings.chunk_tokens):
            margin_R = self._margins(rows)
            weight_R = torch.tensor([row.weight for row in rows])
            loss = (weight_R * F.softplus(-margin_R)).sum() / len(batch)
            loss.backward()
            total += float(loss.detach())
            right += int((margin_R.detach() > 0).sum())
        total, right = map(sum, zip(*self._ranks.gather((total, right)), strict=True))
        return {"loss": total, "right": right / len(batch)}

    def _margins(self, rows: Sequence[Row]) -> Tensor:
        """By how much each row is on the right side, (R,): either loss is -log sigmoid of it."""
        texts = [texts_of(row) for row in rows]
        score_N = self._head.score(self._policy.last_states([text for row in texts for text in row]))
        scores = score_N.split([len(row) for row in texts])
        return torch.stack([s[1] - s[0] if len(s) == 2 else row.label * s[0] for row, s in zip(rows, scores, strict=True)])

    def state(self) -> dict[str, float]:
        return {}

    def restore(self, state: Mapping[str, float]) -> None:
        """A step leaves nothing for the next beside weights."""


def _save(work: Work, head: Head, reward_card: RewardCard) -> None:
    """Writes the model aside, checks its adapter, and puts it in its place in one step."""
    job = msgspec.json.decode((work.folder / JOB).read_bytes(), type=Job)
    model_dir, unfinished = Path(job.model_dir), work.folder / f"{REWARD}.tmp"
    for earlier in (unfinished, work.folder / REWARD):
        shutil.rmtree(earlier, ignore_errors=True)
    card = Card(model_sha256(model_dir), job.parent, job.dataset_id)
    write_adapter(unfinished, work.policy.adapter_tensors(), work.settings.rank, model_dir, card)
    check_adapter(unfinished, model_dir, work.settings.rank)
    write_head(unfinished, head, reward_card)
    unfinished.rename(work.folder / REWARD)
