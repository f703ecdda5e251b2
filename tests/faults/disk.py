"""A disk to test on: the library of failing_disk.c, and what a power cut leaves of the writes that it logged."""

from __future__ import annotations

import os
import random
import shutil
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("failing_disk.c")
HEAD = struct.Struct("=cqqq")
SECTOR_BYTES = 512


def build_library(folder: Path) -> Path:
    """Compiles the library; skips where there is no C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc") or pytest.skip("no C compiler (cc) to make failing_disk.c")
    library = folder / "failing_disk.so"
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", library, SOURCE, "-ldl"], check=True)
    return library


def environment(library: Path, folder: Path, log: Path | None = None) -> dict[str, str]:
    """The variables of a process for which the files in `folder` lie on the disk under test."""
    logged = {"FAILING_DISK_LOG": str(log)} if log else {}
    return {**os.environ, "LD_PRELOAD": str(library), "FAILING_DISK_MATCH": f"{folder}/", **logged}


@dataclass(frozen=True)
class Step:
    """One thing the disk was told."""

    op: str  # W write, T truncate, S sync, U unlink
    path: str
    offset: int
    data: bytes


def read_log(log: Path) -> Iterator[Step]:
    """The steps in their order."""
    with log.open("rb") as file:
        while head := file.read(HEAD.size):
            op, path_length, offset, length = HEAD.unpack(head)
            yield Step(op.decode(), file.read(path_length).decode(), offset, file.read(length))


@dataclass
class Disk:
    """What lies safely on the disk, and what it was told since without being told to keep it.

    Folders are taken to be safe at once: a file made or unlinked is made or unlinked after a power cut, too.
    """

    safe: dict[str, bytearray]  # path → content at the last sync
    loose: dict[str, list[Step]] = field(default_factory=dict)

    def take(self, step: Step) -> None:
        if step.op == "U":
            self.safe.pop(step.path, None)
            self.loose.pop(step.path, None)
        elif step.op == "S":
            for one in self.loose.pop(step.path, []):
                _apply(self.safe.setdefault(step.path, bytearray()), one)
        else:
            self.loose.setdefault(step.path, []).append(step)

    def cut_power(self, folder: Path, chance: random.Random, kept: float) -> None:
        """Leaves the files in a new folder. Of what was not synced each write is there with the probability `kept`, and
        perhaps only its first sectors."""
        folder.mkdir()
        for path in self.safe.keys() | self.loose.keys():
            content = bytearray(self.safe.get(path, b""))
            for step in self.loose.get(path, []):
                if chance.random() < kept:
                    _apply(content, _torn(step, chance) if kept < 1 else step)
            (folder / Path(path).name).write_bytes(content)


def _apply(content: bytearray, step: Step) -> None:
    if step.op == "T":
        content[:] = content[: step.offset].ljust(step.offset, b"\0")
        return
    if len(content) < step.offset:
        content.extend(bytes(step.offset - len(content)))
    content[step.offset : step.offset + len(step.data)] = step.data


def _torn(step: Step, chance: random.Random) -> Step:
    sectors = len(step.data) // SECTOR_BYTES
    if sectors < 2 or chance.random() < 0.5:
        return step
    return Step(step.op, step.path, step.offset, step.data[: chance.randrange(1, sectors) * SECTOR_BYTES])
