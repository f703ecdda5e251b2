"""The end of a text, scored with its beginning out of the prefix cache, against the same text scored whole."""

from __future__ import annotations

import urllib.request
from pathlib import Path

import pytest

from learner.tokens import Tokens
from tests.conftest import Service

pytestmark = pytest.mark.engine

PROMPT = "In which country does the river Danube begin, and how many countries does it flow through on its way to the sea?"
ANSWERS = ("It begins in Germany and flows through ten countries.", "It begins in Austria and flows through six countries.")


def cached_tokens(service: Service) -> float:
    with urllib.request.urlopen(service.parts.engine.urls[0] + "/metrics") as response:
        lines = response.read().decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("vllm:prefix_cache_hits_total"))


def test_a_tail_scores_as_in_the_whole_text_and_its_beginning_is_computed_once(service: Service, model_dir: Path) -> None:
    engine, tokens = service.parts.engine, Tokens(model_dir)
    prompt = tokens.prompt([("user", PROMPT)])
    for answer in ANSWERS:
        text = [*prompt, *tokens.text(answer)]
        whole = service.call(engine.score("base", text))
        assert len(whole) == len(text) - 1 and all(value < 0 for value in whole)
        before = cached_tokens(service)
        for start in (len(prompt), len(prompt), len(text) - 1):
            tail = service.call(engine.score("base", text, start=start))
            assert tail == pytest.approx(whole[start - 1 :], abs=0.3)  # two steps of a logit of 16 to 32 in bfloat16
        assert cached_tokens(service) > before
