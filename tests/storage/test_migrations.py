"""Migrating step by step gives the tables that the code describes."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, inspect, text

from storage.connect import database_url, open_for_migration
from storage.migrate import NewerSchemaError, migrate
from storage.tables import metadata
from tests.databases import Place
from tests.storage.older import CHECKS, FILLED

VERSIONS = Path(__file__).parents[2] / "storage" / "migrations" / "versions"


def schema(path: Path) -> set[str]:
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name != 'alembic_version'")
    found = {" ".join(sql.replace('"', "").split()) for (sql,) in rows}
    connection.close()
    return found


def test_alembic_finds_no_difference_to_the_tables(tmp_path: Path) -> None:
    migrate(tmp_path / "db")
    engine = create_engine(f"sqlite:///{tmp_path / 'db'}")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_the_sql_is_the_same_to_the_letter(tmp_path: Path) -> None:
    """Alembic does not compare everything (AUTOINCREMENT, for one)."""
    migrate(tmp_path / "migrated")
    engine = create_engine(f"sqlite:///{tmp_path / 'described'}")
    metadata.create_all(engine)
    engine.dispose()
    assert schema(tmp_path / "migrated") == schema(tmp_path / "described")


def test_migrating_again_changes_nothing(tmp_path: Path) -> None:
    migrate(tmp_path / "db")
    before = schema(tmp_path / "db")
    migrate(tmp_path / "db")
    assert schema(tmp_path / "db") == before


def test_a_newer_database_is_refused_untouched(tmp_path: Path) -> None:
    path = tmp_path / "db"
    migrate(path)
    connection = sqlite3.connect(path)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    with pytest.raises(NewerSchemaError, match="'9999'"):
        migrate(path)
    assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("9999",)]
    connection.close()


def test_a_migration_that_fails_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE audit (id INTEGER)")  # stands where the last step wants to create its own
    with pytest.raises(Exception, match="audit already exists"):
        migrate(path)
    assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("audit",)]
    connection.close()


def test_versions_are_numbered_and_named_by_what_they_do() -> None:
    names = sorted(path.name for path in VERSIONS.glob("*.py"))
    assert [int(name[:4]) for name in names] == list(range(1, len(names) + 1))
    assert all(re.fullmatch(r"\d{4}(_[a-z0-9]+)+\.py", name) for name in names)


@pytest.mark.parametrize("revision", sorted(CHECKS))
def test_a_migration_keeps_what_an_older_database_holds(empty_place: Place, revision: str) -> None:
    older = [earlier for earlier in sorted(FILLED) if earlier < revision]
    for earlier in older:
        migrate(empty_place, earlier)
        run(empty_place, FILLED[earlier])
    before = count_rows(empty_place)
    assert all(before.values()), "a table of the older database is empty"
    migrate(empty_place, revision)
    assert {name: count for name, count in count_rows(empty_place).items() if name in before} == before
    for question, answer in CHECKS[revision].items():
        assert run(empty_place, [question]) == answer, question


def run(place: Place, statements: list[str]) -> list[tuple[object, ...]]:
    """Runs the statements in one transaction; gives the rows of the last."""
    engine = open_for_migration(database_url(place))
    with engine.begin() as connection:
        for statement in statements:
            result = connection.execute(text(statement))
        rows = [tuple(row) for row in result] if result.returns_rows else []
    engine.dispose()
    return rows


def count_rows(place: Place) -> dict[str, int]:
    engine = open_for_migration(database_url(place))
    with engine.begin() as connection:
        names = sorted(set(inspect(connection).get_table_names()) - {"alembic_version"})
        counted = {name: int(connection.execute(text(f"SELECT count(*) FROM {name}")).scalar_one()) for name in names}
    engine.dispose()
    return counted
