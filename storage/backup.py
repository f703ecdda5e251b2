"""Backups: the database as it is at one moment, and every file its rows refer to, in one file (see `archive.py`).

Taken while the service runs. What a snapshot refers to may go while it is copied (retention, a forgotten person): then the
backup is begun again with a new snapshot.
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, inspect, select

from storage.archive import DATABASE, DUMP, KEY, SETTINGS, Archive, BackupError, Manifest, created
from storage.artifacts import DATASETS, REPORTS, ArtifactError, Artifacts, sha256_of_folder
from storage.dump import DumpError, dumped
from storage.migrate import refuse_newer, revision_of
from storage.records import AdapterState
from storage.tables import adapters, datasets

TRIES, AGAIN_S = 3, 0.5
KNOWN = "backups.jsonl"  # below the home: where backups were written, so that they can be searched


class Written(Struct, frozen=True):
    """A line of KNOWN. The file may since have been moved or removed."""

    path: str
    created_at_s: float


class _ChangedError(Exception):
    """Something that the snapshot refers to is no longer what it was."""


def back_up(home: Path, place: Path | str, artifacts: Artifacts, file: Path, now_s: float) -> Manifest:
    """Write a backup to `file`, whole or not at all, in the place of one that is there; readable by its owner alone.

    Raises BackupError, DumpError, or NewerSchemaError.
    """
    for left in reversed(range(TRIES)):
        try:
            return _write(home, place, artifacts, file.resolve(), now_s)
        except _ChangedError as error:
            if not left:
                raise BackupError(f"{error} (tried {TRIES} times)") from error
            time.sleep(AGAIN_S)
        except OSError as error:
            raise BackupError(f"{file}: {error.strerror or error}") from error
    raise AssertionError("unreachable")


def known_backups(home: Path) -> list[Written]:
    """The backups ever written from this home, oldest first."""
    file = home / KNOWN
    return msgspec.json.Decoder(Written).decode_lines(file.read_bytes()) if file.exists() else []


def _write(home: Path, place: Path | str, artifacts: Artifacts, file: Path, now_s: float) -> Manifest:
    unfinished = file.with_name(f"{file.name}.tmp")
    try:
        with created(unfinished, now_s) as archive:
            manifest = _fill(archive, home, place, artifacts)
        _note(home, Written(str(file), now_s))  # before the file is there: none may go unnoticed
        os.rename(unfinished, file)
        return manifest
    finally:
        unfinished.unlink(missing_ok=True)


def _fill(archive: Archive, home: Path, place: Path | str, artifacts: Artifacts) -> Manifest:
    folder = artifacts.temporary_dir()
    is_file = isinstance(place, Path)
    name = DATABASE if is_file else DUMP
    try:
        with dumped(place, folder / name) as connection:
            schema = revision_of(connection)
            if schema is None:
                raise DumpError("the database has no tables yet: no service has run on it")
            refuse_newer("the database", schema)
            archive.add(name, folder / name)
            for path, sha256 in _referred_to(connection):
                _add_artifact(archive, artifacts, path, sha256)
        for file in (home / SETTINGS, home / KEY, *sorted((home / REPORTS).rglob("*"))):
            if file.is_file():
                archive.add(file.relative_to(home).as_posix(), file)
        return archive.finish(schema, "sqlite" if is_file else "postgresql")
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # a service that starts meanwhile clears it too


def _referred_to(connection: Connection) -> list[tuple[str, str]]:
    """The paths and hashes of the artifacts that the snapshot needs."""
    kept = select(adapters.c.path, adapters.c.sha256).where(adapters.c.state != AdapterState.ERASED)
    found = [(path, sha256) for path, sha256 in connection.execute(kept.order_by(adapters.c.path))]
    if "file_sha256" in {column["name"] for column in inspect(connection).get_columns("datasets")}:  # else of an older schema
        files = select(datasets.c.path, datasets.c.file_sha256).where(datasets.c.path.startswith(f"{DATASETS}/"))
        found += [(path, sha256) for path, sha256 in connection.execute(files.order_by(datasets.c.path))]
    return found


def _add_artifact(archive: Archive, artifacts: Artifacts, path: str, sha256: str) -> None:
    """Add an artifact, fetched from the store where it is not here, and make sure that what was added has this hash."""
    target = artifacts.home / path
    try:
        artifacts.fetch(target, sha256)
        if target.is_file():
            added = archive.add(path, target).sha256
        else:
            files = sorted(file for file in target.rglob("*") if file.is_file())
            names = [file.relative_to(target).as_posix() for file in files]
            added = sha256_of_folder(
                {name: archive.add(f"{path}/{name}", file).sha256 for name, file in zip(names, files, strict=True)}
            )
    except (ArtifactError, FileNotFoundError) as error:
        raise _ChangedError(str(error)) from error
    if added != sha256:
        raise _ChangedError(f"{target} changed while it was copied")


def _note(home: Path, written: Written) -> None:
    with (home / KNOWN).open("ab") as stream:
        stream.write(msgspec.json.encode(written) + b"\n")
        stream.flush()
        os.fsync(stream.fileno())
