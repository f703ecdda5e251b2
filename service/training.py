"""`/api/cycles/{id}`, closer: the steps of its trainings as curves, and what its jobs say, while they run and after."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter
from msgspec import Struct

from learner.context import CYCLES, Context
from learner.jobs import LOG
from learner.report.curves import read_curves
from learner.report.document import Curve
from service.problem import Problem
from storage import cycles

PART_BYTES = 2**16  # of a log in one answer


class JobLog(Struct, frozen=True):
    """A part of what one job said. Asking again with `after=next` gives what it has said since."""

    run: str  # the job's folder below the cycle's, as in the curves; empty where no job has said anything
    text: str
    next: int  # in bytes
    runs: list[str]  # of all jobs with a log, the one that spoke last first


@get("/cycles/{cycle_id:int}/curves")
async def show_curves(cycle_id: FromPath[int], context: NamedDependency[Context]) -> list[Curve]:
    """Loss, speed and terms of each training, step by step, thinned out to 400 steps; of a running one as far as it is."""
    return await asyncio.to_thread(read_curves, await _folder(context, cycle_id))


@get("/cycles/{cycle_id:int}/log")
async def show_log(
    cycle_id: FromPath[int],
    context: NamedDependency[Context],
    run: FromQuery[str] = "",
    after: Annotated[int | None, QueryParameter(ge=0)] = None,
) -> JobLog:
    """What a job says: from `after` on, or the end of it, 64 KiB at most; of the job that spoke last where no `run` is named.

    A job that is begun again begins its log again: then it comes from its beginning. Logs of cycles that have ended go when
    somebody is forgotten.
    """
    return await asyncio.to_thread(_read, await _folder(context, cycle_id), run, after)


async def _folder(context: Context, cycle_id: int) -> Path:
    """The working folder of a cycle, which may be gone."""
    if await context.database.read(lambda connection: cycles.select_cycle(connection, cycle_id)) is None:
        raise Problem("not_found", f"there is no cycle {cycle_id}")
    return context.home / CYCLES / str(cycle_id)


def _read(folder: Path, run: str, after: int | None) -> JobLog:
    logs = sorted(folder.rglob(LOG), key=lambda file: (-file.stat().st_mtime_ns, file))
    files = {file.parent.relative_to(folder).as_posix(): file for file in logs}
    if run and run not in files:
        raise Problem("not_found", f"there is no log of {run!r}; expected one of {', '.join(files) or 'none'}", "run")
    if not files:
        return JobLog("", "", 0, [])
    run = run or next(iter(files))
    size = files[run].stat().st_size
    begin = max(size - PART_BYTES, 0) if after is None else after if after <= size else 0
    with files[run].open("rb") as stream:
        stream.seek(begin)
        part = stream.read(PART_BYTES)
    if len(part) == PART_BYTES:  # there may be more: whole lines now, the rest next time
        part = part[: part.rfind(b"\n") + 1] or part
    return JobLog(run, part.decode(errors="replace"), begin + len(part), list(files))


HANDLERS = [show_curves, show_log]
