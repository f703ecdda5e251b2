"""People of the learner's tests who like some words and not others, and what they say of answers made of them."""

from __future__ import annotations

import random

import msgspec

from learner.rows import Row, RowKind, Split

LIKED, DISLIKED = range(10, 18), range(60, 68)  # tokens


def tasteful(count: int, seed: int, split: Split = Split.TRAIN) -> list[Row]:
    """Votes of people who like answers of some words and not of others; of every third, a pair instead of a vote."""
    rows = []
    for number in range(count):
        chance = random.Random(f"{seed}/{number}")
        label = 1 - 2 * (number % 2)

        def answer(liked: bool, chance: random.Random = chance) -> tuple[int, ...]:
            return tuple(chance.choice(LIKED if liked else DISLIKED) for _ in range(chance.randint(3, 9)))

        row = Row(f"{split}-{number}", f"person {number}", RowKind.THUMB, split, 1.0, (1, 2, 3), answer(label > 0), label)
        if number % 3 == 0:
            pair = {"kind": RowKind.CORRECTION, "label": -1, "answer_ids": answer(False), "better_ids": answer(True)}
            row = msgspec.structs.replace(row, **pair)
        rows.append(row)
    return rows
