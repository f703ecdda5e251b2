"""A talk: a conversation with its owner and what the owner says of it now. Every layout goes out from talks and comes in
as talks, so that no layout knows the database and the database knows no layout."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from msgspec import Struct
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.records import Conversation, Feedback, FeedbackKind, Message, Person
from storage.rows import select_all
from storage.tables import conversations, feedback, messages, people

TOKENS = ("prompt_token_ids", "token_ids")  # large, and of use to no other program


class Talk(Struct, frozen=True):
    person: Person
    conversation: Conversation
    messages: tuple[Message, ...]  # parents before their children
    feedback: tuple[Feedback, ...]  # the owner's; of a message and kind the last one counts


async def select_talks(connection: AsyncConnection, after: str, limit: int, everyone: bool) -> list[Talk]:
    """The first `limit` conversations by id after that of `after`, of people who consent, or of all; "" begins.

    Messages come without their token ids.
    """
    statement = select(conversations).join(people).where(conversations.c.id > after)
    if not everyone:
        statement = statement.where(people.c.learn)
    found = await select_all(connection, statement.order_by(conversations.c.id).limit(limit), Conversation)
    owners = {person.id: person for person in await _select_people(connection, {talk.person_id for talk in found})}
    inside = await _select_messages(connection, [conversation.id for conversation in found])
    said = await _select_feedback(connection, [conversation.id for conversation in found])
    return [
        Talk(owners[one.person_id], one, tuple(inside[one.id]), tuple(row for m in inside[one.id] for row in said[m.id].values()))
        for one in found
    ]


async def _select_people(connection: AsyncConnection, ids: Iterable[str]) -> list[Person]:
    return await select_all(connection, select(people).where(people.c.id.in_(list(ids))), Person)


async def _select_messages(connection: AsyncConnection, ids: list[str]) -> dict[str, list[Message]]:
    columns = [column for column in messages.c if column.name not in TOKENS]
    statement = select(*columns).where(messages.c.conversation_id.in_(ids)).order_by(messages.c.position)
    found: defaultdict[str, list[Message]] = defaultdict(list)
    for message in await select_all(connection, statement, Message):
        found[message.conversation_id].append(message)
    return found


async def _select_feedback(connection: AsyncConnection, ids: list[str]) -> dict[str, dict[FeedbackKind, Feedback]]:
    """The owners' newest feedback of each kind by message."""
    own = (messages.c.conversation_id.in_(ids), feedback.c.person_id == messages.c.person_id)
    joined = select(feedback).join(messages, messages.c.id == feedback.c.message_id).where(*own)
    found: defaultdict[str, dict[FeedbackKind, Feedback]] = defaultdict(dict)
    for row in await select_all(connection, joined.order_by(feedback.c.position), Feedback):
        found[row.message_id][row.kind] = row
    return found
