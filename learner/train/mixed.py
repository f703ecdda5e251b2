"""Method `mixed`, the daily default: votes, corrections and replay in one pass over the rows (see DESIGN of the objective).

| signal     | loss                                                                              |
|------------|-----------------------------------------------------------------------------------|
| thumb      | softplus(-y (r - shift)), and NLL where the thumb is up                             |
| correction | NLL(correction) + DPO(correction over original)                                   |
| demonstration | NLL                                                                            |
| replay     | KL(live || candidate) at every position of an answer the live model once gave      |

A row's terms are multiplied by its weight: weight 0 equals a row that is not there.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import msgspec
import torch
from torch import Tensor

from learner.config import TrainSettings
from learner.rows import Row, RowKind
from learner.train import objective
from learner.train.objective import TopLogps
from learner.train.policy import Policy, Text
from learner.train.spec import Step

BUCKET_ROWS = 8  # run together: few enough for memory, many enough for the matrix products
KEPT_TOKENS = 128  # of the parent's distribution at each replayed position


class Diverged(Exception):
    """The loss is no longer a finite number; nothing may be made of these weights."""


def train(policy: Policy, rows: Sequence[Row], settings: TrainSettings, report: Callable[[Step], None]) -> float:
    """Fits the policy's adapter to the rows. Returns the mean loss of the last pass; raises `Diverged`."""
    rows = [_lead(row, settings.lead_tokens) for row in rows if row.weight > 0]
    if not rows:
        raise Diverged("there is no row of any weight to learn from")
    reference = _reference(policy, rows)
    optimiser = torch.optim.AdamW(policy.parameters(), lr=settings.learning_rate, weight_decay=0.0, betas=(0.9, 0.99))
    batches = list(_batches(rows, settings))
    shift = objective.RunningShift()
    started_s, seen, last_pass = time.monotonic(), 0, []
    for number, batch in enumerate(batches, 1):
        for group in optimiser.param_groups:
            group["lr"] = settings.learning_rate * _schedule(number, len(batches))
        terms = _backward(policy, batch, reference, shift, settings)
        norm = torch.nn.utils.clip_grad_norm_(policy.parameters(), settings.max_grad_norm)
        if not torch.isfinite(norm):
            raise Diverged(f"the loss diverged at step {number} of {len(batches)} (gradient norm {float(norm)})")
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        seen += len(batch)
        last_pass = [*last_pass, terms["loss"]][-max(len(batches) // settings.passes, 1) :]
        rate = seen / (time.monotonic() - started_s)
        report(Step(number, len(batches), terms["loss"], rate, {**terms, "grad_norm": float(norm)}))
    return sum(last_pass) / len(last_pass)


def _lead(row: Row, tokens: int) -> Row:
    """Cuts an answer that is not to be said again to its beginning. A liked answer stays whole: its end is to be learnt."""
    whole = row.label > 0 or row.better_ids or row.kind is RowKind.DEMONSTRATION
    return row if whole else msgspec.structs.replace(row, answer_ids=row.answer_ids[:tokens])


def _schedule(step: int, steps: int) -> float:
    """Warm up over a tenth, then fall linearly to a tenth."""
    warm = max(steps // 10, 1)
    return step / warm if step <= warm else 1 - 0.9 * (step - warm) / max(steps - warm, 1)


def _batches(rows: Sequence[Row], settings: TrainSettings) -> Iterator[list[Row]]:
    """Each pass: shuffled, with kinds and labels dealt evenly over the batches."""
    shuffle = random.Random(settings.seed).shuffle
    for _ in range(settings.passes):
        order = _interleave(rows, shuffle)
        yield from (order[at : at + settings.batch_rows] for at in range(0, len(order), settings.batch_rows))


def _interleave(rows: Sequence[Row], shuffle: Callable[[list[Row]], None]) -> list[Row]:
    groups: dict[tuple[str, int], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.kind, row.label), []).append(row)
    placed: list[tuple[float, Row]] = []
    for group in groups.values():
        shuffle(group)
        placed += [((index + 0.5) / len(group), row) for index, row in enumerate(group)]
    return [row for _, row in sorted(placed, key=lambda item: item[0])]


def _length(row: Row) -> int:
    return len(row.prompt_ids) + max(len(row.answer_ids), len(row.better_ids))


def _texts(rows: Sequence[Row]) -> list[tuple[str, Text]]:
    """The texts rows are made of, by key: each answer, and each correction under the same prompt."""
    texts: list[tuple[str, Text]] = [(row.id, (row.prompt_ids, row.answer_ids)) for row in rows]
    return texts + [(f"{row.id}+", (row.prompt_ids, row.better_ids)) for row in rows if row.better_ids]


class Reference(NamedTuple):
    """What the parent says, computed once, as it never changes: mean token log-prob of each text, and its distribution
    along replayed answers."""

    means: dict[str, float]
    replayed: dict[str, TopLogps]


def _reference(policy: Policy, rows: Sequence[Row]) -> Reference:
    reference = Reference({}, {})
    voted = [row for row in rows if row.kind in (RowKind.THUMB, RowKind.CORRECTION)]
    texts = sorted(_texts(voted), key=lambda item: len(item[1][1]))
    with policy.reference():
        for start in range(0, len(texts), BUCKET_ROWS):
            keys, batch = zip(*texts[start : start + BUCKET_ROWS], strict=True)
            reference.means.update(zip(keys, _means(policy, batch).tolist(), strict=True))
        for row in rows:
            if row.kind is RowKind.REPLAY:
                reference.replayed[row.id] = objective.top_logps(policy.logits([(row.prompt_ids, row.answer_ids)])[0], KEPT_TOKENS)
    return reference


def _means(policy: Policy, batch: Sequence[Text]) -> Tensor:
    logits_TV, tokens_T, rows_T = policy.logits(batch)
    return objective.row_means(objective.token_logps(logits_TV, tokens_T), rows_T, len(batch))


def _backward(
    policy: Policy,
    batch: Sequence[Row],
    reference: Reference,
    shift: objective.RunningShift,
    settings: TrainSettings,
) -> dict[str, float]:
    """Adds the batch's gradient, a few rows of one kind and like length at a time; gives the mean of each term."""
    parts: dict[str, list[float]] = {}
    for kind, rows in _buckets(batch):
        loss_R, terms = LOSSES[kind](policy, rows, reference, shift, settings)
        weight_R = torch.tensor([row.weight for row in rows])
        loss = (weight_R * loss_R).sum() / len(batch)
        loss.backward()
        parts.setdefault("loss", []).append(float(loss.detach()))
        for name, value in terms.items():
            parts.setdefault(name, []).append(value)
    return {name: sum(values) if name == "loss" else sum(values) / len(values) for name, values in parts.items()}


def _buckets(batch: Sequence[Row]) -> Iterator[tuple[RowKind, list[Row]]]:
    """Rows of one kind, of like length: padding to the longest of a mixed batch would double the work."""
    for kind in LOSSES:
        rows = sorted((row for row in batch if row.kind is kind), key=_length)
        yield from ((kind, rows[at : at + BUCKET_ROWS]) for at in range(0, len(rows), BUCKET_ROWS))


def _thumbs(
    policy: Policy,
    rows: Sequence[Row],
    reference: Reference,
    shift: objective.RunningShift,
    settings: TrainSettings,
) -> tuple[Tensor, dict[str, float]]:
    mean_R = _means(policy, [(row.prompt_ids, row.answer_ids) for row in rows])
    reference_R = torch.tensor([reference.means[row.id] for row in rows])
    label_R = torch.tensor([float(row.label) for row in rows])
    shift_now = shift.update(settings.beta * (mean_R - reference_R), label_R)
    vote_R = objective.thumb_loss(mean_R, reference_R, label_R, shift_now, settings.beta)
    nll_R = -mean_R * (label_R > 0)
    gain_R = (mean_R - reference_R).detach() * label_R
    terms = {
        "thumb": float(vote_R.detach().mean()),
        "nll": float(nll_R.detach().mean()),
        "margin": float(gain_R.mean()),
    }
    return vote_R + settings.nll_weight * nll_R, terms


def _corrections(
    policy: Policy,
    rows: Sequence[Row],
    reference: Reference,
    shift: objective.RunningShift,
    settings: TrainSettings,
) -> tuple[Tensor, dict[str, float]]:
    count = len(rows)
    mean_2R = _means(policy, [text for _, text in _texts(rows)])
    reference_2R = torch.tensor([reference.means[key] for key, _ in _texts(rows)])
    worse_R, better_R = mean_2R[:count], mean_2R[count:]
    pair_R = objective.pair_loss(better_R, reference_2R[count:], worse_R, reference_2R[:count], settings.beta)
    return pair_R - settings.nll_weight * better_R, {
        "pair": float(pair_R.detach().mean()),
        "nll_better": float(-better_R.detach().mean()),
    }


def _demonstrations(
    policy: Policy,
    rows: Sequence[Row],
    reference: Reference,
    shift: objective.RunningShift,
    settings: TrainSettings,
) -> tuple[Tensor, dict[str, float]]:
    nll_R = -_means(policy, [(row.prompt_ids, row.answer_ids) for row in rows])
    return settings.nll_weight * nll_R, {"nll_shown": float(nll_R.detach().mean())}


def _replay(
    policy: Policy,
    rows: Sequence[Row],
    reference: Reference,
    shift: objective.RunningShift,
    settings: TrainSettings,
) -> tuple[Tensor, dict[str, float]]:
    texts = [(row.prompt_ids, row.answer_ids) for row in rows]
    logits_TV, _, rows_T = policy.logits(texts)
    kept = [reference.replayed[row.id] for row in rows]
    parent = TopLogps(torch.cat([top.logps_TK for top in kept]), torch.cat([top.tokens_TK for top in kept]))
    kl_R = objective.row_means(objective.kl_to_reference(logits_TV, parent), rows_T, len(rows))
    return settings.kl_weight * kl_R, {"kl": float(kl_R.detach().mean())}


LOSSES = {
    RowKind.THUMB: _thumbs,
    RowKind.CORRECTION: _corrections,
    RowKind.DEMONSTRATION: _demonstrations,
    RowKind.REPLAY: _replay,
}
