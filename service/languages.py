"""What pages say, in the reader's language: files of messages, `<area>.<language>.json`, keys to texts.

A text may have `{places}` to fill. One that depends on a number has a key for each form of its language, as CLDR names
them: `votes.one`, `votes.few`, `votes.many`, `votes.other`; those are for the browser, which knows the rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

import msgspec

FOLDER = Path(__file__).parent / "web" / "messages"
LANGUAGES = {"en": "English", "ru": "Русский"}  # the first one is for everybody else
COOKIE = "ratchet_language"

Messages = dict[str, str]


@cache
def load_messages(area: str, language: str) -> Messages:
    """The messages of one area of the pages. Raises OSError, or `msgspec.DecodeError`, where there are none."""
    return msgspec.json.decode((FOLDER / f"{area}.{language}.json").read_bytes(), type=Messages)


def messages_of(areas: Iterable[str], language: str) -> Messages:
    return {key: text for area in areas for key, text in load_messages(area, language).items()}


def choose_language(cookies: Mapping[str, str], accepted: str) -> str:
    """The one that the reader chose, or else the first that the browser takes and there is (`Accept-Language`, RFC 9110)."""
    if (chosen := cookies.get(COOKIE)) in LANGUAGES:
        return str(chosen)
    wanted = sorted((_weighed(part) for part in accepted.split(",")), key=lambda pair: -pair[1])
    return next((tag for tag, weight in wanted if tag in LANGUAGES and weight > 0), next(iter(LANGUAGES)))


def _weighed(part: str) -> tuple[str, float]:
    tag, _, weight = part.strip().partition(";q=")
    try:
        return tag.split("-")[0].lower(), float(weight or 1)
    except ValueError:
        return "", 0.0
