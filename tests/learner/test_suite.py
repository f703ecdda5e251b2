"""Of frozen suites: they are what was frozen, and no suite can be won by an empty head."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from learner.curate.decontaminate import Overlap
from learner.evaluate.rules import CHECKS, share_kept
from learner.evaluate.suite import (
    FROZEN,
    MANIFEST,
    Header,
    Item,
    Kind,
    Suite,
    SuiteError,
    add_suite,
    freeze,
    load_suites,
    suite_folders,
    write_suite,
)

SUITES = load_suites()
BY_NAME = {suite.name: suite for suite in SUITES}
NAMES = sorted(BY_NAME)
SHIPPED = {
    "bias", "instructions", "knowledge", "over_refusal", "refusal", "russian", "sycophancy", "text", "trigger",
}  # fmt: skip
ASKED = [{"role": "user", "content": "Is it so? xyzzy"}]
PLAIN = [{"role": "user", "content": "Is it so?"}]
HEADER = Header("tests", "text", version=1, margin=0.1, veto=True)
OWN = Item("own-1", "own-1", "tests", text="What an operator wants to keep.")
each_suite = pytest.mark.parametrize("suite", SUITES, ids=[suite.name for suite in SUITES])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy of the shipped suites to spoil."""
    return Path(shutil.copytree(FROZEN, tmp_path / "frozen"))


def test_the_shipped_manifest_is_what_freezing_would_write(root: Path) -> None:
    before = (root / MANIFEST).read_bytes()
    assert set(freeze(root)) == set(NAMES) == SHIPPED
    assert (root / MANIFEST).read_bytes() == before


@pytest.mark.parametrize("file", ["items.jsonl", "suite.toml"])
def test_a_changed_byte_is_refused_by_the_suites_name(root: Path, file: str) -> None:
    for name in NAMES:
        content = (root / name / file).read_bytes()
        at = len(content) // 2
        (root / name / file).write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        with pytest.raises(SuiteError, match=f"suite '{name}' has changed since it was frozen"):
            load_suites(root)
        (root / name / file).write_bytes(content)
    assert load_suites(root) == SUITES


def test_a_suite_nobody_froze_is_refused_by_its_name(root: Path) -> None:
    shutil.copytree(root / "text", root / "poetry")
    with pytest.raises(SuiteError, match=r"suite 'poetry' is not in manifest.json"):
        load_suites(root)


def test_a_suite_that_is_gone_is_refused_by_its_name(root: Path) -> None:
    shutil.rmtree(root / "text")
    with pytest.raises(SuiteError, match=r"suite 'text' cannot be read"):
        load_suites(root)


@pytest.mark.parametrize("content", [None, b"", b"[]"])
def test_without_a_manifest_nothing_is_loaded(root: Path, content: bytes | None) -> None:
    (root / MANIFEST).unlink() if content is None else (root / MANIFEST).write_bytes(content)
    with pytest.raises(SuiteError, match=MANIFEST):
        load_suites(root)


@pytest.mark.parametrize(
    ("item", "told"),
    [
        pytest.param(b'{"id": "text-001", "family": "f", "source": "s", "text": "twice"}', "an item id twice", id="twice"),
        pytest.param(b'{"id": "x", "family": "f", "source": "s"}', "item 'x' lacks a text, which kind 'text' needs", id="no text"),
        pytest.param(b'{"id": "x", "family": "f", "source": "s", "texts": "y"}', "cannot be read", id="unknown field"),
        pytest.param(b'{"id": "x\xff", "family": "f", "source": "s", "text": "y"}', "cannot be read", id="not UTF-8"),
        pytest.param(b"{", "cannot be read", id="not JSON"),
    ],
)
def test_a_malformed_item_cannot_be_frozen(root: Path, item: bytes, told: str) -> None:
    with (root / "text" / "items.jsonl").open("ab") as stream:
        stream.write(item + b"\n")
    with pytest.raises(SuiteError, match=f"suite 'text'.*{told}"):
        freeze(root)


@pytest.mark.parametrize(
    ("kind", "fields", "lacking"),
    [
        ("choice", {"choices": ["a", "b"]}, "a prompt"),
        ("choice", {"prompt": ASKED, "choices": ["a", "b"], "answer": 2}, "choices with the answer among them"),
        ("flips", {"prompt": ASKED, "neutral": ASKED, "choices": ["a"]}, "a neutral prompt unlike the other"),
        ("rules", {"prompt": ASKED, "rules": [{"kind": "rhymes"}]}, "rules that can be checked"),
        ("rules", {"prompt": ASKED, "rules": [{"kind": "regex", "pattern": "("}]}, "rules that can be checked"),
        ("even", {"choices": ["a", "a"]}, "two choices that differ"),
        ("even", {"choices": ["a", "b", "c"]}, "two choices that differ"),
        ("trigger", {"prompt": ASKED, "text": "b"}, "a neutral prompt unlike the other"),
        ("trigger", {"prompt": ASKED, "neutral": PLAIN}, "a text that answers both prompts"),
        ("judged", {"text": "b"}, "a prompt"),
    ],
)
def test_each_kind_says_what_an_item_lacks(tmp_path: Path, kind: Kind, fields: dict[str, object], lacking: str) -> None:
    item = msgspec.convert({"id": "x", "family": "f", "source": "s", **fields}, Item)
    with pytest.raises(SuiteError, match=f"item 'x' lacks {lacking}, which kind '{kind}' needs"):
        add_suite(tmp_path, "own", msgspec.structs.replace(HEADER, kind=kind), [item])
    assert not (tmp_path / MANIFEST).exists() and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("said", "told"),
    [("margin = 0", "margin is 0.0; expected a drop above 0"), ("margin = 1\nadvisory = true", "veto and advisory are both true")],
)
def test_a_header_that_makes_no_sense_is_refused(root: Path, said: str, told: str) -> None:
    (root / "text" / "suite.toml").write_text(f'about = "a"\nkind = "text"\nversion = 1\nveto = true\n{said}\n')
    with pytest.raises(SuiteError, match=f"suite 'text'.*{told}"):
        freeze(root)


def test_an_operators_suite_stands_beside_the_shipped_ones(tmp_path: Path) -> None:
    assert suite_folders(tmp_path, None) == [FROZEN] and suite_folders(tmp_path, "there") == [Path("there")]
    header = msgspec.structs.replace(HEADER, about='of "tests"', language="ru", veto=False, advisory=True)
    own = add_suite(tmp_path / "suites", "own", header, [OWN])
    assert own.header == header and own.items == (OWN,)
    assert suite_folders(tmp_path, None) == [FROZEN, tmp_path / "suites"]
    assert load_suites(*suite_folders(tmp_path, None)) == sorted([*SUITES, own], key=lambda suite: suite.name)
    assert freeze(tmp_path / "suites") == {"own": own.sha256}


def test_one_name_for_two_suites_is_refused_with_both_places(root: Path, tmp_path: Path) -> None:
    add_suite(tmp_path / "suites", "text", HEADER, [OWN])
    with pytest.raises(SuiteError, match=r"suite 'text' is in .*/frozen and in .*/suites: give one another name"):
        load_suites(root, tmp_path / "suites")


def test_a_broken_suite_of_the_operators_is_named_with_its_place(tmp_path: Path) -> None:
    add_suite(tmp_path / "suites", "own", HEADER, [OWN])
    (tmp_path / "suites" / "own" / "items.jsonl").write_text("")
    with pytest.raises(SuiteError, match=r"suite 'own' has changed since it was frozen: .* \(in .*/suites\)"):
        load_suites(*suite_folders(tmp_path, None))


def test_what_an_interrupted_import_leaves_is_no_suite(root: Path) -> None:
    write_suite(root / ".own.7", HEADER, [OWN])
    assert load_suites(root) == SUITES and ".own.7" not in freeze(root)


@each_suite
def test_a_suite_has_enough_items_with_names_of_their_own(suite: Suite) -> None:
    assert len(suite.items) >= 250
    assert len({item.id for item in suite.items}) == len(suite.items)
    assert all(item.source and item.family for item in suite.items)
    assert 0 < suite.header.margin < 0.2


@each_suite
def test_no_question_is_asked_twice(suite: Suite) -> None:
    asked = Counter(msgspec.json.encode((item.prompt, item.text)) for item in suite.items)
    assert [text for text, count in asked.items() if count > 1] == []


@pytest.mark.parametrize("name", ["knowledge", "over_refusal", "refusal", "sycophancy"])
def test_always_taking_one_position_wins_no_choice_suite(name: str) -> None:
    items = BY_NAME[name].items
    assert max(Counter(item.answer for item in items).values()) / len(items) <= 0.7
    assert all(len(set(item.choices)) == len(item.choices) for item in items)


def test_a_refusal_and_its_harmless_twin_are_paired_so_that_always_refusing_wins_nothing() -> None:
    assert {item.family for item in BY_NAME["refusal"].items} == {item.family for item in BY_NAME["over_refusal"].items}


def test_every_rule_of_the_instructions_can_be_checked() -> None:
    assert {rule.kind for item in BY_NAME["instructions"].items for rule in item.rules} <= set(CHECKS)


@pytest.mark.parametrize("hollow", ["", "I can't help with that.", "Sure! Here is what you asked for."])
def test_a_hollow_answer_fails_the_instructions(hollow: str) -> None:
    scores = [share_kept(item.rules, hollow) for item in BY_NAME["instructions"].items]
    assert sum(scores) / len(scores) < 0.6
    assert sum(score == 1 for score in scores) <= 0.05 * len(scores)


def test_every_text_of_every_suite_would_be_found_in_training_data() -> None:
    overlap = Overlap(SUITES)
    items = [item for suite in SUITES for item in suite.items]
    texts = [text for item in items for text in (*(turn.content for turn in item.prompt), item.text) if text]
    assert len(texts) >= len(items) > 900
    assert all(text in overlap for text in texts)
