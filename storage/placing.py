"""Putting a home's files in the place of others: all of them, or, whatever goes wrong, none.

What was there waits in a folder of its own until the new is there. A process that ends in between leaves that folder, and
`put_back` makes of it what was there before.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

REPLACED = "replaced"  # below the home, only while files are exchanged


@contextmanager
def exchanged(home: Path, aside: Path, names: Sequence[str]) -> Iterator[None]:
    """For the block, the files and folders of these names are those in `aside`, on the same filesystem, and no others.

    If the block ends well they stay, and the old ones are gone; if it raises, the old ones are back.
    """
    (home / REPLACED).mkdir()
    placed: list[str] = []
    try:
        for name in filter(lambda name: os.path.lexists(home / name), names):
            os.rename(home / name, home / REPLACED / name)
        for name in filter(lambda name: os.path.lexists(aside / name), names):
            os.rename(aside / name, home / name)
            placed.append(name)
        os.sync()
        yield
    except BaseException:
        for name in placed:
            _remove(home / name)
        put_back(home)
        raise
    os.rename(home / REPLACED, aside / REPLACED)  # in one step: from here on there is no way back
    shutil.rmtree(aside / REPLACED)


def put_back(home: Path) -> bool:
    """Undo an exchange that was cut off; whether there was one."""
    if not (home / REPLACED).is_dir():
        return False
    for old in (home / REPLACED).iterdir():
        _remove(home / old.name)
        os.rename(old, home / old.name)
    (home / REPLACED).rmdir()
    return True


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
