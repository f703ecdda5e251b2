"""No version answers from what another has computed: the engine's prefix cache knows whose it is, before and after a swap.

The same prompt is asked of one version and of the next. What the engine gives for each must be the log-probs that the trainer
computes with that version's weights, also where the prompt was in the cache already, as another version's.
"""

from __future__ import annotations

import urllib.request
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from msgspec import Struct

from learner import release
from learner.release import MAX_ROUNDING
from learner.train.policy import Policy
from service.bench.random_adapter import make_random_adapter
from storage import conversations
from tests.adapters import published
from tests.conftest import Service

pytestmark = pytest.mark.engine

PROMPT = (
    "A wheel with slanted teeth turns freely one way, while a small arm that rests on it holds it from turning back. Clocks, "
    "winches, turnstiles and the spanners of mechanics all have one somewhere, and few who use them ever see it. In which of "
    "these would you look for it first, what is it called, and what would happen without it? Answer in two short sentences."
)
ANSWER_TOKENS = 24
TEXT = list(range(100, 260))  # token ids, of which more than two blocks of the cache are the beginning
TEXT_BEGINS = 130


class Said(Struct, frozen=True):
    """An answer, and the log-prob that the engine gave for each of its tokens."""

    version: str
    prompt_ids: tuple[int, ...]
    token_ids: tuple[int, ...]
    logps: tuple[float, ...]


class Versions:
    """Base and another version that is loaded, with what the trainer says of each."""

    def __init__(self, service: Service, model_dir: Path, folders: dict[str, Path]) -> None:
        self.service = service
        self._trainers = {name: Policy(model_dir, folder) for name, folder in folders.items()}
        self.new = next(name for name in folders if name != "base")

    def ask(self) -> Said:
        answer = self.service.chat(PROMPT, logprobs=True, temperature=0.0, max_tokens=ANSWER_TOKENS)
        kept = self.service.call(self.service.parts.database.read(lambda c: conversations.select_message(c, answer["id"])))
        assert kept is not None
        logps = tuple(token["logprob"] for token in answer["choices"][0]["logprobs"]["content"])
        return Said(answer["model"].removeprefix("ratchet@"), kept.prompt_token_ids, kept.token_ids, logps)

    def go_live(self) -> None:
        self.service.call(release.go_live(self.service.parts.context, self.new, "test", "swap"))

    def roll_back(self) -> None:
        assert self.service.call(release.roll_back(self.service.parts.context, "test")).adapter == "base"

    def assert_own(self, said: Said, version: str) -> None:
        """It is the version's by name, and by its log-probs nearer to the version's weights than to the other's."""
        assert said.version == version
        other = "base" if version == self.new else self.new
        own, others = (self._distance(said, name) for name in (version, other))
        assert own < min(others, MAX_ROUNDING), f"{own:.4f} from {version}, {others:.4f} from {other}, nats per token"

    def _distance(self, said: Said, name: str) -> float:
        """Mean difference between the engine's log-probs and the trainer's with these weights, per token."""
        with torch.no_grad():
            logits, tokens, _ = self._trainers[name].logits([(said.prompt_ids, said.token_ids)])
            computed = torch.log_softmax(logits.float(), 1).gather(1, tokens[:, None]).squeeze(1).tolist()
        return mean_difference(said.logps, computed)


def mean_difference(given: Sequence[float], computed: Sequence[float]) -> float:
    return sum(abs(a - b) for a, b in zip(given, computed, strict=True)) / len(given)


@pytest.fixture
def versions(service: Service, model_dir: Path, tmp_path: Path, base_adapter: Path) -> Versions:
    context, folder = service.parts.context, make_random_adapter(model_dir, tmp_path / "new", 16, seed=7)
    name = service.call(published(context, folder))
    service.call(release.load(context, name))
    return Versions(service, model_dir, {"base": base_adapter, name: folder})


def cached_tokens(engine_url: str) -> float:
    """Tokens of prompts that the engine took out of its cache so far."""
    with urllib.request.urlopen(f"{engine_url}/metrics") as response:
        lines = response.read().decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("vllm:prefix_cache_hits_total"))


def test_answers_to_one_prompt_are_each_versions_own_through_a_swap_and_back(versions: Versions, engine_url: str) -> None:
    taken: list[float] = []

    def ask_twice(version: str) -> None:
        for _ in range(2):  # the second time its prompt is in the cache, as the version's own
            before = cached_tokens(engine_url)
            versions.assert_own(versions.ask(), version)
            taken.append(cached_tokens(engine_url) - before)

    ask_twice("base")
    versions.go_live()
    ask_twice(versions.new)
    versions.roll_back()
    ask_twice("base")
    assert taken[2] == 0, f"the new version took {taken[2]:g} tokens of its prompt from the cache before it had put any there"
    assert taken[1] > 0 < taken[3], "nothing was taken from the cache: this proves nothing"


def test_scores_of_one_text_are_each_versions_own(versions: Versions) -> None:
    """Versions in turn, so that each finds the beginning in the cache as its own and as the other's."""
    engine = versions.service.parts.engine
    for name in ("base", versions.new) * 2:
        logps = versions.service.call(engine.score(name, TEXT, start=TEXT_BEGINS))
        said = Said(name, tuple(TEXT[:TEXT_BEGINS]), tuple(TEXT[TEXT_BEGINS:]), tuple(logps))
        versions.assert_own(said, name)
