"""Steps written for other programs that show trainings: TensorBoard, trackio. Both are extras, imported only when named.

What they write lies in `trackers` in the job's folder, where it stays when the cycle has ended: scalars, and no text. See
it with `tensorboard --logdir <home>/cycles`, or `TRACKIO_DIR=<home>/cycles/<id>/train/trackers/trackio trackio show`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from learner.train.spec import Step

FOLDER = "trackers"
PROJECT, RUN = "ratchet", "training"

Track = Callable[[Step], None]


class TrackerMissing(RuntimeError):
    """The setting names a tracker that is not installed; the message says what to install."""


def check(names: Sequence[str]) -> None:
    """Raises `TrackerMissing` for a tracker that is not installed. Imports none."""
    for name in names:
        if find_spec(name) is None:
            raise TrackerMissing(f"{name!r} is not installed: expected the extra, `pip install 'ratchet[trackers]'`")


@contextmanager
def open(names: Sequence[str], folder: Path) -> Iterator[Track]:
    """Inside, what takes each step of the job in this folder to the trackers; afterwards all of it is on disk.

    Raises `TrackerMissing`.
    """
    check(names)
    with ExitStack() as stack:
        tracks = [stack.enter_context(TRACKERS[name](folder / FOLDER / name)) for name in names]

        def track(step: Step) -> None:
            for one in tracks:
                one(step)

        yield track


def scalars(step: Step) -> dict[str, float]:
    """What a step says, by name."""
    return {"loss": step.loss, "rows_per_s": step.rows_per_s, **step.terms}


@contextmanager
def _tensorboard(place: Path) -> Iterator[Track]:
    from torch.utils.tensorboard import SummaryWriter

    writers: list[Any] = []

    def track(step: Step) -> None:
        if not writers:  # a run that goes on after a kill takes steps again: what was written of them is void
            writers.append(SummaryWriter(str(place), purge_step=step.step))
        for name, value in scalars(step).items():
            writers[0].add_scalar(name, value, step.step)

    try:
        yield track
    finally:
        for writer in writers:
            writer.close()


@contextmanager
def _trackio(place: Path) -> Iterator[Track]:
    os.environ["TRACKIO_DIR"] = str(place)  # read when it is imported
    import trackio

    began = trackio.init(project=PROJECT, name=RUN, resume="allow", embed=False)
    try:
        yield lambda step: began.log(scalars(step), step=step.step)
    finally:
        began.finish()


TRACKERS: Mapping[str, Callable[[Path], Any]] = {"tensorboard": _tensorboard, "trackio": _trackio}
