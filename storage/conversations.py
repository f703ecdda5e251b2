"""Conversations: trees of messages, each owned by one person. Ownership is in the WHERE, so that no caller can forget it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import ColumnElement, Select, bindparam, delete, func, literal, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.records import Conversation, Message
from storage.rows import insert, select_all, select_number, select_one, select_place, to_record
from storage.tables import conversations, feedback, messages

AGE = tuple_(conversations.c.updated_at_s, conversations.c.id)
OWN = select(conversations).where(conversations.c.id == bindparam("id"), conversations.c.person_id == bindparam("person_id"))
OWN_MESSAGE = select(messages).where(messages.c.id == bindparam("id"), messages.c.person_id == bindparam("person_id"))
TALK = select(messages).where(messages.c.conversation_id == bindparam("conversation_id")).order_by(messages.c.position)
OPENINGS = TALK.where(messages.c.parent_id.is_(None))
CHILDREN = TALK.where(messages.c.parent_id == bindparam("parent_id"))


async def insert_conversation(connection: AsyncConnection, conversation: Conversation) -> None:
    """Add a conversation of an existing person; IntegrityError if the id is taken or the person unknown."""
    await insert(connection, conversations, [conversation])


async def select_conversation(connection: AsyncConnection, id: str, person_id: str) -> Conversation | None:
    """The conversation, if it is this person's."""
    return await select_one(connection, OWN, Conversation, id=id, person_id=person_id)


async def select_conversations(
    connection: AsyncConnection, person_id: str, limit: int, after: str | None = None, search: str = ""
) -> list[Conversation]:
    """A page of this person's conversations, the one last talked in first.

    `after` is the id that ended the page before; LookupError if they have none of it. `search` finds words in titles and
    messages; of A to Z it finds either case.
    """
    where: list[ColumnElement[bool]] = [conversations.c.person_id == person_id]
    if after is not None:
        last = select(conversations.c.updated_at_s, conversations.c.id).where(conversations.c.id == after, *where)
        at_s, id = await select_place(connection, last, f"conversation {after!r}")
        where.append(tuple_(literal(at_s), literal(id)) > AGE)
    if search:
        said = select(messages.c.id).where(messages.c.conversation_id == conversations.c.id)
        in_messages = said.where(messages.c.content.icontains(search, autoescape=True)).exists()
        where.append(conversations.c.title.icontains(search, autoescape=True) | in_messages)
    statement = select(conversations).where(*where)
    newest = statement.order_by(conversations.c.updated_at_s.desc(), conversations.c.id.desc())
    return await select_all(connection, newest.limit(limit), Conversation)


async def update_title(connection: AsyncConnection, id: str, person_id: str, title: str) -> None:
    """Rename a conversation of this person's; LookupError if they have none of this id."""
    own = (conversations.c.id == id, conversations.c.person_id == person_id)
    if (await connection.execute(update(conversations).where(*own).values(title=title))).rowcount == 0:
        raise LookupError(f"no conversation {id!r}")


async def touch_conversation(connection: AsyncConnection, id: str, at_s: float) -> None:
    """Note that something was said in it."""
    await connection.execute(update(conversations).where(conversations.c.id == id).values(updated_at_s=at_s))


async def delete_conversation(connection: AsyncConnection, id: str, person_id: str) -> None:
    """Remove it with its messages and all feedback on them; LookupError if this person has none of this id."""
    if await select_conversation(connection, id, person_id) is None:
        raise LookupError(f"no conversation {id!r}")
    inside = select(messages.c.id).where(messages.c.conversation_id == id)
    await connection.execute(delete(feedback).where(feedback.c.message_id.in_(inside)))
    await connection.execute(delete(messages).where(messages.c.conversation_id == id))
    await connection.execute(delete(conversations).where(conversations.c.id == id))


async def select_messages(connection: AsyncConnection, conversation_id: str, person_id: str) -> list[Message]:
    """Every message of this person's conversation, over all its branches, parents before their children."""
    own = (messages.c.conversation_id == conversation_id, messages.c.person_id == person_id)
    return await select_all(connection, select(messages).where(*own).order_by(messages.c.position), Message)


async def insert_message(connection: AsyncConnection, message: Message) -> None:
    """Add one message; IntegrityError if its id is taken, or its conversation or parent unknown."""
    await insert_messages(connection, [message])


async def insert_messages(connection: AsyncConnection, rows: Sequence[Message]) -> None:
    """Add messages in order, parents before their children; errors as of `insert_message`."""
    await insert(connection, messages, rows)


async def select_message(connection: AsyncConnection, id: str) -> Message | None:
    """The message, whoever owns it."""
    return await select_one(connection, select(messages).where(messages.c.id == id), Message)


async def select_owned_message(connection: AsyncConnection, id: str, person_id: str) -> Message | None:
    """The message, if its conversation is this person's."""
    return await select_one(connection, OWN_MESSAGE, Message, id=id, person_id=person_id)


async def select_last_version(connection: AsyncConnection, conversation_id: str) -> str | None:
    """The version that wrote the newest answer of a conversation; None where none has."""
    written = (messages.c.conversation_id == conversation_id, messages.c.engine_model.is_not(None))
    newest = select(messages.c.engine_model).where(*written).order_by(messages.c.position.desc()).limit(1)
    return (await connection.scalars(newest)).first()


async def select_children(connection: AsyncConnection, conversation_id: str, parent_id: str | None) -> list[Message]:
    """The messages that follow this one, oldest first; with None those that open the conversation."""
    if parent_id is None:
        return await select_all(connection, OPENINGS, Message, conversation_id=conversation_id)
    return await select_all(connection, CHILDREN, Message, conversation_id=conversation_id, parent_id=parent_id)


async def select_thread(connection: AsyncConnection, message_id: str) -> tuple[Message, ...]:
    """The way from the root to this message, both included; empty if there is no such message."""
    threads = await select_threads(connection, select(literal(message_id)))
    return threads.get(message_id, ())


async def select_threads(connection: AsyncConnection, ids: Select[tuple[str]]) -> dict[str, tuple[Message, ...]]:
    """`select_thread` for each of the messages that `ids` selects, in one query: id → thread."""
    seed = select(messages.c.id.label("leaf"), messages.c.id, messages.c.parent_id, literal(0).label("height"))
    below = seed.where(messages.c.id.in_(ids)).cte("thread", recursive=True)
    step = select(below.c.leaf, messages.c.id, messages.c.parent_id, below.c.height + 1)
    thread = below.union_all(step.join(below, messages.c.id == below.c.parent_id))
    statement = select(thread.c.leaf, messages).join(messages, messages.c.id == thread.c.id)
    rows = await connection.execute(statement.order_by(thread.c.height.desc()))
    found: defaultdict[str, list[Message]] = defaultdict(list)
    for row in rows:
        found[row.leaf].append(to_record(row, Message))
    return {leaf: tuple(path) for leaf, path in found.items()}


async def count_messages(connection: AsyncConnection, conversation_id: str) -> int:
    """How many messages the conversation holds, over all its branches."""
    statement = select(func.count()).where(messages.c.conversation_id == conversation_id)
    return await select_number(connection, statement)
