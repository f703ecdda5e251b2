"""Which language a text is in, where that can be told (py3langid; Lui & Baldwin 2012)."""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

UNKNOWN = "und"  # as ISO 639 has it
MIN_CONFIDENCE = 0.5  # of the most probable language
MIN_LETTERS = 12  # fewer are a name or an exclamation more often than a language; Chinese or Japanese needs a third of them
MAX_CHARACTERS = 2000  # of a text that are looked at
MAX_ALLOWED = 0.05  # probability of all allowed languages together, below which a text is in none of them
CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]+`|https?://\S+", re.DOTALL)
DENSE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u0e00-\u0e7f]")
LETTER = re.compile(r"[^\W\d_]")


@cache
def _identifier() -> LanguageIdentifier:
    """Read once per process, on first use: it takes a second and about 100 MB. Asking it changes nothing in it."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def known() -> frozenset[str]:
    """The codes of ISO 639 that `identify` can give, besides `und`."""
    return frozenset(_identifier().labels)


def check(allowed: Collection[str]) -> None:
    """Raises `ValueError` that names the codes that are not known."""
    if unknown := sorted(set(allowed) - known()):
        raise ValueError(f"curate.languages: {', '.join(map(repr, unknown))} is not known, expected codes such as 'en', 'de', 'zh'")


def identify(text: str) -> str:
    """The code of the text's language; `und` for texts that are short, mostly code, or could be in several."""
    words = _words(text)
    if not words:
        return UNKNOWN
    language, confidence = _identifier().classify(words)
    return str(language) if confidence >= MIN_CONFIDENCE else UNKNOWN


def objection(text: str, allowed: Collection[str]) -> str | None:
    """Why a text is in none of the allowed languages. None are named: any may be. What cannot be told passes."""
    words = _words(text) if allowed else ""
    if not words:
        return None
    ranked: list[tuple[str, float]] = _identifier().rank(words)
    if ranked[0][0] in allowed or ranked[0][1] < MIN_CONFIDENCE:
        return None
    likely = sum(probability for language, probability in ranked if language in allowed)
    return "in another language" if likely < MAX_ALLOWED else None


def _words(text: str) -> str:
    """What is to be looked at; nothing where that is too little."""
    words = CODE.sub(" ", text[:MAX_CHARACTERS]) if "`" in text or "://" in text else text[:MAX_CHARACTERS]
    letters = len(LETTER.findall(words)) + 2 * len(DENSE.findall(words))
    return words if letters >= MIN_LETTERS else ""
