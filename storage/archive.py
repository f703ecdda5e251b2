"""Backup files: a plain tar that ends with its manifest and the manifest's own hash.

It is not compressed: weights hardly shrink, and so a search for what should be gone can read it.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import IO, Literal

import msgspec
from msgspec import Struct

from storage.artifacts import ADAPTERS, DATASETS, REPORTS

FORMAT = 1
MANIFEST, SEAL = "manifest.json", "manifest.json.sha256"
DATABASE, DUMP = "ratchet.db", "database.dump"  # of SQLite, of PostgreSQL
SETTINGS, KEY = "ratchet.toml", "operator.key"
CHUNK_BYTES = 1 << 20


class BackupError(Exception):
    """A backup cannot be made, or cannot be used; nothing was changed."""


class Member(Struct, frozen=True):
    name: str  # where it belongs, below the home
    sha256: str
    size_bytes: int


class Manifest(Struct, frozen=True):
    """What a backup holds. A backup without one, or that differs from it in a byte, is not used."""

    format: int
    schema: str  # of the database
    database: Literal["sqlite", "postgresql"]
    created_at_s: float
    members: tuple[Member, ...]


class Archive:
    """A backup being written."""

    def __init__(self, tar: tarfile.TarFile, now_s: float) -> None:
        self._tar, self._now_s = tar, now_s
        self._members: list[Member] = []

    def add(self, name: str, file: Path) -> Member:
        """Add a file under this name. OSError if it cannot be read, or ends too soon."""
        if not _is_known(name):
            raise BackupError(f"{file}: {name!r} has no place in a backup")
        with file.open("rb") as stream:
            size_bytes = os.fstat(stream.fileno()).st_size
            member = Member(name, self._add(name, _Hashed(stream), size_bytes), size_bytes)
        self._members.append(member)
        return member

    def finish(self, schema: str, database: Literal["sqlite", "postgresql"]) -> Manifest:
        """Add the manifest; nothing can be added after it."""
        manifest = Manifest(FORMAT, schema, database, self._now_s, tuple(self._members))
        content = msgspec.json.encode(manifest)
        sha256 = self._add(MANIFEST, _Hashed(BytesIO(content)), len(content))
        seal = f"{sha256}  {MANIFEST}\n".encode()  # as `sha256sum --check` reads it
        self._add(SEAL, _Hashed(BytesIO(seal)), len(seal))
        return manifest

    def _add(self, name: str, stream: _Hashed, size_bytes: int) -> str:
        info = tarfile.TarInfo(name)
        info.size, info.mtime, info.mode = size_bytes, int(self._now_s), 0o600
        self._tar.addfile(info, stream)
        return stream.sha256.hexdigest()


class _Hashed:
    """A file that is hashed while it is read."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self.sha256 = stream, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self.sha256.update(data)
        return data


@contextmanager
def created(file: Path, now_s: float) -> Iterator[Archive]:
    """An archive to fill, readable by its owner alone; on the disk when the block ends."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
            yield Archive(tar, now_s)
        stream.flush()
        os.fsync(stream.fileno())


@contextmanager
def opened(file: Path) -> Iterator[tuple[tarfile.TarFile, Manifest]]:
    """A backup whose manifest is whole and names exactly what is in it. Raises `BackupError`, also for the block's reads."""
    try:
        with tarfile.open(file, "r:") as tar:
            yield tar, _checked(tar, file)
    except (tarfile.TarError, EOFError) as error:
        raise BackupError(f"{file} is damaged, or no backup: {error}") from error
    except FileNotFoundError as error:
        raise BackupError(f"{error.filename} is not there") from error


def unpack(tar: tarfile.TarFile, manifest: Manifest, folder: Path) -> None:
    """Write every member below the folder and to the disk. Raises `BackupError` at the first whose hash is another."""
    for member in manifest.members:
        target = folder / member.name
        target.parent.mkdir(parents=True, exist_ok=True)
        stream = tar.extractfile(member.name)
        assert stream is not None  # a plain file: checked when it was opened
        hashed = _Hashed(stream)
        with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            while data := hashed.read(CHUNK_BYTES):
                out.write(data)
            out.flush()
            os.fsync(out.fileno())
            size_bytes = out.tell()
        if (found := hashed.sha256.hexdigest()) != member.sha256 or size_bytes != member.size_bytes:
            raise BackupError(f"the backup is damaged: {member.name} has SHA-256 {found}, expected {member.sha256}")


def _checked(tar: tarfile.TarFile, file: Path) -> Manifest:
    content, seal = _read(tar, MANIFEST, file), _read(tar, SEAL, file)
    if seal != f"{hashlib.sha256(content).hexdigest()}  {MANIFEST}\n".encode():
        raise BackupError(f"{file}: {MANIFEST} does not match its hash: the backup is damaged")
    try:
        manifest = msgspec.json.decode(content, type=Manifest)
    except msgspec.DecodeError as error:
        raise BackupError(f"{file}: {MANIFEST}: {error}; expected a backup of format {FORMAT}") from error
    if manifest.format != FORMAT:
        raise BackupError(f"{file} is a backup of format {manifest.format}, expected {FORMAT}: run a newer version of Ratchet")
    for info in tar.getmembers():
        if not info.isreg() or not (_is_known(info.name) or info.name in (MANIFEST, SEAL)):
            raise BackupError(f"{file} holds {info.name!r}, which is not a file that belongs in a backup")
    if sorted(tar.getnames()) != sorted([*(member.name for member in manifest.members), MANIFEST, SEAL]):
        raise BackupError(f"{file} does not hold what its manifest names")
    return manifest


def _read(tar: tarfile.TarFile, name: str, file: Path) -> bytes:
    try:
        stream = tar.extractfile(name)
    except KeyError as error:
        raise BackupError(f"{file} has no {name}: it was cut off, or is no backup") from error
    return b"" if stream is None else stream.read()


def _is_known(name: str) -> bool:
    """Whether a backup may hold this: a few files by name, and what is below the artifacts' folders."""
    if name in (DATABASE, DUMP, SETTINGS, KEY):
        return True
    parts = name.split("/")
    is_plain = not any(part in ("", ".", "..") or "\\" in part or "\0" in part for part in parts)
    return is_plain and len(parts) > 2 and "/".join(parts[:2]) in (ADAPTERS, DATASETS, REPORTS)
