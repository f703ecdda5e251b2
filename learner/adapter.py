"""Adapter folders: PEFT's layout, plus what Ratchet must know to serve one safely.

vLLM accepts wrong layer names, narrower shapes, NaN and adapters of another base without a word, so `check_adapter` looks
first: by NumPy, since the service does it beside streams, and to import torch takes seconds in which none of them goes on.
A folder holds `adapter_config.json` and `adapter_model.safetensors` as PEFT writes them, and `ratchet.json`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from learner.model import model_sha256
from learner.norms import layer_norms, product_norm

if TYPE_CHECKING:
    from torch import Tensor

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
FLOATS = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": np.uint16}  # kinds of numbers that are read
T = TypeVar("T")

BASE = "base"  # the name under which the adapter that changes nothing is served

CONFIG, WEIGHTS, CARD = "adapter_config.json", "adapter_model.safetensors", "ratchet.json"
PREFIX, PART_A, PART_B = "base_model.model.", ".lora_A.weight", ".lora_B.weight"  # around a layer's name, as PEFT saves them
SCALE = 2  # alpha by rank, of every adapter made here
MAX_CHANGE = 1.0  # of a layer, as a share of its own norm: training changes a few hundredths, and one beyond is ruined


class AdapterError(Exception):
    """The folder cannot be served as an adapter of this base; the message says what was found and expected."""


class Card(Struct, frozen=True):
    """Where an adapter comes from."""

    base_sha256: str
    parent: str | None
    dataset_id: str | None


class PeftConfig(Struct, frozen=True):
    """The fields of PEFT's adapter_config.json that decide whether vLLM can serve it as trained."""

    peft_type: str
    r: int
    lora_alpha: float
    target_modules: list[str]
    bias: str = "none"
    use_dora: bool = False
    use_rslora: bool = False
    modules_to_save: list[str] | None = None
    rank_pattern: dict[str, int] = {}
    alpha_pattern: dict[str, float] = {}
    init_lora_weights: bool | str = True


def peft_config(rank: int, model_dir: Path) -> dict[str, object]:
    """The adapter_config.json of every adapter made here: alpha is twice the rank."""
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": rank,
        "lora_alpha": SCALE * rank,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": list(TARGETS),
        "base_model_name_or_path": model_dir.name,  # not its path: the same adapter has the same bytes on every machine
        "inference_mode": True,
    }


def make_zero_adapter(model_dir: Path, folder: Path, rank: int) -> None:
    """An adapter that changes nothing. It is how "base" is served: vLLM gives tokens without an adapter the wrong one."""
    import torch

    tensors = {name: torch.zeros(shape) for name, shape in expected_shapes(model_dir, rank).items()}
    write_adapter(folder, tensors, rank, model_dir, Card(model_sha256(model_dir), None, None))


def write_adapter(folder: Path, tensors: dict[str, Tensor], rank: int, model_dir: Path, card: Card) -> None:
    """Writes a new adapter folder. `tensors` are named as PEFT saves them."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True)
    save_file(tensors, folder / WEIGHTS)
    (folder / CONFIG).write_text(json.dumps(peft_config(rank, model_dir), indent=1))
    (folder / CARD).write_bytes(msgspec.json.encode(card))


def expected_shapes(model_dir: Path, rank: int) -> dict[str, tuple[int, ...]]:
    """The tensors an adapter of this base must have: A is (rank, in), B is (out, rank), for each target of each layer."""
    from safetensors import safe_open

    shapes: dict[str, tuple[int, ...]] = {}
    for file in sorted(model_dir.glob("*.safetensors")):
        with safe_open(file, "np") as weights:
            for key in weights.keys():  # noqa: SIM118 (safe_open is no mapping)
                module, _, kind = key.rpartition(".")
                if kind == "weight" and module.rpartition(".")[2] in TARGETS:
                    wide_out, wide_in = weights.get_slice(key).get_shape()
                    shapes[f"{PREFIX}{module}{PART_A}"] = (rank, wide_in)
                    shapes[f"{PREFIX}{module}{PART_B}"] = (wide_out, rank)
    if not shapes:
        raise AdapterError(f"{model_dir} has none of the layers that adapters are made for ({', '.join(TARGETS)})")
    return shapes


def check_adapter(folder: Path, model_dir: Path, rank: int, max_change: float = MAX_CHANGE) -> Card:
    """Proves that a folder is an adapter of this base, of this rank, whole, finite and of sane size.

    No layer may be changed by more than `max_change` of its own norm; and one that descends from another changes something.
    Raises `AdapterError`.
    """
    config, card = _read(folder / CONFIG, PeftConfig), _read(folder / CARD, Card)
    for field, found, expected in (
        ("peft_type", config.peft_type, "LORA"),
        ("r", config.r, rank),
        ("lora_alpha", config.lora_alpha, SCALE * rank),
        ("target_modules", sorted(config.target_modules), sorted(TARGETS)),
        ("bias", config.bias, "none"),
        ("use_dora", config.use_dora, False),
        ("use_rslora", config.use_rslora, False),
        ("modules_to_save", config.modules_to_save, None),
        ("rank_pattern", config.rank_pattern, {}),
        ("alpha_pattern", config.alpha_pattern, {}),
        ("base_sha256", card.base_sha256, model_sha256(model_dir)),
    ):
        if found != expected:
            raise AdapterError(f"{folder.name}: {field} is {found!r}, expected {expected!r}")
    changes = _check_tensors(folder, expected_shapes(model_dir, rank))
    _check_changes(folder.name, changes, layer_norms(model_dir, tuple(changes)), max_change)
    if card.parent is not None and not any(changes.values()):
        raise AdapterError(f"{folder.name}: it changes nothing (B A is zero in all {len(changes)} layers), though it was trained")
    return card


def _check_changes(name: str, changes: dict[str, float], norms: dict[str, float], max_change: float) -> None:
    for layer, change in changes.items():
        if not change <= max_change * norms[layer]:
            found = f"{layer} is changed by {change:.4g}, and its own norm is {norms[layer]:.4g}"
            raise AdapterError(f"{name}: {found}; expected at most {max_change:g} times that")


def _check_tensors(folder: Path, expected: dict[str, tuple[int, ...]]) -> dict[str, float]:
    """Checks names, shapes and values; gives the norm of the change that the adapter makes to each layer."""
    from safetensors import SafetensorError, deserialize

    try:
        read = dict(deserialize((folder / WEIGHTS).read_bytes()))  # type: ignore[no-untyped-call]
    except (SafetensorError, OSError) as error:
        raise AdapterError(f"{folder.name}: {WEIGHTS} cannot be read ({error}); expected a whole safetensors file") from error
    if odd := sorted(read.keys() ^ expected.keys()):
        raise AdapterError(f"{folder.name}: {len(odd)} tensors are missing or unexpected, first {odd[0]!r}")
    tensors = {}
    for name, shape in expected.items():
        kind, found = read[name]["dtype"], tuple(read[name]["shape"])
        if found != shape:
            raise AdapterError(f"{folder.name}: {name} is {found}, expected {shape}")
        if kind not in FLOATS:
            raise AdapterError(f"{folder.name}: {name} is of {kind}, expected one of {', '.join(FLOATS)}")
        tensors[name] = _floats(kind, read[name]["data"]).reshape(shape)
        if not np.isfinite(tensors[name]).all():
            raise AdapterError(f"{folder.name}: {name} has values that are not finite numbers")
    layers = [name.removesuffix(PART_A) for name in expected if name.endswith(PART_A)]
    return {
        layer.removeprefix(PREFIX): SCALE * product_norm(tensors[f"{layer}{PART_A}"], tensors[f"{layer}{PART_B}"])
        for layer in layers
    }


def _floats(kind: str, data: bytes) -> NDArray[np.floating]:
    """Numbers as safetensors keeps them. NumPy has no bfloat16: its bits are the upper half of a float32's."""
    if kind == "BF16":
        return (np.frombuffer(data, np.uint16).astype(np.uint32) << 16).view(np.float32)
    return np.frombuffer(data, FLOATS[kind])


def _read(file: Path, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(file.read_bytes(), type=kind)
    except OSError as error:
        raise AdapterError(f"{file.parent.name}: {file.name} cannot be read ({error.strerror})") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise AdapterError(f"{file.parent.name}: {file.name} is not what an adapter has ({error})") from error
