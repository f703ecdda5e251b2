"""Finds where a person can be reached or found: e-mail and network addresses, telephones, streets, and dates of birth."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_address

import phonenumbers

from learner.curate.found import BIRTH, EMAIL, IP, MAC, PHONE, STREET, Found

REGIONS = ("US", "GB", "DE", "FR", "RU", "ES", "IT", "IN", "BR", "AU")  # whose national numbers are known without +
BEFORE = 40  # characters before a number that may say what it is

DOMAIN = re.compile(r"[@\uff20]((?:[\w-]{1,63}\.){1,8}(?:[^\W\d_]{2,24}|xn--[\w-]{2,59}))")
LOCAL = re.compile(r"(?:\"[^\"\s]{1,62}\"|[\w.!#$%&'*+/=?^`{|}~-]{1,64})\Z")
# Said in words, an address must end as the common ones do: polka dot dresses are no addresses.
TOP = (
    "com|org|net|edu|gov|io|info|co|me|dev|ai|app|biz|us|uk|ca|au|nz|ie|de|at|ch|fr|es|it|nl|be|pl|pt|ru|ua|cz|se|no|fi|dk"
    "|jp|cn|in|br|mx"
)
SPELT = re.compile(
    r"[\w.+-]{1,64}\s{0,2}(?:[\[({]\s?(?:at|@)\s?[\])}]|\s(?:at|@)\s|\s?@\s?)\s{0,2}"
    r"[\w-]{1,63}(?:\s{0,2}(?:[\[({]\s?(?:dot|\.)\s?[\])}]|\sdot\s)\s{0,2}[\w-]{1,63}){0,3}?"
    r"(?:\s{0,2}(?:[\[({]\s?(?:dot|\.)\s?[\])}]|\sdot\s)\s{0,2}|\.)(?:" + TOP + r")\b",
    re.IGNORECASE,
)

NUMBER = re.compile(r"(?<![\w.,/$€£#+-])(?:\((?=\+?\d{1,5}\)))?\+?\d(?:[\s().\-/\u00a0\u2010-\u2015]{0,3}\d){6,16}(?![\w/])")
SAID = re.compile(
    r"(?i)(?:\b(?:tel|phone|telephone|mobile|cell|fax|call|text|sms|whatsapp|viber|signal|contact|reach|ring|dial|hotline)\b"
    r"|телефон\w*|\bтел\b|звони\w*|\bhandy|telefon\w*|tél)\D{0,30}\Z"
)
NATIONAL = re.compile(
    r"(?:1[ .-])?(?:\([2-9]\d{2}\) ?|[2-9]\d{2}[ .-])[2-9]\d{2}[ .-]\d{4}"  # North America
    r"|[78][ -]?\(?\d{3}\)?[ -]?\d{3}[ -]\d{2}[ -]?\d{2}"  # Russia
    r"|\(?0\d{2,4}\)?[ -/]\d{3,4}[ -]?\d{3,5}|0\d(?:[ .]\d\d){4}|\(\d{2}\) ?9?\d{4}-\d{4}"  # Britain, Germany; France; Brazil
)
DATE = re.compile(r"\d{1,2}[./-]\d{1,2}[./-]\d{4}|\d{4}[./-]\d{1,2}[./-]\d{1,2}.*", re.DOTALL)

DOTTED = re.compile(r"\d\.\d{1,3}\.\d")
IPV4 = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w]|\.\d)")
IPV6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?![\w:])")
VERSION = re.compile(r"(?i)(?:\bv|version|release|build|firmware|driver|section|chapter|clause|§|==|>=)\W{0,3}\Z")
SAID_HOST = re.compile(r"(?i)(?:\bips?\b|address|host|server|ping|ssh|://|@)[^.!?]{0,25}\Z")
MAX_VERSION = 20  # four small numbers with dots are a version or a section, unless a word before says otherwise
PUBLIC_RESOLVERS = frozenset({"1.1.1.1", "1.0.0.1", "8.8.8.8", "8.8.4.4", "9.9.9.9"})  # everybody's
MACS = re.compile(r"(?<![\w:-])[0-9A-Fa-f]{2}(?:(:|-)[0-9A-Fa-f]{2})(?:\1[0-9A-Fa-f]{2}){4}(?![\w:-])")

WAY = (
    r"(?:Street|St|Avenue|Ave|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive|Dr|Court|Ct|Terrace|Place|Pl|Square|Sq|Close|Crescent|Way"
    r"|Highway|Hwy|Parkway|Pkwy|Circle|Cir)\b\.?"
)
HOUSE = r"\d{1,5}[A-Za-z]?(?: (?:[NSEW]|North|South|East|West)\.?)?(?: [A-Z][\w'-]{1,20}){1,3} " + WAY
HOUSE_NUMBER = re.compile(r"\d[A-Za-z]? [A-Z]")
ADDRESS = re.compile(
    rf"(?<![\w.])(?P<house>{HOUSE})(?P<rest>(?:,? (?:Apt|Apartment|Unit|Suite|Flat|#)\.? ?\w{{1,5}})?"
    r"(?:, [A-Z][\w' .-]{1,30})?(?:,? (?:[A-Z]{2} \d{5}(?:-\d{4})?|[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}))?)"
)
POSTCODE = re.compile(r"[A-Z]{2} \d{5}|[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}|Apt|Apartment|Unit|Flat")
SAID_HOME = re.compile(
    r"(?i)\b(?:(?:i|we|he|she|they|who|and) (?:now |still )?lives? (?:at|on|in)"
    r"|(?:my|our|his|her|their|home|delivery|shipping|billing|postal|mailing) address(?: is)?|(?:ship|deliver)(?: it)? to)\W{0,3}\Z"
)
MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]{0,6}\.?"
YEAR = r"(?:19[2-9]\d|20[0-2]\d)"
BORN = re.compile(
    r"(?i)(?:\bDOB\b|\bD\.O\.B\.|date of birth|\bmy birth ?day\b|\bI was born\b|дата рождения|geburtsdatum)"
    r"(?:\s(?:is|on|was)|\sam)?(?:\son)?[\s:=-]{0,4}"
    rf"(?P<date>\d{{1,2}}[./-]\d{{1,2}}[./-]{YEAR}|{YEAR}[./-]\d{{1,2}}[./-]\d{{1,2}}"
    rf"|\d{{1,2}}(?:st|nd|rd|th)?(?: of)? {MONTH},? {YEAR}|{MONTH} \d{{1,2}}(?:st|nd|rd|th)?,? {YEAR})"
)


def find_emails(text: str) -> Iterator[Found]:
    for match in DOMAIN.finditer(text):
        local = LOCAL.search(text, max(0, match.start() - 64), match.start())
        if local:
            yield Found(EMAIL, local.start(), match.end())


def find_spelt_emails(text: str) -> Iterator[Found]:
    """Addresses that are hidden from programs: "ann at example dot com", "ann [at] example.com"."""
    for match in SPELT.finditer(text):
        lowered = match[0].lower()
        if "dot" in lowered or not re.search(r"\sat\s", lowered):  # "we met at example.com" names a site
            yield Found(EMAIL, *match.span())


def find_phones(text: str) -> Iterator[Found]:
    """Numbers that exist, by the plans of `phonenumbers`: international ones, national ones that are grouped as such, and
    those that a word before says to be a telephone's."""
    for match in NUMBER.finditer(text):
        number = match[0]
        said = SAID.search(text, max(0, match.start() - BEFORE), match.start()) is not None
        if not DATE.fullmatch(number) and _is_phone(number, said):
            yield Found(PHONE, *match.span())


def _is_phone(number: str, said: bool) -> bool:
    if number.lstrip("(").startswith(("+", "00")):
        return _exists(number.lstrip("(").replace("00", "+", 1) if not number.lstrip("(").startswith("+") else number, None, said)
    if said:
        return any(_exists(number, region, True) for region in REGIONS)
    return NATIONAL.fullmatch(number) is not None and any(_exists(number, region, False) for region in REGIONS)


def _exists(number: str, region: str | None, possible: bool) -> bool:
    """Whether a number of this kind is given out, or, where `possible` is enough, could be."""
    try:
        parsed = phonenumbers.parse(number, region)
    except phonenumbers.NumberParseException:
        return False
    return phonenumbers.is_possible_number(parsed) if possible else phonenumbers.is_valid_number(parsed)


def find_networks(text: str) -> Iterator[Found]:
    """IP addresses that belong to somebody (private, loopback and documentation ones stay), and MAC addresses."""
    for match in IPV4.finditer(text) if DOTTED.search(text) else ():
        parts = match[0].split(".")
        if match[0] in PUBLIC_RESOLVERS or any(int(part) > 255 for part in parts) or VERSION.search(text, 0, match.start()):
            continue
        plain = ".".join(str(int(part)) for part in parts)
        small = all(int(part) <= MAX_VERSION for part in parts)
        said = SAID_HOST.search(text, max(0, match.start() - BEFORE), match.start())
        if ip_address(plain).is_global and (said or not small):
            yield Found(IP, *match.span())
    colons = text.count(":")
    for match in IPV6.finditer(text) if colons >= 2 else ():
        if _is_public_v6(match[0]):
            yield Found(IP, *match.span())
    for match in MACS.finditer(text) if max(colons, text.count("-")) >= 5 else ():
        numbers = set(re.split("[:-]", match[0].lower()))
        if len(numbers) > 1 and (match[1] == ":" or re.search("[A-Fa-f]", match[0])):
            yield Found(MAC, *match.span())


def _is_public_v6(text: str) -> bool:
    try:
        address = ip_address(text)
    except ValueError:
        return False
    return address.is_global and 0x2000 <= int(address) >> 112 < 0x4000  # what is given out to networks


def find_places(text: str) -> Iterator[Found]:
    """Streets with a house number where a post code, a flat or a word before says that somebody lives there."""
    for match in ADDRESS.finditer(text) if HOUSE_NUMBER.search(text) else ():
        if POSTCODE.search(match["rest"]) or SAID_HOME.search(text, max(0, match.start() - BEFORE), match.start()):
            yield Found(STREET, *match.span())


def find_births(text: str) -> Iterator[Found]:
    """Dates of birth that are said to be one, of people who may be alive. That Bach was born in 1685 stays."""
    return (Found(BIRTH, *match.span("date")) for match in BORN.finditer(text))
