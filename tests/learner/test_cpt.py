"""Of method `cpt`: a corpus becomes likelier token by token, as the plain model counts it, and nothing but its rows matters."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from learner.config import TrainSettings
from learner.rows import Row, RowKind, Split, write_rows
from learner.train import job
from learner.train.cpt import NextTokens, perplexity, train
from learner.train.pack import Text
from learner.train.policy import Policy
from learner.train.spec import ADAPTER, JOB, ROWS, Diverged, Job, Outcome, Work
from tests.learner.tiny import SETTINGS, VOCABULARY, thumbs, weighed

CHUNK = 1024
WORDS = 8
FLOAT32 = msgspec.structs.replace(SETTINGS, method="cpt", precision="float32")


@pytest.fixture
def policy(model_dir: Path, zero_dir: Path) -> Policy:
    torch.set_num_threads(1)
    return Policy(model_dir, zero_dir, "float32")


def pieces(count: int, seed: int = 0, split: Split = Split.TRAIN) -> list[Row]:
    """A language of few words, which mostly follow each other in one order."""
    return [_piece(f"piece-{seed}-{number}", random.Random(f"{seed}/{number}"), split) for number in range(count)]


def _piece(id: str, chance: random.Random, split: Split) -> Row:
    ids = [chance.randrange(WORDS)]
    for _ in range(chance.randint(2, 20)):
        ids.append((ids[-1] + 1) % WORDS if chance.random() < 0.875 else chance.randrange(WORDS))
    return Row(id, "", RowKind.TEXT, split, 1.0, (), tuple(ids))


def taught(
    policy: Policy, folder: Path, rows: Sequence[Row], heldout: Sequence[Row] = (), settings: TrainSettings = FLOAT32
) -> Outcome:
    return train(Work(policy, rows, heldout, settings, folder, lambda step: None))


def gradient(policy: Policy, batch: Sequence[Row], chunk_tokens: int = CHUNK) -> list[Tensor]:
    for parameter in policy.parameters():
        parameter.grad = None
    NextTokens(policy, chunk_tokens).backward(batch)
    return [parameter.grad.clone() for parameter in policy.parameters() if parameter.grad is not None]


def test_a_corpus_is_learnt_and_what_it_was_good_for_is_measured_on_pieces_that_are_not(policy: Policy, tmp_path: Path) -> None:
    rows, heldout = pieces(64), pieces(16, seed=1, split=Split.HELDOUT)
    outcome = taught(policy, tmp_path, rows, heldout, msgspec.structs.replace(FLOAT32, passes=6))
    measures = outcome.measures
    assert measures["heldout_perplexity_before"] > VOCABULARY / 2 > 4 * measures["heldout_perplexity_after"]
    assert measures["heldout_perplexity_after"] == perplexity(policy, heldout, CHUNK)
    assert measures["train_tokens"] == sum(len(row.answer_ids) - 1 for row in rows)


def test_perplexity_is_that_of_the_plain_model_with_a_first_token_as_context_only(policy: Policy, model_dir: Path) -> None:
    rows = pieces(5)
    plain = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32)
    nll, tokens = 0.0, 0
    for row in rows:
        ids = torch.tensor([row.answer_ids])
        with torch.no_grad():
            nll += float(plain(input_ids=ids, labels=ids).loss) * (ids.shape[1] - 1)
        tokens += ids.shape[1] - 1
    assert perplexity(policy, rows, CHUNK) == pytest.approx(math.exp(nll / tokens), rel=1e-4)


def test_how_many_tokens_run_together_changes_no_gradient(policy: Policy) -> None:
    rows = pieces(8)
    for one, other in zip(gradient(policy, rows), gradient(policy, rows, chunk_tokens=16), strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-4)


def test_a_row_counts_by_its_weight_and_one_of_weight_zero_or_another_kind_not_at_all(policy: Policy, tmp_path: Path) -> None:
    [one, other] = pieces(2)
    heavy = gradient(policy, [*weighed([one], 2.0), other])
    for doubled, apart in zip(heavy, gradient(policy, [one, one, other]), strict=True):
        torch.testing.assert_close(doubled, apart, atol=1e-6, rtol=1e-4)
    with pytest.raises(Diverged, match="no row"):
        taught(policy, tmp_path, [*weighed(pieces(4), 0.0), *thumbs(4), msgspec.structs.replace(one, answer_ids=(5,))])


def test_the_same_seed_gives_the_same_adapter(model_dir: Path, zero_dir: Path, tmp_path: Path) -> None:
    def adapter(seed: int, folder: str) -> dict[str, Tensor]:
        policy = Policy(model_dir, zero_dir, "float32")
        taught(policy, tmp_path / folder, pieces(24), settings=msgspec.structs.replace(FLOAT32, seed=seed, passes=1))
        return policy.adapter_tensors()

    first, again, other = adapter(0, "first"), adapter(0, "again"), adapter(1, "other")
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_a_job_leaves_an_adapter_and_its_figures(model_dir: Path, zero_dir: Path, tmp_path: Path) -> None:
    write_rows(tmp_path / ROWS, [*pieces(24), *pieces(8, seed=1, split=Split.HELDOUT)])
    settings = msgspec.structs.replace(FLOAT32, passes=1)
    (tmp_path / JOB).write_bytes(msgspec.json.encode(Job(str(model_dir), "base", str(zero_dir), "dataset-1", settings)))
    result = job.run(tmp_path)
    assert result.error is None and (tmp_path / ADAPTER).is_dir()
    assert result.measures["heldout_perplexity_after"] < result.measures["heldout_perplexity_before"]


class Watched:
    """The policy, and how many tokens it was given at a time."""

    def __init__(self, policy: Policy) -> None:
        self.policy, self.given = policy, list[int]()

    def logits(self, texts: Sequence[Text]) -> tuple[Tensor, Tensor, Tensor]:
        self.given.append(sum(len(prompt) + len(answer) for prompt, answer in texts))
        return self.policy.logits(texts)


def test_no_more_tokens_are_run_together_than_the_settings_say(policy: Policy) -> None:
    watched = Watched(policy)
    rows = [Row(f"text-{n}", "", RowKind.TEXT, Split.TRAIN, 1.0, (), tuple(range(1, 21))) for n in range(12)]
    NextTokens(watched, chunk_tokens=50).backward(rows)
    perplexity(watched, rows, chunk_tokens=50)
    assert max(watched.given) <= 50 and sum(watched.given) == 2 * 12 * 20
