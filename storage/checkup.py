"""What a database is like, seen through connections that can neither write nor checkpoint: also beside a running service."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from msgspec import Struct
from sqlalchemy import Connection, create_engine, func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from storage.connect import database_url
from storage.migrate import revision_of
from storage.tables import adapters, release

FAULTS = 3  # of a damaged file that are told


class CheckupError(Exception):
    """The database cannot be read; the message says why, in one line."""


class Pages(Struct, frozen=True):
    """Of an SQLite file: how it is written, and how much of it is used."""

    journal: str
    log_bytes: int  # of the write-ahead log beside it
    bytes: int
    free_bytes: int  # of it, that hold nothing any more


def select_schema(place: Path | str) -> str | None:
    """The schema a database is at; None before its first migration. CheckupError if it cannot be read."""
    with _looking(place) as connection:
        return revision_of(connection)


def select_live(place: Path | str) -> tuple[str, str] | None:
    """The live adapter and its hash; None before the first. CheckupError if it cannot be read."""
    newest = select(release.c.adapter).order_by(release.c.id.desc()).limit(1).scalar_subquery()
    with _looking(place) as connection:
        row = connection.execute(select(adapters.c.name, adapters.c.sha256).where(adapters.c.name == newest)).first()
    return None if row is None else (row.name, row.sha256)


def find_faults(file: Path) -> list[str]:
    """What SQLite's own quick check finds wrong with a file, the first of it; or what keeps it from being checked."""
    try:
        with _looking(file) as connection:
            found = connection.exec_driver_sql(f"PRAGMA quick_check({FAULTS})").scalars().all()
    except CheckupError as error:
        return [str(error)]
    return [" ".join(str(one).split()) for one in found if one != "ok"]


def measure_pages(file: Path) -> Pages:
    """CheckupError if the file cannot be read."""
    with _looking(file) as connection:
        ask = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("page_size", "page_count", "freelist_count")
        }
        journal = str(connection.exec_driver_sql("PRAGMA journal_mode").scalar_one())
    log = file.with_name(f"{file.name}-wal")
    log_bytes = log.stat().st_size if log.exists() else 0
    return Pages(journal, log_bytes, ask["page_size"] * ask["page_count"], ask["page_size"] * ask["freelist_count"])


def measure_skew_s(url: str) -> float:
    """How far the clock of a PostgreSQL server is ahead of this machine's. CheckupError if it cannot be read."""
    with _looking(url) as connection:
        before = time.time()
        theirs = float(connection.execute(select(func.extract("epoch", func.clock_timestamp()))).scalar_one())
        return theirs - (before + time.time()) / 2


@contextmanager
def _looking(place: Path | str) -> Iterator[Connection]:
    url = database_url(place)
    if isinstance(place, Path):
        reading = partial(sqlite3.connect, f"{place.resolve().as_uri()}?mode=ro", uri=True)
        engine = create_engine(url, creator=reading, poolclass=NullPool)
    else:
        engine = create_engine(url, poolclass=NullPool)
    try:
        with engine.connect() as connection:
            yield connection
    except SQLAlchemyError as error:
        cause = getattr(error, "orig", None) or error
        raise CheckupError(" ".join(str(cause).split())) from error
    finally:
        engine.dispose()
