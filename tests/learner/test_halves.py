"""Of learning in the upper layers alone: the same log-probs, no gradient below, and what is kept changes nothing."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import torch
from torch import Tensor, nn

from learner.rows import Row
from learner.train.halves import Halves
from learner.train.mixed import train
from learner.train.objective import token_logps
from learner.train.pack import Text
from learner.train.policy import Policy
from learner.train.spec import Step, Work
from tests.learner.tiny import SETTINGS, corrections, replays, thumbs

ROWS = [*thumbs(12), *corrections(4), *replays(4)]
UPPER = msgspec.structs.replace(SETTINGS, learn_share=0.5, precision="float32", checkpoint_steps=2)


def make(dirs: tuple[Path, Path], share: float = 0.5, keep_states_mb: float = 10.0) -> Policy:
    torch.set_num_threads(1)
    return Policy(*dirs, "float32", learn_share=share, keep_states_mb=keep_states_mb)


def texts(rows: list[Row]) -> list[Text]:
    return [(row.prompt_ids, row.answer_ids) for row in rows]


@torch.no_grad()
def logps(policy: Policy, rows: list[Row]) -> Tensor:
    logits_TV, tokens_T, _ = policy.logits(texts(rows))
    return token_logps(logits_TV, tokens_T)


def teach(policy: Policy, folder: Path, kill_at: int | None = None) -> list[Step]:
    steps: list[Step] = []

    def report(step: Step) -> None:
        steps.append(step)
        if step.step == kill_at:
            raise KeyboardInterrupt

    train(Work(policy, ROWS, [], UPPER, folder, report))
    return steps


@pytest.fixture(scope="module")
def dirs(model_dir: Path, zero_dir: Path) -> tuple[Path, Path]:
    return model_dir, zero_dir


def test_the_halves_together_are_the_whole(dirs: tuple[Path, Path]) -> None:
    whole, halved = make(dirs, share=1.0), make(dirs)
    torch.testing.assert_close(logps(halved, ROWS), logps(whole, ROWS), atol=1e-5, rtol=1e-5)
    with halved.reference():
        first = logps(halved, ROWS)
    with halved.reference():
        again = logps(halved, ROWS)  # of what was kept
    torch.testing.assert_close(again, first, atol=0, rtol=0)
    torch.testing.assert_close(logps(halved, ROWS[::-1]).sum(), first.sum(), atol=1e-3, rtol=1e-5)  # kept, in other bins


def test_only_the_upper_layers_learn(dirs: tuple[Path, Path], tmp_path: Path) -> None:
    policy = make(dirs)
    before = {name: tensor.clone() for name, tensor in policy.adapter_tensors().items()}
    teach(policy, tmp_path)
    after = policy.adapter_tensors()
    changed = {name for name, tensor in after.items() if not torch.equal(tensor, before[name])}
    assert changed and all(".layers.1." in name for name in changed)
    with policy.base():
        pass
    assert len(policy.parameters()) == len([name for name in after if ".layers.1." in name])  # also after switching about


def test_what_is_kept_changes_no_weight(dirs: tuple[Path, Path], tmp_path: Path) -> None:
    kept, computed = make(dirs), make(dirs, keep_states_mb=0.0)
    teach(kept, tmp_path / "kept")
    teach(computed, tmp_path / "computed")
    for name, tensor in kept.adapter_tensors().items():
        torch.testing.assert_close(tensor, computed.adapter_tensors()[name], atol=1e-3, rtol=1e-3)


def test_a_killed_run_of_the_upper_layers_equals_one_that_was_not(dirs: tuple[Path, Path], tmp_path: Path) -> None:
    whole, killed = make(dirs), make(dirs)
    steps = teach(whole, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        teach(make(dirs), tmp_path / "killed", kill_at=4)
    rest = teach(killed, tmp_path / "killed")
    assert 1 < rest[0].step <= 4 and rest[-1] == msgspec.structs.replace(steps[-1], rows_per_s=rest[-1].rows_per_s)
    assert [name for name, one in whole.adapter_tensors().items() if not torch.equal(one, killed.adapter_tensors()[name])] == []


def test_another_adapter_and_base_are_run_whole(dirs: tuple[Path, Path], tmp_path: Path) -> None:
    policy = make(dirs)
    with policy.reference():
        zero = logps(policy, ROWS)
    with torch.no_grad():
        for name, parameter in policy.peft.named_parameters():
            if ".layers.0." in name and "lora_" in name and ".base" not in name:
                parameter.normal_(generator=torch.Generator().manual_seed(1))
    with policy.base():
        torch.testing.assert_close(logps(policy, ROWS), zero, atol=1e-5, rtol=1e-5)


class Odd(nn.Module):
    """A decoder that adds something of its own to what comes in: two of it do so twice."""

    def __init__(self, decoder: nn.Module) -> None:
        super().__init__()
        self.layers, self.norm, self.config = decoder.layers, decoder.norm, decoder.config
        self.inner = [decoder]
        self.device = decoder.device

    def forward(self, input_ids: Tensor | None = None, inputs_embeds: Tensor | None = None, **more: Tensor) -> object:
        embedded = self.inner[0].embed_tokens(input_ids) if inputs_embeds is None else inputs_embeds
        return self.inner[0](inputs_embeds=embedded * 3.0, **more)


def test_a_decoder_that_is_no_plain_stack_is_not_halved(dirs: tuple[Path, Path]) -> None:
    decoder = make(dirs, share=1.0).peft.get_base_model().model
    assert Halves.of(decoder, 1, 1.0) is not None
    assert Halves.of(Odd(decoder), 1, 1.0) is None
