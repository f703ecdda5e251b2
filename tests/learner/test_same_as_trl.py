"""`mixed` over one kind of row, in the form of sums, is TRL's KTO, DPO or SFT: the same loss, the same gradient.

Both are asked on the same rows in float32, at weights that have left the reference behind.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
import torch
from torch import Tensor

from learner.adapter import make_zero_adapter
from learner.config import TrainSettings
from learner.model import BUILTIN, ensure_model
from learner.rows import Row, RowKind
from learner.train import dpo, kto, sft
from learner.train.mixed import MixedLesson
from learner.train.policy import Policy
from learner.train.spec import Work
from service.config import models_dir
from tests.learner.tiny import RANK, SETTINGS, corrections, thumbs

TOLERANCE = 1e-5  # of the whole of a tensor: float32 keeps seven digits, and sums lose some
DEEP_TOLERANCE = 1e-4  # through thirty layers, where TRL is 1.1e-5 from itself as soon as its rows are padded wider
SUMS = msgspec.structs.replace(
    SETTINGS,
    precision="float32",
    form="sum",
    beta=0.1,
    summed_beta=0.1,
    flip_rate=0.0,
    nll_weight=0.0,
    preferred_nll_weight=0.0,
    voted_kl_weight=0.0,
)
NLL = msgspec.structs.replace(SUMS, nll_weight=1.0)


class Asked(NamedTuple):
    loss: float
    gradients: list[Tensor]  # of A and B of every layer, in the model's order


def demonstrations(count: int, seed: int = 0) -> list[Row]:
    return [msgspec.structs.replace(row, kind=RowKind.DEMONSTRATION, label=0) for row in thumbs(count, seed)]


def preferences(count: int, seed: int = 0) -> list[Row]:
    return [msgspec.structs.replace(row, kind=RowKind.PREFERENCE, label=0) for row in corrections(count, seed)]


CASES = [
    pytest.param(kto, thumbs, SUMS, id="kto"),
    pytest.param(dpo, corrections, SUMS, id="dpo, corrections"),
    pytest.param(dpo, preferences, SUMS, id="dpo, preferences"),
    pytest.param(sft, demonstrations, NLL, id="sft"),
]


def move(policy: Policy, size: float, seed: int) -> None:
    """Puts the learning adapter somewhere else, the same for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.add_(size * torch.randn(parameter.shape, generator=generator))


def gradients(policy: Policy) -> list[Tensor]:
    return [torch.zeros(parameter.shape) if parameter.grad is None else parameter.grad for parameter in policy.parameters()]


def ask_trl(
    method: object, policy: Policy, rows: Sequence[Row], settings: TrainSettings, size: float, seed: int, folder: Path
) -> Asked:
    work = Work(policy, rows, [], msgspec.structs.replace(settings, batch_rows=len(rows)), folder, lambda step: None)
    trainer = method.make_trainer(work, [rows])  # type: ignore[attr-defined]
    move(policy, size, seed)
    trainer.batches = [range(len(rows))]
    loss = trainer.compute_loss(trainer.model, next(iter(trainer.get_train_dataloader())))
    loss.backward()
    return Asked(float(loss.detach()), gradients(policy))


def ask_mixed(policy: Policy, rows: Sequence[Row], settings: TrainSettings, size: float, seed: int) -> Asked:
    lesson = MixedLesson(policy, rows, settings)
    move(policy, size, seed)
    return Asked(lesson.backward(rows)["loss"], gradients(policy))


def assert_same(mixed: Asked, trl: Asked, tolerance: float = TOLERANCE) -> None:
    assert mixed.loss == pytest.approx(trl.loss, rel=TOLERANCE)
    assert len(mixed.gradients) == len(trl.gradients)
    apart = [float((ours - theirs).norm() / theirs.norm()) for ours, theirs in zip(mixed.gradients, trl.gradients, strict=True)]
    assert max(apart) < tolerance


@pytest.mark.parametrize("seed", range(3))  # KTO's z0 is above zero with seed 1, and cut to zero with the others
@pytest.mark.parametrize(("method", "make_rows", "settings"), CASES)
def test_one_kind_of_row_is_trls_loss_and_gradient(
    model_dir: Path,
    zero_dir: Path,
    tmp_path: Path,
    method: object,
    make_rows: Callable[[int, int], list[Row]],
    settings: TrainSettings,
    seed: int,
) -> None:
    torch.set_num_threads(1)
    rows = make_rows(7, seed)
    trl = ask_trl(method, Policy(model_dir, zero_dir, "float32"), rows, settings, 0.1, seed, tmp_path)
    assert min(float(gradient.norm()) for gradient in trl.gradients) > 0
    for chunk_tokens in (1024, 32):  # all rows at once, and a few at a time
        changed = msgspec.structs.replace(settings, chunk_tokens=chunk_tokens)
        assert_same(ask_mixed(Policy(model_dir, zero_dir, "float32"), rows, changed, 0.1, seed), trl)


def test_another_beta_is_another_loss(model_dir: Path, zero_dir: Path, tmp_path: Path) -> None:
    """What the comparison above would notice."""
    rows, sharper = thumbs(6), msgspec.structs.replace(SUMS, beta=0.11)
    trl = ask_trl(kto, Policy(model_dir, zero_dir, "float32"), rows, SUMS, 0.1, 0, tmp_path)
    with pytest.raises(AssertionError):
        assert_same(ask_mixed(Policy(model_dir, zero_dir, "float32"), rows, sharper, 0.1, 0), trl)


@pytest.mark.long
@pytest.mark.parametrize(("method", "make_rows", "settings"), CASES)
def test_the_same_holds_on_the_built_in_model(
    tmp_path: Path, method: object, make_rows: Callable[[int, int], list[Row]], settings: TrainSettings
) -> None:
    builtin, rows = ensure_model(BUILTIN, models_dir(), print), make_rows(4, 0)
    make_zero_adapter(builtin, tmp_path / "base", RANK)
    trl = ask_trl(method, Policy(builtin, tmp_path / "base", "float32"), rows, settings, 0.01, 0, tmp_path)
    assert_same(ask_mixed(Policy(builtin, tmp_path / "base", "float32"), rows, settings, 0.01, 0), trl, DEEP_TOLERANCE)
