"""What can be wrong with an answer: a fixed list, in words that pages may translate by their keys."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from service.problem import Problem
from storage.records import Reason

LABELS = {
    Reason.WRONG: "Wrong",
    Reason.INCOMPLETE: "Incomplete",
    Reason.IMPROPER: "Improper",
    Reason.OFF_TOPIC: "Off topic",
    Reason.REFUSED_NEEDLESSLY: "Refused needlessly",
    Reason.TOO_LONG: "Too long",
    Reason.TOO_SHORT: "Too short",
    Reason.STYLE: "Style",
}


class ReasonLabel(Struct, frozen=True):
    """`key` is what feedback says, and what a translation goes by; `label` is English."""

    key: Reason
    label: str


def reason_labels() -> list[ReasonLabel]:
    """All reasons, in the order in which people should see them."""
    return [ReasonLabel(reason, label) for reason, label in LABELS.items()]


def parse_reasons(said: Iterable[str]) -> list[str]:
    """Each reason once, by its key; any case will do, and spaces or hyphens. Raises `invalid_request` for another."""
    return list(dict.fromkeys(_parse(text).value for text in said))


def _parse(text: str) -> Reason:
    try:
        return Reason("_".join(text.lower().replace("-", " ").replace("_", " ").split()))
    except ValueError:
        raise Problem("invalid_request", f"{text!r} is no reason; expected one of {', '.join(Reason)}", "reasons") from None
