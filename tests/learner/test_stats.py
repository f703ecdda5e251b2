"""Of the data's figures: counts are exact, estimates are of a fair sample, and neither a page nor an order changes them."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterable
from xml.etree import ElementTree

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncConnection

from learner.config import CurateSettings
from learner.corpora import stats, tally
from learner.corpora.mixing import mixing_weights
from learner.corpora.picture import draw
from learner.corpora.spread import fingerprint, spread
from learner.corpora.stats import MAX_GROUPS, OTHER, Stats, count, gather, plain, summarise
from learner.corpora.tally import SAMPLE_CHARACTERS, SAMPLE_TEXTS, Key, Tally, Tools
from learner.curate.words import words
from storage.documents import insert_documents
from storage.people import insert_person
from storage.records import Document, DocumentKind, Person
from storage.texts import Text
from tests.databases import Place
from tests.storage.loop import furnish, with_database

SIZES = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 10**9), min_size=1)


def cluster_by_first_word(texts: Iterable[str]) -> list[int]:
    return [hash(text.split()[0]) if text.split() else 0 for text in texts]


def identify_by_hand(text: str) -> str:
    return "de" if "und" in text.split() else "en" if "and" in text.split() else "und"


TOOLS = Tools(cluster_by_first_word, identify_by_hand, lambda text: 2 * len(text))


def text(content: object, domain: str = "tales", language: str = "en", kind: str = "corpus") -> Text:
    return Text(0, kind, domain, language, content)


def figures(texts: Iterable[Text], **chosen: object) -> Stats:
    tallies: dict[Key, Tally] = {}
    count(tallies, texts)
    return summarise(tallies, CurateSettings(**chosen), TOOLS)


# Mixing


@given(SIZES, st.floats(0.2, 100))
def test_weights_add_up_to_one_and_keep_the_order_of_sizes(counts: dict[str, int], temperature: float) -> None:
    weights = mixing_weights(counts, temperature, {})
    assert math.isclose(math.fsum(weights.values()), 1)
    assert all(weights[a] >= weights[b] for a in counts for b in counts if counts[a] >= counts[b])


def test_temperature_flattens_as_mt5_does() -> None:
    assert mixing_weights({"a": 900, "b": 100}, 1, {}) == pytest.approx({"a": 0.9, "b": 0.1})
    assert mixing_weights({"a": 900, "b": 100}, 2, {}) == pytest.approx({"a": 0.75, "b": 0.25})  # 30 : 10
    assert mixing_weights({"a": 900, "b": 100}, 1e9, {}) == pytest.approx({"a": 0.5, "b": 0.5})


def test_what_an_operator_gives_stands_and_the_rest_goes_by_size() -> None:
    weights = mixing_weights({"papers": 10, "talk": 300, "tales": 100}, 1, {"papers": 0.6, "not here": 0.4})
    assert weights == pytest.approx({"papers": 0.6, "talk": 0.3, "tales": 0.1})
    assert mixing_weights({"a": 5, "b": 5, "c": 0}, 1, {"a": 0.2, "b": 0.2}) == pytest.approx({"a": 0.5, "b": 0.5})
    assert mixing_weights({"a": 5, "b": 5}, 1, {"a": 1.0}) == {"a": 1.0, "b": 0.0}
    assert mixing_weights({"a": 5}, 1, {"a": 0.0}) == {"a": 1.0}
    assert mixing_weights({}, 1, {}) == {}


@pytest.mark.parametrize(
    ("temperature", "given_weights", "said"),
    [
        (0, {}, "temperature is 0, expected a number above 0"),
        (math.inf, {}, "temperature is inf"),
        (1, {"a": -0.1}, r"\{'a': -0.1\}, expected a share from 0 to 1"),
        (1, {"a": math.nan}, "expected a share"),
        (1, {"a": 0.7, "b": 0.7}, "1.4 of the mixture away, expected 1 at most"),
    ],
)
def test_a_mixture_that_makes_no_sense_is_refused(temperature: float, given_weights: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        mixing_weights({"a": 1, "b": 1, "c": 1}, temperature, given_weights)


# Spread


def test_texts_that_differ_in_dress_only_are_one() -> None:
    prints = {fingerprint(one, words(one)) for one in ("Hello, World!", "hello world", "  HELLO\n world ")}
    assert len(prints) == 1
    assert len({fingerprint(one, words(one)) for one in ("!!!", "???", "", "hello")}) == 4


def test_distinct_n_grams_do_not_reach_from_one_text_into_the_next() -> None:
    found = spread(["a b a b", "a b"])
    assert found.words == 6
    assert found.distinct == (2 / 6, 2 / 4, 2 / 2)  # a, b of six; ab, ba of four; aba, bab of two
    assert found.entropy_bits == pytest.approx((1, 0.811278, 1))


def test_texts_that_repeat_each_other_are_less_diverse_in_every_figure() -> None:
    chance = random.Random(1)
    varied = [" ".join(f"w{chance.randrange(5000)}" for _ in range(30)) for _ in range(100)]
    same, other = spread(varied[:1] * 100), spread(varied)
    assert all(a < b for a, b in zip(same.distinct, other.distinct, strict=True))
    assert all(a < b for a, b in zip(same.entropy_bits, other.entropy_bits, strict=True))
    assert same.compression > 3 * other.compression


def test_nothing_has_no_spread() -> None:
    assert spread([]) == tally.Spread(0, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), 0.0)
    assert (spread(["…"]).words, spread(["…"]).distinct) == (0, (0.0, 0.0, 0.0))


# Groups


def test_groups_are_counted_exactly() -> None:
    found = figures(
        [
            text("one two and"),
            text("One, two: AND"),
            text("three"),
            text("eins und", language="de"),
            text("x y", "talk", "", "chat"),
        ]
    )
    assert [(one.kind, one.domain, one.language, one.texts, one.words) for one in found.groups] == [
        ("corpus", "tales", "en", 3, 7),
        ("corpus", "tales", "de", 1, 2),
        ("chat", "talk", "", 1, 2),
    ]
    english = found.groups[0]
    assert (english.characters, english.tokens) == (11 + 13 + 5, 2 * (11 + 13 + 5))
    assert english.exact_duplicates == pytest.approx(1 / 3)
    assert english.length_words == (1, 1, 3, 3, 3)
    assert (english.languages, english.stated_language_agrees) == ({"und": 2 / 3, "en": 1 / 3}, 1.0)
    assert found.groups[2].stated_language_agrees is None  # none is stated
    assert (found.total.texts, found.total.words, found.total.exact_duplicates) == (5, 11, pytest.approx(1 / 5))


def test_a_stated_language_that_is_another_shows() -> None:
    [group] = figures(
        [text("this and that", language="de-AT"), text("dies und das", language="de-AT"), text("?", language="de-AT")]
    ).groups
    assert group.stated_language_agrees == 0.5


def test_duplicates_across_groups_count_in_the_total_alone() -> None:
    found = figures([text("the same", "a"), text("The same.", "b")])
    assert [one.exact_duplicates for one in found.groups] == [0, 0]
    assert found.total.exact_duplicates == 0.5


def test_what_is_exact_and_what_is_estimated_is_said_of_every_figure() -> None:
    fields = set(tally.Group.__struct_fields__) - {"kind", "domain", "language", "sampled"}
    assert {*stats.EXACT, *stats.SAMPLED} == fields and not {*stats.EXACT} & {*stats.SAMPLED}


def test_the_sample_is_bounded_and_fair() -> None:
    drawn: Counter[int] = Counter()
    for run in range(10):
        one = Tally(("corpus", f"domain {run}", "en"))
        for number in range(4 * SAMPLE_TEXTS):
            one.add(f"{number} " + "x" * 2 * SAMPLE_CHARACTERS)
        assert len(one.sample) == SAMPLE_TEXTS and {len(kept) for kept in one.sample} == {SAMPLE_CHARACTERS}
        drawn.update(int(kept.split()[0]) * 4 // (4 * SAMPLE_TEXTS) for kept in one.sample)
    quarters = [drawn[quarter] / drawn.total() for quarter in range(4)]
    assert quarters == pytest.approx([0.25] * 4, abs=0.022)  # 10000 draws: five standard errors


def test_the_number_of_groups_is_bounded_and_nothing_is_lost() -> None:
    found = figures(text(f"text {number}", domain=f"domain {number}") for number in range(MAX_GROUPS + 50))
    assert len(found.groups) == MAX_GROUPS + 1 and found.total.texts == MAX_GROUPS + 50
    assert [one.texts for one in found.groups if one.domain == OTHER] == [50]


@settings(max_examples=25)
@given(st.lists(st.tuples(st.text(), st.sampled_from("ab"), st.sampled_from(["en", "de"])), max_size=30), st.integers(1, 7))
def test_pages_change_nothing(items: list[tuple[str, str, str]], size: int) -> None:
    texts = [text(content, domain, language) for content, domain, language in items]
    tallies: dict[Key, Tally] = {}
    for start in range(0, len(texts), size):
        count(tallies, texts[start : start + size])
    paged = summarise(tallies, CurateSettings(), TOOLS)
    assert paged == figures(texts)
    assert paged.total.texts == len(texts) and paged.total.characters == sum(len(item[0]) for item in items)


def test_domains_are_mixed_by_tokens_and_answers_are_no_domain() -> None:
    texts = [
        text("x" * 90, "big"),
        text("x" * 10, "small", "de"),
        text("x" * 10, "given"),
        text("y" * 500, "conversations", "", "answer"),
    ]
    found = figures(texts, mixing={"given": 0.5}, mixing_temperature=1.0)
    assert [(one.domain, one.texts, one.tokens) for one in found.domains] == [("big", 1, 180), ("given", 1, 20), ("small", 1, 20)]
    assert [one.share for one in found.domains] == pytest.approx([90 / 110, 10 / 110, 10 / 110])
    assert [one.weight for one in found.domains] == pytest.approx([0.45, 0.5, 0.05])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("as it is", "as it is"),
        ([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}], "Hi\nHello"),
        ({"prompt": [{"role": "user", "content": "Hi"}], "chosen": "Yes", "rejected": "No"}, "Hi\nYes\nNo"),
        ({"prompt": "Hi", "chosen": "Yes", "rejected": "No"}, "Hi\nYes\nNo"),
        (None, ""),
    ],
)
def test_every_kind_of_content_has_words(content: object, said: str) -> None:
    assert plain(content) == said


# From the database


def document(number: int, kind: DocumentKind = DocumentKind.CORPUS, **more: object) -> Document:
    content = f"This is document {number}, and it says so." if kind is DocumentKind.CORPUS else [{"role": "user", "content": "Hi"}]
    return msgspec.structs.replace(Document(f"d{number}", kind, "tales", "en", "us", "CC0-1.0", None, content, 1.0), **more)


async def fill(connection: AsyncConnection) -> None:
    await furnish(connection)  # with three whole answers and one that was cut off
    await insert_person(connection, Person("shy", "Shy", 1.0, learn=False))
    corpus = [document(number) for number in range(250)]  # some pages
    await insert_documents(connection, [*corpus, document(1000, DocumentKind.CHAT, domain="talk"), document(1001, domain="talk")])


def test_documents_and_whole_answers_are_read_once_each(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("learner.curate.dedupe")
    pytest.importorskip("learner.curate.language")

    async def read(db: stats.Database) -> list[Stats]:
        await db.write(fill)
        chosen = (
            {},
            {"kind": "answer"},
            {"kind": "corpus"},
            {"domain": "talk"},
            {"kind": "corpus", "domain": "talk"},
            {"kind": "chat"},
        )
        return [await gather(db, CurateSettings(), len, **one) for one in chosen]

    def counts(found: Stats) -> dict[tuple[str, str], int]:
        return {(one.kind, one.domain): one.texts for one in found.groups}

    everything, answers, corpus, talk, both, chat = with_database(place, read)
    assert counts(answers) == {("answer", "conversations"): 3}
    assert counts(corpus) == {("corpus", "tales"): 250, ("corpus", "talk"): 1}
    assert counts(talk) == {("corpus", "talk"): 1, ("chat", "talk"): 1}
    assert (counts(both), counts(chat)) == ({("corpus", "talk"): 1}, {("chat", "talk"): 1})
    assert counts(everything) == counts(answers) | counts(corpus) | counts(chat)


# The picture


def pictured(domains: int = 3) -> Stats:
    chance = random.Random(3)
    vocabulary = ["and", "und", *(f"word{n}" for n in range(300))]
    return figures(
        text(
            " ".join(chance.choices(vocabulary, k=chance.randint(1, 200))),
            f"domain {n % domains}",
            chance.choice(["en", "de", "fr"]),
        )
        for n in range(60 * domains)
    )


@pytest.mark.parametrize("format", ["svg", "png"])
def test_the_same_figures_are_the_same_picture(format: str) -> None:
    found = pictured()
    first = draw(found, format)
    assert first == draw(found, format)
    assert first.startswith(b"\x89PNG" if format == "png" else b"<?xml")


def test_other_figures_are_another_picture() -> None:
    assert draw(pictured(), "svg") != draw(pictured(domains=2), "svg")


def test_any_name_of_a_domain_can_be_drawn() -> None:
    names = ["$x_{", "[bold]", "<b>&", "论文", "a" * 500, "_hidden", "new\nline", ""]
    texts = [text(f"some words of {number}", name, name) for number, name in enumerate(names)]
    ElementTree.fromstring(draw(figures(texts), "svg"))


def test_many_groups_and_none_can_be_drawn() -> None:
    ElementTree.fromstring(draw(figures([]), "svg"))
    assert draw(pictured(domains=30), "png")
