"""Files and folders that last: written aside, published whole, and never changed.

Below the home, `artifacts/tmp` holds work in progress, thrown away at start; `artifacts/adapters` one folder per adapter;
`artifacts/datasets` one file per dataset; `artifacts/reports` what is written about cycles; `artifacts/rewards` one folder
per reward model. Where services share a store, it has the same paths, and what is here is a copy that can be fetched again.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

from storage.store import ArtifactError as ArtifactError
from storage.store import Store

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
ADAPTERS, DATASETS, REPORTS = "artifacts/adapters", "artifacts/datasets", "artifacts/reports"
REWARDS = "artifacts/rewards"


class Artifacts:
    """The artifacts below one home. Calls block on the disk and the store: from a coroutine, use a thread."""

    def __init__(self, home: Path, store: str | None = None) -> None:
        """Makes the folders that are missing. `store` is an fsspec URL. Raises ArtifactError for one that no driver knows."""
        self.home = home
        self._temporary = home / "artifacts" / "tmp"
        for folder in (self._temporary, *(home / kind for kind in (ADAPTERS, DATASETS, REPORTS, REWARDS))):
            folder.mkdir(parents=True, exist_ok=True)
        self._store = None if store is None else Store(store)
        self._placing = threading.Lock()  # two who miss the same artifact both put it in place

    def adapter_dir(self, name: str) -> Path:
        """Where the adapter of this name is, or will be; ValueError if the name could not be a folder's."""
        return self.home / ADAPTERS / _checked("adapter", name)

    def dataset_file(self, id: str) -> Path:
        """Where the file of this dataset is, or will be; ValueError as of `adapter_dir`."""
        return self.home / DATASETS / f"{_checked('dataset', id)}.jsonl"

    def report_file(self, name: str) -> Path:
        """Where the report of this name is, or will be; ValueError as of `adapter_dir`."""
        return self.home / REPORTS / _checked("report", name)

    def reward_dir(self, name: str) -> Path:
        """Where the reward model of this name is, or will be; ValueError as of `adapter_dir`."""
        return self.home / REWARDS / _checked("reward model", name)

    def temporary_dir(self) -> Path:
        """A new empty folder on the same filesystem, to be filled and then published."""
        return Path(tempfile.mkdtemp(dir=self._temporary))

    def publish(self, tmp: Path, target: Path) -> None:
        """Move a finished file or folder to its place in one step; when this returns, a power cut cannot undo it.

        The store has it first: what is here is there too. FileExistsError if the target exists, here or, with other
        content, in the store; ValueError if it is not below the home; ArtifactError if the store fails. `tmp` is then
        untouched, and the same may be tried again.
        """
        path = self._path(target)
        if target.exists():
            raise FileExistsError(f"{target} is already published")
        _settle(tmp)
        if self._store is not None:
            self._upload(self._store, tmp, path)
        self._move(tmp, target)

    def replace(self, tmp: Path, target: Path) -> None:
        """Put a file in the place of one that may be published, here and in the store.

        Only erasing does this, and a report that is made again: nothing else changes.
        """
        path = self._path(target)
        _settle(tmp)
        if self._store is not None:
            self._store.upload(tmp, path, self.sha256_of(tmp))
        self._move(tmp, target)

    def share(self, target: Path) -> None:
        """Make sure that the store, if there is one, has this as it is here. ArtifactError if the store fails."""
        if self._store is not None:
            path, sha256 = self._path(target), self.sha256_of(target)
            mark = self._store.mark(path)
            if mark is None or mark.sha256 != sha256:
                self._store.upload(target, path, sha256)

    def remove(self, target: Path) -> None:
        """Remove a file or folder, here and in the store; what is missing is fine. ArtifactError if the store fails."""
        path = self._path(target)
        if self._store is not None:
            self._store.remove(path)
        self._set_aside(target)

    def fetch(self, target: Path, sha256: str) -> Path:
        """The artifact with exactly this content, from here, or from the store where it is missing or damaged here.

        ArtifactError where neither has it.
        """
        path = self._path(target)
        if target.exists():
            if self.sha256_of(target) == sha256:
                return target
            found = "is damaged: its content does not match its hash"
        else:
            found = "is missing"
        if self._store is None:
            raise ArtifactError(f"{target} {found}, and no store is set to fetch it from (storage.artifacts)")
        self._download(self._store, path, target, sha256)
        return target

    def published(self, kind: str) -> list[Path]:
        """What there is of ADAPTERS, DATASETS, REPORTS or REWARDS, here or in the store. ArtifactError if the store fails."""
        names = {path.name for path in (self.home / kind).iterdir()}
        if self._store is not None:
            names |= self._store.names(kind)
        return sorted(self.home / kind / name for name in names)

    def sha256_of(self, path: Path) -> str:
        """The hash of a file's bytes, or of a folder's content as `sha256_of_folder` has it."""
        if path.is_file():
            return _sha256_of_file(path)
        files = (file for file in path.rglob("*") if file.is_file())
        return sha256_of_folder({file.relative_to(path).as_posix(): _sha256_of_file(file) for file in files})

    def clear_temporary(self) -> None:
        """Throw away what was never published. Only at start, when nothing is being written."""
        for path in self._temporary.iterdir():
            shutil.rmtree(path)

    def _path(self, target: Path) -> str:
        if not target.is_relative_to(self.home):
            raise ValueError(f"{target} is not below {self.home}")
        return target.relative_to(self.home).as_posix()

    def _upload(self, store: Store, tmp: Path, path: str) -> None:
        sha256, mark = self.sha256_of(tmp), store.mark(path)
        if mark is None:
            store.upload(tmp, path, sha256)
        elif mark.sha256 != sha256:
            raise FileExistsError(f"{path} is already published in {store.url}, with other content")

    def _download(self, store: Store, path: str, target: Path, sha256: str) -> None:
        tmp = self.temporary_dir()
        try:
            store.download(path, tmp / target.name)
            if (found := self.sha256_of(tmp / target.name)) != sha256:
                raise ArtifactError(f"{path} in {store.url} has SHA-256 {found}, expected {sha256}")
            _settle(tmp / target.name)
            with self._placing:
                self._set_aside(target)
                self._move(tmp / target.name, target)
        finally:
            shutil.rmtree(tmp)

    def _move(self, tmp: Path, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        os.rename(tmp, target)
        for folder in _up_to(self.home, target.parent):
            _fsync(folder)

    def _set_aside(self, target: Path) -> None:
        """Take it out of its place in one step, so that a folder is never found half removed."""
        if not target.exists():
            return
        tmp = self.temporary_dir()
        os.rename(target, tmp / target.name)
        _fsync(target.parent)
        shutil.rmtree(tmp)


def sha256_of_folder(files: Mapping[str, str]) -> str:
    """The hash of a folder's content: of each file, by name, its path relative to the folder and its bytes' hash."""
    whole = hashlib.sha256()
    for name in sorted(files):
        whole.update(f"{files[name]}  {name}\0".encode())  # no name holds a NUL, so no two folders read the same
    return whole.hexdigest()


def _checked(kind: str, name: str) -> str:
    if not NAME.fullmatch(name):
        raise ValueError(f"{kind} name {name!r} does not match {NAME.pattern}")
    return name


def _sha256_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _settle(tmp: Path) -> None:
    """Bring a file, or a folder with all that is in it, to the disk."""
    for path in (*tmp.rglob("*"), tmp):
        _fsync(path)


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
