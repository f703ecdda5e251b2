"""Folders that come from the service as a tar, and go to it as one."""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.client import Client
from service.commands.terminal import Failure


def download_folder(client: Client, path: str, folder: Path) -> list[str]:
    """Makes the folder of the tar at this path of the service; gives the names of its files.

    It is whole or not there. Raises `Failure` for a folder that holds something already, or that cannot be made.
    """
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise Failure(f"{folder} is there already: expected a folder to make, or an empty one")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder.parent) as stream:
            stream.writelines(client.download(path))
            stream.seek(0)
            with tarfile.open(fileobj=stream) as tar:
                return _unpack(tar, folder)
    except (OSError, tarfile.TarError) as error:
        raise Failure(f"{folder} cannot be written ({error}): expected a folder that can be made") from error


@contextmanager
def packed(folder: Path) -> Iterator[Path]:
    """A tar of the files of a folder, gone after the block. Raises `Failure` for one that cannot be read."""
    if not folder.is_dir():
        raise Failure(f"{folder} is not there: expected a folder")
    with tempfile.NamedTemporaryFile(suffix=".tar") as stream:
        try:
            with tarfile.open(fileobj=stream, mode="w") as tar:
                for file in sorted(folder.rglob("*")):
                    tar.add(file, file.relative_to(folder).as_posix(), recursive=False)
        except OSError as error:
            raise Failure(f"{folder} cannot be packed ({error}): expected a folder that can be read") from error
        stream.flush()
        yield Path(stream.name)


def _unpack(tar: tarfile.TarFile, folder: Path) -> list[str]:
    """Beside the folder until all is there, so that half of it is not taken for the whole; only plain files inside it."""
    part = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
    try:
        tar.extractall(part, filter="data")
        os.replace(part, folder)
        return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    finally:
        shutil.rmtree(part, ignore_errors=True)
