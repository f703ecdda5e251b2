"""What lies in the working folders of cycles, and when it goes: what people said is there for as long as it is needed."""

from __future__ import annotations

from pathlib import Path

from learner.collect import FILE as EVIDENCE
from learner.context import CYCLES
from learner.jobs import LOG
from learner.train.spec import METRICS
from learner.train.trackers import FOLDER as TRACKERS

JOBS = ("train", "evaluate")  # the folders that jobs work in
FIGURES = (METRICS, TRACKERS)  # how training went: for reports, and for other programs
KEPT = (*FIGURES, LOG)  # and what jobs said: for who looks for a fault


def clear_folder(folder: Path, keep: tuple[str, ...] = KEPT) -> int:
    """Removes every file of a cycle that has ended but those of these names, or in folders of them; gives how many.

    A missing folder is fine.
    """
    inside = [path for job in JOBS for path in (folder / job).rglob("*")]
    going = [folder / EVIDENCE, *(path for path in inside if not set(path.relative_to(folder).parts) & set(keep))]
    files = [path for path in going if path.is_file()]
    for path in files:
        path.unlink()
    for path in sorted(going, reverse=True):  # what is inside before what it is in
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
    return len(files)


def clear_ended(home: Path, running_id: int | None) -> int:
    """Removes the files of all cycles but the running one, except figures; gives how many.

    What jobs said goes too: a library may have quoted what it choked on.
    """
    folders = [folder for folder in (home / CYCLES).glob("[0-9]*") if folder.name != str(running_id)]
    return sum(clear_folder(folder, FIGURES) for folder in folders)
