"""`ratchet bench engine`: what adapters cost the engine, whether they are right, and whether they leave the base model alone.

An engine is started with four random adapters. Three arms take turns to ask it the same prompts for answers of the same
length: the bare model, one adapter, and a mix of all. Then texts are scored: by the bare model beside answers of its own
and beside answers of adapters, and by each version, to be compared with PEFT, which runs when the engine is gone.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec import Struct

from learner.engine import Engine
from learner.machine import resolve
from learner.tokens import Tokens
from service import bench
from service.bench.engine.base import BaseFigures, measure_base, running
from service.bench.engine.peft import Errors, compare, score_with_peft
from service.bench.engine.rates import Arm, Rates, ask_for, measure_rates
from service.bench.learner.rows import Prose, Tokenizer, load_prose
from service.bench.random_adapter import make_random_adapter
from service.settings import EngineSettings
from service.supervisor import NOBODY, Supervisor, engine_command

ADAPTERS = 4
Say = Callable[[str], None]


class Size(Struct, frozen=True):
    """How much is measured."""

    requests: int = 24  # at once; a multiple of the adapters, so that the mix has as many of each
    answer_tokens: int = 64
    rounds: int = 5
    texts: int = 8
    text_tokens: int = 96
    repeats: int = 3  # of each text's scoring by the bare model
    rank: int = 16
    max_model_len: int = 2048  # also the most tokens of the answers that run beside


QUICK = Size(requests=4, answer_tokens=8, rounds=1, texts=2, text_tokens=32, repeats=2)


class EngineFigures(Struct, frozen=True):
    """`base`, `one` and `mix` are tokens of answers per second, by the arms' medians."""

    base: float
    one: float
    mix: float
    one_of_base: float  # the median over rounds of the ratio within a round
    mix_of_base: float
    stock: Rates | None  # the same with vLLM's own LoRA, in an engine started afterwards
    base_unchanged: bool  # see `BaseFigures`
    beside: BaseFigures
    max_logprob_error: float  # the largest of `errors` under an adapter, in nats, for one token
    errors: dict[str, Errors]  # of the engine, by version: "base" is the bare model
    peft_errors: dict[str, Errors]  # of PEFT in the engine's precision: what rounding alone does
    precision: str
    size: Size
    machine: str
    commit: str
    seconds: float


async def measure_engine(
    folder: Path, model_dir: Path, size: Size, with_stock: bool, say: Say = lambda line: None
) -> EngineFigures:
    """All figures, with files in `folder`. Raises `EngineError` where the engine does not start, or does not answer in full."""
    began = time.monotonic()
    settings = EngineSettings(lora_rank=size.rank, max_model_len=size.max_model_len)
    prose = load_prose()
    texts = cut_texts(prose, Tokens(model_dir), size)
    adapters = {
        f"random-{seed}": make_random_adapter(model_dir, folder / f"random-{seed}", size.rank, seed) for seed in range(ADAPTERS)
    }
    names = [*adapters]
    async with _engine(settings, model_dir, folder / "engine", adapters) as engine:
        rates = await _measure_rates(engine, names, prose, size, say)
        say("the bare model's log-probs, beside its own answers and beside those of adapters")
        beside = await measure_base(
            lambda text: engine.score(NOBODY, text, priority=0),
            lambda models: running(engine, models, prose.prompts[0], size.max_model_len // 2),
            names,
            texts,
            size.repeats,
        )
        scored = {name: [await engine.score(name, text, priority=0) for text in texts] for name in (NOBODY, *names)}
    stock = None
    if with_stock:
        say("the same with vLLM's own LoRA")
        async with _engine(settings, model_dir, folder / "stock", adapters, plain=True) as engine:
            stock = await _measure_rates(engine, names, prose, size, say)
    say("PEFT's log-probs")
    precision = resolve(settings.precision)
    exact = score_with_peft(model_dir, adapters, texts, "float32")
    rounded = exact if precision == "float32" else score_with_peft(model_dir, adapters, texts, precision)
    errors = compare({"base": scored.pop(NOBODY), **scored}, exact)
    return EngineFigures(
        base=rates.base,
        one=rates.one,
        mix=rates.mix,
        one_of_base=rates.one_of_base,
        mix_of_base=rates.mix_of_base,
        stock=stock,
        base_unchanged=beside.unchanged,
        beside=beside,
        max_logprob_error=max(errors[name].max for name in names),
        errors=errors,
        peft_errors=compare(rounded, exact),
        precision=precision,
        size=size,
        machine=bench.machine(),
        commit=bench.commit(),
        seconds=time.monotonic() - began,
    )


def cut_texts(prose: Prose, tokens: Tokenizer, size: Size) -> list[list[int]]:
    """Token ids of so many texts, each as long as `size` says: real words one after another."""
    ids = tokens.text(" ".join(prose.words[: size.texts * size.text_tokens]))  # a word is a token or more
    return [ids[at * size.text_tokens :][: size.text_tokens] for at in range(size.texts)]


@asynccontextmanager
async def _engine(
    settings: EngineSettings, model_dir: Path, run_dir: Path, adapters: dict[str, Path], plain: bool = False
) -> AsyncIterator[Engine]:
    """A real engine with these adapters, gone at the end of the block; a `plain` one has vLLM's own LoRA."""

    async def wanted() -> Sequence[tuple[str, Path]]:
        return [*adapters.items()]

    def command(port: int) -> list[str]:
        first = ["env", "VLLM_PLUGINS=ratchet_score_tail"] if plain else []
        return [*first, *engine_command(settings, model_dir.resolve(), port)]

    supervisor = Supervisor(settings, model_dir, run_dir, wanted, command)
    await supervisor.start()
    try:
        await supervisor.wait_ready(settings.start_timeout_s)
        async with Engine(supervisor.url) as engine:
            yield engine
    finally:
        await supervisor.stop()


async def _measure_rates(engine: Engine, names: Sequence[str], prose: Prose, size: Size, say: Say) -> Rates:
    versions = {Arm.BASE: [NOBODY], Arm.ONE: names[:1], Arm.MIX: names}
    prompts = [prose.prompts[at % len(prose.prompts)] for at in range(size.requests)]
    return await measure_rates(ask_for(engine, size.answer_tokens), versions, prompts, size.rounds, say)
