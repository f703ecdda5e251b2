"""The cap of a person: however much somebody says, only so much of it counts in a cycle.

What many say in nearly the same words has its own limit, in `learner/curate/dedupe.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from learner.curate.example import Example, Sifted, drop

OVER = "over the person's limit"


def cap(examples: Sequence[Example], limit: int) -> Sifted:
    """At most `limit` examples of each person, the newest; of those said at the same time, the later ones."""
    newest = sorted(range(len(examples)), key=lambda number: (examples[number].said_at_s, number), reverse=True)
    counts: Counter[str] = Counter()
    over = set()
    for number in newest:
        counts[examples[number].person_id] += 1
        if counts[examples[number].person_id] > limit:
            over.add(number)
    kept = [example for number, example in enumerate(examples) if number not in over]
    return Sifted(kept, [drop(examples[number], OVER) for number in sorted(over)])
