"""What PEFT says to the same texts: neither vLLM nor its plugins have a part in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

BARE = "base"  # what the model without an adapter is called
Scored = Mapping[str, Sequence[Sequence[float]]]  # by version: of each text, the log-prob of each token after the first


class Errors(Struct, frozen=True):
    """Distances of log-probs, in nats, over the tokens of all texts."""

    mean: float
    max: float


def score_with_peft(
    model_dir: Path, adapters: Mapping[str, Path], texts: Sequence[Sequence[int]], precision: str
) -> dict[str, list[list[float]]]:
    """The log-probs of each text under the bare model and each adapter, all weights in `precision`."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    dtype: torch.dtype = getattr(torch, precision)
    plain: Any = AutoModelForCausalLM.from_pretrained(model_dir, dtype=dtype)
    first, *rest = adapters
    model: Any = PeftModel.from_pretrained(plain, adapters[first], first, autocast_adapter_dtype=False)
    for name in rest:
        model.load_adapter(adapters[name], name, autocast_adapter_dtype=False)
    for parameter in model.eval().parameters():  # not the buffers: positions stay as exact as the model has them
        parameter.data = parameter.data.to(dtype)
    with model.disable_adapter():
        scored = {BARE: [_score(model, text) for text in texts]}
    for name in adapters:
        model.set_adapter(name)
        scored[name] = [_score(model, text) for text in texts]
    return scored


def _score(model: Any, text: Sequence[int]) -> list[float]:
    import torch

    ids_1T = torch.tensor([[*text]])
    with torch.inference_mode():
        logps_TV = model(input_ids=ids_1T).logits[0, :-1].float().log_softmax(1)
    found: list[float] = logps_TV.gather(1, ids_1T[0, 1:, None])[:, 0].tolist()
    return found


def compare(found: Scored, expected: Scored) -> dict[str, Errors]:
    """How far log-probs are from those expected, by version."""
    return {version: _errors(found[version], expected[version]) for version in expected}


def _errors(found: Sequence[Sequence[float]], expected: Sequence[Sequence[float]]) -> Errors:
    far = [abs(a - b) for ours, theirs in zip(found, expected, strict=True) for a, b in zip(ours, theirs, strict=True)]
    return Errors(sum(far) / len(far), max(far))
