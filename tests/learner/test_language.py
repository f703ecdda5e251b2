"""Of languages: told where there is enough to tell by, and an objection only where a text is surely in another one."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from learner.curate.language import UNKNOWN, check, identify, objection
from tests.conftest import SHARED_DATA

SENTENCES = {
    "en": "I would like to know how the weather will be tomorrow.",
    "de": "Ich möchte gerne wissen, wie das Wetter morgen wird.",
    "fr": "Je voudrais savoir quel temps il fera demain matin.",
    "es": "Me gustaría saber qué tiempo hará mañana por la mañana.",
    "ru": "Я хотел бы узнать, какая завтра будет погода.",
    "zh": "我想知道明天的天气怎么样。",
    "ja": "明日の天気はどうなるか知りたいです。",
    "uk": "Я хотів би дізнатися, якою завтра буде погода.",
}


@pytest.mark.parametrize("language", SENTENCES)
def test_a_sentence_is_in_its_language_and_in_no_other(language: str) -> None:
    sentence = SENTENCES[language]
    assert identify(sentence) == language
    assert objection(sentence, (language,)) is None
    assert objection(sentence, ("sv", language)) is None
    assert objection(sentence, ("sv", "tr")) == "in another language"


@pytest.mark.parametrize(
    "text",
    ["", "ok", "Paris", "2 + 2 = 4", "!!! ???", "👍👍👍", "`return the_value_of_this`", "https://example.com/an/english/path"],
)
def test_what_says_too_little_is_in_no_known_language_and_passes(text: str) -> None:
    assert identify(text) == UNKNOWN
    assert objection(text, ("fi",)) is None


def test_code_does_not_speak() -> None:
    code = "```python\nfor value in the_list_of_values:\n    print(value and other or nothing)\n```"
    assert identify(f"{SENTENCES['de']}\n{code * 5}") == "de"


def test_where_no_language_is_named_all_are_allowed() -> None:
    assert [objection(sentence, ()) for sentence in SENTENCES.values()] == [None] * len(SENTENCES)


def test_a_language_that_is_not_known_is_named() -> None:
    check(("en", "de"))
    with pytest.raises(ValueError, match=r"^curate\.languages: 'english' is not known, expected codes such as 'en'"):
        check(("en", "english"))


def test_threads_get_the_same_answers() -> None:
    texts = list(SENTENCES.values()) * 20
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(identify, texts)) == list(SENTENCES) * 20


def test_english_requests_pass_where_english_is_allowed() -> None:
    if not SHARED_DATA.is_dir():
        pytest.skip(f"{SHARED_DATA} is not here")
    prompts = [json.loads(line)["prompt"] for line in (SHARED_DATA / "prompts.jsonl").read_text().splitlines()]
    assert sum(objection(prompt, ("en",)) is not None for prompt in prompts) <= 0.01 * len(prompts)
