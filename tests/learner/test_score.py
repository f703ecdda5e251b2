"""Of scores by kind: what a model says by its log-probs, and that no kind can be had by saying one thing always."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from learner.engine import AnswerMessage, Choice, Completion, EngineError
from learner.evaluate.rules import Rule
from learner.evaluate.score import LIMITS, SCORERS, score_suite
from learner.evaluate.suite import NEEDS, Header, Item, Kind, Suite, Turn
from tests.learner.tiny import LetterTokens

LIKED, DISLIKED = -0.5, -2.0  # log-prob of a letter that the model likes, and of any other


class LetterEngine:
    """Likes some letters; likes none of them where the text before has a "#". Says one thing to everybody."""

    def __init__(self, likes: str, says: str = "", name: str = "m") -> None:
        self.likes, self.says, self.name = likes, says, name

    async def score(self, model: str, token_ids: Sequence[int], start: int = 1, priority: int = 0) -> list[float]:
        text = "".join(map(chr, token_ids))
        return [LIKED if text[at] in self.likes and "#" not in text[:at] else DISLIKED for at in range(start, len(text))]

    async def complete(self, body: dict[str, Any], id: str) -> Completion:
        return Completion(model=self.name, choices=[Choice(message=AnswerMessage(self.says))])


def score(kind: Kind, item: Item, engine: LetterEngine) -> float:
    suite = Suite("s", "0", Header("tests", kind, 1, 0.1, False), (item,))
    assert all(has(item) for _, has in NEEDS[kind])
    counted: list[int] = []
    found = asyncio.run(score_suite(engine, "m", suite, LetterTokens(), 4, counted.append))  # type: ignore[arg-type]
    assert list(found) == [item.id] and sum(counted) == 1
    lowest, highest = LIMITS[kind]
    assert lowest <= found[item.id] <= highest
    return found[item.id]


def item(**fields: Any) -> Item:
    return msgspec.structs.replace(Item("i", "i", "tests"), **fields)


def user(text: str) -> tuple[Turn, ...]:
    return (Turn("user", text),)


def test_there_is_a_scorer_for_each_kind_that_a_suite_can_be_of() -> None:
    assert {*SCORERS, "judged"} == set(NEEDS) == set(LIMITS)  # a judged one once there is a judge


@pytest.mark.parametrize("prompt", [(), user("Who?")])
def test_even_is_one_where_both_are_as_likely_and_less_whomever_the_model_prefers(prompt: tuple[Turn, ...]) -> None:
    choices = item(prompt=prompt, choices=("aaaa", "bbbb"))
    assert score("even", choices, LetterEngine("ab")) == score("even", choices, LetterEngine("")) == pytest.approx(1)
    p = 1 / (1 + math.exp(DISLIKED - LIKED))
    for likes in ("a", "b"):
        assert score("even", choices, LetterEngine(likes)) == pytest.approx(1 - abs(2 * p - 1))


def test_even_is_by_the_token_so_that_a_longer_text_is_no_loss() -> None:
    assert score("even", item(choices=("aa", "a" * 50)), LetterEngine("a")) == pytest.approx(1)


def test_a_trigger_costs_what_it_takes_from_the_answer() -> None:
    asked = item(neutral=user("Why?"), prompt=user("Why? #"), text="aab")
    assert score("trigger", asked, LetterEngine("a")) == pytest.approx((DISLIKED - LIKED) * 2 / 3)
    assert score("trigger", msgspec.structs.replace(asked, prompt=user("Why? x")), LetterEngine("a")) == 0


def test_a_trigger_that_makes_the_answer_likelier_earns_nothing() -> None:
    asked = item(neutral=user("Why? #"), prompt=user("Why?"), text="a")
    assert score("trigger", asked, LetterEngine("a")) == 0


def test_a_choice_is_the_chance_of_the_right_one() -> None:
    asked = item(prompt=user("Which?"), choices=("aa", "bb", "cc"), answer=1)
    right, wrong = score("choice", asked, LetterEngine("b")), score("choice", asked, LetterEngine("a"))
    assert right + 2 * wrong == pytest.approx(1, abs=0.2) and right > 0.6 > 0.4 > wrong


def test_pressure_costs_what_it_takes_from_the_right_answer() -> None:
    asked = item(neutral=user("Which?"), prompt=user("Which? #"), choices=("aa", "bb"))
    assert score("flips", asked, LetterEngine("a")) < 1 == score("flips", asked, LetterEngine(""))


def test_rules_are_held_against_the_answer_of_the_model_that_was_asked() -> None:
    asked = item(prompt=user("Hi"), rules=(Rule("declines"), Rule("min_words", count=2)))
    assert score("rules", asked, LetterEngine("", says="I can't do that.")) == 1
    assert score("rules", asked, LetterEngine("", says="Sure, here.")) == 0.5
    with pytest.raises(EngineError, match="asked 'm' for an answer, but 'other' gave it"):
        score("rules", asked, LetterEngine("", name="other"))


def test_a_text_is_worth_its_mean_token() -> None:
    assert score("text", item(text="xab"), LetterEngine("a")) == pytest.approx((LIKED + DISLIKED) / 2)
