"""Which documents a cycle learns from beside what people here said: those of the kinds that its method reads.

How many of each domain is the mixture's share of it, so that domains stay separable; which ones is drawn by the cycle's number.
So the cost of a cycle does not grow with what was imported.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter

from sqlalchemy.ext.asyncio import AsyncConnection

from learner.config import CurateSettings
from learner.context import Context, StageError
from learner.corpora.mixing import mixing_weights
from learner.curate.clean import Cleaner
from learner.curate.shown import Shown, make_rows
from storage import documents
from storage.documents import SourceCount
from storage.records import Cycle, Document, DocumentKind

DAILY = "mixed"  # learns from a few documents beside the votes; the others from as many as the budget allows
KINDS = {  # by method
    DAILY: (DocumentKind.DEMONSTRATION, DocumentKind.PREFERENCE),
    "sft": (DocumentKind.DEMONSTRATION, DocumentKind.CHAT),
    "dpo": (DocumentKind.PREFERENCE,),
    "reward": (DocumentKind.PREFERENCE,),
    "cpt": (DocumentKind.CORPUS,),
}


async def draw(context: Context, cycle: Cycle, cleaner: Cleaner) -> Shown:
    """The rows of the cycle's documents, and what was drawn and left out. Raises `StageError`."""
    settings = context.settings
    drawn = await context.database.read(lambda connection: select_drawn(connection, settings.curate, cycle))
    limit = None if cycle.method == DAILY else settings.curate.documents
    if limit is not None:  # in no order, so that those that the limit leaves out are of all domains
        random.Random(cycle.id).shuffle(drawn)
    return await asyncio.to_thread(
        make_rows, drawn, cleaner, context.tokens, settings.train.max_row_tokens, settings.curate.text_heldout_share, limit
    )


async def select_drawn(connection: AsyncConnection, settings: CurateSettings, cycle: Cycle) -> list[Document]:
    """As many documents of each kind and domain as the mixture says, of the cycle's corpus where it names one.

    Raises `StageError` for a mixture that makes no sense, and for a corpus of which there is nothing.
    """
    kinds, chance = KINDS.get(cycle.method, ()), random.Random(cycle.id)
    sources = [one for one in await documents.count_sources(connection) if one.kind in kinds and _is_of(one, cycle.corpus)]
    if cycle.corpus and not sources:
        wanted = f"a document of kind {' or '.join(kinds)}" if kinds else "anything: it learns from no documents"
        raise StageError(f"the method {cycle.method!r} finds nothing in {cycle.corpus!r}, expected a domain or source of {wanted}")
    found: list[Document] = []
    for kind in kinds:
        counts = Counter[str]()
        for one in sources:
            counts[one.domain] += one.documents * (one.kind is kind)
        try:
            shares = mixing_weights(counts, settings.mixing_temperature, settings.mixing)
        except ValueError as error:
            raise StageError(str(error)) from error
        for domain, share in sorted(shares.items()):
            source = cycle.corpus if cycle.corpus not in ("", domain) else None
            count = round(share * _budget(settings, cycle.method, kind))
            found += await documents.select_some(connection, kind, domain, count, chance.random(), source)
    return found


def _is_of(source: SourceCount, corpus: str) -> bool:
    return corpus in ("", source.domain, source.source)


def _budget(settings: CurateSettings, method: str, kind: DocumentKind) -> int:
    if method != DAILY:
        return settings.documents
    return settings.demonstrations if kind is DocumentKind.DEMONSTRATION else settings.preferences
