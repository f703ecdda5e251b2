"""Export: conversations with feedback as JSON lines, in the layouts that people train on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from enum import StrEnum
from functools import partial

import msgspec
from msgspec import Struct

from storage.database import Database
from storage.interchange.messages import messages_rows
from storage.interchange.preference import preference_rows
from storage.interchange.talk import Talk, select_talks
from storage.interchange.tree import Tree
from storage.interchange.unpaired import unpaired_rows

PAGE = 200  # conversations held in memory at a time


class ExportLayout(StrEnum):
    PREFERENCE = "preference"
    UNPAIRED = "unpaired"
    MESSAGES = "messages"


ROWS: dict[ExportLayout, Callable[[Tree], Iterable[Struct]]] = {
    ExportLayout.PREFERENCE: preference_rows,
    ExportLayout.UNPAIRED: unpaired_rows,
    ExportLayout.MESSAGES: messages_rows,
}


async def export(database: Database, layout: ExportLayout, *, everyone: bool = False, page: int = PAGE) -> AsyncIterator[bytes]:
    """The lines of all conversations by their ids, some at a time; `everyone` has those in who do not let cycles learn.

    Each page is read on a state of its own: what begins meanwhile may be in it or not.
    """
    after = ""
    while talks := await database.read(partial(select_talks, after=after, limit=page, everyone=everyone)):
        if lines := await asyncio.to_thread(_encode, talks, layout):
            yield lines
        after = talks[-1].conversation.id


def _encode(talks: list[Talk], layout: ExportLayout) -> bytes:
    rows = (row for talk in talks for row in ROWS[layout](Tree(talk)))
    return msgspec.json.Encoder().encode_lines(rows)
