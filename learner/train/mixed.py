"""Method `mixed`, the daily default: everything people say in one pass over the rows.

| signal        | loss                                                                                |
|---------------|-------------------------------------------------------------------------------------|
| thumb         | softplus(-y (r - shift)), 0.2 NLL where the thumb is up, a little of the KL below     |
| correction    | NLL(correction) + DPO(correction over original)                                     |
| preference    | 0.2 NLL(preferred) + DPO(preferred over the other), robust to a share of flips        |
| demonstration | NLL                                                                                 |
| sampled       | REINFORCE with a leave-one-out advantage, clipped ratio                             |
| replay        | KL(live || candidate) at every position of an answer the live model once gave        |

A row's terms are multiplied by its weight: weight 0 equals a row that is not there. Log-probs and distances are taken at
the temperature that an answer was drawn at (`learner.train.scored.logits_as_drawn`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import msgspec
import torch
from torch import Tensor

from learner.config import TrainSettings
from learner.rows import Row, RowKind
from learner.train import objective
from learner.train.brakes import Brakes
from learner.train.loop import fit
from learner.train.parallel import Ranks
from learner.train.policy import Policy
from learner.train.policy_gradient import clipped_loss, leave_one_out
from learner.train.reference import KEPT_TOKENS, score_answers, take_reference
from learner.train.sampled import group_by_prompt
from learner.train.scored import Scored, logits_as_drawn, nll_scale, rows_in_chunks, score, spread
from learner.train.spec import Outcome, Work
from learner.train.validation import Validation, set_apart

LABELS = {1: "up", -1: "down"}
MEASURED = 32  # replayed answers by which distances are told


def train(work: Work) -> Outcome:
    """Fits the policy's adapter to the rows. Raises `Diverged`."""
    policy, settings = work.policy, work.settings
    rows = [_lead(row, settings.lead_tokens) for row in work.rows if row.weight > 0]
    rows, others = set_apart(rows, settings)
    lesson = MixedLesson(policy, rows, settings)
    validation = Validation(policy, others, settings) if others else None
    outcome = fit(work, rows, lesson, Brakes(policy.parameters(), settings, validation))
    return msgspec.structs.replace(outcome, measures={**outcome.measures, **_distances(policy, rows, lesson)})


def _lead(row: Row, tokens: int) -> Row:
    """Cuts an answer that is not to be said again to its beginning. A liked answer stays whole: its end is to be learnt."""
    liked = row.label > 0 or row.kind in (RowKind.DEMONSTRATION, RowKind.SAMPLED)
    whole = liked or row.better_ids or row.lesson_from
    return row if whole else msgspec.structs.replace(row, answer_ids=row.answer_ids[:tokens])


class MixedLesson:
    """The daily objective over rows whose reference is taken once. A lesson of `learner.train.loop`."""

    def __init__(self, policy: Policy, rows: Sequence[Row], settings: TrainSettings) -> None:
        self._policy, self.settings = policy, settings
        self.reference = take_reference(policy, rows, settings)
        self._advantages = _advantages([row for row in rows if row.kind is RowKind.SAMPLED])
        self._shift = objective.RunningShift()
        self._ranks = Ranks.here(alike=settings.spread)

    def state(self) -> dict[str, float]:
        return dict(self._shift.means)

    def restore(self, state: Mapping[str, float]) -> None:
        self._shift.means = dict(state)

    def backward(self, batch: Sequence[Row]) -> dict[str, float]:
        """Adds the batch's gradient, as many rows at a time as fit; gives the mean of each term over the rows that have it."""
        settings, terms = self.settings, Terms()
        shift = self._shift.value if settings.form == "mean" else self._z0(batch)
        scale = nll_scale(batch, settings.form)
        share = self._ranks.share(batch)
        for rows in rows_in_chunks(share, settings.chunk_tokens):
            weight_R = torch.tensor([row.weight for row in rows])
            loss = (weight_R * self._losses(rows, shift, scale, terms)).sum() / len(batch)
            loss.backward()
            terms.total += float(loss.detach())
        terms.join(self._ranks)
        self._shift.follow({label: mean for label in LABELS.values() if (mean := terms.mean(f"reward_{label}")) is not None})
        return {**terms.means(), "loss": terms.total}

    def _losses(self, rows: Sequence[Row], shift: float, scale: float, terms: Terms) -> Tensor:
        """The loss of each row, in the rows' order, (R,)."""
        logits_TV, tokens_T = logits_as_drawn(self._policy, rows, self.settings.form)
        logps_T = objective.token_logps(logits_TV, tokens_T)
        scored = score(rows, logps_T, self.settings.form)
        losses = {
            RowKind.THUMB: lambda found: self._thumbs(found, logits_TV, shift, scale, terms),
            RowKind.CORRECTION: lambda found: self._pairs(found, self.settings.nll_weight * scale, terms),
            RowKind.PREFERENCE: lambda found: self._pairs(found, self.settings.preferred_nll_weight * scale, terms),
            RowKind.DEMONSTRATION: lambda found: self._demonstrations(found, scale, terms),
            RowKind.SAMPLED: lambda found: self._sampled(found, logps_T, terms),
            RowKind.REPLAY: lambda found: self._replay(found, logits_TV, terms),
        }
        return spread(rows, scored, {kind: losses[kind](found) for kind, found in scored.items()})

    def _thumbs(self, found: Scored, logits_TV: Tensor, shift: float, scale: float, terms: Terms) -> Tensor:
        settings = self.settings
        label_R = torch.tensor([float(row.label) for row in found.rows])
        gain_R = found.answer_R - self.reference.answer(found.rows)
        for label, name in LABELS.items():
            terms.add(f"reward_{name}", settings.beta * gain_R[label_R == label])
        terms.add("margin", gain_R * label_R)
        if settings.form == "sum":
            vote_R = objective.kto_loss(settings.beta * gain_R, label_R, shift)
        else:
            vote_R = objective.thumb_loss(settings.beta * gain_R, label_R, shift)
        nll_R = -scale * found.answer_R * (label_R > 0)
        terms.add("thumb", vote_R)
        terms.add("nll", nll_R[label_R > 0])
        loss_R = vote_R + settings.preferred_nll_weight * nll_R
        if not settings.voted_kl_weight:
            return loss_R
        kl_R = self._kl(found, logits_TV[found.positions()[0]])
        terms.add("kl_voted", kl_R)
        return loss_R + settings.voted_kl_weight * kl_R

    def _pairs(self, found: Scored, nll_weight: float, terms: Terms) -> Tensor:
        settings, name = self.settings, found.rows[0].kind.value
        better, answer = self.reference.better(found.rows), self.reference.answer(found.rows)
        pair_R = objective.pair_loss(found.better_R, better, found.answer_R, answer, settings.beta, settings.flip_rate)
        terms.add(name, pair_R)
        terms.add(f"{name}_nll", -found.better_R)
        terms.add(f"{name}_margin", (found.better_R - better) - (found.answer_R - answer))
        return pair_R - nll_weight * found.better_R

    def _demonstrations(self, found: Scored, scale: float, terms: Terms) -> Tensor:
        nll_R = -scale * found.answer_R
        terms.add("nll_shown", nll_R)
        return self.settings.nll_weight * nll_R

    def _sampled(self, found: Scored, logps_T: Tensor, terms: Terms) -> Tensor:
        """Tokens' losses are added up and divided by a constant: length must earn nothing (see `answers_loss`)."""
        at_T, rows_T = found.positions()
        old_T = torch.tensor([logp for row in found.rows for logp in row.logps])
        advantage_R = torch.tensor([self._advantages[row.id] for row in found.rows])
        loss_T = clipped_loss(logps_T[at_T], old_T, advantage_R[rows_T], self.settings.ratio_clip)
        loss_R = objective.row_sums(loss_T, rows_T, len(found.rows)) / self.settings.sample_tokens
        terms.add("sampled", loss_R)
        return loss_R

    def _replay(self, found: Scored, logits_TV: Tensor, terms: Terms) -> Tensor:
        replayed_TV = logits_TV[found.positions()[0]]
        kl_R = self._kl(found, replayed_TV)
        terms.add("kl", kl_R)
        ending, before = self.reference.ending(found.rows, replayed_TV.detach())
        terms.add("ending", ending)
        terms.add("ending_before", before)
        return self.settings.kl_weight * kl_R

    def _kl(self, found: Scored, logits_TV: Tensor) -> Tensor:
        """From the parent along the rows' answers, whose logits these are: the mean over each row's positions, (R,)."""
        kl_T = objective.kl_to_reference(logits_TV, self.reference.distributions(found.rows))
        return objective.row_means(kl_T, found.positions()[1], len(found.rows))

    @torch.no_grad()
    def _z0(self, batch: Sequence[Row]) -> float:
        """KTO's reference point: KL(policy || reference), estimated by each thumb's prompt with the answer of the one before."""
        thumbs = [row for row in batch if row.kind is RowKind.THUMB]
        if not thumbs:
            return 0.0
        others = [
            msgspec.structs.replace(row, answer_ids=thumbs[place - 1].answer_ids, lesson_from=0) for place, row in enumerate(thumbs)
        ]
        log_ratio_R = score_answers(self._policy, others, self.settings.chunk_tokens, "sum")
        with self._policy.reference():
            log_ratio_R = log_ratio_R - score_answers(self._policy, others, self.settings.chunk_tokens, "sum")
        return self.settings.beta * max(float(log_ratio_R.mean()), 0.0)


class Terms:
    """Named terms of a step, each over the rows that have it, and the loss they add up to."""

    def __init__(self) -> None:
        self.total = 0.0
        self._values: defaultdict[str, list[Tensor]] = defaultdict(list)

    def add(self, name: str, value_R: Tensor) -> None:
        if value_R.numel():
            self._values[name].append(value_R.detach())

    def join(self, ranks: Ranks) -> None:
        """Makes them those of all ranks' rows."""
        found = ranks.gather((self.total, dict(self._values)))
        self.total = sum(total for total, _ in found)
        self._values.clear()
        for _, values in found:
            for name, parts in values.items():
                self._values[name] += parts

    def mean(self, name: str) -> float | None:
        return float(torch.cat(self._values[name]).mean()) if name in self._values else None

    def means(self) -> dict[str, float]:
        return {name: float(torch.cat(values).mean()) for name, values in self._values.items()}


def _advantages(rows: Sequence[Row]) -> dict[str, float]:
    """How much better than the others to its prompt each sampled answer is, by row id."""
    if not rows:
        return {}
    advantage_R = leave_one_out(torch.tensor([row.reward for row in rows]), group_by_prompt(rows))
    return dict(zip((row.id for row in rows), advantage_R.tolist(), strict=True))


def _distances(policy: Policy, rows: Sequence[Row], lesson: MixedLesson) -> dict[str, float]:
    """Mean KL per token on replayed answers, of the live version and of base to what has been learnt."""
    replayed = [row for row in rows if row.kind is RowKind.REPLAY][:MEASURED]
    found: dict[str, list[Tensor]] = {"kl_live": [], "kl_base": []}
    for chunk in rows_in_chunks(replayed, lesson.settings.chunk_tokens):
        with policy.base():
            base = objective.top_logps(logits_as_drawn(policy, chunk, lesson.settings.form)[0], KEPT_TOKENS)
        with torch.no_grad():
            logits_TV, _ = logits_as_drawn(policy, chunk, lesson.settings.form)
        found["kl_live"].append(objective.kl_to_reference(logits_TV, lesson.reference.distributions(chunk)))
        found["kl_base"].append(objective.kl_to_reference(logits_TV, base))
    return {name: float(torch.cat(values_T).mean()) for name, values_T in found.items() if values_T}
