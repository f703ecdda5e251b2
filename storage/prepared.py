"""Statements that are run for every turn, every vote, and when another version goes live, prepared once.

SQLAlchemy takes several times as long to run a statement as SQLite itself. In the thread of the connection that writes
SQLite, a prepared statement goes straight to it, with the text, the values, the rows and the errors that SQLAlchemy
would make of it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Dialect, Insert, Select, Update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeEngine

from storage.thread import ThreadConnection

Process = Callable[[Any], Any] | None  # None leaves a value as it is
Statement = Select[Any] | Insert | Update


class Prepared:
    """A statement as SQLite takes it. It is kept for good: for statements that are built once."""

    def __init__(self, statement: Statement, dialect: Dialect, keys: Sequence[str]) -> None:
        compiled = statement.compile(dialect=dialect, column_keys=None if isinstance(statement, Update) else keys)
        assert isinstance(compiled, SQLCompiler) and compiled.positiontup is not None
        self._text, self._dialect = str(compiled), dialect
        self._values = [(name, _to_database(compiled.binds[name].type, dialect)) for name in compiled.positiontup]
        self._own = {name: compiled.binds[name].value for name in compiled.positiontup if name not in keys}  # said in the statement
        columns = statement.selected_columns if isinstance(statement, Select) else ()
        self._columns = [(str(column.name), _from_database(column.type, dialect)) for column in columns]

    def run(self, sqlite: sqlite3.Connection, values: Mapping[str, object]) -> list[dict[str, Any]]:
        """The rows as dictionaries, none where the statement writes."""
        return [self._row(row) for row in self.execute(sqlite, values).fetchall()]

    def execute(self, sqlite: sqlite3.Connection, values: Mapping[str, object]) -> sqlite3.Cursor:
        """SQLite's own answer: it has the id of a row that was added, and how many were changed."""
        if self._own:
            values = {**self._own, **values}
        given = [process(values[name]) if process else values[name] for name, process in self._values]
        try:
            return sqlite.execute(self._text, given)
        except sqlite3.Error as error:
            raise DBAPIError.instance(
                self._text, given, error, sqlite3.Error, hide_parameters=True, dialect=self._dialect
            ) from error

    def _row(self, row: tuple[Any, ...]) -> dict[str, Any]:
        return {name: process(value) if process else value for (name, process), value in zip(self._columns, row, strict=True)}


@cache
def prepare(statement: Statement, dialect: Dialect, keys: tuple[str, ...]) -> Prepared:
    """The statement with values of these names, prepared the first time."""
    return Prepared(statement, dialect, keys)


def at_hand(connection: AsyncConnection) -> sqlite3.Connection | None:
    """SQLite's own connection, where this runs in its thread; None elsewhere."""
    assert connection.sync_connection is not None
    driver = connection.sync_connection.connection.driver_connection
    return driver.at_hand if isinstance(driver, ThreadConnection) else None


def _to_database(kind: TypeEngine[Any], dialect: Dialect) -> Process:
    return kind.dialect_impl(dialect).bind_processor(dialect)


def _from_database(kind: TypeEngine[Any], dialect: Dialect) -> Process:
    return kind.dialect_impl(dialect).result_processor(dialect, None)
