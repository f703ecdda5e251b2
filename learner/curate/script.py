"""The script a text is written in, by the blocks of Unicode; only as fine as telling a wrong one needs."""

from __future__ import annotations

import re

MIN_LETTERS = 8
MIN_SHARE = 0.8
SCRIPTS = {
    "latin": re.compile(r"[A-Za-z\u00aa-\u024f\u1e00-\u1eff]"),
    "cyrillic": re.compile(r"[\u0400-\u052f]"),
    "greek": re.compile(r"[\u0370-\u03ff\u1f00-\u1fff]"),
    "arabic": re.compile(r"[\u0600-\u077f\u08a0-\u08ff\ufb50-\ufdff\ufe70-\ufefe]"),
    "hebrew": re.compile(r"[\u0590-\u05ff]"),
    "indic": re.compile(r"[\u0900-\u0dff]"),
    "thai": re.compile(r"[\u0e00-\u0e7f]"),
    "cjk": re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\U00020000-\U0003ffff]"),
}


def dominant_script(text: str) -> str | None:
    """The script of at least four fifths of the letters; None where there is none, or too few letters to say."""
    if text.isascii():
        return "latin" if len(SCRIPTS["latin"].findall(text)) >= MIN_LETTERS else None
    if len(SCRIPTS["latin"].findall(text)) >= max(MIN_LETTERS, MIN_SHARE * len(text.replace(" ", ""))):
        return "latin"  # by far most texts, and a seventh of the work
    counts = {script: len(pattern.findall(text)) for script, pattern in SCRIPTS.items()}
    script = max(counts, key=counts.__getitem__)
    return script if counts[script] >= max(MIN_LETTERS, MIN_SHARE * sum(counts.values())) else None
