"""Demonstrations: imported conversations whose last answer is how it should be, a few of them in every cycle.

How many of each domain is the mixture's share of it, so that domains stay separable; which ones is drawn by the cycle's number.
So the cost of a cycle does not grow with what was imported. They go through the same cleaning as votes, and are of nobody's
taste: none of them judges.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from learner.context import Context, StageError
from learner.corpora.mixing import mixing_weights
from learner.curate.clean import Cleaner
from learner.curate.example import Drop, Example, Said
from learner.evaluate.suite import Turn
from learner.rows import Row, RowKind, Split
from learner.tokens import Tokens
from storage import documents
from storage.records import Cycle, Document, DocumentKind

NOT_A_DEMONSTRATION = "does not end with an answer"
TOO_LONG = "too long"


class Shown(NamedTuple):
    rows: list[Row]
    transformations: dict[str, tuple[str, ...]]  # by row, where something was done to it
    dropped: list[Drop]


async def draw(context: Context, cycle: Cycle, cleaner: Cleaner) -> Shown:
    """The cycle's demonstrations, and what was drawn and left out. Raises `StageError`."""
    drawn = await context.database.read(lambda connection: select_drawn(connection, context, cycle.id))
    return await asyncio.to_thread(make_rows, drawn, cleaner, context.tokens, context.settings.train.max_row_tokens)


async def select_drawn(connection: AsyncConnection, context: Context, seed: int) -> list[Document]:
    """As many documents of each domain as the mixture says. Raises `StageError` for a mixture that makes no sense."""
    settings, counts = context.settings.curate, Counter[str]()
    for source in await documents.count_sources(connection):
        if source.kind is DocumentKind.DEMONSTRATION:
            counts[source.domain] += source.documents
    chance = random.Random(seed)
    found: list[Document] = []
    try:
        shares = mixing_weights(counts, settings.mixing_temperature, settings.mixing)
    except ValueError as error:
        raise StageError(str(error)) from error
    for domain, share in sorted(shares.items()):
        count = round(share * settings.demonstrations)
        found += await documents.select_some(connection, DocumentKind.DEMONSTRATION, domain, count, chance.random())
    return found


def make_rows(drawn: Sequence[Document], cleaner: Cleaner, tokens: Tokens, max_tokens: int) -> Shown:
    """Rows of those that are clean and no longer than `max_tokens`."""
    shown = Shown([], {}, [])
    for document in drawn:
        made = _clean(document, cleaner)
        if isinstance(made, Example):
            prompt_ids, answer_ids = tokens.prompt([(one.role, one.content) for one in made.prompt]), tokens.answer(made.answer)
            if len(prompt_ids) + len(answer_ids) <= max_tokens:
                kind, split = RowKind.DEMONSTRATION, Split.TRAIN
                shown.rows.append(Row(made.id, made.person_id, kind, split, 1.0, tuple(prompt_ids), tuple(answer_ids)))
                if made.transformations:
                    shown.transformations[made.id] = made.transformations
                continue
            made = Drop(document.id, document.person_id or "", TOO_LONG)
        shown.dropped.append(made)
    return shown


def _clean(document: Document, cleaner: Cleaner) -> Example | Drop:
    """As a liked answer is cleaned; but what breaks a rule is no example of how not to answer either: nobody disliked it."""
    person_id = document.person_id or ""
    turns = msgspec.convert(document.content, list[Turn])
    if len(turns) < 2 or turns[-1].role != "assistant":
        return Drop(document.id, person_id, NOT_A_DEMONSTRATION)
    prompt = tuple(Said(turn.role, turn.content) for turn in turns[:-1])
    example = Example(document.id, person_id, "", prompt, turns[-1].content, "up", None, (), document.created_at_s)
    made = cleaner.clean(example)
    if isinstance(made, Example) and made.thumb != "up":
        return Drop(document.id, person_id, made.transformations[-1].replace("turned into a negative by", "breaks"))
    return made
