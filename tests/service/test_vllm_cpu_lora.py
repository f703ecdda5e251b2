"""LoRA on the CPU equals PEFT's, layer by layer, and leaves what has no adapter as it is, to the bit.

The layers and the bookkeeping are vLLM's own, small and without an engine.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import Tensor, nn

from service.vllm_cpu_lora import FEW_ROWS, LONG_RUN, Batch, Run, arrange, register
from service.vllm_plugins import is_known

pytestmark = [
    pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning"),  # as vLLM is imported
    pytest.mark.filterwarnings("ignore:Already found a `peft_config`:UserWarning"),  # several adapters are meant
]

SLOTS, RANK, WIDE = 4, 8, 32
FORMS = {
    "qkv": {"q_proj": 32, "k_proj": 16, "v_proj": 16},
    "gate_up": {"gate_proj": 48, "up_proj": 48},
    "o": {"o_proj": 32},
}
BATCHES = {
    "one adapter": [2] * 9,
    "each row another": [0, 1, 2, 3, 2, 1, 0, 0, 3],
    "with base between": [-1, 1, -1, 0, 1, -1, 3, -1, 0],
    "in order, base first": [-1, -1, 0, 0, 0, 2],
    "long runs": [1] * 40 + [0] * 40 + [-1] * 3 + [1] * 40,
    "one row": [3],
    "many rows, mixed": [2, -1, 0, 1, 3, 0] * 40,
}
ROUNDING = {torch.float32: 1e-5, torch.bfloat16: 2.0**-6}  # relative, and of values of size one


class Layer:
    """One of vLLM's layers with its slots, and the same layer in PEFT with an adapter for each slot."""

    def __init__(self, form: str, dtype: torch.dtype, ranks: Sequence[int] = (RANK,) * SLOTS) -> None:
        from vllm.config.lora import LoRAConfig
        from vllm.lora.punica_wrapper.punica_cpu import PunicaWrapperCPU

        self.dtype, self.parts = dtype, FORMS[form]
        torch.manual_seed(len(form))
        self.peft = _peft_layers(self.parts, dtype, ranks)
        self.layer: Any = _vllm_layer(form, dtype)
        weights = [self.peft[name].base_layer.weight.detach() for name in self.parts]
        self.layer.base_layer.weight.data.copy_(torch.cat(weights))
        self.layer.base_layer.quant_method.process_weights_after_loading(self.layer.base_layer)
        config = LoRAConfig(max_lora_rank=RANK, max_loras=SLOTS, max_cpu_loras=SLOTS, lora_dtype=dtype)
        self.layer.create_lora_weights(SLOTS, config)
        self.wrapper = PunicaWrapperCPU(256, 256, "cpu")
        self.layer.set_mapping(self.wrapper)
        for slot in range(SLOTS):
            self.set(slot, slot)

    def set(self, slot: int, adapter: int, parts: Sequence[str] | None = None) -> None:
        """Puts an adapter, or the part of it for some modules, into a slot, as vLLM does: B scaled."""
        pairs = [self._pair(name, adapter) if parts is None or name in parts else (None, None) for name in self.parts]
        a, b = zip(*pairs, strict=True)
        self.layer.set_lora(slot, *((a[0], b[0]) if len(pairs) == 1 else (list(a), list(b))))

    def _pair(self, name: str, adapter: int) -> tuple[Tensor, Tensor]:
        module: Any = self.peft[name]
        key = str(adapter)
        return module.lora_A[key].weight.detach(), module.lora_B[key].weight.detach() * module.scaling[key]

    def run(self, x: Tensor, slots: Sequence[int]) -> Tensor:
        from vllm.lora.layers import LoRAMapping

        ids = tuple(slot + 1 for slot in slots)  # vLLM's 0 is the base model
        mapping = LoRAMapping(ids, ids, is_prefill=True)
        self.wrapper.update_metadata(mapping, list(range(1, SLOTS + 1)), SLOTS, 1000)
        with torch.inference_mode():
            out: Tensor = self.layer.apply(x)
        return out

    def expect(self, x: Tensor, adapters: Sequence[int]) -> Tensor:
        """What PEFT answers, with -1 for none."""
        out = x.new_empty(len(x), sum(self.parts.values()))
        of_row = torch.tensor(adapters)
        with torch.no_grad():
            for adapter in set(adapters):
                rows = (of_row == adapter).nonzero().squeeze(1)
                out[rows] = torch.cat([_ask(module, x[rows], adapter) for module in self.peft.values()], 1)
        return out

    def inputs(self, rows: int) -> Tensor:
        return torch.randn(rows, WIDE, generator=torch.Generator().manual_seed(rows)).to(self.dtype)


def _ask(module: Any, x: Tensor, adapter: int) -> Tensor:
    module.enable_adapters(adapter >= 0)
    if adapter >= 0:
        module.set_adapter(str(adapter))
    out: Tensor = module(x)
    return out


def _peft_layers(parts: dict[str, int], dtype: torch.dtype, ranks: Sequence[int]) -> nn.ModuleDict:
    layers: Any = nn.ModuleDict({name: nn.Linear(WIDE, width, bias=False, dtype=dtype) for name, width in parts.items()})
    for adapter, rank in enumerate(ranks):
        config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=list(parts), init_lora_weights=False)
        layers = inject_adapter_in_model(config, layers, str(adapter))
    made: nn.ModuleDict = layers
    return made


def _vllm_layer(form: str, dtype: torch.dtype) -> Any:
    from vllm.lora import layers
    from vllm.model_executor.layers import linear

    common: dict[str, Any] = {"bias": False, "params_dtype": dtype}
    if form == "qkv":
        return layers.MergedQKVParallelLinearWithLoRA(linear.QKVParallelLinear(WIDE, 8, 4, 2, **common))
    if form == "gate_up":
        return layers.MergedColumnParallelLinearWithLoRA(linear.MergedColumnParallelLinear(WIDE, [48, 48], **common))
    return layers.RowParallelLinearWithLoRA(linear.RowParallelLinear(WIDE, 32, **common))


def _bits(values: Tensor) -> Tensor:
    """Tells -0 from 0, and a NaN from another."""
    return values.contiguous().view(torch.uint8)


@pytest.fixture(scope="module", autouse=True)
def _registered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """vLLM as it is in a worker, with the plugin; its layers want to know their place among workers."""
    from vllm.config import VllmConfig, set_current_vllm_config
    from vllm.distributed import parallel_state

    register()
    with set_current_vllm_config(VllmConfig()):
        parallel_state.init_distributed_environment(1, 0, f"file://{tmp_path_factory.mktemp('workers')}/store", 0, "gloo")
        parallel_state.initialize_model_parallel(1, 1)
        yield
    parallel_state.destroy_model_parallel()
    parallel_state.destroy_distributed_environment()


@pytest.mark.parametrize("dtype", ROUNDING, ids=str)
@pytest.mark.parametrize("form", FORMS)
def test_rows_of_any_mix_are_answered_as_by_peft(form: str, dtype: torch.dtype) -> None:
    layer = Layer(form, dtype)
    for name, slots in BATCHES.items():
        x = layer.inputs(len(slots))
        found, expected = layer.run(x, slots), layer.expect(x, slots)
        torch.testing.assert_close(
            found, expected, rtol=ROUNDING[dtype], atol=ROUNDING[dtype], msg=lambda text, n=name: f"{n}: {text}"
        )
        assert not torch.equal(found, layer.expect(x, [-1] * len(slots))), name  # the adapters do something


@pytest.mark.parametrize("dtype", ROUNDING, ids=str)
@pytest.mark.parametrize("form", FORMS)
def test_rows_of_the_base_model_are_the_same_to_the_bit_whatever_runs_beside(form: str, dtype: torch.dtype) -> None:
    layer = Layer(form, dtype)
    for slots in BATCHES.values():
        x, base = layer.inputs(len(slots)), torch.tensor(slots) < 0
        alone = layer.run(x, [-1] * len(slots))
        assert torch.equal(_bits(layer.run(x, slots)[base]), _bits(alone[base]))


@pytest.mark.parametrize("form", FORMS)
def test_a_batch_without_adapters_multiplies_by_none(form: str) -> None:
    layer = Layer(form, torch.float32)
    x = layer.inputs(5)
    before = layer.run(x, [-1] * 5)
    for stacked in (layer.layer.lora_a_stacked, layer.layer.lora_b_stacked):
        for weights in stacked:
            weights.fill_(torch.nan)
    assert torch.equal(_bits(layer.run(x, [-1] * 5)), _bits(before))
    assert layer.wrapper.ratchet_batch == Batch(None, ())  # type: ignore[attr-defined]


@pytest.mark.parametrize("form", FORMS)
def test_an_adapter_of_zeros_multiplies_by_none_until_another_takes_its_slot(form: str) -> None:
    layer = Layer(form, torch.float32)
    x, slots = layer.inputs(4), [1, 0, 1, 1]
    base = layer.run(x, [-1] * 4)
    for weights in layer.layer.lora_b_stacked:
        weights[1] = 0  # and A as it was
    found = layer.run(x, slots)
    assert torch.equal(_bits(found[[0, 2, 3]]), _bits(base[[0, 2, 3]]))
    torch.testing.assert_close(found[[1]], layer.expect(x, slots)[[1]], rtol=1e-5, atol=1e-5)
    layer.layer.reset_lora(1)
    for weights in layer.layer.lora_a_stacked:
        weights[1].fill_(torch.nan)
    assert torch.equal(_bits(layer.run(x, [1] * 4)), _bits(base))
    layer.set(1, 2)
    torch.testing.assert_close(layer.run(x, slots), layer.expect(x, [2, 0, 2, 2]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_an_adapter_ruins_nobody_elses_rows(form: str) -> None:
    layer = Layer(form, torch.float32)
    slots = [0, 1, 0, 1, 2, -1]
    x, others = layer.inputs(len(slots)), [0, 2, 4, 5]
    together = layer.run(x, slots)

    def ruin(slot: int) -> Tensor:
        layer.layer.reset_lora(slot)  # as vLLM does before it writes
        for weights in (*layer.layer.lora_a_stacked, *layer.layer.lora_b_stacked):
            weights[slot].fill_(torch.nan)
        return layer.run(x, slots)

    before = ruin(3)  # which is in no row: from now on each adapter is multiplied by itself
    torch.testing.assert_close(before, together, rtol=1e-5, atol=1e-5)
    after = ruin(1)
    assert after[[1, 3]].isnan().all()
    assert torch.equal(_bits(after[others]), _bits(before[others]))
    assert torch.equal(_bits(after[5]), _bits(together[5]))  # of the base model, whatever way the others take


@pytest.mark.parametrize("form", ["qkv", "gate_up"])
def test_modules_that_an_adapter_lacks_stay_as_they_are(form: str) -> None:
    layer = Layer(form, torch.float32)
    first, *rest = layer.parts
    width = layer.parts[first]
    x, slots = layer.inputs(6), [0, 1, 0, 1, 2, 0]
    layer.set(0, 0, parts=[first])
    found = layer.run(x, slots)
    torch.testing.assert_close(found[[0, 2, 5], :width], layer.expect(x, [0] * 6)[[0, 2, 5], :width], rtol=1e-5, atol=1e-5)
    assert torch.equal(_bits(found[[0, 2, 5], width:]), _bits(layer.run(x, [-1] * 6)[[0, 2, 5], width:])), rest
    torch.testing.assert_close(found[[1, 3, 4]], layer.expect(x, slots)[[1, 3, 4]], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_a_slot_that_is_used_again_has_nothing_of_the_adapter_before(form: str) -> None:
    layer = Layer(form, torch.float32, ranks=(RANK, RANK, RANK, 2))
    x, slots = layer.inputs(6), [0, 1, 0, 1, 0, 1]
    torch.testing.assert_close(layer.run(x, slots), layer.expect(x, slots), rtol=1e-5, atol=1e-5)
    layer.set(0, 3)  # of a lower rank: rows of the former one would be left over
    torch.testing.assert_close(layer.run(x, slots), layer.expect(x, [3, 1] * 3), rtol=1e-5, atol=1e-5)
    layer.layer.reset_lora(0)
    torch.testing.assert_close(layer.run(x, slots), layer.expect(x, [-1, 1] * 3), rtol=1e-5, atol=1e-5)


def test_rows_are_sorted_only_where_that_spares_products() -> None:
    assert arrange(torch.tensor([2, 2, 2]), SLOTS) == Batch(None, (Run(2, slice(0, 3)),))
    assert arrange(torch.tensor([-1, -1]), SLOTS) == Batch(None, ())
    assert arrange(torch.tensor([-1, 0, 0]), SLOTS) == Batch(None, (Run(0, slice(1, 3)),))
    changing = torch.tensor([0, 1] * (FEW_ROWS // LONG_RUN))
    long = arrange(changing.repeat_interleave(LONG_RUN + 1), SLOTS)
    assert long.order is None and long.others is None and len(long.runs) == len(changing)
    least = arrange(torch.cat([changing, changing[:2]]).repeat_interleave(LONG_RUN), SLOTS)
    assert least.order is None and len(least.runs) == len(changing) + 2
    assert arrange(torch.cat([changing, changing[:2]]).repeat_interleave(LONG_RUN - 1), SLOTS).order is not None
    mixed_slots = [1, -1, 0, 1, -1, 0] * FEW_ROWS
    mixed = arrange(torch.tensor(mixed_slots), SLOTS)
    rows_of = {slot: [row for row, own in enumerate(mixed_slots) if own == slot] for slot in (0, 1)}
    assert mixed.order is not None and mixed.order.tolist() == rows_of[0] + rows_of[1] and mixed.others is None
    assert mixed.runs == (Run(0, slice(0, 2 * FEW_ROWS)), Run(1, slice(2 * FEW_ROWS, 4 * FEW_ROWS)))


def test_few_rows_are_multiplied_at_once_and_keep_to_their_own_slot() -> None:
    found = arrange(torch.tensor([1, -1, 0]), SLOTS)
    assert found.order is None and found.others is not None
    assert found.others[:, :, 0].tolist() == [[True, False, True, True], [True] * SLOTS, [False, True, True, True]]


def test_a_version_that_is_not_known_is_left_alone_and_the_log_says_so(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("vllm.ratchet")
    logger.addHandler(caplog.handler)  # vLLM's loggers do not pass on
    try:
        assert is_known("0.32.0", "slow") and not caplog.messages
        assert not is_known("0.33.1", "it is slow")
    finally:
        logger.removeHandler(caplog.handler)
    assert "vLLM 0.33.1 is not one of 0.32: it is slow" in caplog.text
