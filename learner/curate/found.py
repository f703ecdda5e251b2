"""What was found in a text that is not for a model to learn: a kind, in words for people, and its place."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

EMAIL = "e-mail address"
PHONE = "telephone number"
CARD = "card number"
IBAN = "bank account number"
SSN = "social security number"
NATIONAL_ID = "national identity number"
IP = "IP address"
MAC = "MAC address"
WALLET = "wallet address"
STREET = "street address"
BIRTH = "date of birth"
LOGIN = "login"
PASSWORD = "password"
KEY = "secret key"
PRIVATE_KEY = "private key"
PERSON = "personal name"
PLACE = "place name"
PASSPORT = "passport number"
DRIVING_LICENCE = "driving licence number"
MEDICAL_LICENCE = "medical licence number"

# From what matters most: where finds overlap, the first of these names them.
KINDS = (PRIVATE_KEY, LOGIN, WALLET, IBAN, KEY, PASSWORD, EMAIL, CARD, SSN, NATIONAL_ID, MAC, IP, PHONE, BIRTH, STREET)
OF_PRESIDIO = (PERSON, PLACE, PASSPORT, DRIVING_LICENCE, MEDICAL_LICENCE)  # what no pattern finds
TAG = re.compile(f"<(?:{'|'.join((*KINDS, *OF_PRESIDIO))})>")  # stands for what was found; "<ann@example.com>" is none
PLURALS = {BIRTH: "dates of birth"}


class Found(NamedTuple):
    """`text[start:end]` is of this kind."""

    kind: str
    start: int
    end: int


Finder = Callable[[str], Iterable[Found]]


def counted(kind: str, count: int) -> str:
    """ "1 card number", "2 e-mail addresses"."""
    plural = PLURALS.get(kind) or (f"{kind}es" if kind.endswith("s") else f"{kind}s")
    return f"{count} {kind if count == 1 else plural}"
