"""Numbers in answers: what a written result is, and how a rule finds it in whatever is said around it."""

from __future__ import annotations

import re

from learner.evaluate.rules import Rule

MARK = "####"  # in GSM8K's solutions, before the result (Cobbe et al. 2021, arXiv 2110.14168)
PLAIN = re.compile(r"(-?)[$€£]?(\d{1,3}(?:,\d{3})+|\d+)?(?:\.(\d+))?[%.]?")


def result_of(solution: str) -> str | None:
    """The number that a solution ends with after `####`, or that it is; without separators. None where it is no number."""
    found = PLAIN.fullmatch(solution.rpartition(MARK)[2].strip())
    if found is None or not (found[2] or found[3]):
        return None
    sign, whole, part = found.groups()
    return f"{sign}{(whole or '0').replace(',', '')}{f'.{part}' if part else ''}"


def ends_with(number: str) -> Rule:
    """The rule that this is the last number that an answer says; thousands may be separated, and zeros follow the point."""
    whole, _, part = number.removeprefix("-").partition(".")
    grouped = f"{int(whole):,}".replace(",", ",?")
    rest = rf"\.{part}0*" if (part := part.rstrip("0")) else r"(?:\.0+)?"
    sign = r"(?<![\d.,])-[$€£]?" if number.startswith("-") else r"(?<![\d.,-])(?<!-[$€£])"
    return Rule("regex", pattern=rf"(?s){sign}{grouped}{rest}(?![.,]?\d)(?!.*\d)")
