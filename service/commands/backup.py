"""`ratchet backup`, `restore` and `migrate`: they need no running service; only a backup can be taken beside one."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from service.commands.terminal import Commands, Failure, command, show
from service.config import default_home, load_config


def add(commands: Commands) -> None:
    backup = command(commands, "backup", _backup, "write all records and artifacts into one file, also while serving", json=True)
    backup.add_argument("file", type=Path)
    restore = command(commands, "restore", _restore, "make a home what a backup holds, every hash checked", json=True)
    restore.add_argument("file", type=Path)
    restore.add_argument("--force", action="store_true", help="replace the records and artifacts that are there")
    migrate = command(commands, "migrate", _migrate, "bring the database up to this version's tables", json=True)
    for parser in (backup, restore, migrate):
        parser.add_argument("--home", type=Path, default=default_home(), help="where all state lives (default: %(default)s)")


def _backup(arguments: argparse.Namespace) -> None:
    from storage.archive import DATABASE
    from storage.artifacts import Artifacts
    from storage.backup import back_up

    home = _existing(arguments.home)
    settings = load_config(home).storage
    with _told():
        place = settings.url or home / DATABASE
        manifest = back_up(home, place, Artifacts(home, settings.artifacts), arguments.file, time.time())
    written = {"file": str(arguments.file.resolve()), "size_bytes": arguments.file.stat().st_size}
    facts = {"schema": manifest.schema, "database": manifest.database, "created_at_s": manifest.created_at_s}
    show(arguments, {**written, **facts, "files": len(manifest.members)}, _backup_lines)


def _restore(arguments: argparse.Namespace) -> None:
    from service.lock import hold
    from storage.restore import restore

    home = arguments.home.resolve()
    home.mkdir(parents=True, exist_ok=True)
    with _told(), hold(home):
        settings_of = lambda folder: load_config(folder).storage  # noqa: E731 (it is passed on, not called here)
        show(arguments, restore(home, arguments.file, settings_of, time.time(), arguments.force), _restored_lines)


def _migrate(arguments: argparse.Namespace) -> None:
    from service.lock import hold
    from storage.archive import DATABASE
    from storage.migrate import migrate

    home = _existing(arguments.home)
    with _told(), hold(home):
        before, after = migrate(load_config(home).storage.url or home / DATABASE)
        show(arguments, {"before": before, "after": after}, _migrated_lines)


def _existing(home: Path) -> Path:
    if not home.is_dir():
        raise Failure(f"{home} is not there: give the --home of a service that has run")
    return home.resolve()


@contextmanager
def _told() -> Iterator[None]:
    """What may go wrong, as one line."""
    from service.lock import InUseError
    from storage.archive import BackupError
    from storage.artifacts import ArtifactError
    from storage.dump import DumpError
    from storage.migrate import NewerSchemaError

    try:
        yield
    except (InUseError, BackupError, ArtifactError, DumpError, NewerSchemaError, OSError) as error:
        raise Failure(" ".join(str(error).split())) from error


def _backup_lines(written: dict[str, Any]) -> list[str]:
    return [f"{written['file']}: {written['files']} files, {written['size_bytes']:,} bytes, schema {written['schema']}"]


def _restored_lines(restored: Any) -> list[str]:
    at = datetime.fromtimestamp(restored.created_at_s, UTC).isoformat(sep=" ", timespec="seconds")
    lines = [f"restored {restored.files} files of {at}, every hash checked; schema {restored.schema_before} -> {restored.schema}"]
    if restored.forgotten:
        lines.append(f"{restored.forgotten} people were forgotten since, and are erased again")
    return lines + ([f"warning: {restored.warning}"] if restored.warning else [])


def _migrated_lines(schema: dict[str, Any]) -> list[str]:
    if schema["before"] == schema["after"]:
        return [f"schema {schema['after']}: nothing to do"]
    return [f"schema {schema['before'] or 'none'} -> {schema['after']}"]
