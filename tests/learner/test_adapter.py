"""Of adapter folders: what could not be served as trained is refused, in words that say what was found and expected."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForCausalLM

from learner.adapter import (
    CARD,
    CONFIG,
    TARGETS,
    WEIGHTS,
    AdapterError,
    check_adapter,
    expected_shapes,
    make_zero_adapter,
)
from learner.model import model_sha256
from tests.learner.tiny import RANK

TENSOR = "base_model.model.model.layers.1.self_attn.k_proj.lora_B.weight"


@pytest.fixture
def folder(zero_dir: Path, tmp_path: Path) -> Path:
    """A good adapter to spoil."""
    return Path(shutil.copytree(zero_dir, tmp_path / "spoilt"))


def refusal(folder: Path, model_dir: Path, rank: int = RANK) -> str:
    with pytest.raises(AdapterError) as raised:
        check_adapter(folder, model_dir, rank)
    return str(raised.value)


def with_tensors(folder: Path, change: Callable[[dict[str, Tensor]], object]) -> Path:
    tensors = load_file(folder / WEIGHTS)
    change(tensors)
    save_file(tensors, folder / WEIGHTS)
    return folder


def with_config(folder: Path, **changes: object) -> Path:
    (folder / CONFIG).write_text(json.dumps({**json.loads((folder / CONFIG).read_text()), **changes}))
    return folder


def test_a_good_adapter_passes_and_gives_its_card(folder: Path, model_dir: Path) -> None:
    card = check_adapter(folder, model_dir, RANK)
    assert (card.base_sha256, card.parent, card.dataset_id) == (model_sha256(model_dir), None, None)


def test_peft_loads_the_zero_adapter_and_it_changes_no_bit(model_dir: Path, zero_dir: Path) -> None:
    base = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32)
    ids = torch.arange(20)[None]
    with torch.no_grad():
        before = base(input_ids=ids).logits
        adapted = PeftModel.from_pretrained(base, zero_dir)
        after = adapted(input_ids=ids).logits
    torch.testing.assert_close(after, before, atol=0, rtol=0)
    names = [name for name, _ in adapted.named_parameters() if "lora_" in name]
    assert len(names) == 2 * len(TARGETS) * 2


def test_peft_finds_every_tensor_that_is_expected_and_scales_by_two(model_dir: Path, folder: Path) -> None:
    with_tensors(folder, lambda tensors: fill(tensors, 0.01))
    check_adapter(folder, model_dir, RANK)
    base = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32)
    weight = base.model.layers[1].self_attn.k_proj.weight.clone()
    merged = PeftModel.from_pretrained(base, folder).merge_and_unload()
    change = merged.model.layers[1].self_attn.k_proj.weight - weight
    torch.testing.assert_close(change, torch.full_like(change, 2 * RANK * 0.01**2), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("peft_type", "LOHA", "'LOHA', expected 'LORA'"),
        ("r", 8, "8, expected 4"),
        ("lora_alpha", 4, "4.0, expected 8"),
        ("target_modules", ["q_proj"], "['q_proj'], expected ['down_proj'"),
        ("bias", "all", "'all', expected 'none'"),
        ("use_dora", True, "True, expected False"),
        ("use_rslora", True, "True, expected False"),
        ("modules_to_save", ["lm_head"], "['lm_head'], expected None"),
    ],
)
def test_a_config_that_would_be_served_otherwise_than_trained_is_refused(
    folder: Path, model_dir: Path, field: str, value: object, expected: str
) -> None:
    said = refusal(with_config(folder, **{field: value}), model_dir)
    assert said.startswith(f"spoilt: {field} is {expected}")


def test_another_rank_than_the_engines_is_refused(folder: Path, model_dir: Path) -> None:
    assert refusal(folder, model_dir, rank=16) == "spoilt: r is 4, expected 16"


def test_an_adapter_of_another_base_is_refused_by_its_weights_hash(folder: Path, model_dir: Path, other_model_dir: Path) -> None:
    said = refusal(folder, other_model_dir)
    assert model_sha256(model_dir) in said and model_sha256(other_model_dir) in said


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_that_is_not_finite_is_refused(folder: Path, model_dir: Path, value: float) -> None:
    assert refusal(with_tensors(folder, lambda tensors: tensors[TENSOR][3, 1].fill_(value)), model_dir) == (
        f"spoilt: {TENSOR} has values that are not finite numbers"
    )


@pytest.mark.parametrize("kind", [torch.float64, torch.float16, torch.bfloat16])
def test_numbers_of_another_kind_are_read_as_they_are(folder: Path, model_dir: Path, kind: torch.dtype) -> None:
    def spoil(tensors: dict[str, Tensor]) -> None:
        fill(tensors, 0.5)
        tensors.update({name: tensor.to(kind) for name, tensor in tensors.items()})

    said = refusal(with_tensors(folder, spoil), model_dir)
    layer = "model.layers.0.mlp.down_proj"
    shapes = expected_shapes(model_dir, RANK)
    (_, wide_in), (wide_out, _) = (shapes[f"base_model.model.{layer}.lora_{part}.weight"] for part in "AB")
    assert f"is changed by {2 * RANK * 0.25 * (wide_in * wide_out) ** 0.5:.4g}" in said and layer in said
    with_tensors(folder, lambda tensors: tensors[TENSOR].view(-1)[3:4].fill_(float("nan")))
    assert refusal(folder, model_dir) == f"spoilt: {TENSOR} has values that are not finite numbers"


def test_numbers_that_are_no_floats_are_refused(folder: Path, model_dir: Path) -> None:
    said = refusal(with_tensors(folder, lambda tensors: tensors.update({TENSOR: tensors[TENSOR].int()})), model_dir)
    assert said == f"spoilt: {TENSOR} is of I32, expected one of F64, F32, F16, BF16"


def test_a_missing_tensor_and_an_unexpected_one_are_named(folder: Path, model_dir: Path) -> None:
    assert f"1 tensors are missing or unexpected, first '{TENSOR}'" in refusal(
        with_tensors(folder, lambda tensors: tensors.pop(TENSOR)), model_dir
    )
    with_tensors(folder, lambda tensors: tensors.update({TENSOR: torch.zeros(16, RANK), "stranger": torch.zeros(1)}))
    assert "1 tensors are missing or unexpected, first 'stranger'" in refusal(folder, model_dir)


def test_a_tensor_of_another_shape_is_refused_with_both_shapes(folder: Path, model_dir: Path) -> None:
    expected = expected_shapes(model_dir, RANK)[TENSOR]
    said = refusal(with_tensors(folder, lambda tensors: tensors.update({TENSOR: torch.zeros(8, RANK)})), model_dir)
    assert said == f"spoilt: {TENSOR} is (8, {RANK}), expected {expected}"


def fill(tensors: dict[str, Tensor], value: float) -> None:
    tensors.update({name: torch.full_like(tensor, value) for name, tensor in tensors.items()})


def test_a_change_as_large_as_the_layer_itself_is_refused_with_the_layer_and_both_norms(folder: Path, model_dir: Path) -> None:
    with_tensors(folder, lambda tensors: fill(tensors, 0.01))
    check_adapter(folder, model_dir, RANK)
    layer = TENSOR.removesuffix(".lora_B.weight")
    weight = AutoModelForCausalLM.from_pretrained(model_dir).get_submodule(layer.removeprefix("base_model.model.")).weight
    norm = float(weight.detach().float().norm())
    a, b = torch.full((RANK, weight.shape[1]), 0.01), torch.eye(weight.shape[0], RANK)
    change = float((2 * b @ a).norm())
    b *= 1.01 * norm / change
    with_tensors(folder, lambda tensors: tensors.update({f"{layer}.lora_A.weight": a, TENSOR: b}))
    said = refusal(folder, model_dir)
    named = layer.removeprefix("base_model.model.")
    assert said == (
        f"spoilt: {named} is changed by {1.01 * norm:.4g}, and its own norm is {norm:.4g}; expected at most 1 times that"
    )
    check_adapter(folder, model_dir, RANK, max_change=1.02)


def test_a_trained_adapter_that_changes_nothing_is_refused(folder: Path, model_dir: Path) -> None:
    card = json.loads((folder / CARD).read_text())
    (folder / CARD).write_text(json.dumps({**card, "parent": "base"}))
    assert "it changes nothing" in refusal(folder, model_dir)
    with_tensors(folder, lambda tensors: tensors[TENSOR].fill_(0.01))
    assert "it changes nothing" in refusal(folder, model_dir)  # A is still zero
    with_tensors(folder, lambda tensors: fill(tensors, 0.01))
    check_adapter(folder, model_dir, RANK)


@pytest.mark.parametrize("kept_bytes", [0, 7, 500, -1])
def test_truncated_weights_are_refused(folder: Path, model_dir: Path, kept_bytes: int) -> None:
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:kept_bytes])
    said = refusal(folder, model_dir)
    assert said.startswith(f"spoilt: {WEIGHTS} cannot be read (") and said.endswith("expected a whole safetensors file")


@pytest.mark.parametrize("name", [CONFIG, CARD, WEIGHTS])
def test_a_missing_file_is_named(folder: Path, model_dir: Path, name: str) -> None:
    (folder / name).unlink()
    said = refusal(folder, model_dir)
    assert said.startswith(f"spoilt: {name} cannot be read (") and "No such file" in said


@pytest.mark.parametrize("name", [CONFIG, CARD])
@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"{}", b'{"r": "four"}', b"\x00\xff", b'{"peft_type": "\xff", "base_sha256": "\xff"}']
)
def test_a_file_that_is_not_what_an_adapter_has_is_named(folder: Path, model_dir: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)
    assert refusal(folder, model_dir).startswith(f"spoilt: {name} ")


def test_a_model_without_the_layers_adapters_are_made_for_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    save_file({"transformer.h.0.attn.c_attn.weight": torch.zeros(2, 2)}, tmp_path / "model" / "model.safetensors")
    with pytest.raises(AdapterError, match="none of the layers"):
        make_zero_adapter(tmp_path / "model", tmp_path / "adapter", RANK)


def test_a_models_hash_follows_its_weights_though_it_is_remembered(model_dir: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(model_dir, tmp_path / "model"))
    first = model_sha256(folder)
    assert model_sha256(folder) == first == model_sha256(model_dir)
    weights = next(folder.glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    assert model_sha256(folder) != first
