"""Finds numbers that name a person or an account. Where a number has a checksum it must hold; where it has little else
to be told by, a word before it must say what it is. So years, prices and sums stay."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from stdnum import bitcoin, iban, luhn
from stdnum.br import cpf
from stdnum.ca import sin
from stdnum.cn import ric
from stdnum.de import idnr
from stdnum.es import dni, nie
from stdnum.fi import hetu
from stdnum.fr import nir
from stdnum.gb import nhs
from stdnum.in_ import aadhaar, pan
from stdnum.it import codicefiscale
from stdnum.mx import curp
from stdnum.nl import bsn
from stdnum.pl import pesel
from stdnum.ru import inn
from stdnum.se import personnummer
from stdnum.us import ssn

from learner.curate.found import CARD, IBAN, NATIONAL_ID, SSN, WALLET, Found

BEFORE = 40  # characters before a number that may say what it is

DIGITS = re.compile(r"\d(?:[ .\-\u00a0\u2010-\u2015]?\d){12,}")
GROUP = re.compile(r"\d+")
# How cards are written: in one piece, in fours (Visa, Mastercard, Mir, …, 19 digits with a rest), Amex, Diners, and in halves.
GROUPINGS = {(n,) for n in range(13, 20)} | {(4, 4, 4, 4), (4, 4, 4, 4, 3), (4, 6, 5), (4, 6, 4), (8, 8), (6, 13), (6, 10)}
MAX_GROUPS = 6  # of a card that is written otherwise: more are a list of numbers, unless each digit stands alone
ISSUERS = re.compile(r"4|5[0-8]|6[0-9]|3[0-9]|2(?:2(?:0[0-5]|2[1-9]|[3-9])|[3-6]|7[01]|720)|1800|81|9792")
IBANS = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?:[ -]?[A-Za-z0-9]){11,34}")
WALLETS = re.compile(r"(?<![A-Za-z0-9])(?:0x[0-9a-fA-F]{40}(?![0-9a-fA-F])|(?:bc1|BC1|[13])[A-Za-z0-9]{24,87})")


class Identity(NamedTuple):
    """How one country's number is written, checked, and, where that is not enough, announced."""

    kind: str
    pattern: re.Pattern[str]
    is_valid: Callable[[str], bool]
    announced: re.Pattern[str] | None = None


def _number(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w.,-]){pattern}(?![\w-])(?![.,]\d)")


def _said(words: str) -> re.Pattern[str]:
    return re.compile(rf"(?i)\b(?:{words})\b")


def _snils(number: str) -> bool:
    """The control number of Russia's insurance number: a weighted sum, modulo 101."""
    digits = [int(digit) for digit in number if digit.isdigit()]
    total = sum(weight * digit for weight, digit in zip(range(9, 0, -1), digits, strict=False))
    return total % 101 % 100 == digits[9] * 10 + digits[10]


def _ssn(number: str) -> bool:
    return ssn.is_valid(number.replace(" ", "-"))


def _always(_: str) -> bool:
    return True


PESEL_WORDS, BSN_WORDS, SIN_WORDS = "PESEL", "BSN|burgerservicenummer|sofinummer", "SIN|social insurance"
IDENTITIES = (
    Identity(SSN, _number(r"\d{3}([- ])\d{2}\1\d{4}"), _ssn),
    Identity(SSN, _number(r"\d{9}"), ssn.is_valid, _said("SSN|social security")),
    Identity(NATIONAL_ID, re.compile(
        r"(?<!\w)(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d\d ?\d\d ?\d\d ?[A-D](?!\w)"), _always),  # UK
    Identity(NATIONAL_ID, _number(r"\d{3}[ -]?\d{3}[ -]?\d{4}"), nhs.is_valid, _said("NHS")),
    Identity(NATIONAL_ID, _number(r"\d{3}-\d{3}-\d{3}[- ]\d{2}"), _snils),
    Identity(NATIONAL_ID, _number(r"\d{11}"), _snils, _said("СНИЛС|SNILS")),
    Identity(NATIONAL_ID, _number(r"\d{12}|\d{10}"), inn.is_valid, _said("ИНН|INN")),
    Identity(NATIONAL_ID, _number(r"\d{2} ?\d{2} ?№? ?\d{6}"), _always, _said(r"паспорт\w*")),
    Identity(NATIONAL_ID, _number(r"\d{2} \d{3} \d{3} \d{3}"), idnr.is_valid),
    Identity(NATIONAL_ID, _number(r"\d{11}"), idnr.is_valid, _said(r"steuer\W?id\w*|steuer\w*nummer|IdNr|tax id")),
    Identity(NATIONAL_ID, _number(r"\d{8}-?[A-Z]"), dni.is_valid),
    Identity(NATIONAL_ID, _number(r"[XYZ]-?\d{7}-?[A-Z]"), nie.is_valid),
    Identity(NATIONAL_ID, _number(r"[12] ?\d{2} ?\d{2} ?\d[\dAB] ?\d{3} ?\d{3} ?\d{2}"), nir.is_valid),
    Identity(NATIONAL_ID, _number(r"[A-Z]{6}\d[\dL-V][A-EHLMPRST]\d[\dL-V][A-Z]\d[\dL-V]{2}[A-Z]"), codicefiscale.is_valid),
    Identity(NATIONAL_ID, _number(r"\d{11}"), pesel.is_valid, _said(PESEL_WORDS)),
    Identity(NATIONAL_ID, _number(r"\d{9}"), bsn.is_valid, _said(BSN_WORDS)),
    Identity(NATIONAL_ID, _number(r"\d{3}[ -]?\d{3}[ -]?\d{3}"), sin.is_valid, _said(SIN_WORDS)),
    Identity(NATIONAL_ID, _number(r"\d{3}\.\d{3}\.\d{3}-\d{2}"), cpf.is_valid),
    Identity(NATIONAL_ID, _number(r"\d{11}"), cpf.is_valid, _said("CPF")),
    Identity(NATIONAL_ID, _number(r"\d{6}[-+A]\d{3}[0-9A-FHJ-NPR-Y]"), hetu.is_valid),
    Identity(NATIONAL_ID, _number(r"(?:19|20)?\d{6}[-+]\d{4}"), personnummer.is_valid),
    Identity(NATIONAL_ID, _number(r"\d{17}[\dXx]"), ric.is_valid),
    Identity(NATIONAL_ID, _number(r"[A-Z]{4}\d{6}[HM][A-Z]{5}[A-Z0-9]\d"), curp.is_valid),
    Identity(NATIONAL_ID, _number(r"\d{4}[ -]?\d{4}[ -]?\d{4}"), aadhaar.is_valid, _said(r"aa?dhaa?r\w*|UIDAI")),
    Identity(NATIONAL_ID, _number(r"[A-Z]{5}\d{4}[A-Z]"), pan.is_valid, _said("PAN")),
)  # fmt: skip


def find_identities(text: str) -> Iterator[Found]:
    """National numbers, told apart by country only as far as finding them needs."""
    for identity in IDENTITIES:
        if identity.announced and not identity.announced.search(text):
            continue
        for match in identity.pattern.finditer(text):
            start, end = match.span()
            announced = identity.announced is None or identity.announced.search(text, max(0, start - BEFORE), start)
            if announced and _may_be(identity, match[0]):
                yield Found(identity.kind, start, end)


def _may_be(identity: Identity, number: str) -> bool:
    try:
        return identity.is_valid(number)
    except LookupError:  # all is right but its district, of which the library's table lacks what it looks for
        return True


def find_cards(text: str) -> Iterator[Found]:
    """Payment cards: an issuer's first digits and the check digit of Luhn (US patent 2,950,048), however they are grouped.

    A card is looked for at the borders of a number's groups; one that is glued to other digits is another number.
    """
    for match in DIGITS.finditer(text):
        groups = [group.span() for group in GROUP.finditer(text, *match.span())]
        first = 0
        while first < len(groups):
            last = next(
                (last for last in range(min(len(groups), first + 19), first, -1) if _is_card(text, groups, first, last)), None
            )
            if last is not None:
                yield Found(CARD, groups[first][0], groups[last - 1][1])
            first = last or first + 1


def _is_card(text: str, groups: list[tuple[int, int]], first: int, last: int) -> bool:
    lengths = tuple(end - start for start, end in groups[first:last])
    count = sum(lengths)
    if not 13 <= count <= 19:
        return False
    if (first and text[groups[first][0] - 1] == ".") or (last < len(groups) and text[groups[last - 1][1]] == "."):
        return False  # a part of a decimal number
    if lengths not in GROUPINGS:
        whole = (first, last) == (0, len(groups)) and "." not in text[groups[0][0] : groups[-1][1]]
        if not whole or (len(lengths) > MAX_GROUPS and set(lengths) != {1}):
            return False
    digits = "".join(str(int(character)) for start, end in groups[first:last] for character in text[start:end])
    return bool(ISSUERS.match(digits)) and digits.strip(digits[0]) != "" and luhn.is_valid(digits)


def find_accounts(text: str) -> Iterator[Found]:
    """International bank account numbers, whose checksum and length by country hold (ISO 13616)."""
    for match in IBANS.finditer(text):
        places = [at for at in range(*match.span()) if text[at].isalnum()]
        for length in range(min(len(places), 34), 14, -1):
            end = places[length - 1] + 1
            if text[end : end + 1].isalnum() and text[end - 1].isdigit() and text[end].isdigit():
                continue  # the middle of a longer number
            if iban.is_valid(text[match.start() : end], check_country=False):
                yield Found(IBAN, match.start(), end)
                break


def find_wallets(text: str) -> Iterator[Found]:
    """Addresses of Bitcoin, whose checksum holds, and of Ethereum."""
    for match in WALLETS.finditer(text):
        if match[0].startswith("0x") or bitcoin.is_valid(match[0]):
            yield Found(WALLET, *match.span())
