"""A text as its words, so that two texts that a person reads as the same are the same: without case, punctuation, accents,
invisible characters, or letters of other alphabets that look like Latin ones."""

from __future__ import annotations

import re
import unicodedata

# Look-alikes in lower case. A capital goes with its small letter, so that real Greek and Cyrillic stay the same in either.
CYRILLIC = ("авекмнорстухѕіјԁһԛԝѵ", "abekmhopctyxsijdhqwv")
GREEK = ("αβεζηικμνορτυχγω", "abezhikmvoptuxyw")
LATIN = ("ıɑɡłøđ", "iaglod")
UNSEEN = (  # combining accents, soft hyphens, joiners, direction marks, variation selectors, tags
    (0x00AD, 0x00AD), (0x0300, 0x036F), (0x061C, 0x061C), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x200B, 0x200F),
    (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF), (0xE0000, 0xE01EF),
)  # fmt: skip

ASCII = {code: chr(code).lower() if chr(code).isalnum() else " " for code in range(128)}
OTHER = {code: None for first, last in UNSEEN for code in range(first, last + 1)} | {
    ord(written): meant for alphabet, latin in (CYRILLIC, GREEK, LATIN) for written, meant in zip(alphabet, latin, strict=True)
}
WORD = re.compile(r"(?=\w)[\u2e80-\u9fff]|[^\W_\u2e80-\u9fff]+")  # a Chinese or Japanese character is a word


def words(text: str) -> list[str]:
    """The words in order, folded: letters and digits, nothing else."""
    if text.isascii():
        return text.translate(ASCII).split()
    return WORD.findall(unicodedata.normalize("NFKD", text).casefold().translate(OTHER))


def fold(text: str) -> str:
    """The words with a space between; a text that has none (a smiley) as it is."""
    return " ".join(words(text)) or text.strip()
