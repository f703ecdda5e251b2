"""The store that services share, as an fsspec URL: the only file that knows fsspec.

An artifact is there when its mark is: `complete/<path>`, written after the last of its files and removed before the first.
So one whose upload was cut off is never taken for whole. Credentials and endpoints come from the environment, as the
store's own tools read them (for S3: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

import msgspec
from fsspec.core import url_to_fs
from msgspec import Struct

MARKS = "complete"


class ArtifactError(Exception):
    """An artifact is missing or damaged and cannot be fetched again, or the store fails."""


class Mark(Struct, frozen=True):
    """What makes an artifact whole: the hash of its content, and the files of a folder; a single file has none."""

    sha256: str
    files: tuple[str, ...]


class Store:
    """Artifacts by their paths below the home. Calls block on the network; every failure is an `ArtifactError`."""

    def __init__(self, url: str) -> None:
        self.url = url
        with self._failing():
            self._files, self._root = url_to_fs(url, use_listings_cache=False)  # others write there too

    def mark(self, path: str) -> Mark | None:
        """What is there under this path; None where nothing whole is."""
        with self._failing():
            try:
                return msgspec.json.decode(self._files.cat_file(self._place(MARKS, path)), type=Mark)
            except FileNotFoundError:
                return None

    def upload(self, source: Path, path: str, sha256: str) -> None:
        """Copy a file or folder there. What was under this path before is gone first."""
        self.remove(path)
        files = (
            () if source.is_file() else tuple(sorted(f.relative_to(source).as_posix() for f in source.rglob("*") if f.is_file()))
        )
        with self._failing():
            for name in files or ("",):
                self._put(source / name, self._place(path, name))
            self._files.makedirs(self._parent(self._place(MARKS, path)), exist_ok=True)
            self._files.pipe_file(self._place(MARKS, path), msgspec.json.encode(Mark(sha256, files)))

    def download(self, path: str, target: Path) -> None:
        """Copy what is under this path to a target that is not there yet; ArtifactError if nothing whole is."""
        mark = self.mark(path)
        if mark is None:
            raise ArtifactError(f"{self.url} does not hold {path}")
        for name in mark.files:
            if not (target / name).resolve().is_relative_to(target.resolve()):
                raise ArtifactError(f"{self.url}: {path} names {name!r}, which leaves its folder")
        with self._failing():
            for name in mark.files or ("",):
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                self._files.get_file(self._place(path, name), str(target / name))

    def remove(self, path: str) -> None:
        """Remove what is under this path, or what an upload that was cut off left of it; nothing there is fine."""
        with self._failing():
            for place in (self._place(MARKS, path), self._place(path)):
                with suppress(FileNotFoundError):
                    self._files.rm(place, recursive=True)

    def names(self, folder: str) -> set[str]:
        """The names of what is whole in a folder."""
        with self._failing():
            try:
                found = self._files.ls(self._place(MARKS, folder), detail=False)
            except FileNotFoundError:
                return set()
            return {PurePosixPath(place).name for place in found}

    def _put(self, file: Path, place: str) -> None:
        self._files.makedirs(self._parent(place), exist_ok=True)
        self._files.put_file(str(file), place)

    def _place(self, *parts: str) -> str:
        return "/".join([self._root.rstrip("/"), *(part for part in parts if part)])

    @staticmethod
    def _parent(place: str) -> str:
        return place.rpartition("/")[0]

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """Each kind of store has errors of its own; here is the edge where they become one."""
        try:
            yield
        except ArtifactError:
            raise
        except Exception as error:
            raise ArtifactError(f"{self.url}: {type(error).__name__}: {error}") from error
