"""What the data is made of: documents and answers by kind, domain and language, and how the domains would be mixed.

Texts stream through in pages, the work on each in a thread. Memory grows by twelve bytes a text; a group holds a sample
besides, and there are `MAX_GROUPS` groups at most.
"""

from __future__ import annotations

import asyncio
from array import array
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from functools import partial

from msgspec import Struct

from learner.config import CurateSettings
from learner.corpora.mixing import mixing_weights
from learner.corpora.tally import EXACT, SAMPLE_TEXTS, SAMPLED, CountTokens, Group, Key, Tally, Tools, repeated
from storage.database import Database
from storage.texts import ANSWER, CONVERSATIONS, Text, page_answers, page_documents

PAGE = 100  # texts in memory at a time
MAX_GROUPS = 100
OTHER = "(other)"  # the domain and language of what comes when there are as many groups of its kind


class DomainShare(Struct, frozen=True):
    """Documents of one domain. `share` is of all documents' tokens, `weight` of the mixture."""

    domain: str
    texts: int
    tokens: int
    share: float
    weight: float


class Total(Struct, frozen=True):
    texts: int
    characters: int
    words: int
    tokens: int
    exact_duplicates: float  # across groups too


class Stats(Struct, frozen=True):
    """`exact` and `sampled` name the fields of a group: counted over all texts, or estimated on `sample_texts` at most."""

    total: Total
    groups: list[Group]  # the largest first
    domains: list[DomainShare]  # of documents only: answers are learnt from by votes
    mixing_temperature: float
    sample_texts: int = SAMPLE_TEXTS
    exact: tuple[str, ...] = EXACT
    sampled: tuple[str, ...] = SAMPLED


async def gather(
    database: Database, settings: CurateSettings, count_tokens: CountTokens, kind: str | None = None, domain: str | None = None
) -> Stats:
    """Reads every text once, of one kind or domain where that is asked. ValueError for mixing weights that make no sense."""
    mixing_weights({}, settings.mixing_temperature, settings.mixing)  # before a long read
    tallies: dict[Key, Tally] = {}
    async for page in _pages(database, kind, domain):
        await asyncio.to_thread(count, tallies, page)
    return await asyncio.to_thread(_finish, tallies, settings, count_tokens)


def count(tallies: dict[Key, Tally], texts: Iterable[Text]) -> None:
    """Adds each text to the tally of its group."""
    for text in texts:
        key = (text.kind, text.domain, text.language)
        if key not in tallies and len(tallies) >= MAX_GROUPS:
            key = (text.kind, OTHER, OTHER)
        tallies.setdefault(key, Tally(key)).add(plain(text.content))


def summarise(tallies: Mapping[Key, Tally], settings: CurateSettings, tools: Tools) -> Stats:
    """The figures of all groups; the same texts in the same order give the same ones."""
    groups = sorted(
        (tally.group(tools) for tally in tallies.values()), key=lambda one: (-one.tokens, one.kind, one.domain, one.language)
    )
    return Stats(_total(groups, tallies), groups, _mix(groups, settings), settings.mixing_temperature)


def plain(content: object) -> str:
    """A document's words, whatever its kind: its turns, its answers, each on a line of its own."""
    match content:
        case str():
            return content
        case {"role": str(), "content": said}:
            return plain(said)
        case dict():
            return "\n".join(map(plain, content.values()))
        case list():
            return "\n".join(map(plain, content))
        case _:
            return ""


async def _pages(database: Database, kind: str | None, domain: str | None) -> AsyncIterator[Sequence[Text]]:
    if kind != ANSWER:
        after = 0
        while page := await database.read(partial(page_documents, after=after, limit=PAGE, kind=kind, domain=domain)):
            yield page
            after = page[-1].position
    if kind in (None, ANSWER) and domain in (None, CONVERSATIONS):
        after = 0
        while page := await database.read(partial(page_answers, after=after, limit=PAGE)):
            yield page
            after = page[-1].position


def _finish(tallies: Mapping[Key, Tally], settings: CurateSettings, count_tokens: CountTokens) -> Stats:
    from learner.curate.dedupe import cluster
    from learner.curate.language import identify

    return summarise(tallies, settings, Tools(cluster, identify, count_tokens))


def _total(groups: Sequence[Group], tallies: Mapping[Key, Tally]) -> Total:
    fingerprints = array("Q")
    for tally in tallies.values():
        fingerprints.extend(tally.fingerprints)
    return Total(
        sum(group.texts for group in groups),
        sum(group.characters for group in groups),
        sum(group.words for group in groups),
        sum(group.tokens for group in groups),
        repeated(fingerprints),
    )


def _mix(groups: Sequence[Group], settings: CurateSettings) -> list[DomainShare]:
    texts: Counter[str] = Counter()
    tokens: Counter[str] = Counter()
    for group in groups:
        if group.kind != ANSWER:
            texts[group.domain] += group.texts
            tokens[group.domain] += group.tokens
    weights, total = mixing_weights(tokens, settings.mixing_temperature, settings.mixing), tokens.total()
    return [
        DomainShare(domain, texts[domain], size, size / total if total else 0.0, weights.get(domain, 0.0))
        for domain, size in sorted(tokens.items(), key=lambda item: (-item[1], item[0]))
    ]
