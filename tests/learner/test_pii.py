"""Of personal data and secrets: what is planted is gone, what only looks like it stays, and no second look finds more."""

from __future__ import annotations

import base64
import json
import random
import secrets
import string
import uuid
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stdnum import luhn
from stdnum.iso7064 import mod_97_10

from learner.curate.found import KINDS, counted
from learner.curate.pii import describe, find, redact
from learner.curate.presidio import PresidioFinder, PresidioMissing, redactor
from tests.conftest import SHARED_DATA

FOUND = {
    "e-mail address": [
        "ann.lee+news@mail.example.co.uk",
        "ANN@EXAMPLE.COM",
        "ann at example dot com",
        "ann [at] example [dot] org",
        "ann(at)example.com",
        "анна@почта.рф",
        "ann @ example.com",
        '"ann.lee"@example.com',
        "ann＠example.com",
    ],
    "telephone number": [
        "+44 20 7946 0958",
        "+1 (415) 555-2671",
        "(415) 555-2671",
        "415.555.2671",
        "+7 495 123-45-67",
        "8 (495) 123-45-67",
        "0049 30 901820",
        "020 7946 0958",
        "+33 1 42 68 53 00",
        "+91-98765-43210",
    ],
    "card number": [
        "4111111111111111",
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "4111.1111.1111.1111",
        "3782 822463 10005",
        "5555555555554444",
        "6011 1111 1111 1117",
        "2223003122003222",
        "2200 1234 5678 9019",
        "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
        "30569309025904",
    ],
    "bank account number": [
        "DE89 3704 0044 0532 0130 00",
        "GB82WEST12345698765432",
        "gb82 west 1234 5698 7654 32",
        "FR1420041010050500013M02606",
    ],
    "social security number": ["536-90-4399", "536 90 4399"],
    "national identity number": [
        "AB 12 34 56 C",
        "112-233-445 95",
        "36 574 261 809",
        "12345678Z",
        "X1234567L",
        "RSSMRA85T10A562S",
        "111.444.777-35",
        "131052-308T",
        "711000198001011233",  # of a district that the library's table has without a county
    ],
    "IP address": ["51.15.200.7", "2a00:1450:4009:81f::200e"],
    "MAC address": ["00:1A:2B:3C:4D:5E", "00-1a-2b-3c-4d-5e"],
    "wallet address": [
        "0x52908400098527886E0F7030069857D2E4169EE7",
        "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
    ],
    "street address": ["221 Oak Lane, Springfield, IL 62701", "10 Elm Street, Apt 4B", "14 Mill Road, Cambridge, CB1 2AD"],
    "secret key": [
        "AKIAIOSFODNN7EXAMPLE",
        "ghp_" + "a1B2" * 9,
        "github_pat_" + "a1B2_" * 12,
        "glpat-" + "a1B2c3D4e5" * 2,
        "xoxb-123456789012-abcDEF123",
        "sk_live_" + "a1B2c3D4" * 3,
        "AIza" + "Sy0-_" * 7,
        "sk-proj-" + "a1B2c3D4" * 5,
        "sk-ant-api03-" + "a1B2c3D4" * 5,
        "hf_" + "aBcD" * 9,
        "rt_" + "aB3-_" * 8 + "xyz",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "123456789:AAH" + "aB3-_" * 6 + "xy",
    ],
    "private key": ["-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA7bq\nabc+/=\n-----END RSA PRIVATE KEY-----"],
}
PLANTED = [(kind, text) for kind, texts in FOUND.items() for text in texts]

SAID = [
    ("telephone number", "My phone number is {}.", "4155552671"),
    ("telephone number", "Call me: {}", "555-2671"),
    ("social security number", "My SSN is {}", "536904399"),
    ("national identity number", "NHS number {}", "943 476 5919"),
    ("national identity number", "мой ИНН {}", "7707083893"),
    ("national identity number", "Steuer-ID: {}", "36574261809"),
    ("national identity number", "паспорт {}", "45 10 123456"),
    ("date of birth", "DOB: {}", "03/05/1990"),
    ("date of birth", "My birthday is {}.", "3 May 1990"),
    ("street address", "I live at {} with a cat", "12 Oak Street"),
    ("password", "password = {}", "hunter22"),
    ("password", "My password is {}!", "hunter2"),
    ("password", "DB_PASSWORD='{}'", "swordfish"),
    ("password", '"password": "{}"', "Tr0ub4dor&3"),
    ("password", "пароль: {}", "qwerty123"),
    ("secret key", "api_key: {}", "9fceb02d0ae598e95dc970b74767f193"),
    ("secret key", "Authorization: Bearer {}", "a1b2c3d4e5f6"),
    ("secret key", "client_secret={}", "abcd-1234-efgh"),
    ("login", "postgres://{}@db.internal:5432/app", "admin:s3cret"),
    ("login", "https://{}@example.com/x", "bob:hunter2"),
    ("login", "mongodb+srv://{}@cluster0.example.net", "u:p@ss:word"),
]

STAYS = [
    "In 1999-2005 it cost $1,234,567.89, then 12345678 and 20,000,000.",
    "Pi is 3.14159265358979, e is 2.718281828459045.",
    "It was founded on 2024-01-15 and closed on 15.01.2025 at 10:30:45.",
    "Version 51.15.20.7 of the driver, section 1.2.3.4, 127.0.0.1, 192.168.1.1, 10.0.0.1, 203.0.113.9 and ::1.",
    "Commit 9fceb02d0ae598e95dc970b74767f19372d61af8 has sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08.",
    f"The id is {uuid.UUID(int=0x12345678123456781234567812345678)}.",
    "password: at least eight characters; password = input('Password: '); password = os.environ['PASSWORD']; password=<password>",
    "token = get_token(); max_tokens = 4096; api_key = YOUR_API_KEY; secret: none",
    "Albert Einstein was born on 14 March 1879 in Ulm.",
    "Look at the polka dot dress at the shop. We met at example.com. Follow @ratchet on the web.",
    "getUserById2FromDatabase3Table(self.connection_pool_2) in src/components/UserProfile2/index3.tsx",
    "https://open.spotify.com/playlist/37i9dQZF1DX9XIFQuFvzM4 and https://www.youtube.com/watch?v=dQw4w9WgXcQ",
    "10 Downing Street and 221B Baker Street are famous; a std::vector of a::b is not.",
    "Sort 12 45 78 23 56 89 11 34 67 90 21 43 65 87, or 4000 4500 5000 5500.",
    "4111 1111 1111 1112 is no card and DE89 3704 0044 0532 0130 01 no account.",
    "What does -----BEGIN PRIVATE KEY----- mean?",
    "Supercalifragilisticexpialidocious and Donaudampfschifffahrtsgesellschaftskapitän and antidisestablishmentarianism",
    "ISBN 978-3-16-148410-0, room 12-34-56, score 21-19 21-17, 1920x1080.",
    "1 + 1 = 2, 12*12 = 144, 2^10 = 1024, 100/4 = 25, (3) 1000000 - 999999",
]


@pytest.mark.parametrize(("kind", "planted"), PLANTED, ids=range(len(PLANTED)))
@pytest.mark.parametrize("around", ["{}", "Please use {}, thanks.", "Это {} и всё", "one\n{}\ntwo", "({})", "Ann <{}>"])
def test_what_is_planted_is_redacted_and_named(kind: str, planted: str, around: str) -> None:
    redacted = redact(around.format(planted))
    assert redacted.text == around.format(f"<{kind}>")
    assert redacted.found == {kind: 1}


@pytest.mark.parametrize(("kind", "sentence", "planted"), SAID, ids=range(len(SAID)))
def test_what_a_word_before_it_tells_is_redacted(kind: str, sentence: str, planted: str) -> None:
    redacted = redact(sentence.format(planted))
    assert planted not in redacted.text and f"<{kind}>" in redacted.text


@pytest.mark.parametrize("text", STAYS, ids=range(len(STAYS)))
def test_what_only_looks_like_it_stays(text: str) -> None:
    assert redact(text) == (text, {})


def test_every_kind_is_tested() -> None:
    assert {*FOUND, *(kind for kind, _, _ in SAID)} == set(KINDS)


def test_random_tokens_are_secrets_and_random_words_are_not() -> None:
    chance = random.Random(7)
    letters = string.ascii_letters + string.digits
    tokens = ["".join(chance.choices(letters, k=length)) for length in (24, 32, 40, 64) for _ in range(100)]
    encoded = [base64.b64encode(chance.randbytes(30)).decode() for _ in range(100)]
    missed = [token for token in (*tokens, *encoded) if token in redact(f"here: {token} ok").text]
    assert len(missed) < 0.05 * 500
    names = [
        "".join(chance.choice(["Get", "user", "Name", "List", "2", "Item", "Cache", "From"]) for _ in range(8)) for _ in range(200)
    ]
    assert [name for name in names if find(name)] == []


def test_keys_of_our_own_making_never_stay() -> None:
    for _ in range(200):
        key = "rt_" + secrets.token_urlsafe(32)
        assert key not in redact(f"curl -H 'x: {key}'").text


TEXTS = st.text(st.one_of(st.characters(codec="utf-8"), st.sampled_from("0123456789 .-@:/=<>+abcABC\n\"'")), max_size=80)
SPICED = st.lists(
    st.one_of(
        TEXTS,
        st.sampled_from([text for _, text in PLANTED]),
        st.sampled_from(["password=", "my SSN is ", "://", "<e-mail address>", "<", ">"]),
    ),
    max_size=6,
).map("".join)


@given(SPICED)
@settings(max_examples=300, deadline=None)
def test_a_second_look_finds_nothing(text: str) -> None:
    once = redact(text)
    assert redact(once.text) == (once.text, {})


@given(SPICED)
@settings(max_examples=200, deadline=None)
def test_finds_are_in_order_apart_and_inside(text: str) -> None:
    found = find(text)
    assert all(0 <= one.start < one.end <= len(text) for one in found)
    assert all(one.end <= other.start for one, other in pairwise(found))
    assert {one.kind for one in found} <= set(KINDS)
    assert (redact(text).text == text) == (not found)


def _card(digits: list[int], prefix: str, separator: str) -> str:
    body = prefix + "".join(map(str, digits))
    number = body + luhn.calc_check_digit(body)
    return separator.join(number[at : at + 4] for at in range(0, 16, 4))


CARDS = st.builds(
    _card,
    st.lists(st.integers(0, 9), min_size=11, max_size=11),
    st.sampled_from(["4000", "5100", "2221", "6011"]),
    st.sampled_from(["", " ", "-"]),
)
EMAILS = st.builds(
    "{}@{}.{}".format,
    st.from_regex(r"[a-z][a-z0-9._]{0,20}[a-z0-9]", fullmatch=True),
    st.from_regex(r"[a-z0-9]{1,12}", fullmatch=True),
    st.sampled_from(["com", "org", "de", "co.uk"]),
)
AWS_KEYS = st.from_regex(r"AKIA[A-Z2-7]{16}", fullmatch=True)
GITHUB_KEYS = st.from_regex(r"ghp_[A-Za-z0-9]{36}", fullmatch=True)
EDGE = st.sampled_from([" ", "\n", ", ", "(", "\t", " — ", "“", "<", " >"])


@given(st.one_of(CARDS, EMAILS, AWS_KEYS, GITHUB_KEYS), TEXTS, EDGE, EDGE, TEXTS)
@settings(max_examples=400, deadline=None)
def test_a_valid_card_address_or_key_never_survives_wherever_it_stands(
    planted: str, before: str, left: str, right: str, after: str
) -> None:
    assert planted not in redact(before + left + planted + right + after).text


@given(st.integers(0, 10**10 - 1), st.integers(0, 10**8 - 1))
def test_any_account_whose_checksum_holds_is_found_and_its_neighbour_is_not(account: int, bank: int) -> None:
    check = mod_97_10.calc_check_digits(f"{bank:08}{account:010}DE")
    wrong = f"{(int(check) + 1) % 100:02}"
    assert "bank account number" in redact(f"To DE{check}{bank:08}{account:010} please").found
    assert "bank account number" not in redact(f"To DE{wrong}{bank:08}{account:010} please").found


def test_a_tag_keeps_the_rest_of_the_sentence() -> None:
    assert redact("Mail ann@example.com or bob@example.com, card 4111111111111111.").text == (
        "Mail <e-mail address> or <e-mail address>, card <card number>."
    )


def test_what_was_redacted_is_said_in_words_from_what_matters_most() -> None:
    found = redact("Mail ann@example.com or bob@example.com, card 4111111111111111.").found
    assert describe(found) == "redacted 2 e-mail addresses, 1 card number"
    assert describe({}) == ""
    assert counted("date of birth", 3) == "3 dates of birth"


@pytest.mark.parametrize(
    "text",
    [
        "a" * 50_000,
        "1" * 50_000,
        "1 " * 25_000,
        "a.b" * 20_000,
        "@a.b" * 10_000,
        "-----BEGIN PRIVATE KEY-----" * 500,
        "a:" * 20_000,
        "(at) " * 9_000,
    ],
)
@pytest.mark.timeout(60)
def test_hostile_texts_end(text: str) -> None:
    redact(text)


def shared_texts() -> list[str]:
    if not SHARED_DATA.is_dir():
        pytest.skip(f"{SHARED_DATA} is not here")
    texts = [json.loads(line)["prompt"] for line in (SHARED_DATA / "prompts.jsonl").read_text().splitlines()]
    return texts + [json.loads(line)["question"] for line in (SHARED_DATA / "gsm8k.jsonl").read_text().splitlines()]


def test_what_people_ask_is_hardly_ever_changed() -> None:
    """The few finds are addresses and numbers that stand in these texts indeed."""
    texts = shared_texts()
    changed = [text for text in texts if find(text)]
    assert len(changed) <= 0.01 * len(texts)
    assert {one.kind for text in changed for one in find(text)} <= {"e-mail address", "telephone number"}


def test_the_patterns_are_what_is_used_by_default() -> None:
    assert redactor("patterns")("ann@example.com").text == "<e-mail address>"


def test_presidio_that_is_not_there_is_named_in_one_line() -> None:
    if find_spec("presidio_analyzer") and any(map(find_spec, ("en_core_web_lg", "en_core_web_md", "en_core_web_sm"))):
        pytest.skip("presidio is installed with a model")
    with pytest.raises(PresidioMissing, match=r"^curate\.pii = 'presidio' needs .* (pip install|python -m spacy download) [^\n]*$"):
        redactor("presidio")


def test_presidio_adds_names_to_what_the_patterns_find(tmp_path: Path) -> None:
    pytest.importorskip("presidio_analyzer", reason="presidio-analyzer is an extra")
    spacy = pytest.importorskip("spacy")
    from presidio_analyzer.nlp_engine import SpacyNlpEngine

    names = spacy.blank("en")
    names.add_pipe("entity_ruler").add_patterns([{"label": "PERSON", "pattern": "Ann Lee"}])

    class Engine(SpacyNlpEngine):
        def __init__(self) -> None:
            super().__init__(models=[{"lang_code": "en", "model_name": "blank"}])
            self.nlp = {"en": names}

    redacted = redact("Ann Lee has the card 4111111111111111.", finder=PresidioFinder(Engine()))
    assert redacted.text == "<personal name> has the card <card number>."
    assert redact(redacted.text, finder=PresidioFinder(Engine())).found == {}
