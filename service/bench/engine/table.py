"""The figures of `ratchet bench engine`, for people."""

from __future__ import annotations

from service.bench.engine.measure import EngineFigures
from service.bench.engine.rates import Rates


def engine_lines(found: EngineFigures) -> list[str]:
    """A line for each arm, and one for each claim."""
    ours = Rates(found.base, found.one, found.mix, found.one_of_base, found.mix_of_base)
    lines = [f"{'':14}{'tokens/s':>9}{'of base':>9}", *_arms(ours)]
    if found.stock is not None:
        lines += ["with vLLM's own LoRA, started afterwards", *_arms(found.stock)]
    beside, size = found.beside, found.size
    lines += [
        f"{size.requests} answers at once, of {size.answer_tokens} tokens each; medians of {size.rounds} rounds",
        f"the bare model's log-probs beside adapters: {_kept(beside.unchanged, beside.max_difference)}, "
        f"in {beside.scored} scorings; at most {beside.variants} variants beside its own answers",
        f"log-probs from PEFT in float32, over {size.texts} texts of {size.text_tokens} tokens, in nats:",
        f"  {'':12}{'engine, mean':>14}{'max':>8}{'PEFT, mean':>14}{'max':>8}",
    ]
    for version, errors in found.errors.items():
        rounding = found.peft_errors[version]
        lines.append(f"  {version:12}{errors.mean:14.4f}{errors.max:8.4f}{rounding.mean:14.4f}{rounding.max:8.4f}")
    return [*lines, f"{found.machine}, {found.precision}; commit {found.commit or '-'}; {found.seconds:.0f} s"]


def _arms(rates: Rates) -> list[str]:
    return [
        f"  {'base':12}{rates.base:9.0f}",
        f"  {'one adapter':12}{rates.one:9.0f}{rates.one_of_base:9.2f}",
        f"  {'mix':12}{rates.mix:9.0f}{rates.mix_of_base:9.2f}",
    ]


def _kept(unchanged: bool, difference: float) -> str:
    return "the same to the bit" if unchanged else f"CHANGED, by up to {difference:.3g} nats"
