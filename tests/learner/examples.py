"""Examples to curate."""

from __future__ import annotations

from itertools import count
from typing import Any

import msgspec

from learner.curate.example import Example, Said

NUMBERS = count(1)


def example(question: str = "Which shoes go with a green raincoat?", answer: str = "Brown ones.", **more: Any) -> Example:
    """A liked answer of ada's, later than those made before it."""
    number = next(NUMBERS)
    made = Example(f"m{number}", "ada", "c", (Said("user", question),), answer, "up", None, (), float(number))
    return msgspec.structs.replace(made, **more)
