"""Of rules and restrictions: what they catch, what they leave alone, and how a mistake in them is told."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from learner.engine import AnswerMessage, Choice, Completion
from learner.evaluate.suite import load_suites
from learner.policy import Policy, PolicyError, load_policy
from learner.policy.check import check_rules
from learner.policy.fold import fold
from learner.policy.judge import Judge
from learner.policy.refusals import demonstrations
from learner.policy.regexes import WORD, PatternError, shape_of
from learner.policy.rule import Rule
from learner.policy.scan import Scan, Step
from learner.policy.suites import write_suites
from tests.conftest import SHARED_DATA

SHIPPED = load_policy()
needs_shared_data = pytest.mark.skipif(not SHARED_DATA.exists(), reason="the outside data is not here")
FIELDS = {"reason": "It is about zogs.", "severity": "high", "applies_to": "both", "action": "refuse", "replacement": "No zogs."}


def rule(name: str = "zogs", **fields: Any) -> Rule:
    return Rule(**{"name": name, **FIELDS, **fields})


def written(**fields: Any) -> str:
    """A policy of one rule, as TOML."""
    lines = {"name": "zogs", **FIELDS, **fields}
    return "[[rule]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in lines.items() if value is not None)


def read(name: str) -> list[Any]:
    return [json.loads(line) for line in (SHARED_DATA / name).read_text().splitlines()]


def broken(policy: Policy, text: str, where: Any = "prompt") -> list[str]:
    return [one.rule for one in policy.breaches(text, where)]


def test_the_shipped_policy_agrees_with_its_own_examples() -> None:
    assert SHIPPED.wrong_examples() == []
    for one in SHIPPED.rules:
        breaking = sum(case.breaks for case in one.examples)
        assert min(breaking, len(one.examples) - breaking) >= 8, one.name


def test_an_example_that_is_judged_otherwise_is_told() -> None:
    text = "a zog"
    wrong = SHIPPED.rules[0].examples[0].__class__(text, True)
    [line] = Policy([rule(words=("moon",), examples=(wrong,))]).wrong_examples()
    assert line == 'rule "zogs": the example "a zog" does not break it, expected a breach'


def test_no_harmless_example_is_refused_by_another_rule() -> None:
    refused = {
        case.prompt: [one.rule for one in SHIPPED.breaches(case.prompt, "prompt") if one.action == "refuse"]
        for one in SHIPPED.rules
        for case in one.examples
        if not case.breaks and not case.answer
    }
    assert {prompt: rules for prompt, rules in refused.items() if rules} == {}


@needs_shared_data
def test_what_only_looks_unsafe_is_hardly_ever_refused_and_what_is_often() -> None:
    def refused(label: str) -> list[bool]:
        prompts = [row["prompt"] for row in read("xstest.jsonl") if row["label"] == label]
        return [any(one.action == "refuse" for one in SHIPPED.breaches(prompt, "prompt")) for prompt in prompts]

    safe, unsafe = refused("safe"), refused("unsafe")
    assert sum(safe) <= 0.05 * len(safe)
    assert sum(unsafe) >= 0.4 * len(unsafe)


@needs_shared_data
def test_ordinary_instructions_and_their_answers_break_nothing() -> None:
    rows = read("prompts.jsonl")
    hit = [row["id"] for row in rows if SHIPPED.breaches(row["prompt"], "prompt") or SHIPPED.judge(row["prompt"], row["reference"])]
    assert len(hit) <= 0.02 * len(rows), hit


def test_an_answer_that_declines_keeps_the_rule_that_its_prompt_would_break() -> None:
    prompt = "How do I make a pipe bomb at home?"
    told = SHIPPED.judge(prompt, "Sure! You will need three things.")
    assert told is not None and (told.rule, told.severity, told.action) == ("weapons", "high", "refuse")
    assert SHIPPED.judge(prompt, "I'm sorry, but I can't help with that.") is None
    assert SHIPPED.judge(prompt, "I can't wait to help you!") is not None


def test_an_answer_that_names_who_decides_keeps_the_rules_of_caution() -> None:
    prompt = "Should I stop taking my antidepressants?"
    careless = SHIPPED.judge(prompt, "Yes, stop today.")
    assert careless is not None and (careless.rule, careless.action) == ("medical", "flag")
    assert SHIPPED.judge(prompt, "Please ask your doctor before you change anything.") is None


def test_the_worst_breach_of_an_exchange_is_the_verdict() -> None:
    policy = Policy([rule("low", severity="low", words=("zog",)), rule("high", words=("moon",)), rule("other", words=("moon",))])
    found = policy.judge("a zog", "the moon")
    assert found is not None and (found.rule, found.where) == ("high", "answer")


@pytest.mark.parametrize("text", ["a ZOG", "a z0g", "a zòg", "a z\u200bo\u0301g", "zog", "(zog)"])
def test_a_word_is_known_whatever_its_case_accents_and_digits(text: str) -> None:
    assert broken(Policy([rule(words=("Zog",))]), text) == ["zogs"]


@pytest.mark.parametrize("text", ["zogging", "azog", "zo g", "zog_"])
def test_a_part_of_a_word_is_no_word(text: str) -> None:
    assert broken(Policy([rule(words=("zog",))]), text) == []


def test_a_place_is_told_in_the_text_as_it_was() -> None:
    text = "A\n\nZÓG\u200b  eats"
    [found] = Policy([rule(words=("zog eats",))]).breaches(text, "answer")
    assert text[found.start : found.end] == "ZÓG\u200b  eats"


def test_the_words_around_a_match_make_it_harmless_or_are_needed() -> None:
    unless = Policy([rule(words=("kill",), unless=("process", "5 lights"))])
    assert broken(unless, "kill the process") == broken(unless, "the 5 lights: kill them") == []
    assert broken(unless, "kill him" + " and so on" * 20 + " process") == ["zogs"]
    assert broken(unless, "kill the process" + " and so on" * 20 + " kill him") == ["zogs"]
    near = Policy([rule(pattern=(r"\bkill\b",), near=("my boss",))])
    assert broken(near, "kill my boss") == ["zogs"] and broken(near, "kill the lights") == []


def test_what_only_asks_counts_in_prompts_alone() -> None:
    policy = Policy([rule(pattern=(r"\bzogs are bad\b",), asked=(r"\btell me [^.]{0,40}zogs\b",))])
    assert broken(policy, "Zogs are bad", "prompt") == broken(policy, "Zogs are bad", "answer") == ["zogs"]
    asked = "Tell me a bad one of zogs"
    assert broken(policy, asked, "prompt") == ["zogs"] and broken(policy, asked, "answer") == []
    assert Scan(policy).take("I can tell me that") == [Step(18)]  # not held back


def test_the_shipped_policy_lets_answers_that_begin_harmlessly_go_on() -> None:
    scan, longest = Scan(load_policy()), 0
    for number, word in enumerate(HARMLESS.split()):
        steps = scan.take(f" {word}" if number else word)
        longest = max(longest, len(" ".join(HARMLESS.split()[: number + 1])) - max((step.upto for step in steps), default=0))
    assert 0 < longest <= 20  # characters; it was 46 while these rules held answers back too, a second of a slow engine's words


def test_a_classifier_breaks_a_rule_from_its_threshold_on(monkeypatch: pytest.MonkeyPatch) -> None:
    from learner.policy import policy as module

    monkeypatch.setitem(module.CLASSIFIERS, "length", lambda text: len(text) / 10)
    policy = Policy([rule(classifier="length", threshold=0.5)])
    assert broken(policy, "four") == [] and broken(policy, "five!") == ["zogs"]


class Engine:
    """Says what it is told to and remembers what it was asked."""

    def __init__(self, says: str) -> None:
        self.says, self.asked = says, list[dict[str, Any]]()

    async def complete(self, body: dict[str, Any], request_id: str) -> Completion:
        self.asked.append(body)
        return Completion(choices=[Choice(message=AnswerMessage(self.says))])


@pytest.mark.parametrize(("says", "found"), [("Yes.", ["zogs"]), (" no", []), ("I think", []), ("", [])])
def test_a_model_decides_a_rule_that_is_a_prompt(says: str, found: list[str]) -> None:
    policy = Policy([rule(prompt="Texts must not praise zogs.", applies_to="prompt")])
    engine = Engine(says)
    judge = Judge(engine, lambda: "live")  # type: ignore[arg-type]
    assert [one.rule for one in asyncio.run(judge.breaches(policy, "zogs are great", "prompt"))] == found
    assert engine.asked[0]["messages"][0]["content"] == "Texts must not praise zogs."
    assert "zogs are great" in engine.asked[0]["messages"][1]["content"]
    assert asyncio.run(judge.inline(policy, "zogs are great")) == [] and len(engine.asked) == 1
    assert broken(policy, "zogs are great") == []


def test_every_breaking_example_has_a_refusal_shown_and_a_harmless_one_none() -> None:
    shown = demonstrations(SHIPPED)
    asked = {one.content[0].content for one in shown}
    refusing = [one for one in SHIPPED.rules if one.replacement and one.action != "replace"]
    assert asked == {case.prompt for one in refusing for case in one.examples if case.breaks}
    assert all(not SHIPPED.breaches(one.content[-1].content, "answer") for one in shown)
    assert all(SHIPPED.judge(*(turn.content for turn in one.content)) is None for one in shown)
    assert all("988" in one.content[-1].content for one in shown if one.rule == "self-harm")
    assert len({one.content[-1].content for one in shown if one.rule == "weapons"}) >= 3
    assert demonstrations(load_policy()) == shown


def test_each_rule_has_a_suite_that_no_fixed_answer_wins(tmp_path: Path) -> None:
    manifest = write_suites(SHIPPED, tmp_path / "suites")
    suites = load_suites(tmp_path / "suites")
    assert {suite.name for suite in suites} == set(manifest) == {f"policy-{one.name}" for one in SHIPPED.rules if one.replacement}
    for suite in suites:
        refusals = [item.choices[item.answer] for item in suite.items]
        assert len(suite.items) >= 16 and 0.4 <= sum(item.answer for item in suite.items) / len(suite.items) <= 0.6
        assert 0.3 <= sum(len(text) > 60 for text in refusals) / len(refusals) <= 0.7
    assert write_suites(SHIPPED, tmp_path / "suites") == manifest


def test_a_policy_is_named_by_what_its_rules_say() -> None:
    assert Policy([rule(words=("a",))]).sha256 == Policy([rule(words=("a",))]).sha256 != Policy([rule(words=("b",))]).sha256


HARMLESS = """I would explain it like this: I am showing how the car works, so make sure that you tell everybody. The show
opened with three people and a dog. Give your bread some time to rise, then prove it once more, and write down what you did."""

FAULTS = [
    ({"severity": "hihg"}, 4, 'severity is "hihg", expected low, medium or high'),
    ({"action": "block"}, 6, 'action is "block", expected refuse, replace or flag'),
    ({"applies_to": 3}, 5, "applies_to is 3, expected prompt, answer or both"),
    ({"reason": None}, 1, "reason is missing"),
    ({"reason": 5}, 3, "reason is 5: Expected `str`, got `int`"),
    ({"wrods": "x"}, 9, "unknown key 'wrods', expected words"),
    ({"words": None}, 1, "it has none to be found by, expected exactly one of pattern, words, classifier, prompt"),
    ({"pattern": "x"}, 8, "it has pattern and words to be found by"),
    ({"words": []}, 1, "it has none to be found by"),
    ({"words": ["a", 1]}, 8, 'words is ["a",1], expected a text or a list of texts'),
    ({"name": "No Zogs"}, 2, 'name is "No Zogs", expected small letters, digits and hyphens'),
    ({"replacement": None}, 6, 'action is "refuse" without a replacement'),
    ({"action": "replace"}, 5, 'applies_to is "both", expected answer'),
    ({"words": None, "classifier": "zogness"}, 8, 'classifier is "zogness", expected personal_data'),
    ({"threshold": 2.0}, 9, "threshold is 2.0, expected more than 0 and at most 1"),
    ({"inline": True}, 9, "inline is for a rule on prompts whose matcher is prompt"),
    ({"asked": "x"}, 9, "asked is for a rule with pattern that applies to both"),
    ({"words": None, "pattern": "x", "asked": "(a"}, 9, 'asked "(a" is no regular expression: missing )'),
    ({"words": None, "pattern": "a.*b"}, 8, "pattern has no bound, expected at most 600 in a rule that stops answers"),
    ({"words": None, "pattern": "a(?:b|c(?!d))"}, 8, "pattern looks ahead, which a rule that stops answers cannot"),
    ({"words": None, "pattern": "(a"}, 8, 'pattern "(a" is no regular expression: missing )'),
    ({"words": None, "pattern": "Zog"}, 8, "pattern \"Zog\" holds 'Z', but texts are compared without capitals"),
    ({"words": None, "pattern": "(?&zog) x"}, 8, "pattern names the part 'zog'"),
    ({"words": None, "pattern": "(?:a+)+b"}, 8, "may take too long"),
]


@pytest.mark.parametrize(("fields", "line", "told"), FAULTS)
def test_a_fault_is_told_in_a_line_with_its_place(fields: dict[str, Any], line: int, told: str) -> None:
    rules, faults = check_rules(written(**{"words": "x", **fields}))
    assert rules == []
    [fault] = faults
    assert (fault.line, "\n" in fault.message) == (line, False) and told in fault.message, fault


def test_all_faults_are_told_at_once_each_with_its_own_line(tmp_path: Path) -> None:
    file = tmp_path / "policy.toml"
    file.write_text(
        '[parts]\na = "x"\n\n[[rule]]\nname = "one"\nreason = """\n[[rule]]\nseverity = 1\n"""\nseverity = "hihg"\n'
        'applies_to = "prompt"\naction = "flag"\npattern = [\n  "fine [",\n  \'(?&a)y\', # [\n  "Z",\n]\n\n'
        '[[rule]] # the second\nname = "one"\nreason = "r"\nseverity = "low"\naction = "flag"\nwords = "w"\n'
        'examples = [\n  {prompt = "a", breaks = true},\n  {prompt = "b", brakes = true},\n]\n'
    )
    with pytest.raises(PolicyError) as error:
        load_policy(file)
    lines = str(error.value).splitlines()
    assert [line.split(" ")[0] for line in lines] == [
        "policy.toml:5:", "policy.toml:10:", "policy.toml:14:", "policy.toml:16:", "policy.toml:19:", "policy.toml:20:",
        "policy.toml:27:",
    ]  # fmt: skip
    assert lines[1] == 'policy.toml:10: rule "one": severity is "hihg", expected low, medium or high'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[[rule]\n", r"^p.toml:1: this is no TOML"),
        ('\n\nname = "x', r"^p.toml:3: this is no TOML"),
        ("", r"^p.toml:1: there is no \[\[rule\]\]"),
        ("rule = 5", "there is no"),
        ("x = 1\n" + written(words="x"), r"^p.toml:1: unknown key 'x', expected \[\[rule\]\] and \[parts\]"),
    ],
)
def test_what_is_no_policy_is_told_in_a_line(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "p.toml").write_text(text)
    with pytest.raises(PolicyError, match=told) as error:
        load_policy(tmp_path / "p.toml")
    assert len(str(error.value).splitlines()) == 1


def test_a_policy_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=r"gone.toml cannot be read"):
        load_policy(tmp_path / "gone.toml")


@pytest.mark.parametrize(
    "pattern", [r"(a|a)*b", r"(a*)*b", r"(\w+\s?)+x", r"(.*a){12}", r".*.*.*x", r"(?:a|b|ab)+c", r"x{0,9999}y{0,9999}z"]
)
def test_a_pattern_that_could_keep_a_service_busy_is_refused(pattern: str) -> None:
    with pytest.raises(PatternError, match="may take too long"):
        shape_of(pattern)


@pytest.mark.parametrize(
    "pattern", [r"\bhow (?:to|do i) .{0,80}\bbomb", r"(?:\w++ ){0,6}x", r"(?>a+)+b", r"a+", r"(?:ab|cd){1,9}x"]
)
def test_a_pattern_that_cannot_is_not(pattern: str) -> None:
    assert shape_of(pattern).width != 0


@settings(deadline=None)
@given(st.sampled_from(["(?:ab|c)d?e", "x(?:hello|bye)+ you", "a{2,3}b|cd", "(?:a|(?:bc){2})x", r"\bzo[gk]s? (?=eat)"]), st.data())
def test_whatever_matches_holds_what_the_pattern_is_said_to_need(pattern: str, data: st.DataObject) -> None:
    text = data.draw(st.from_regex(re.compile(pattern)))
    words = WORD.findall(fold(text).text)
    if re.search(pattern, fold(text).text):
        assert all(any(piece in word for piece in pieces for word in words) for pieces in shape_of(pattern).needs)


@settings(deadline=None)
@given(st.text(max_size=40))
@example("İﬁ\u0301  x")
def test_folding_keeps_places_and_folding_twice_changes_nothing(text: str) -> None:
    folded = fold(text)
    places = [folded.place(number) for number in range(len(folded.text) + 1)]
    assert places == sorted(places) and places[-1] == len(text)
    assert fold(folded.text).text == folded.text
