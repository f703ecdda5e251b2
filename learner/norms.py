"""How large the layers of a base model are, and by how much an adapter changes them (Frobenius norms).

Those of the base are remembered beside its weights, as reading all of these takes a while.
"""

from __future__ import annotations

import math
import os
from functools import lru_cache
from pathlib import Path

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from learner.model import model_sha256

MEMO = "ratchet-norms.json"


class _Memo(Struct, frozen=True):
    sha256: str  # of the weights
    norms: dict[str, float]


def layer_norms(model_dir: Path, layers: tuple[str, ...]) -> dict[str, float]:
    """The Frobenius norm of the weight of each layer, as the model's files name it without ".weight"."""
    return _layer_norms(model_dir, model_sha256(model_dir), layers)


@lru_cache(maxsize=4)
def _layer_norms(model_dir: Path, sha256: str, layers: tuple[str, ...]) -> dict[str, float]:
    memo = model_dir / MEMO
    if memo.is_file():
        known = msgspec.json.decode(memo.read_bytes(), type=_Memo)
        if known.sha256 == sha256 and known.norms.keys() >= set(layers):
            return known.norms
    norms = _measure(model_dir, set(layers))
    if os.access(model_dir, os.W_OK):
        unfinished = memo.with_suffix(f".{os.getpid()}.tmp")
        unfinished.write_bytes(msgspec.json.encode(_Memo(sha256, norms)))
        unfinished.rename(memo)
    return norms


def _measure(model_dir: Path, layers: set[str]) -> dict[str, float]:
    from safetensors import safe_open

    norms: dict[str, float] = {}
    for file in sorted(model_dir.glob("*.safetensors")):
        with safe_open(file, "pt") as weights:
            for key in weights.keys():  # noqa: SIM118 (safe_open is no mapping)
                if (layer := key.removesuffix(".weight")) in layers:
                    norms[layer] = float(weights.get_tensor(key).float().norm())
    return norms


def product_norm(lora_a: NDArray[np.floating], lora_b: NDArray[np.floating]) -> float:
    """The Frobenius norm of B A, without making that large matrix: |B A|² = sum of (BᵀB) * (A Aᵀ), both rank by rank."""
    a, b = lora_a.astype(np.float64), lora_b.astype(np.float64)
    return math.sqrt(max(float(((b.T @ b) * (a @ a.T)).sum()), 0.0))
