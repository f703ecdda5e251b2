"""What held-out votes say of a candidate is what would come of it: held against every answer there is."""

from __future__ import annotations

import math
from itertools import product
from pathlib import Path

import msgspec
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from learner.adapter import WEIGHTS
from learner.evaluate.appraising import appraise, gain, go_along, liked_of_longer
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
    moved = [along.moved_T for at in range(0, len(rows), 512) for along in go_along(policy, rows[at : at + 512])]
    liked_N = torch.tensor(liked, dtype=torch.float64)
    change = float(((candidate_N - live_N) * liked_N).sum())
    assert abs(change) > 1e-4
    for baseline_T in (torch.zeros(2), torch.tensor([0.4, 0.1])):
        gain_N = torch.tensor([gain(one, baseline_T, up) for one, up in zip(moved, liked, strict=True)], dtype=torch.float64)
        assert float((live_N * gain_N).sum()) == pytest.approx(change, rel=0.1)
        for everybody in (True, False):  # who likes all there is, or nothing, is told of no change
            same_N = torch.tensor([gain(one, baseline_T, everybody) for one in moved], dtype=torch.float64)
            assert float((live_N * same_N).sum()) == pytest.approx(0, abs=1e-5)


def test_the_baseline_is_the_share_of_longer_answers_that_was_liked() -> None:
    found_T = liked_of_longer([1, 2, 2, 4], [True, True, False, False], 5)
    mean, prior = 0.5, 2.0
    expected = [(liked + prior * mean) / (count + prior) for liked, count in ((2, 4), (1, 3), (0, 1), (0, 1), (0, 0))]
    assert found_T.tolist() == pytest.approx(expected)
    assert liked_of_longer([], [], 2).tolist() == [0.5, 0.5]


def test_an_answer_longer_than_anybody_liked_weighs_next_to_nothing_where_it_went_on() -> None:
    baseline_T = liked_of_longer([10] * 200 + [100] * 200, [True] * 200 + [False] * 200, 100)
    moved_T = torch.ones(100, dtype=torch.float64)
    assert gain(moved_T[10:], baseline_T[10:], liked=False) == pytest.approx(0, abs=0.5)
    assert gain(moved_T[:10], baseline_T, liked=False) == pytest.approx(-5, abs=0.1)


@pytest.mark.parametrize("live", ["base", "r1"])
def test_the_job_tells_of_each_candidate_and_vote_and_nothing_else(
    model_dir: Path, zero_dir: Path, tmp_path: Path, live: str
) -> None:
    policy = nudged(model_dir, zero_dir, tmp_path / "moved", 0.05)
    judging = [msgspec.structs.replace(row, split=Split.HELDOUT, drawn_by=live) for row in (*thumbs(7), *corrections(3))]
    held = [*judging, *(msgspec.structs.replace(row, id=f"old {row.id}", drawn_by="r0") for row in judging[:4])]
    taught = [msgspec.structs.replace(row, id=f"taught {row.id}", drawn_by=live) for row in thumbs(9)]
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
    alone = [msgspec.structs.replace(row, better_ids=()) for row in held]
    with torch.no_grad():
        expected = score_answers(policy, alone, 40).tolist()
    assert [found.means["moved"][row.id] for row in held] == pytest.approx(expected, abs=1e-5)
    for name in ("same", "base"):  # this live version is as base is
        assert found.means[name] == pytest.approx(found.means[live], abs=1e-5)
