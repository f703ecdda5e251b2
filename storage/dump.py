"""A database as one file of its own, taken while others write, and back.

SQLite is copied by its own online backup, through a connection that can neither write nor checkpoint; PostgreSQL by its own
`pg_dump` and `pg_restore`, which must be on the PATH.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import URL, Connection, create_engine, text

from storage.connect import database_url, is_sqlite


class DumpError(Exception):
    """The database cannot be copied, or not be put back; the message is one line."""


@contextmanager
def dumped(place: Path | str, file: Path) -> Iterator[Connection]:
    """Writes a snapshot to `file`, and gives a connection that sees exactly what is in it. Raises `DumpError`."""
    if isinstance(place, Path):
        _copy(place, file)
        engine = create_engine(database_url(file))
    else:
        engine = create_engine(database_url(place), isolation_level="REPEATABLE READ")
    try:
        with engine.connect() as connection:
            if not isinstance(place, Path):
                snapshot = connection.execute(text("SELECT pg_export_snapshot()")).scalar_one()
                # Not compressed, so that a search for a forgotten person can read it.
                options = ("--format=custom", "--compress=0", "--no-owner", "--no-privileges", f"--snapshot={snapshot}")
                _run("pg_dump", database_url(place), *options, f"--file={file}")
            yield connection
    finally:
        engine.dispose()


def restore_dump(file: Path, url: str) -> None:
    """Put a dump of a PostgreSQL database in the place of what the database at `url` holds, all of it or nothing."""
    options = ("--clean", "--if-exists", "--single-transaction", "--no-owner", "--no-privileges")
    _run("pg_restore", database_url(url), *options, str(file))


def _copy(path: Path, file: Path) -> None:
    if not path.exists():
        raise DumpError(f"{path} is not there: no service has run here yet")
    try:
        with (
            closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(file)) as target,
        ):
            source.backup(target)
            target.execute("PRAGMA journal_mode=DELETE")  # one file, without a log beside it
            target.execute("VACUUM")  # a copy has the free pages too, and in them what was deleted
            [verdict] = target.execute("PRAGMA integrity_check(1)").fetchone()
    except sqlite3.Error as error:
        raise DumpError(f"{path}: {error}") from error
    if verdict != "ok":
        raise DumpError(f"{path} is damaged: {verdict}")


def _run(program: str, url: URL, *arguments: str) -> None:
    """Run one of PostgreSQL's programs on a database. The password goes by the environment, where others cannot see it."""
    assert not is_sqlite(url)
    if (found := shutil.which(program)) is None:
        raise DumpError(f"{program} is not on the PATH: install PostgreSQL's client programs, of the server's version or newer")
    place = URL.create("postgresql", url.username, None, url.host, url.port, url.database, url.query)
    password = {} if url.password is None else {"PGPASSWORD": url.password}
    command = [found, f"--dbname={place.render_as_string()}", *arguments]
    done = subprocess.run(command, env={**os.environ, **password}, capture_output=True, text=True)
    if done.returncode:
        raise DumpError("; ".join(done.stderr.split("\n")[:2]).strip() or f"{program} ended with status {done.returncode}")
