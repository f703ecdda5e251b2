"""Export: conversations with feedback, in the layouts that other programs train on or show."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from enum import StrEnum
from functools import partial

import msgspec
from msgspec import Struct

from storage.database import Database
from storage.interchange.messages import messages_rows
from storage.interchange.openai_tuning import tuning_chats, tuning_pairs
from storage.interchange.openwebui_export import chat_rows
from storage.interchange.preference import preference_rows
from storage.interchange.talk import Talk, select_talks
from storage.interchange.tree import Tree
from storage.interchange.unpaired import unpaired_rows

PAGE = 200  # conversations held in memory at a time


class ExportLayout(StrEnum):
    PREFERENCE = "preference"
    UNPAIRED = "unpaired"
    MESSAGES = "messages"
    OPENAI_CHATS = "openai-chats"
    OPENAI_PREFERENCE = "openai-preference"
    OPENWEBUI_CHATS = "openwebui-chats"


ROWS: dict[ExportLayout, Callable[[Tree], Iterable[Struct]]] = {
    ExportLayout.PREFERENCE: preference_rows,
    ExportLayout.UNPAIRED: unpaired_rows,
    ExportLayout.MESSAGES: messages_rows,
    ExportLayout.OPENAI_CHATS: tuning_chats,
    ExportLayout.OPENAI_PREFERENCE: tuning_pairs,
    ExportLayout.OPENWEBUI_CHATS: chat_rows,
}
ARRAYS = {ExportLayout.OPENWEBUI_CHATS}  # one JSON array; the others are JSON lines


async def export(database: Database, layout: ExportLayout, *, everyone: bool = False, page: int = PAGE) -> AsyncIterator[bytes]:
    """The file, some conversations at a time by their ids; `everyone` has those in who do not let cycles learn.

    Each record ends a line, in an array too. Each page is read on a state of its own: what begins meanwhile may be in it
    or not.
    """
    after, begin = "", b"["
    while talks := await database.read(partial(select_talks, after=after, limit=page, everyone=everyone)):
        if lines := await asyncio.to_thread(_encode, talks, layout):
            yield begin + lines[:-1].replace(b"\n", b"\n,") + b"\n" if layout in ARRAYS else lines
            begin = b","
        after = talks[-1].conversation.id
    if layout in ARRAYS:
        yield b"]" if begin == b"," else b"[]"


def _encode(talks: list[Talk], layout: ExportLayout) -> bytes:
    rows = (row for talk in talks for row in ROWS[layout](Tree(talk)))
    return msgspec.json.Encoder().encode_lines(rows)
