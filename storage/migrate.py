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
            config = Config()
            config.set_main_option("script_location", "storage:migrations")
            config.attributes["connection"] = connection
            before = _refuse_newer(url.render_as_string(), connection, ScriptDirectory.from_config(config))
            command.upgrade(config, revision)
            return before, MigrationContext.configure(connection).get_current_revision()
    finally:
        engine.dispose()


def _refuse_newer(name: str, connection: Connection, scripts: ScriptDirectory) -> str | None:
    revision = MigrationContext.configure(connection).get_current_revision()
    if revision is not None and revision not in {script.revision for script in scripts.walk_revisions()}:
        newest = scripts.get_current_head()
        raise NewerSchemaError(
            f"{name} is at schema {revision!r}; this version knows schemas up to {newest!r}: run a newer version of Ratchet"
        )
    return revision
