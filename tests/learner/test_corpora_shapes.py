"""Rows of every known form become the content they mean, or say why they cannot."""

from __future__ import annotations

import json

import pytest

from learner.corpora.shapes import SHAPES, read_record
from learner.corpora.spec import MAX_RECORD_CHARS, PIECE_CHARS
from storage.records import DocumentKind

CORPUS, CHAT, DEMONSTRATION, PREFERENCE = DocumentKind
ASK, ANSWER, WORSE = ({"role": role, "content": text} for role, text in (("user", "2+2?"), ("assistant", "4"), ("assistant", "5")))
SYSTEM = {"role": "system", "content": "Be brief."}
PAIR = {"prompt": [ASK], "chosen": "4", "rejected": "5"}

GOOD = {
    "OpenAI messages": ({"messages": [SYSTEM, ASK, ANSWER], "tools": []}, CHAT, [SYSTEM, ASK, ANSWER]),
    "OpenAI fine-tuning, with weights": (
        {"messages": [ASK, {**WORSE, "weight": 0}, ASK, {**ANSWER, "weight": 1}, ASK, {**WORSE, "weight": 0}]},
        DEMONSTRATION,
        [ASK, WORSE, ASK, ANSWER],
    ),
    "OpenAI fine-tuning by preference": (
        {"input": {"messages": [ASK], "tools": []}, "preferred_output": [ANSWER], "non_preferred_output": [WORSE]},
        PREFERENCE,
        PAIR,
    ),
    "OpenAI parts": ({"messages": [{"role": "user", "content": [{"type": "text", "text": "2+2?"}]}, ANSWER]}, CHAT, [ASK, ANSWER]),
    "messages as JSON text": ({"messages": json.dumps([ASK, ANSWER])}, CHAT, [ASK, ANSWER]),
    "ShareGPT": ({"conversations": [{"from": "human", "value": "2+2?"}, {"from": "gpt", "value": "4"}]}, CHAT, [ASK, ANSWER]),
    "Alpaca": ({"instruction": "2+2?", "input": "", "output": "4"}, DEMONSTRATION, [ASK, ANSWER]),
    "Alpaca with an input": (
        {"instruction": "Add", "input": "2, 2", "output": "4", "system": "Be brief."},
        DEMONSTRATION,
        [SYSTEM, {"role": "user", "content": "Add\n\n2, 2"}, ANSWER],
    ),
    "Dolly": ({"instruction": "2+2?", "context": "", "response": "4", "category": "qa"}, DEMONSTRATION, [ASK, ANSWER]),
    "TRL prompt-completion": ({"prompt": "2+2?", "completion": "4"}, DEMONSTRATION, [ASK, ANSWER]),
    "TRL prompt-completion, turns": ({"prompt": [SYSTEM, ASK], "completion": [ANSWER]}, DEMONSTRATION, [SYSTEM, ASK, ANSWER]),
    "TRL unpaired, good": ({"prompt": "2+2?", "completion": "4", "label": True}, DEMONSTRATION, [ASK, ANSWER]),
    "TRL preference": ({"prompt": "2+2?", "chosen": "4", "rejected": "5"}, PREFERENCE, PAIR),
    "TRL preference, turns": ({"prompt": [ASK], "chosen": [ANSWER], "rejected": [WORSE]}, PREFERENCE, PAIR),
    "TRL preference, prompt in both": ({"chosen": [ASK, ANSWER], "rejected": [ASK, WORSE]}, PREFERENCE, PAIR),
    "UltraFeedback": ({"prompt": "2+2?", "chosen": [ASK, ANSWER], "rejected": [ASK, WORSE]}, PREFERENCE, PAIR),
    "TRL text": ({"text": "A tale."}, CORPUS, "A tale."),
    "question and answer": ({"question": "2+2?", "answer": "4"}, DEMONSTRATION, [ASK, ANSWER]),
    "prompt and reference": ({"id": "1", "prompt": "2+2?", "reference": "4"}, DEMONSTRATION, [ASK, ANSWER]),
    "MT-Bench": ({"turns": ["2+2?", "2+2?"], "reference": ["4", "4"]}, CHAT, [ASK, ANSWER, ASK, ANSWER]),
    "running text": ("A tale.", CORPUS, "A tale."),
}
BAD = {
    "no object": (["a"], "is a list"),
    "no known field": ({"more": "x", "less": "y"}, "'more, less'"),
    "a prompt alone": ({"prompt": "How?", "label": "safe"}, "'prompt' without an answer"),
    "a null answer": ({"turns": ["How?"], "reference": None}, "'turns' without an answer"),
    "an empty answer": ({"question": "2+2?", "answer": " "}, "answer is empty"),
    "a number for text": ({"text": 7}, "text is 7"),
    "answers without weight": ({"messages": [ASK, {**ANSWER, "weight": 0}]}, "no answer in messages weighs more than 0"),
    "a pair without input": ({"input": "2+2?", "preferred_output": [ANSWER], "non_preferred_output": [WORSE]}, "messages is None"),
    "no turns": ({"messages": []}, "an empty list"),
    "a turn that is text": ({"messages": ["Hi"]}, "turn 1 of messages is 'Hi'"),
    "a tool's turn": ({"messages": [ASK, {"role": "tool", "content": "x"}]}, "turn 2 of messages has the role 'tool'"),
    "a picture": ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "'image_url', expected only text"),
    "a call without words": ({"messages": [ASK, {"role": "assistant", "content": None}]}, "turn 2 of messages is None"),
    "nobody answers": ({"messages": [ASK, ASK]}, "has no answer"),
    "turns that are no JSON": ({"messages": "[{"}, "'[{'"),
    "the same twice": ({"prompt": "2+2?", "chosen": "4", "rejected": "4 "}, "are the same"),
    "different turns": ({"chosen": [ASK, ANSWER], "rejected": [SYSTEM, ASK, WORSE]}, "answer different turns"),
    "a pair without prompt": ({"chosen": "4", "rejected": "5"}, "has no prompt"),
    "a prompt that answers": ({"prompt": [ASK, ANSWER], "completion": "4"}, "prompt ends with a turn of 'assistant'"),
    "a completion that asks": ({"prompt": "2+2?", "completion": [ASK]}, "completion ends with a turn of 'user'"),
    "a bad answer alone": ({"prompt": "2+2?", "completion": "5", "label": False}, "bad answer"),
    "uneven turns": ({"turns": ["a", "b"], "reference": ["c"]}, "same length"),
    "half a character": ({"text": "\ud83d"}, "surrogates not allowed"),
    "too long": ({"prompt": "2+2?", "completion": "4" * MAX_RECORD_CHARS}, f"at most {MAX_RECORD_CHARS}"),
}


@pytest.mark.parametrize(("record", "kind", "content"), GOOD.values(), ids=GOOD)
def test_a_row_becomes_the_content_that_it_means(record: object, kind: DocumentKind, content: object) -> None:
    assert read_record(record, None) == (kind, [content])
    assert read_record(record, kind) == (kind, [content])


@pytest.mark.parametrize(("record", "said"), BAD.values(), ids=BAD)
def test_a_row_that_cannot_be_used_says_why(record: object, said: str) -> None:
    with pytest.raises(ValueError) as refused:
        read_record(record, None)
    assert said in str(refused.value) and "\n" not in str(refused.value) and len(str(refused.value)) < 250


def test_chats_and_demonstrations_are_the_same_where_an_answer_comes_last() -> None:
    assert read_record({"messages": [ASK, ANSWER]}, DEMONSTRATION) == (DEMONSTRATION, [[ASK, ANSWER]])
    assert read_record({"prompt": "2+2?", "completion": "4"}, CHAT) == (CHAT, [[ASK, ANSWER]])
    with pytest.raises(ValueError, match="ends with a turn of 'user'"):
        read_record({"messages": [ASK, ANSWER, ASK]}, DEMONSTRATION)
    for kind, record in ((CORPUS, {"messages": [ASK, ANSWER]}), (PREFERENCE, {"text": "x"}), (CHAT, "text")):
        with pytest.raises(ValueError, match=f"expected {kind.value}"):
            read_record(record, kind)


def test_a_long_text_is_split_without_losing_a_word() -> None:
    words = " ".join(f"word{number}." for number in range(120_000))
    kind, contents = read_record({"text": words}, None)
    assert kind is CORPUS and len(contents) > 250 and max(map(len, contents)) <= PIECE_CHARS
    assert " ".join(contents).split() == words.split()


def test_every_shape_is_reached_by_some_row() -> None:
    """No row of the table hides another."""
    for shape in SHAPES:
        first = next(one for one in SHAPES if set(one.fields) <= set(shape.fields) and one.fits in (bool, shape.fits))
        assert first is shape, (first.fields, shape.fields)
