"""Classifiers that rules may name: a text in, a score from 0 to 1 out. To add one, write it and put it into the table."""

from __future__ import annotations

from collections.abc import Callable

Classifier = Callable[[str], float]


def personal_data(text: str) -> float:
    """1 where the text holds somebody's data or a secret, as curation finds them."""
    from learner.curate import pii

    return 1.0 if pii.find(text) else 0.0


CLASSIFIERS: dict[str, Classifier] = {"personal_data": personal_data}
