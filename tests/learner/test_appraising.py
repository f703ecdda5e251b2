"""What held-out votes say of a candidate is what would come of it: held against every answer there is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import pytest
import torch
from msgspec.structs import replace
from safetensors.torch import load_file, save_file
from torch import Tensor

from learner.adapter import WEIGHTS
from learner.evaluate.appraising import MAX_MOVE_NATS, PRIOR_VOTES, Along, appraise, gains_of, go_along, liked_by_others
from learner.evaluate.spec import Appraisal
from learner.rows import Row, RowKind, Split, write_rows
from learner.train.policy import Policy
from learner.train.reference import score_answers
from tests.learner.tiny import VOCABULARY, corrections, thumbs

PROMPT = (3, 1, 4)
COLD = 0.7
END = 5  # of the answers below: those that do not end so are one token longer


def nudged(model_dir: Path, base: Path, folder: Path, by: float) -> Policy:
    """Base beside a copy of it with so much noise in its weights."""
    folder.mkdir()
    for file in base.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    chance = torch.Generator().manual_seed(3)
    tensors = load_file(folder / WEIGHTS)
    noisy = {name: tensor + by * torch.randn(tensor.shape, generator=chance) for name, tensor in tensors.items()}
    save_file(noisy, folder / WEIGHTS)
    return Policy(model_dir, base, "float32", start_dir=folder)


def answers(temperature: float) -> list[Row]:
    """Every answer of one token that ends the turn, and of two that do not."""
    texts = [(END,), *((first, second) for first, second in product(range(VOCABULARY), repeat=2) if first != END)]
    return [
        Row(str(n), "", RowKind.THUMB, Split.HELDOUT, 1.0, PROMPT, ids, 1, temperature=temperature) for n, ids in enumerate(texts)
    ]


def chances(policy: Policy, temperature: float) -> Tensor:
    """Of each of these answers, in their order, (N,)."""
    texts = [(PROMPT, (first, 0)) for first in range(VOCABULARY)]
    logits_TV, _, _ = policy.logits(texts)
    logp_TV = (logits_TV / temperature).log_softmax(dim=1).double()
    first_V, second_VV = logp_TV[0], logp_TV[1::2]
    both_VV = first_V[:, None] + second_VV
    return torch.cat([first_V[END : END + 1], both_VV[[first for first in range(VOCABULARY) if first != END]].flatten()]).exp()


@pytest.mark.parametrize("temperature", [1.0, COLD])
def test_the_mean_gain_is_the_change_in_the_share_of_thumbs_up(
    model_dir: Path, zero_dir: Path, tmp_path: Path, temperature: float
) -> None:
    """Over all answers, each as often as the live version gives it, whatever people like and whatever the baseline."""
    rows = answers(temperature)
    liked = [len(row.answer_ids) == 1 or sum(row.answer_ids) % 3 == 0 for row in rows]
    policy = nudged(model_dir, zero_dir, tmp_path / "candidate", 0.02)
    with torch.no_grad(), policy.reference():
        live_N = chances(policy, temperature)
    with torch.no_grad():
        candidate_N = chances(policy, temperature)
    assert float(live_N.sum()) == pytest.approx(1, abs=1e-5)
    along = [one for at in range(0, len(rows), 512) for one in go_along(policy, rows[at : at + 512])]
    liked_N = torch.tensor(liked, dtype=torch.float64)
    change = float(((candidate_N - live_N) * liked_N).sum())
    assert abs(change) > 1e-4

    def mean_gain(ups: Sequence[bool]) -> float:
        judging = [(replace(row, label=1 if up else -1), one) for row, up, one in zip(rows, ups, along, strict=True)]
        return float((live_N * torch.tensor(gains_of(judging), dtype=torch.float64)).sum())

    assert mean_gain(liked) == pytest.approx(change, rel=0.1)
    for everybody in (True, False):  # who likes all there is, or nothing, is told of no change
        assert mean_gain([everybody] * len(rows)) == pytest.approx(0, abs=1e-5)


def test_what_is_moved_is_nothing_on_average_and_has_the_variance_that_it_says_however_far_a_candidate_goes(
    model_dir: Path, zero_dir: Path, tmp_path: Path
) -> None:
    rows = answers(1.0)
    policy = nudged(model_dir, zero_dir, tmp_path / "candidate", 3.0)
    with torch.no_grad(), policy.reference():
        live_N = chances(policy, 1.0)
    along = [one for at in range(0, len(rows), 512) for one in go_along(policy, rows[at : at + 512])]
    assert max(float((one.candidate_T - one.live_T).abs().max()) for one in along) > MAX_MOVE_NATS
    first_N = torch.stack([one.moved_T[0] for one in along])
    assert float((live_N * first_N).sum()) == pytest.approx(0, abs=1e-4)
    assert float((live_N * first_N.square()).sum()) == pytest.approx(float(along[0].spread_T[0]), rel=1e-3)
    assert float(first_N.max() - first_N.min()) <= 2 * MAX_MOVE_NATS + 1e-6


def test_the_baseline_is_what_others_liked_where_the_candidate_moves_as_much() -> None:
    liked_N = torch.tensor([1.0, 0.0, 1.0, 0.0], dtype=torch.float64)
    spread = [torch.tensor(values, dtype=torch.float64) for values in ([2.0], [1.0, 3.0], [4.0], [1.0, 1.0])]
    found_NT = liked_by_others(liked_N, ["a", "b", "b", "c"], spread)

    def share(ups: float, weight: float, total_ups: float, total: float, tokens: int) -> float:
        prior = PRIOR_VOTES * total / tokens
        return (ups + prior * total_ups / total) / (weight + prior)

    assert found_NT[0].tolist() == pytest.approx([share(4, 6, 4, 10, 5), share(0, 4, 4, 10, 5)])
    assert found_NT[1].tolist() == found_NT[2].tolist() == pytest.approx([share(2, 3, 2, 4, 3), share(0, 1, 2, 4, 3)])
    assert found_NT[3].tolist() == pytest.approx([share(6, 7, 6, 10, 4), share(0, 3, 6, 10, 4)])
    assert liked_by_others(liked_N, ["a"] * 4, spread).unique().tolist() == [0.5]


def test_an_answer_longer_than_anybody_liked_weighs_next_to_nothing_where_it_went_on() -> None:
    def vote(number: int, length: int, label: int) -> tuple[Row, Along]:
        row = Row(str(number), f"person {number}", RowKind.THUMB, Split.HELDOUT, 1.0, PROMPT, (1,) * length, label)
        one_T = torch.ones(length, dtype=torch.float64)
        return row, Along(one_T, one_T, one_T, one_T)

    votes = [*(vote(number, 10, 1) for number in range(200)), *(vote(number, 100, -1) for number in range(200, 400))]
    gains = gains_of(votes)
    assert gains[0] == pytest.approx(5, abs=0.2)
    assert gains[-1] == pytest.approx(-5, abs=0.5)


@pytest.mark.parametrize("live", ["base", "r1"])
def test_the_job_tells_of_each_candidate_and_vote_and_nothing_else(
    model_dir: Path, zero_dir: Path, tmp_path: Path, live: str
) -> None:
    policy = nudged(model_dir, zero_dir, tmp_path / "moved", 0.05)
    judging = [replace(row, split=Split.HELDOUT, drawn_by=live) for row in (*thumbs(7), *corrections(3))]
    held = [*judging, *(replace(row, id=f"old {row.id}", drawn_by="r0") for row in judging[:4])]
    taught = [replace(row, id=f"taught {row.id}", drawn_by=live) for row in thumbs(9)]
    write_rows(tmp_path / "rows.jsonl", [*held, *taught])
    candidates = {"same": str(zero_dir), "moved": str(tmp_path / "moved")}
    job = Appraisal(str(model_dir), live, str(zero_dir), candidates, str(tmp_path / "rows.jsonl"), "float32", 1, 40)
    told: list[tuple[int, str]] = []
    found = appraise(job, lambda *step: told.append(step))
    assert {name: set(of_vote) for name, of_vote in found.gains.items()} == {
        name: {row.id for row in judging} for name in candidates
    }
    assert set(found.gains["same"].values()) == {0.0}
    assert all(math.isfinite(value) and value for value in found.gains["moved"].values())
    assert sum(count for count, _ in told) == 2 * len(held)
    assert set(found.means) == {"base", live, *candidates}
    alone = [replace(row, better_ids=()) for row in held]
    with torch.no_grad():
        expected = score_answers(policy, alone, 40).tolist()
    assert [found.means["moved"][row.id] for row in held] == pytest.approx(expected, abs=1e-5)
    for name in ("same", "base"):  # this live version is as base is
        assert found.means[name] == pytest.approx(found.means[live], abs=1e-5)
