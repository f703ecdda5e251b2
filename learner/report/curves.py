"""The training's own figures, from the files that stay when a cycle has ended."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from learner.report.document import Curve
from learner.train.spec import METRICS, Step

MAX_STEPS = 400  # of a curve: more are not seen


def read_curves(folder: Path) -> list[Curve]:
    """A curve of each training below a cycle's folder, by name. Blocks on the disk."""
    found = {file.parent.relative_to(folder).as_posix(): list(_steps(file)) for file in sorted(folder.rglob(METRICS))}
    return [Curve(run, thin(steps)) for run, steps in found.items() if steps]


def thin(steps: list[Step]) -> list[Step]:
    """At most about `MAX_STEPS` of the steps, evenly spread, the last among them."""
    stride = -(-len(steps) // MAX_STEPS)
    return [step for at, step in enumerate(steps, 1) if at % stride == 0 or at == len(steps)]


def _steps(file: Path) -> Iterator[Step]:
    decode = msgspec.json.Decoder(Step).decode
    for line in file.read_bytes().splitlines():
        try:
            yield decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue  # a job was killed as it wrote this
