"""What the writers under faults write, through the verbs the service uses, and how to see what is left of it.

Everything carries its run's name in its ids. Each write is all or nothing: a turn is a conversation, a question and its
answer; a vote is a thumb and a comment of one submission.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from sqlalchemy import Engine, create_engine, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.pool import NullPool

from storage.connect import database_url
from storage.conversations import delete_conversation, insert_conversation, insert_messages
from storage.feedback import insert_feedback
from storage.people import insert_person
from storage.records import Conversation, Feedback, FeedbackKind, Message, MessageStatus, Person, Role
from storage.tables import conversations, feedback, messages, people
from tests.databases import Place

TABLES = {"person": people.c.id, "turn": conversations.c.id, "vote": feedback.c.submission_id}


async def add_person(connection: AsyncConnection, name: str) -> None:
    await insert_person(connection, Person(name, name, 0.0))


async def add_turn(connection: AsyncConnection, person_id: str, name: str, words: str = "") -> None:
    """A conversation `name` with a question `name-q` and its answer `name-a`."""
    await insert_conversation(connection, Conversation(name, person_id, 0.0))
    question = Message(f"{name}-q", name, person_id, None, Role.USER, words or name, MessageStatus.COMPLETE, 0.0)
    answer = Message(f"{name}-a", name, person_id, question.id, Role.ASSISTANT, words, MessageStatus.COMPLETE, 0.0)
    await insert_messages(connection, [question])
    await insert_messages(connection, [answer])


async def add_vote(connection: AsyncConnection, person_id: str, turn: str) -> None:
    """A submission of two rows about a turn's answer, named like the turn."""
    for kind, value in ((FeedbackKind.THUMB, "up"), (FeedbackKind.COMMENT, "as it should be")):
        await insert_feedback(connection, [Feedback(f"{turn}-{kind}", f"{turn}-a", person_id, kind, value, 0.0, turn)])


async def remove_turn(connection: AsyncConnection, person_id: str, name: str) -> None:
    await delete_conversation(connection, name, person_id)


def lost(place: Place, acknowledged: Iterable[str]) -> list[str]:
    """Those of the acknowledged that are not so. Each is "person NAME", "turn NAME", "vote NAME" or "removed NAME" (of a
    turn with its vote); "removing NAME" says that nobody knows yet."""
    lines = [line.split() for line in acknowledged]
    removing = {name for what, name in lines if what == "removing"}
    with _open(place).begin() as connection:
        here = {what: set(connection.scalars(select(column))) for what, column in TABLES.items()}
    missing = [f"{what} {name}" for what, name in lines if what in here and name not in here[what] | removing]
    back = [f"{what} {name}" for what, name in lines if what == "removed" and name in here["turn"] | here["vote"]]
    return missing + back


def halves(place: Place) -> list[str]:
    """Ids of writes of which a part is there: turns without all three rows, votes without both."""
    said = func.count(messages.c.id)
    turns = select(conversations.c.id).outerjoin(messages).group_by(conversations.c.id).having(said != 2)
    votes = select(feedback.c.submission_id).group_by(feedback.c.submission_id).having(func.count() != 2)
    stray = select(messages.c.id).outerjoin(conversations).where(conversations.c.id.is_(None))
    with _open(place).begin() as connection:
        return [id for statement in (turns, votes, stray) for id in connection.scalars(statement)]


def integrity(place: Place) -> str:
    """ "ok", or what the database says is wrong with itself; PostgreSQL has no such question and is taken at its word."""
    if not isinstance(place, Path):
        return "ok"
    with _open(place).begin() as connection:
        problems = [*connection.scalars(text("PRAGMA integrity_check")), *connection.execute(text("PRAGMA foreign_key_check"))]
    return "\n".join(map(str, problems))


def _open(place: Place) -> Engine:
    return create_engine(database_url(place), poolclass=NullPool)
