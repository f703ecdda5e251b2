"""All that is kept of a person as one JSON document, written page by page: what is in memory does not grow with it.

Each page is read by itself, so that nobody who takes it slowly keeps a connection to the database. What is said while
it is written may be in it or not.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import TypeVar

import msgspec
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from storage import kept, lineage
from storage.database import Database
from storage.records import Conversation, Person

Place = TypeVar("Place", int, str)
Record = TypeVar("Record", bound=Struct)
encode = msgspec.json.Encoder().encode


async def export(database: Database, person: Person) -> AsyncIterator[bytes]:
    """`{person, adapters, conversations: [{…, messages}], feedback, documents}`; `adapters` learnt from the person."""
    learnt = await database.read(lambda connection: lineage.select_adapters_of_person(connection, person.id))
    yield b'{"person":%b,"adapters":%b,"conversations":[' % (encode(person), encode(learnt))
    separator = b""
    async for page in _pages(database, partial(kept.page_conversations, person_id=person.id), ""):
        for conversation in page:
            yield separator
            async for part in _conversation(database, conversation):
                yield part
            separator = b","
    yield b'],"feedback":['
    async for part in _items(_pages(database, partial(kept.page_feedback, person_id=person.id), 0)):
        yield part
    yield b'],"documents":['
    async for part in _items(_pages(database, partial(kept.page_documents, person_id=person.id), 0)):
        yield part
    yield b"]}"


async def _conversation(database: Database, conversation: Conversation) -> AsyncIterator[bytes]:
    yield encode(conversation)[:-1] + b',"messages":['
    own = partial(kept.page_messages, conversation_id=conversation.id, person_id=conversation.person_id)
    async for part in _items(_pages(database, own, 0)):
        yield part
    yield b"]}"


async def _items(pages: AsyncIterator[list[Record]]) -> AsyncIterator[bytes]:
    """What stands between the brackets of an array."""
    separator = b""
    async for page in pages:
        yield separator + b",".join(map(encode, page))
        separator = b","


async def _pages(
    database: Database, select: Callable[..., Awaitable[list[tuple[Place, Record]]]], first: Place
) -> AsyncIterator[list[Record]]:
    after = first

    async def read(connection: AsyncConnection) -> list[tuple[Place, Record]]:
        return await select(connection, after=after)

    while found := await database.read(read):
        after = found[-1][0]
        yield [record for _, record in found]
