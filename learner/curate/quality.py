"""Answers that nobody should learn to give, whoever liked them: empty, cut off, looping, unreadable.

Only what a row teaches to say is looked at: liked or preferred answers and corrections. A bad answer that was voted down is a
good example of what not to say. The rules on repetition are those of Gopher (Rae et al. 2021, arXiv 2112.11446, table A1),
which are for whole documents; a short answer only repeats itself where it loops.
"""

from __future__ import annotations

import re
import string
import zlib
from collections import Counter
from collections.abc import Sequence

from learner.curate.example import Example
from learner.curate.script import SCRIPTS, dominant_script

TOO_SHORT, TOO_LONG, REPEATS, CUT_OFF = "too short to teach", "too long", "repeats itself", "cut off"
UNREADABLE, WRONG_SCRIPT = "unreadable", "in another script than the conversation"

MAX_CHARACTERS = 100_000
MIN_GOPHER_WORDS = 100  # from here on the shares of repeated n-grams mean something
TOP_NGRAMS = {2: 0.20, 3: 0.18, 4: 0.16}  # largest share of characters that the most frequent n-gram may take up
REPEATED_NGRAMS = {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10}  # and that n-grams which occur again may
MAX_REPEATED_LINES = 0.30  # share of lines that stand there already
MIN_LINES = 8
MAX_PERIOD_WORDS = 40  # of a loop
MIN_TURNS = 4  # of a loop at the end of an answer
MIN_LOOP = 0.3  # share of the words that the loop takes up
MIN_COMPRESSED_BYTES = 400
MIN_COMPRESSION = 0.12  # compressed size by size; prose of this length has 0.4 and more

WORD = re.compile(r"\w+")
SAID = re.compile(r"[^\W_]|[\u2600-\u27bf\U0001f000-\U0001faff]")  # letters, digits, and pictures, which are an answer too
LINES_OF_TABLES = str.maketrans("", "", "|-+=─│┌┐└┘├┤┬┴┼")
BROKEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffd\ufffe\uffff\ue000-\uf8ff]")  # control, replacement, private use
MOJIBAKE = re.compile(r"Ã[\x80-\xbf ©¨«¼¶¤±³¡]|â(?:€|\x80)[\x80-\xbf™œ˜“”¦]?|Â[\xa0-\xbf]|Ð[\x80-\xbf°-¿]|ï»¿|ï¿½")
CODE = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
MIN_SYMBOL_TEXT = 20  # characters of a text whose share of symbols is looked at
MAX_SYMBOLS = 0.7  # of a text's characters that are not white space, outside code
MAX_BROKEN = 0.02
MAX_UNBROKEN = 300  # characters of a "word" of letters: longer ones are noise, in scripts with spaces
UNBROKEN = re.compile(rf"[A-Za-z]{{{MAX_UNBROKEN},}}")
ASKED_SCRIPT = re.compile(
    r"(?i)\b(?:translat\w*|transliterat\w*|language|alphabet|script|kanji|hiragana|katakana|pinyin|symbols?|emoji\w*|cyrillic"
    r"|russian|ukrainian|bulgarian|serbian|belarusian|macedonian|kazakh|mongolian|greek|arabic|persian|farsi|urdu|pashto|hebrew|yiddish"
    r"|hindi|marathi|nepali|sanskrit|bengali|bangla|punjabi|gujarati|tamil|telugu|kannada|malayalam|sinhala|thai|lao|burmese|khmer"
    r"|tibetan|georgian|armenian|amharic|chinese|mandarin|cantonese|japanese|korean|hangul|russisch|chinesisch|japanisch|arabisch"
    r"|griechisch|hebräisch|koreanisch|russe|chinois|japonais|arabe|ruso|chino|japonés|árabe|griego)\b"
)
ENDED = re.compile(r"[.!?…。！？؟।:;)\]}>\"'”’»*`~|_]\s*\Z")


def objection(example: Example) -> str | None:
    """Why nobody should learn to say what this example teaches; None where nothing speaks against it."""
    liked = [example.answer] if example.is_liked else []
    corrected = [example.correction] if example.correction else []
    for text in (*liked, *corrected):
        if reason := _text_objection(text):
            return reason
        if _is_other_script(text, example):
            return WRONG_SCRIPT
    if liked and example.finish_reason == "length" and is_cut_off(example.answer):
        return CUT_OFF
    return None


def _text_objection(text: str) -> str | None:
    if len(text) > MAX_CHARACTERS:
        return TOO_LONG
    said = SAID.findall(text) if len(text.strip()) < MIN_SYMBOL_TEXT else None
    if said is not None and (not said or (len(said) == 1 and said[0] in string.ascii_letters)):  # a digit may be the answer
        return TOO_SHORT
    words = WORD.findall(text.lower())
    if is_unreadable(text, words):
        return UNREADABLE
    return REPEATS if is_repetitive(text, words) else None


def is_cut_off(text: str) -> bool:
    """Whether a text does not look ended: in the middle of a sentence, or of a block of code."""
    return text.count("```") % 2 == 1 or not ENDED.search(text)


def is_unreadable(text: str, words: Sequence[str]) -> bool:
    """Control characters, broken encodings, words without end, and texts of little but symbols. `words` are the text's."""
    broken = len(BROKEN.findall(text)) + (0 if text.isascii() else len(MOJIBAKE.findall(text)))
    if broken >= 3 and broken > MAX_BROKEN * len(text):
        return True
    if max(map(len, words), default=0) >= MAX_UNBROKEN and UNBROKEN.search(text):
        return True
    if sum(map(len, words)) >= (1 - MAX_SYMBOLS) * len(text):
        return False
    prose = (CODE.sub("", text) if "```" in text else text).translate(LINES_OF_TABLES)
    visible = sum(map(len, prose.split()))
    return visible >= MIN_SYMBOL_TEXT and len(SAID.findall(prose)) < (1 - MAX_SYMBOLS) * visible


def is_repetitive(text: str, words: Sequence[str]) -> bool:
    """Whether a text, of these words in lower case, loops, or says much of what it says more than once."""
    if _loops(words) or _loops(words[:-1]):  # the last word may be cut
        return True
    data = text.encode(errors="replace") if len(text) * 4 >= MIN_COMPRESSED_BYTES else b""
    if len(data) >= MIN_COMPRESSED_BYTES and len(zlib.compress(data, 1)) < MIN_COMPRESSION * len(data):
        return True
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) >= MIN_LINES and len(lines) - len(set(lines)) > MAX_REPEATED_LINES * len(lines):
        return True
    return len(words) >= MIN_GOPHER_WORDS and _repeats_ngrams(text.lower().split())


def _loops(words: Sequence[str]) -> bool:
    """Whether the words end in the same words again and again, the last time cut short perhaps."""
    for period in range(1, min(MAX_PERIOD_WORDS, len(words) // MIN_TURNS) + 1):
        if words[-1] != words[-1 - period]:
            continue
        length = period  # of the end that goes on as it did one period before
        while length < len(words) and words[-1 - (length - period)] == words[-1 - length]:
            length += 1
        has_words = any(word[0].isalpha() for word in words[-period:])
        if has_words and length >= MIN_TURNS * period and length >= max(8, MIN_LOOP * len(words)):
            return True
    return False


def _repeats_ngrams(words: Sequence[str]) -> bool:
    """By words between white space, as Gopher has them, so that an address in the text is one word."""
    lengths = [len(word) for word in words]
    total = sum(lengths)
    for size, limit in TOP_NGRAMS.items():
        [(top, count)] = Counter(_ngrams(words, size)).most_common(1) or [((), 0)]
        if count > 2 and count * sum(map(len, top)) > limit * total:
            return True
    return any(_repeated_share(words, lengths, size) > limit for size, limit in REPEATED_NGRAMS.items())


def _ngrams(words: Sequence[str], size: int) -> list[tuple[str, ...]]:
    return list(zip(*(words[at:] for at in range(size)), strict=False))


def _repeated_share(words: Sequence[str], lengths: Sequence[int], size: int) -> float:
    """Of the characters, those in n-grams that stood there before; each is counted once."""
    ngrams = _ngrams(words, size)
    if len(set(ngrams)) == len(ngrams):
        return 0.0
    seen: set[tuple[str, ...]] = set()
    repeated, covered = 0, 0  # characters; words before this place are counted
    for at, ngram in enumerate(ngrams):
        if ngram in seen:
            repeated += sum(lengths[max(at, covered) : at + size])
            covered = at + size
        seen.add(ngram)
    return repeated / sum(lengths)


def _is_other_script(text: str, example: Example) -> bool:
    """An answer in letters that nobody used and no language's name asked for. Latin letters are everybody's."""
    script = None if text.isascii() else dominant_script(text)
    if script is None or script == "latin":
        return False
    before = " ".join(said.content for said in example.prompt)
    return dominant_script(before) == "latin" and not ASKED_SCRIPT.search(before) and not SCRIPTS[script].search(before)
