"""Of packing: what shares a bin or a prompt gets the log-probs it would get alone, and nothing is computed twice."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import AutoModelForCausalLM

from learner.train import pack as packing
from learner.train.objective import token_logps
from learner.train.pack import Text, in_chunks, pack
from learner.train.policy import Policy
from tests.learner.tiny import VOCABULARY


def texts_of(seed: int, count: int, prompts: int, longest: int = 40, stem: int = 12) -> list[Text]:
    """Random texts that share a few prompts, of which some begin alike, as after a system prompt."""
    chance = random.Random(seed)

    def ids(length: int) -> tuple[int, ...]:
        return tuple(chance.randrange(VOCABULARY) for _ in range(length))

    begun = ids(stem)
    asked = [(*(begun if chance.random() < 0.7 else ()), *ids(chance.randint(1, longest))) for _ in range(prompts)]
    return [(chance.choice(asked), ids(chance.randint(1, longest))) for _ in range(count)]


@torch.no_grad()
def packed_logps(policy: Policy, texts: Sequence[Text]) -> Tensor:
    logits_TV, tokens_T, _ = policy.logits(texts)
    return token_logps(logits_TV, tokens_T)


@pytest.mark.parametrize("seed", range(3))
def test_a_packed_text_has_the_log_probs_it_has_alone(model_dir: Path, zero_dir: Path, seed: int) -> None:
    policy = Policy(model_dir, zero_dir, "float32")
    plain = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32)
    texts = texts_of(seed, count=24, prompts=5)
    alone = []
    for prompt, answer in texts:
        ids = torch.tensor([[*prompt, *answer]])
        with torch.no_grad():
            logps_T = token_logps(plain(input_ids=ids).logits[0, :-1], ids[0, 1:])
        alone.append(logps_T[len(prompt) - 1 :])
    torch.testing.assert_close(packed_logps(policy, texts), torch.cat(alone), atol=2e-5, rtol=1e-5)


def test_a_gradient_through_a_shared_prompt_is_that_of_the_texts_alone(model_dir: Path, zero_dir: Path) -> None:
    policy = Policy(model_dir, zero_dir, "float32")
    texts = texts_of(7, count=8, prompts=2)

    def gradients(runs: Sequence[Sequence[Text]]) -> list[Tensor]:
        for run in runs:
            logits_TV, tokens_T, _ = policy.logits(run)
            token_logps(logits_TV, tokens_T).sum().backward()
        found = [parameter.grad.clone() for parameter in policy.parameters() if parameter.grad is not None]
        for parameter in policy.parameters():
            parameter.grad = None
        return found

    together, alone = gradients([texts]), gradients([[text] for text in texts])
    assert any(gradient.any() for gradient in together)
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 30), prompts=st.integers(1, 6), longest=st.integers(1, 300))
def test_every_token_stands_where_it_would_alone(seed: int, count: int, prompts: int, longest: int) -> None:
    texts = texts_of(seed, count, prompts, longest)
    packed = pack(texts)
    assert packed.tokens_T.tolist() == [token for _, answer in texts for token in answer]
    assert packed.texts_T.tolist() == [text for text, (_, answer) in enumerate(texts) for _ in answer]
    ids, positions = packed.ids_BW.flatten(), packed.positions_BW.flatten()
    width = packed.ids_BW.shape[1]
    start = 0
    for prompt, answer in texts:
        whole = [*prompt, *answer]
        for offset, at in enumerate(packed.at_T[start : start + len(answer)].tolist()):
            row, column = divmod(at, width)
            seen = packed.seen_BWW[row, column].nonzero().squeeze(1) + row * width
            before = len(prompt) + offset
            assert ids[seen].tolist() == whole[:before]
            assert positions[seen].tolist() == list(range(before))
        start += len(answer)


def test_a_shared_prompt_is_computed_once() -> None:
    prompt = tuple(range(1, 101))
    packed = pack([(prompt, (1, 2, 3, 4, 5))] * 8)
    assert packed.ids_BW.shape == (1, 100 + 8 * 4)


def test_a_shared_beginning_is_computed_once_in_each_bin() -> None:
    system = tuple(range(1, 101))
    texts = [((*system, *(number + 200,) * 20), (1, 2, 3, 4, 5, 6)) for number in range(12)]
    packed = pack(texts)
    bins, width = packed.ids_BW.shape
    assert (bins, width) == (2, 100 + 6 * 25)


def test_a_prompt_that_another_goes_on_from_is_all_shared() -> None:
    begun, answer = tuple(range(1, 31)), (1, 2, 3)
    assert pack([(begun, answer), ((*begun, 40, 41), answer), (begun[:9], answer)]).ids_BW.shape == (1, 32 + 3 * 2)


def test_answers_that_are_too_long_together_make_several_trees() -> None:
    answer = (1,) * (packing.MAX_TREE // 2)
    packed = pack([((1, 2), answer)] * 4)
    assert packed.ids_BW.shape[1] <= packing.MAX_TREE and packed.ids_BW.shape[0] > 1


def test_little_of_a_bin_is_padding() -> None:
    texts = texts_of(3, count=60, prompts=60, longest=90)
    used = sum(len(prompt) + len(answer) - 1 for prompt, answer in texts)
    assert used / pack(texts).ids_BW.numel() > 0.85


@pytest.mark.parametrize("text", [((), (1, 2)), ((1, 2), ())])
def test_a_text_without_a_prompt_or_an_answer_is_refused(text: Text) -> None:
    with pytest.raises(ValueError, match="expected one or more"):
        pack([((1,), (2,)), text])


@given(costs=st.lists(st.integers(1, 50), max_size=40), limit=st.integers(1, 100))
def test_chunks_keep_order_and_limit(costs: list[int], limit: int) -> None:
    chunks = list(in_chunks(list(enumerate(costs)), costs, limit))
    assert [item for chunk in chunks for item in chunk] == list(enumerate(costs))
    for chunk in chunks:
        assert len(chunk) == 1 or sum(cost for _, cost in chunk) <= limit
