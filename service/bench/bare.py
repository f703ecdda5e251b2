"""What storage is measured against: a loop on the sqlite3 module that inserts the rows of turns and votes, and commits."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Table

from service.turns import Turn
from service.wire import FeedbackRequest
from storage.migrate import migrate
from storage.records import Conversation, Feedback, FeedbackKind, Message, MessageStatus, Person, Role, new_id
from storage.tables import conversations, feedback, messages, people

Record = Person | Conversation | Message | Feedback
Row = tuple[str, tuple[Any, ...]]  # a statement with its values


class BareLoop:
    """A database with today's tables and a connection as durable as storage's: a write-ahead log, synced at each commit."""

    def __init__(self, path: Path) -> None:
        migrate(path)
        self._connection = sqlite3.connect(path, isolation_level=None)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
            self._connection.execute(f"PRAGMA {pragma}")

    def write(self, pairs: Iterator[tuple[Turn, FeedbackRequest]], seconds: float, per_commit: float) -> float:
        """Turns and votes per second, where so many on average share a commit. Making the rows is not counted."""
        writes = (rows for pair in pairs for rows in (turn_rows(pair[0]), vote_rows(*pair)))
        done, commits, took_s = 0, 0, 0.0
        while took_s < seconds:
            commits += 1
            batch = list(islice(writes, round(commits * per_commit) - done))
            done += len(batch)
            took_s += self._commit(batch)
        return done / took_s

    def _commit(self, batch: list[list[Row]]) -> float:
        """Seconds of one commit."""
        began, execute = time.perf_counter(), self._connection.execute
        execute("BEGIN IMMEDIATE")
        for rows in batch:
            for statement, values in rows:
                execute(statement, values)
        execute("COMMIT")
        return time.perf_counter() - began

    def close(self) -> None:
        self._connection.close()


def turn_rows(turn: Turn) -> list[Row]:
    """What `keep_turn` adds for a turn that begins a conversation; the person only where there is none yet."""
    begun = Conversation(turn.conversation_id, turn.person.id, turn.created_at_s, turn.title, turn.created_at_s)
    asked, owner = turn.messages[0], turn.person
    question = Message(new_id("msg"), begun.id, owner.id, None, Role.USER, asked.text, MessageStatus.COMPLETE, turn.created_at_s)
    answer = turn.answer(question.id, MessageStatus.COMPLETE)
    known = insert(people, owner, "INSERT OR IGNORE")
    return [known, insert(conversations, begun), insert(messages, question), insert(messages, answer)]


def vote_rows(turn: Turn, said: FeedbackRequest) -> list[Row]:
    """What `give` adds for a thumb."""
    row = Feedback(new_id("fb"), said.completion_id, turn.person.id, FeedbackKind.THUMB, said.thumb, 0.0, new_id("fb"))
    return [insert(feedback, row)]


def insert(table: Table, record: Record, verb: str = "INSERT") -> Row:
    """The statement and the values, JSON as text."""
    fields = record.__struct_fields__
    statement = f"{verb} INTO {table.name} ({', '.join(fields)}) VALUES ({', '.join('?' * len(fields))})"
    return statement, tuple(_plain(getattr(record, field), field) for field in fields)


def insert_all(connection: sqlite3.Connection, table: Table, records: Iterable[Record]) -> None:
    """Many records of one kind; none is fine."""
    rows = (insert(table, record) for record in records)
    for statement, values in rows:
        connection.executemany(statement, chain([values], (more for _, more in rows)))


def _plain(value: object, field: str) -> Any:
    if field == "value" or isinstance(value, tuple | dict):
        return msgspec.json.encode(value).decode()
    return value
