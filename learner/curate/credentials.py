"""Finds what opens doors: keys by their makers' prefixes, private keys, logins in URLs, passwords, and random tokens.

A token without a known prefix counts where it looks drawn at random: its Shannon entropy per character is high, as
detect-secrets measures it (4.5 for its base64 alphabet, 3.0 for hex), and, since here it stands in prose and code rather
than in quotes, it has both cases and digits and is not made of words. Hex has no such sign, and most of it in conversations
is a hash or an id, so it counts only where a word before it says that it is a secret. UUIDs never count by their looks, and
in the path of a URL only tokens that are long enough to be meant to be hard to guess.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator

from learner.curate.found import KEY, LOGIN, PASSWORD, PRIVATE_KEY, Found

MIN_TOKEN = 16  # characters of the shortest key that is told by its looks or its prefix
MIN_RANDOM = 20  # characters of a token that is told by its looks alone
MIN_BITS = 3.7  # entropy per character of such a token; 20 random letters and digits have 4.1 on average
MIN_BITS_LONG = 4.3  # the same from 40 characters on, where random ones have 4.7
MIN_IN_URL = 40  # characters of such a token in a URL: shorter ones name public things
MAX_WORDS = 0.68  # share of its characters that runs of letters or digits take up; random tokens have 0.25, names in code 0.9
MIN_HEX = 24
MIN_HEX_BITS = 3.0

PRIVATE = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----"
    r"(?:.{16,20000}?-----END [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----|[A-Za-z0-9+/=\s]{16,})",
    re.DOTALL,
)
KNOWN = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}"  # AWS
    r"|gh[opsur]_[A-Za-z0-9]{36,}|github_pat_\w{22,}"
    r"|gl(?:pat|dt|rt|oas|ptt|ft|imt|agent|soat|cbt)-[\w-]{20,}"  # GitLab
    r"|xox[abeoprs]-[A-Za-z0-9-]{10,}|xapp-\d-[\w-]{10,}|hooks\.slack\.com/services/[\w/]{20,}"
    r"|[rsp]k_(?:live|test)_[A-Za-z0-9]{16,}|whsec_[\w+/=]{16,}"  # Stripe
    r"|AIza[\w-]{35,}|ya29\.[\w-]{20,}|GOCSPX-[\w-]{20,}"  # Google
    r"|sk-(?=[\w-]{0,80}\d)[\w-]{20,}"  # OpenAI, Anthropic, and those who followed
    r"|hf_[A-Za-z0-9]{30,}|npm_[A-Za-z0-9]{36,}|pypi-AgE[\w-]{20,}"
    r"|SG\.[\w-]{20,}\.[\w-]{20,}|key-[0-9a-f]{32}|(?:AC|SK)[0-9a-f]{32}"  # SendGrid, Mailgun, Twilio
    r"|do[opr]_v1_[0-9a-f]{64}|shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}|sq0[a-z]{3}-[\w-]{22,}|\d{8,10}:AA[\w-]{32,}"
    r"|rt_[\w-]{40,}"  # ours
    r"|eyJ[\w-]{8,}\.eyJ[\w-]{8,}(?:\.[\w-]*)?"  # JSON web tokens
    r")"
)
URL_LOGIN = re.compile(r"://([^\s/:@<>?#\"']*:[^\s/<>]*[^\s/<>@])@")

PASSWORD_WORDS = ("passw", "passphrase", "passcode", "pwd", "contraseñ", "mot de passe", "пароль", "kennwort", "senha")
SECRET_WORDS = (
    "secret",
    "token",
    "apikey",
    "api_key",
    "api-key",
    "api key",
    "access_key",
    "access key",
    "accesskey",
    "auth_key",
    "accountkey",
    "private_key",
    "signing_key",
    "encryption_key",
    "credential",
    "bearer ",
)
OPEN = r"[\"'“”`]?\s{0,3}(?::=|=>|=|:|\bis\b|\bist\b|\bes\b|\best\b)\s{0,3}"
VALUE = r"(?:(?P<quote>[\"'“`])(?P<quoted>[^\s\"'“”`<>]{4,200})[\"'”`]|(?P<bare>[^\s\"'“”`<>,;(){}\[\]]{4,200}))"
ASSIGNED_PASSWORD = re.compile(
    r"(?:password|passwd|passwort|passphrase|passcode|\bpwd|_pwd|contraseña|mot de passe|пароль|kennwort|senha)" + OPEN + VALUE,
    re.IGNORECASE,
)
ASSIGNED_SECRET = re.compile(
    r"(?:(?:secret|token|credential|(?:api|access|auth|account|private|signing|encryption|secret)[ _-]?key)s?(?:[_-]?id)?"
    + OPEN
    + r"(?:bearer\s+)?|\bbearer\s+)"
    + VALUE,
    re.IGNORECASE,
)
PLACEHOLDERS = re.compile(
    r"(?i)[x*.•#_-]+|(?:my|your|the|new|old|some|a|test|example|dummy|fake|this|user|db|admin|enter|change|choose)?[ _.-]?"
    r"(?:pass(?:word|wd|phrase|code)?|pwd|secret|token|api[_-]?key|key|me|here|example|change ?me)s?[ _.-]?"
    r"(?:here|hash|field|input)?"
    r"|none|null|true|false|undefined|string|str|text|required|optional|hidden|n/a|env|admin"
)
CODE = re.compile(r"[$%({\[]|\bos\.|\w\.\w+\(|^https?:|^self\.|^req(?:uest)?\.|^process\.|^args\.|^config[.\[]")
TOKEN = re.compile(rf"(?<![A-Za-z0-9+_])[A-Za-z0-9+/_-]{{{MIN_TOKEN},}}={{0,2}}")
HEX = re.compile(r"[0-9a-fA-F]+")
CLASSES = (re.compile("[a-z]"), re.compile("[A-Z]"), re.compile("[0-9]"))
WORDS = re.compile("[A-Z]?[a-z]{3,}|[A-Z]{4,}|[0-9]{4,}|[/_-]")
IN_URL = re.compile(r"://[^\s?#]{0,200}\Z")
UUID = re.compile(r"(?i)[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
SAID_SECRET = re.compile(r"(?i)(?:secret|token|\bkey|apikey|api_key|credential|bearer|password)\W{0,3}(?:\w+\W{1,3}){0,3}$")
SAID_HASH = re.compile(r"(?i)(?:sha|md5|hash|digest|checksum|commit|fingerprint|public)\S{0,8}\W{0,3}(?:\w+\W{1,3}){0,3}$")
BEFORE = 60  # characters before a token that may say what it is


def find_credentials(text: str, lowered: str) -> Iterator[Found]:
    """Private keys, logins in URLs, and what is said to be a password or a key. `lowered` is the text in lower case."""
    if "-----BEGIN" in text:
        yield from (Found(PRIVATE_KEY, *match.span()) for match in PRIVATE.finditer(text))
    if "://" in text and "@" in text:
        yield from (Found(LOGIN, *match.span(1)) for match in URL_LOGIN.finditer(text))
    if any(map(lowered.__contains__, PASSWORD_WORDS)):
        yield from _assigned(PASSWORD, ASSIGNED_PASSWORD, text, 4)
    if any(map(lowered.__contains__, SECRET_WORDS)):
        yield from _assigned(KEY, ASSIGNED_SECRET, text, 8)


def find_tokens(text: str) -> Iterator[Found]:
    """Keys of known makers, and tokens that look drawn at random. There are none where no word has `MIN_TOKEN` characters."""
    yield from (Found(KEY, *match.span()) for match in KNOWN.finditer(text))
    yield from (Found(KEY, *match.span()) for match in TOKEN.finditer(text) if _is_random(match))


def _assigned(kind: str, pattern: re.Pattern[str], text: str, min_characters: int) -> Iterator[Found]:
    """Values that are said to be secret, and are no word of a sentence, no placeholder and no code that gets them elsewhere."""
    for match in pattern.finditer(text):
        group = "quoted" if match["quoted"] else "bare"
        start = match.start(group)
        value = match[group].rstrip(".!?…" if group == "bare" else "")
        is_call = text.startswith("(", start + len(value))
        if len(value) < min_characters or PLACEHOLDERS.fullmatch(value) or is_call:
            continue
        if CODE.search(value) and not (group == "quoted" and kind is PASSWORD):
            continue
        if _is_secret(kind, value, group == "quoted"):
            yield Found(kind, start, start + len(value))


def _is_secret(kind: str, value: str, quoted: bool) -> bool:
    digits, letters = any(map(str.isdigit, value)), any(map(str.isalpha, value))
    if kind is KEY:
        return digits and letters
    return quoted or digits or (letters and any(character in "!@#$%^&*?+~|\\" for character in value))


def _is_random(match: re.Match[str]) -> bool:
    token = match[0].strip("=-_/")
    if HEX.fullmatch(token):
        before = match.string[max(0, match.start() - BEFORE) : match.start()]
        said = SAID_SECRET.search(before) and not SAID_HASH.search(before)
        return bool(said) and len(token) >= MIN_HEX and entropy_bits(token.lower()) >= MIN_HEX_BITS
    if len(token) < MIN_RANDOM or UUID.search(token):
        return False
    if not all(pattern.search(token) for pattern in CLASSES) or sum(map(len, WORDS.findall(token))) > MAX_WORDS * len(token):
        return False
    if len(token) < MIN_IN_URL and IN_URL.search(match.string, max(0, match.start() - 200), match.start()):
        return False
    return entropy_bits(token) >= (MIN_BITS if len(token) < 40 else MIN_BITS_LONG)


def entropy_bits(text: str) -> float:
    """Shannon's entropy per character, of the text's own frequencies (Shannon 1948)."""
    return -math.fsum(count / len(text) * math.log2(count / len(text)) for count in Counter(text).values())
