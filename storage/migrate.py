"""Bringing a database up to today's tables: Alembic's migrations, all in one transaction."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from storage.connect import database_url, is_sqlite, open_for_migration


class NewerSchemaError(Exception):
    """The database was made by a newer version of this program, which must not touch it."""


def migrate(place: Path | str, revision: str = "head") -> tuple[str | None, str | None]:
    """Bring the database up to `revision`, in one transaction; a file is made if it is not there: (before, after).

    NewerSchemaError, and nothing is changed, if it is at a revision that this version does not know.
    """
    url = database_url(place)
    engine = open_for_migration(url)
    try:
        with engine.begin() as connection:
            if not is_sqlite(url):  # services that start together wait for the first
                connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('migrate'))"))
            before = revision_of(connection)
            refuse_newer(url.render_as_string(), before)
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
            return before, revision_of(connection)
    finally:
        engine.dispose()


def revision_of(connection: Connection) -> str | None:
    """The schema a database is at; None before its first migration."""
    return MigrationContext.configure(connection).get_current_revision()


def newest_schema() -> str:
    """The schema that this version brings a database up to."""
    return str(ScriptDirectory.from_config(_config()).get_current_head())


def refuse_newer(name: str, revision: str | None) -> None:
    """Raise NewerSchemaError if this version does not know the schema that `name` is at."""
    scripts = ScriptDirectory.from_config(_config())
    if revision is not None and revision not in {script.revision for script in scripts.walk_revisions()}:
        newest = newest_schema()
        raise NewerSchemaError(
            f"{name} is at schema {revision!r}; this version knows schemas up to {newest!r}: run a newer version of Ratchet"
        )


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "storage:migrations")
    return config
