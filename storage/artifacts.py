"""Folders on disk: written aside, then published whole and never changed.

Below the home, `artifacts/tmp` holds work in progress, thrown away at start, and `artifacts/adapters` one folder per
adapter.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class Artifacts:
    """The artifacts below one home. Calls block on the disk: from a coroutine, use a thread."""

    def __init__(self, home: Path) -> None:
        """Makes the folders that are missing."""
        self.home = home
        self._temporary = home / "artifacts" / "tmp"
        self._adapters = home / "artifacts" / "adapters"
        self._temporary.mkdir(parents=True, exist_ok=True)
        self._adapters.mkdir(exist_ok=True)

    def adapter_dir(self, name: str) -> Path:
        """Where the adapter of this name is, or will be; ValueError if the name could not be a folder's."""
        if not NAME.fullmatch(name):
            raise ValueError(f"adapter name {name!r} does not match {NAME.pattern}")
        return self._adapters / name

    def temporary_dir(self) -> Path:
        """A new empty folder on the same filesystem, to be filled and then published."""
        return Path(tempfile.mkdtemp(dir=self._temporary))

    def publish(self, tmp: Path, target: Path) -> None:
        """Move a finished folder to its place in one step; when this returns, a power cut cannot undo it.

        FileExistsError if the target exists, ValueError if it is not below the home; `tmp` is then untouched.
        """
        if not target.is_relative_to(self.home):
            raise ValueError(f"{target} is not below {self.home}")
        if target.exists():
            raise FileExistsError(f"{target} is already published")
        target.parent.mkdir(parents=True, exist_ok=True)
        for path in (*tmp.rglob("*"), tmp):
            _fsync(path)
        os.rename(tmp, target)
        for folder in _up_to(self.home, target.parent):
            _fsync(folder)

    def sha256_of(self, folder: Path) -> str:
        """The hash of a folder's content: of each file, by name, its path relative to the folder and its bytes."""
        names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        whole = hashlib.sha256()
        for name in names:
            with (folder / name).open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
            whole.update(f"{content}  {name}\0".encode())  # no name holds a NUL, so no two folders read the same
        return whole.hexdigest()

    def clear_temporary(self) -> None:
        """Throw away what was never published. Only at start, when nothing is being written."""
        for path in self._temporary.iterdir():
            shutil.rmtree(path)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _up_to(home: Path, folder: Path) -> Iterator[Path]:
    """The folder and those above it up to the home: any of them may be new, its name not yet on disk."""
    yield folder
    while folder != home:
        folder = folder.parent
        yield folder
