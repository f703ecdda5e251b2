"""Personal data and secrets out of a text, by patterns, checksums and entropy: a tag stands in for each.

What is redacted is what names or reaches a private person or opens a door. What names nobody stays: private and documentation
network addresses, years, prices, hashes, UUIDs, versions, names of people and places (the `presidio` setting takes those out too).
Texts are asked cheap questions first (is there an "@", seven digits, a long word?), so that ordinary ones cost little.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from learner.curate.contacts import find_births, find_emails, find_networks, find_phones, find_places, find_spelt_emails
from learner.curate.credentials import MIN_TOKEN, find_credentials, find_tokens
from learner.curate.found import KINDS, TAG, Finder, Found, counted
from learner.curate.identifiers import find_accounts, find_cards, find_identities, find_wallets

MIN_NUMBER = 4  # digits without which no number names a person
MIN_WALLET = 26  # characters of the shortest wallet address
DIGIT = re.compile(r"\d")
NUMBER = re.compile(r"\d(?:[ .\-/\u00a0\u2010-\u2015]{0,2}\d|[A-Z]){4}")  # what every number worth a closer look has in it
SPELT_AT = ("(at)", "[at]", "{at}", "( at )", "[ at ]", " dot ", "(dot)", "[dot]", " @ ", "(@)", "[@]", "@ ", " @")
BIRTH_WORDS = ("born", "birth", "dob", "d.o.b", "рожд", "geburts")
RANK = {kind: rank for rank, kind in enumerate(KINDS)}


class Redacted(NamedTuple):
    text: str
    found: dict[str, int]  # how often, by kind


def find(text: str) -> list[Found]:
    """What is personal or secret in the text, in its order, without overlaps."""
    return separate(text, _candidates(text))


def redact(text: str, finder: Finder = find) -> Redacted:
    """The text with a tag such as `<e-mail address>` for everything that is found in it.

    `finder` finds nothing in what comes out. Text without finds comes back as it is.
    """
    found: Counter[str] = Counter()
    while spans := separate(text, finder(text)):  # a tag changes what its neighbours look like; each turn leaves less beside tags
        found.update(span.kind for span in spans)
        borders = [0, *(border for span in spans for border in (span.start, span.end)), len(text)]
        kept = [text[borders[at] : borders[at + 1]] for at in range(0, len(borders), 2)]
        text = kept[0] + "".join(f"<{span.kind}>{rest}" for span, rest in zip(spans, kept[1:], strict=True))
    return Redacted(text, dict(found))


def describe(found: Mapping[str, int]) -> str:
    """For the manifest: "redacted 2 e-mail addresses, 1 card number"; empty where nothing was found."""
    listed = [
        counted(kind, found[kind]) for kind in sorted(found, key=lambda kind: (RANK.get(kind, len(RANK)), kind)) if found[kind]
    ]
    return f"redacted {', '.join(listed)}" if listed else ""


def separate(text: str, candidates: Iterable[Found]) -> list[Found]:
    """Finds in order; those that overlap are one, of the kind that matters most. Tags that stand already stay as they are."""
    tags = [match.span() for match in TAG.finditer(text)] if "<" in text else []
    apart: list[Found] = []
    for one in sorted(candidates, key=lambda found: (found.start, -found.end)):
        if any(start < one.end and one.start < end and not _swallows(one, start, end) for start, end in tags):
            continue
        if apart and one.start < apart[-1].end:
            last = apart.pop()
            kind = min(last.kind, one.kind, key=lambda kind: RANK.get(kind, len(RANK)))
            one = Found(kind, last.start, max(last.end, one.end))
        apart.append(one)
    return apart


def _swallows(one: Found, start: int, end: int) -> bool:
    return one.start <= start and end <= one.end and one.end - one.start > end - start


def _candidates(text: str) -> Iterator[Found]:
    lowered = text.lower()
    yield from find_credentials(text, lowered)
    longest = max(map(len, text.split()), default=0)
    if longest >= MIN_TOKEN:
        yield from find_tokens(text)
    if "@" in text or "\uff20" in text:
        yield from find_emails(text)
    if any(map(lowered.__contains__, SPELT_AT)):
        yield from find_spelt_emails(text)
    digits = sum(map(text.count, "0123456789")) if text.isascii() else len(DIGIT.findall(text))
    if digits >= 4 or ":" in text:
        yield from find_networks(text)
    if digits >= MIN_NUMBER and NUMBER.search(text):
        yield from find_cards(text)
        yield from find_accounts(text)
        yield from find_identities(text)
        yield from find_phones(text)
    if digits >= MIN_NUMBER and any(map(lowered.__contains__, BIRTH_WORDS)):
        yield from find_births(text)
    if longest >= MIN_WALLET:
        yield from find_wallets(text)
    if digits:
        yield from find_places(text)
