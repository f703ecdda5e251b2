"""Adapters as one file that goes from home to home, and into any program that reads PEFT: a tar of the folder.

It has the adapter's own files as they are, and a model card beside them. The same adapter gives the same bytes.
"""

from __future__ import annotations

import io
import shutil
import tarfile
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from learner.adapter import CARD, CONFIG, WEIGHTS, AdapterError

FILES = (CONFIG, WEIGHTS, CARD)  # what an adapter is; its hash is theirs
README = "README.md"


def pack(folder: Path, readme: str, at_s: float, into: BinaryIO) -> None:
    """Writes the tar, with `at_s` as the age of every file."""
    with tarfile.open(fileobj=into, mode="w", format=tarfile.PAX_FORMAT) as tar:
        _add(tar, README, io.BytesIO(readme.encode()), len(readme.encode()), at_s)
        for name in FILES:
            with (folder / name).open("rb") as content:
                _add(tar, name, content, (folder / name).stat().st_size, at_s)


def unpack(tar: Path, folder: Path) -> None:
    """Writes the adapter's files of a tar into a folder that is there, whatever folder of the tar they are in, and nothing else.

    Raises `AdapterError` for what is no tar, has one of the files not at all or twice, or one with holes. What a name only
    leads to, as links do, is not there.
    """
    try:
        with tarfile.open(tar, "r:") as packed:
            for member in packed:
                name = PurePosixPath(member.name).name
                if name not in FILES or not member.isreg() or (content := packed.extractfile(member)) is None:
                    continue
                if member.issparse():  # a few bytes that unpack to as many as they like
                    raise AdapterError(f"{name} has holes in its {member.size} bytes, expected a plain file")
                if (folder / name).exists():
                    raise AdapterError(f"the tar has {name} twice, expected one adapter")
                with content, (folder / name).open("wb") as file:
                    shutil.copyfileobj(content, file)
    except tarfile.TarError as error:
        raise AdapterError(f"the file is no whole tar ({error})") from error
    if missing := [name for name in FILES if not (folder / name).exists()]:
        raise AdapterError(f"the tar has no {missing[0]}; expected {', '.join(FILES)}, as an export of an adapter has them")


def _add(tar: tarfile.TarFile, name: str, content: BinaryIO, size: int, at_s: float) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mtime = size, int(at_s)
    tar.addfile(member, content)
