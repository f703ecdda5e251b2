"""`/api/disk`: how full the disk is that a service's home is on, and with what of its own."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from litestar import get
from litestar.di import NamedDependency
from msgspec import Struct

from learner.context import Context


class Disk(Struct, frozen=True):
    """`home_bytes` has what takes the space in the home: each file and folder of it, the largest first."""

    total_bytes: int
    free_bytes: int
    home_bytes: dict[str, int]


@get("/disk")
async def show_disk(context: NamedDependency[Context]) -> Disk:
    """What is on this machine; files of an object store are not counted."""
    return await asyncio.to_thread(measure, context.home)


def measure(home: Path) -> Disk:
    """Blocks on the disk. What goes away meanwhile is not counted, and links are not followed."""
    space = shutil.disk_usage(home)
    sizes = {entry.name: sum(_sizes(entry)) for entry in os.scandir(home)}
    return Disk(space.total, space.free, dict(sorted(sizes.items(), key=lambda item: (-item[1], item[0]))))


def _sizes(entry: os.DirEntry[str]) -> Iterator[int]:
    try:
        if entry.is_dir(follow_symlinks=False):
            for inner in os.scandir(entry.path):
                yield from _sizes(inner)
        else:
            yield entry.stat(follow_symlinks=False).st_size
    except FileNotFoundError:
        return


HANDLERS = [show_disk]
