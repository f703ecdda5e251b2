"""A small world to store: a database, two people, and a conversation of one of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.adapters import insert_adapter
from storage.conversations import insert_conversation, insert_messages
from storage.database import Database
from storage.people import insert_person
from storage.records import Adapter, AdapterState, Conversation, Message, MessageStatus, Person, Role
from tests.databases import Place

T = TypeVar("T")


def with_database(place: Place, body: Callable[[Database], Awaitable[T]]) -> T:
    """Run the body on a database at this place, closed afterwards whatever happens."""

    async def run() -> T:
        db = await Database.open(place)
        try:
            return await body(db)
        finally:
            await db.close()

    return asyncio.run(run())


def in_transaction(place: Place, body: Callable[[AsyncConnection], Awaitable[T]]) -> T:
    """Run the body as one write."""
    return with_database(place, lambda db: db.write(body))


def person(id: str) -> Person:
    return Person(id=id, name=id.title(), created_at_s=1.0)


def message(id: str, parent: str | None, role: Role = Role.ASSISTANT, text: str = "", **more: object) -> Message:
    said = Message(id, "conversation", "owner", parent, role, text or f"text of {id}", MessageStatus.COMPLETE, 2.0)
    return msgspec.structs.replace(said, **more)


def adapter(name: str, **more: object) -> Adapter:
    bare = Adapter(name, None, None, None, "ab", f"artifacts/adapters/{name}", AdapterState.CANDIDATE, 3.0)
    return msgspec.structs.replace(bare, **more)


async def furnish(connection: AsyncConnection) -> None:
    """Owner's conversation: question → answer (and its sibling `again`) → follow-up → second; `other` owns nothing."""
    for id in ("owner", "other"):
        await insert_person(connection, person(id))
    await insert_conversation(connection, Conversation("conversation", "owner", 1.0))
    await insert_messages(
        connection,
        [
            message("question", None, Role.USER),
            message("answer", "question", prompt_token_ids=(1, 2), token_ids=(3, 4, 5), latency_ms=12.5),
            message("again", "question"),
            message("follow-up", "answer", Role.USER),
            message("second", "follow-up"),
            message("cut", "follow-up", status=MessageStatus.INTERRUPTED),
        ],
    )


async def furnish_adapters(connection: AsyncConnection, *names: str) -> None:
    for name in names:
        await insert_adapter(connection, adapter(name))
