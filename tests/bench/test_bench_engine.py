"""`ratchet bench engine` prints every figure that is promised, and its comparisons notice what they are to notice.

The engine that it starts is not started here: what it is asked is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median

import msgspec
import pytest
import torch

from learner.engine import Choice, Completion, Delta, Engine, EngineError, Usage
from learner.train.policy import Policy
from service.bench.engine.base import measure_base, running
from service.bench.engine.measure import QUICK, EngineFigures, cut_texts
from service.bench.engine.peft import BARE, Errors, compare, score_with_peft
from service.bench.engine.rates import Arm, Rates, ask_for, measure_rates, summarize
from service.bench.engine.table import engine_lines
from service.bench.learner.rows import Prose
from service.bench.random_adapter import make_random_adapter
from service.bench.tiny_model import make_tiny_model
from tests.learner.tiny import LetterTokens

PROMISED = {"base", "one", "mix", "base_unchanged", "max_logprob_error", "machine", "commit", "seconds"}
NAMES = ["a", "b"]
TEXTS = [[1, 2, 3], [4, 5, 6]]


class AnsweringEngine(Engine):
    """Answers with so many tokens, and goes on with a stream until it is left or has said so many."""

    def __init__(self, tokens: int) -> None:
        super().__init__("http://nowhere")
        self.tokens = tokens
        self.streams: list[object] = []  # models of those that run now

    async def complete(self, body: dict[str, object], request_id: str) -> Completion:
        return Completion(usage=Usage(completion_tokens=self.tokens))

    async def stream(self, body: dict[str, object], request_id: str) -> AsyncGenerator[Completion, None]:
        self.streams.append(body["model"])
        try:
            for _ in range(self.tokens):
                await asyncio.sleep(0)
                yield Completion(choices=[Choice(delta=Delta("word "))])
        finally:
            self.streams.remove(body["model"])


def test_every_arm_is_asked_the_same_once_a_round_and_in_turn() -> None:
    asked: list[tuple[str, str]] = []
    said: list[str] = []

    async def ask(model: str, prompt: str) -> int:
        asked.append((model, prompt))
        return 5

    versions = {Arm.BASE: ["none"], Arm.ONE: NAMES[:1], Arm.MIX: NAMES}
    rates = asyncio.run(measure_rates(ask, versions, ["p", "q"], 2, said.append))
    base, one, mix = ([("none", "p"), ("none", "q")], [("a", "p"), ("a", "q")], [("a", "p"), ("b", "q")])
    assert asked == [*base, *one, *mix, *base, *one, *mix, *one, *mix, *base]
    assert len(said) == 6 and min(rates.base, rates.one, rates.mix) > 0


def test_ratios_are_taken_within_a_round() -> None:
    slow_then_fast = {Arm.BASE: [10.0, 100.0, 50.0], Arm.ONE: [9.0, 90.0, 45.0], Arm.MIX: [8.0, 60.0, 40.0]}
    assert summarize(slow_then_fast) == Rates(50.0, 45.0, 40.0, pytest.approx(0.9), median([0.8, 0.6, 0.8]))


def test_answers_of_another_length_are_no_measurement() -> None:
    assert asyncio.run(ask_for(AnsweringEngine(5), 5)("a", "p")) == 5
    with pytest.raises(EngineError, match="4 tokens, expected 5"):
        asyncio.run(ask_for(AnsweringEngine(4), 5)("a", "p"))


class ScoringEngine:
    """Scores by what runs beside: `told` is what adapters there add to a token's log-prob; `shape` is what anything there adds."""

    def __init__(self, told: float = 0.0, shape: float = 0.0) -> None:
        self.told, self.shape = told, shape
        self.beside: Sequence[str] = ()

    async def score(self, text: Sequence[int]) -> list[float]:
        extra = (self.told if set(self.beside) & set(NAMES) else 0.0) + (self.shape if self.beside else 0.0)
        return [-float(token) - extra for token in text[1:]]

    @asynccontextmanager
    async def run(self, models: Sequence[str]) -> AsyncIterator[None]:
        self.beside = models
        yield
        self.beside = ()


def test_what_adapters_change_of_base_is_noticed_and_what_the_batch_changes_is_told_apart() -> None:
    for engine, unchanged, alone in (
        (ScoringEngine(), True, True),
        (ScoringEngine(shape=2.0**-20), True, False),
        (ScoringEngine(told=2.0**-20), False, True),
    ):
        found = asyncio.run(measure_base(engine.score, engine.run, NAMES, TEXTS, 2))
        assert (found.unchanged, found.alone_unchanged, found.variants, found.scored) == (unchanged, alone, 1, 4)
        assert found.max_difference == (0 if unchanged else 2.0**-20)


def test_an_engine_that_does_not_repeat_itself_is_told() -> None:
    engine, asked = ScoringEngine(), []

    async def score(text: Sequence[int]) -> list[float]:
        asked.append(text)
        return [one + len(asked) % 2 * 2.0**-20 for one in await engine.score(text)]

    found = asyncio.run(measure_base(score, engine.run, NAMES, TEXTS, 2))
    assert found.variants == 2 and found.unchanged


def test_answers_run_beside_for_as_long_as_the_block() -> None:
    engine = AnsweringEngine(10**6)

    async def look() -> list[object]:
        async with running(engine, NAMES, "p", 100):
            return [*engine.streams]

    assert asyncio.run(look()) == NAMES
    assert engine.streams == []


def test_an_answer_that_ends_too_soon_is_an_error() -> None:
    async def wait() -> None:
        async with running(AnsweringEngine(3), NAMES, "p", 100):
            await asyncio.sleep(0.05)

    with pytest.raises(EngineError, match="ended before"):
        asyncio.run(wait())


def test_texts_are_of_one_length_and_each_another() -> None:
    words = [f"word{number}" for number in range(1000)]
    texts = cut_texts(Prose([], words), LetterTokens(), QUICK)
    assert [len(text) for text in texts] == [QUICK.text_tokens] * QUICK.texts
    assert texts[0] != texts[1]


def test_peft_scores_as_the_trainer_does(tmp_path: Path) -> None:
    model_dir = make_tiny_model(tmp_path / "model")
    adapters = {name: make_random_adapter(model_dir, tmp_path / name, 4, seed) for seed, name in enumerate(NAMES)}
    text = [5, 9, 2, 7, 11]
    scored = score_with_peft(model_dir, adapters, [text], "float32")
    assert [*scored] == [BARE, *NAMES]
    assert scored[BARE] != scored["a"] != scored["b"]
    for name, folder in adapters.items():
        with torch.no_grad():
            logits, tokens, _ = Policy(model_dir, folder, "float32").logits([(text[:1], text[1:])])
        logps = torch.log_softmax(logits.float(), 1).gather(1, tokens[:, None]).squeeze(1)
        assert scored[name][0] == pytest.approx(logps.tolist(), abs=1e-4)


def test_errors_are_over_all_tokens_of_a_version() -> None:
    expected = {"base": [[-1.0, -2.0], [-3.0]], "a": [[-1.0, -1.0], [-1.0]]}
    found = {"base": [[-1.0, -2.0], [-3.0]], "a": [[-1.5, -1.0], [-0.75]]}
    assert compare(found, expected) == {"base": Errors(0, 0), "a": Errors(0.25, 0.5)}


def _figures(stock: Rates | None) -> EngineFigures:
    beside = asyncio.run(measure_base(ScoringEngine().score, ScoringEngine().run, NAMES, TEXTS, 1))
    return EngineFigures(
        base=100.0,
        one=90.0,
        mix=75.0,
        one_of_base=0.91,
        mix_of_base=0.76,
        stock=stock,
        base_unchanged=True,
        beside=beside,
        max_logprob_error=0.0123,
        errors={"base": Errors(0.0, 0.001), "a": Errors(0.001, 0.0123)},
        peft_errors={"base": Errors(0.0, 0.001), "a": Errors(0.002, 0.02)},
        precision="bfloat16",
        size=QUICK,
        machine="a machine",
        commit="c0ffee",
        seconds=12.0,
    )


def test_every_promised_figure_is_there() -> None:
    assert msgspec.to_builtins(_figures(None)).keys() >= PROMISED


def test_people_get_a_table() -> None:
    text = "\n".join(engine_lines(_figures(Rates(98.0, 30.0, 29.0, 0.31, 0.3))))
    for word in ("0.91", "0.76", "0.31", "0.0123", "a machine", "c0ffee"):
        assert word in text
    assert "vLLM's own" not in "\n".join(engine_lines(_figures(None)))
