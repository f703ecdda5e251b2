"""Texts as rules compare them: small letters without accents, marks that nobody sees left out, plain quotes, single spaces.

Every character becomes one or none, so that places in the folded text can be told in the text as it was.
"""

from __future__ import annotations

import re
import unicodedata

from msgspec import Struct

PLAIN = {"‘": "'", "’": "'", "ʼ": "'", "´": "'", "`": "'", "“": '"', "”": '"', "ß": "s", "ø": "o", "đ": "d", "ł": "l", "ı": "i"}
LOOK_ALIKES = str.maketrans("0134578@$", "oleastbas")
UNSEEN = ("Mn", "Me", "Cf")  # accents, marks around a character, and what only steers how text is set
SPACES = str.maketrans("\t\n\r\v\f\x1c\x1d\x1e\x1f", " " * 9)
MORE_SPACES = re.compile("(?<= ) +")


class Folded(Struct, frozen=True):
    """`at[n]` is the place of the folded text's character n in the text as it was; None where they are the same."""

    text: str
    at: list[int] | None

    def place(self, number: int) -> int:
        return number if self.at is None else self.at[number]


def fold(text: str) -> Folded:
    if text.isascii():
        return _fold_ascii(text.lower().translate(SPACES))
    folded: list[str] = []
    at: list[int] = []
    for number, character in enumerate(text):
        plain = _fold_character(character)
        if plain and (plain != " " or not folded or folded[-1] != " "):
            folded.append(plain)
            at.append(number)
    return Folded("".join(folded), [*at, len(text)])


def _fold_ascii(plain: str) -> Folded:
    if "  " not in plain:
        return Folded(plain, None)
    pieces: list[str] = []
    at: list[int] = []
    end = 0
    for more in MORE_SPACES.finditer(plain):
        pieces.append(plain[end : more.start()])
        at += range(end, more.start())
        end = more.end()
    return Folded("".join([*pieces, plain[end:]]), [*at, *range(end, len(plain) + 1)])


def fold_look_alikes(folded: str) -> str:
    """Digits and signs as the letters that they stand in for; as long as before."""
    return folded.translate(LOOK_ALIKES)


def _fold_character(character: str) -> str:
    cached = _CHARACTERS.get(character)
    if cached is None:
        cached = _CHARACTERS[character] = _fold_anew(character)
    return cached


def _fold_anew(character: str) -> str:
    if character.isspace():
        return " "
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", character).lower())
    first = next((one for one in plain if unicodedata.category(one) not in UNSEEN), "")
    return " " if first.isspace() else PLAIN.get(first, first)


_CHARACTERS: dict[str, str] = {}
