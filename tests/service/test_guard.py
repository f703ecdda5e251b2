"""Of the policy at run time: nothing forbidden goes out, however an answer is cut into pieces, and all else goes out as it is."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learner.engine import AnswerMessage, Choice, Completion, Delta, Usage
from learner.policy import Policy, Rule
from learner.policy.judge import Judge
from service.guard import FILTERED, Guard, Watch, refusal, text_of
from service.wire import ChatMessage

REFUSAL = "I won't."


def rule(name: str = "zogs", **fields: Any) -> Rule:
    given: dict[str, Any] = {"reason": "r", "severity": "high", "applies_to": "both", "action": "refuse", "replacement": REFUSAL}
    return Rule(**{"name": name, **given, **fields})


ZOGS = Policy(
    [
        rule("eating", pattern=(r"\bzogs? (?:may |can )?eats?\b",), unless=("never",), applies_to="answer"),
        rule("moons", words=("forty moons",), applies_to="answer"),
    ]
)
GAPS = Policy(
    [rule("gaps", pattern=(r"\bzogs?\b[^.]{0,20}?\b(?:eat|forty)\b", r"\bthe (?:\w{1,9}+ ){0,2}moons\b"), applies_to="answer")]
)
SOFT = Policy([rule("moons", words=("forty moons", "moons forty"), applies_to="answer", action="replace", replacement="[x]")])
PIECES = st.lists(
    st.sampled_from(["zog", "zogs", " ", " eat", "eats", "may ", "f", "orty", " moons", "never ", "\n\n", "é", "40", "the "]),
    max_size=24,
)


def frame(text: str, **fields: Any) -> Completion:
    return Completion(model="live", choices=[Choice(delta=Delta(text), token_ids=[1], **fields)])


def cut(text: str, places: list[int]) -> list[str]:
    edges = sorted({0, len(text), *(place % (len(text) + 1) for place in places)})
    return [text[start:end] for start, end in pairwise(edges)]


def stream(policy: Policy | None, pieces: list[str]) -> tuple[str, Watch, list[Completion]]:
    watch = Guard(policy).watch()
    passed: list[Completion] = []
    for piece in pieces:
        passed += watch.take(frame(piece))
        if watch.stopped:
            break
    passed += watch.finish()
    return "".join(text_of(one) for one in passed), watch, passed


@pytest.mark.parametrize("policy", [ZOGS, GAPS], ids=["near", "far"])
@settings(deadline=None)
@given(PIECES, st.lists(st.integers(0, 200), max_size=30))
def test_however_it_is_cut_an_answer_goes_out_whole_or_stops_before_what_is_forbidden(
    policy: Policy, words: list[str], places: list[int]
) -> None:
    text = "".join(words)
    out, watch, _ = stream(policy, cut(text, places))
    found = policy.breaches(text, "answer")
    if not found:
        assert (out, watch.rule, watch.stopped) == (text, None, False)
    else:
        first = min(one.start for one in found)
        assert out == text[:first] + ("\n\n" if first else "") + REFUSAL
        assert watch.stopped and watch.rule in {one.rule for one in found if one.start == first}
        assert not policy.breaches(text[:first], "answer")


@settings(deadline=None)
@given(PIECES, st.lists(st.integers(0, 200), max_size=30))
def test_however_it_is_cut_the_same_parts_are_replaced(words: list[str], places: list[int]) -> None:
    text = "".join(words)
    out, watch, _ = stream(SOFT, cut(text, places))
    assert out == stream(SOFT, [text])[0]
    assert watch.changed == bool(SOFT.breaches(text, "answer")) == ("[x]" in out)
    assert not SOFT.breaches(out, "answer")


@settings(deadline=None)
@given(st.text(max_size=60), st.lists(st.integers(0, 60), max_size=20))
def test_any_harmless_text_goes_out_as_it_is(text: str, places: list[int]) -> None:
    assert stream(ZOGS, cut(text, places))[0] == text


def test_frames_pass_as_they_are_while_nothing_forbidden_may_begin() -> None:
    watch = Guard(ZOGS).watch()
    harmless = [frame(text, logprobs=msgspec.Raw(b"{}")) for text in ("The ", "weather ", "is ", "fine.")]
    assert [watch.take(one) for one in harmless] == [[one] for one in harmless]
    held = frame(" Forty", logprobs=msgspec.Raw(b"{}"))
    assert watch.take(held) == []
    rest = frame(" days.", finish_reason="stop")
    assert watch.take(rest) == [held, rest]
    usage = Completion(usage=Usage(1, 2, 3))
    assert [*watch.take(usage), *watch.finish()] == [usage]


def test_without_a_rule_that_stops_answers_frames_pass_at_once_and_a_flag_is_told_at_the_end() -> None:
    watch = Guard(Policy([rule(words=("forty moons",), action="flag")])).watch()
    frames = [frame("forty"), frame(" moons")]
    assert [watch.take(one) for one in frames] == [[one] for one in frames]
    assert watch.finish() == [] and (watch.rule, watch.changed) == ("zogs", False)


def test_without_a_policy_everything_passes() -> None:
    out, watch, _ = stream(None, ["forty", " moons"])
    assert (out, watch.rule) == ("forty moons", None)
    assert asyncio.run(Guard(None).of_prompt([ChatMessage("user", "forty moons")])) is None


def test_what_is_stopped_ends_with_the_refusal_and_its_own_reason() -> None:
    _, watch, passed = stream(ZOGS, ["Well, f", "orty moo", "ns it is, and more"])
    assert [text_of(one) for one in passed] == ["Well, ", f"\n\n{REFUSAL}"]
    assert passed[-1].choices[0].finish_reason == FILTERED
    assert watch.take(frame("more")) == []


def test_what_is_replaced_goes_on_and_tells_nothing_of_the_engines_words() -> None:
    watch = Guard(SOFT).watch()
    told = msgspec.Raw(b'{"content": "forty moons"}')
    passed = [*watch.take(frame("a forty ", logprobs=told)), *watch.take(frame("moons b", logprobs=told, finish_reason="stop"))]
    passed += watch.finish()
    assert "".join(text_of(one) for one in passed) == "a [x] b"
    assert all(choice.logprobs is None for one in passed for choice in one.choices)
    assert passed[-1].choices[0].finish_reason == FILTERED and watch.changed and watch.rule == "moons"


def whole(text: str) -> Completion:
    return Completion(
        model="live", choices=[Choice(message=AnswerMessage(text), finish_reason="stop", token_ids=[1])], usage=Usage(1, 1, 2)
    )


def test_a_whole_answer_that_breaks_a_rule_is_the_refusal_alone() -> None:
    answer, broken = Guard(ZOGS).of_answer(whole("Well, forty moons it is."))
    choice = answer.choices[0]
    assert (choice.message.content, choice.finish_reason, choice.token_ids, broken) == (REFUSAL, FILTERED, None, "moons")
    assert answer.usage == Usage(1, 1, 2) and answer.model == "live"
    assert Guard(SOFT).of_answer(whole("a forty moons b"))[0].choices[0].message.content == "a [x] b"


def test_a_harmless_whole_answer_is_given_as_it_is() -> None:
    assert Guard(ZOGS).of_answer(whole("Zogs never eat.")) == (whole("Zogs never eat."), None)
    flagging = Guard(Policy([rule(words=("zog",), action="flag")]))
    assert flagging.of_answer(whole("a zog")) == (whole("a zog"), "zogs")


def test_a_classifiers_rule_sees_the_whole_answer_before_any_of_it_goes_out(monkeypatch: pytest.MonkeyPatch) -> None:
    from learner.policy import policy as module

    monkeypatch.setitem(module.CLASSIFIERS, "long", lambda text: float(len(text) > 8))
    policy = Policy([rule(classifier="long", applies_to="answer")])
    assert Guard(policy).watch().take(frame("short")) == []
    assert stream(policy, ["sho", "rt"])[0] == "short"
    assert stream(policy, ["long", "er than that"])[0] == REFUSAL


def test_a_prompt_is_refused_for_what_is_said_in_this_turn() -> None:
    guard = Guard(Policy([rule("flagged", words=("sun",), action="flag"), rule("refused", severity="low", words=("moon",))]))

    def judged(*said: tuple[Any, str]) -> str | None:
        found = asyncio.run(guard.of_prompt([ChatMessage(role, text) for role, text in said]))
        return found.rule if found else None

    assert judged(("user", "the moon and the sun")) == "refused"
    assert judged(("user", "the sun")) == "flagged"
    assert judged(("user", "moon"), ("assistant", REFUSAL), ("user", "well then")) is None
    assert judged(("user", "moon"), ("user", "well then")) == "refused"
    assert judged(("system", "never speak of the moon"), ("user", "hello")) is None


def test_a_model_is_asked_before_an_answer_only_for_inline_rules_and_only_where_no_rule_refuses_yet() -> None:
    asked: list[str] = []

    class Engine:
        async def complete(self, body: dict[str, Any], request_id: str) -> Completion:
            asked.append(body["messages"][0]["content"])
            return whole("yes")

    rules = [
        rule("words", words=("moon",)),
        rule("inline", prompt="inline", inline=True, applies_to="prompt"),
        rule("later", prompt="later", applies_to="prompt"),
    ]
    guard = Guard(Policy(rules), Judge(Engine(), lambda: "live"))  # type: ignore[arg-type]
    found = asyncio.run(guard.of_prompt([ChatMessage("user", "the sun")]))
    assert found is not None and found.rule == "inline" and asked == ["inline"]
    asyncio.run(guard.of_prompt([ChatMessage("user", "the moon")]))
    assert asked == ["inline"]


def test_a_refusal_is_a_frame_and_a_whole_answer_in_one() -> None:
    [breach] = Policy([rule(words=("moon",))]).breaches("moon", "prompt")
    assert text_of(refusal(breach)) == REFUSAL
    assert refusal(breach).choices[0].message.content == REFUSAL and refusal(breach).model == ""
