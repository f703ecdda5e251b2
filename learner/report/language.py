"""What a report says in its reader's language: `messages/report.<language>.json`, keys to texts with `{places}`.

Words that the learner keeps as they were said, such as the gate's own reasons, stay in English.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import msgspec

LANGUAGES = ("en", "ru")  # the first one is for everybody else
FOLDER = Path(__file__).parent / "messages"
DECIMAL_COMMA = ("ru",)


class Words:
    """The texts and numbers of one language."""

    def __init__(self, language: str, texts: dict[str, str]) -> None:
        self.language, self._texts = language, texts

    def t(self, key: str, **places: object) -> str:
        """The text, its places filled. KeyError where there is none."""
        return self._texts[key].format(**places)

    def name(self, kind: str, value: str) -> str:
        """What a value that the learner keeps is called; as it is where it has no name."""
        return self._texts.get(f"{kind}.{value}", value)

    def number(self, value: float, form: str = ".4f") -> str:
        """The number by Python's format specification, with the language's own mark between whole and parts."""
        written = format(value, form)
        if self.language not in DECIMAL_COMMA:
            return written
        return written.replace(".", ",").replace("%", "\N{NO-BREAK SPACE}%")


@cache
def words_in(language: str) -> Words:
    """KeyError for a language that there is not."""
    if language not in LANGUAGES:
        raise KeyError(language)
    return Words(language, msgspec.json.decode((FOLDER / f"report.{language}.json").read_bytes(), type=dict[str, str]))
