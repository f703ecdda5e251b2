"""Where a match may begin is never missed, and in ordinary text it is rare."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learner.evaluate import frozen
from learner.policy import load_policy
from learner.policy.openings import opening_of
from learner.policy.scan import Scan

PATTERNS = [
    r"\b(?:mix|combine) [^.?!]{0,9}\bacid\b",
    r"(?<!\w)(?:kill|killing) (?:him|her)(?!\w)",
    r"a{2,3}b",
    r"(?:ab|c)?de",
    r"[xy]z?\w++ q",
    r"'tis",
    r"o\b'n",
    r"(?>one|two) three",
    r"(?!never)n\w{1,4} ever",
    r"colou?r",
]


@pytest.mark.parametrize("pattern", PATTERNS)
@given(data=st.data())
def test_wherever_a_match_is_going_on_or_over_an_opening_is_found(pattern: str, data: st.DataObject) -> None:
    opening = opening_of([pattern])
    assert opening is not None
    text = data.draw(st.from_regex(re.compile(pattern)))
    match = re.search(pattern, text)
    if match is not None:  # what is made around it may undo an edge
        cut = data.draw(st.integers(match.start() + 1, len(text)))
        opened = opening.search(text[:cut])
        assert opened is not None and opened.start() <= match.start()


@pytest.mark.parametrize("pattern", [r".foo", r"[^a]b", r"\w+x", r"(?:a|b)*"])
def test_nothing_is_known_of_what_begins_with_anything(pattern: str) -> None:
    assert opening_of([pattern]) is None
    assert opening_of([r"\bfoo", pattern]) is None


def test_an_opening_is_at_the_edge_of_a_word_where_the_pattern_is() -> None:
    opening = opening_of([r"\bmix "])
    assert opening is not None
    assert opening.search("admix it") is None and opening.search("we mix ") is not None
    assert opening.search("we mi") is not None and opening.search("we mi ") is None


def test_of_ordinary_text_little_is_held_back_and_all_of_it_comes_out() -> None:
    lines = (Path(str(frozen.__path__[0])) / "text" / "items.jsonl").read_text().splitlines()
    texts: list[Any] = [json.loads(line)["text"] for line in lines]
    policy, pieces, held = load_policy(), 0, 0
    for text in texts:
        scan, length = Scan(policy), 0
        for piece in re.findall(r"\s*\S+", text):
            length += len(piece)
            steps = scan.take(piece)
            assert all(step.breach is None for step in steps)
            pieces, held = pieces + 1, held + (steps[-1].upto < length)
        assert scan.finish()[-1].upto == length
    assert held < 0.25 * pieces, f"{held} of {pieces} pieces waited for the next"
