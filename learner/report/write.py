"""The report of a cycle as two artifacts that last: `cycle-N.json` and `cycle-N.html`."""

from __future__ import annotations

import asyncio
import logging
import shutil
from contextlib import suppress
from pathlib import Path

import msgspec

from learner.context import Context
from learner.report.compose import compose
from learner.report.document import Report
from storage import cycles
from storage.artifacts import Artifacts
from storage.records import Cycle, CycleState

logger = logging.getLogger(__name__)


async def write_report(context: Context, cycle: Cycle) -> None:
    """Makes and keeps the report of a cycle that has ended. It never raises: what is missing is missing in the report too."""
    try:
        report = await compose(context, cycle)
        await asyncio.to_thread(_publish, context.artifacts, report)
    except Exception:  # the cycle is over, and what it did stays done; the report can be asked for again
        logger.exception("the report of cycle %d could not be made", cycle.id)


async def read_report(context: Context, cycle_id: int) -> Report:
    """The report as it was kept; of a cycle that runs or has none, one of what there is by now. LookupError for no cycle."""
    cycle = await context.database.read(lambda connection: cycles.select_cycle(connection, cycle_id))
    if cycle is None:
        raise LookupError(f"no cycle {cycle_id}")
    file = report_file(context.artifacts, cycle_id, "json")
    if cycle.state is CycleState.RUNNING or not file.exists():
        return await compose(context, cycle)
    return await asyncio.to_thread(lambda: msgspec.json.decode(file.read_bytes(), type=Report))


async def read_page(context: Context, cycle_id: int) -> str:
    """The same as a page. LookupError as of `read_report`."""
    report = await read_report(context, cycle_id)
    file = report_file(context.artifacts, cycle_id, "html")
    if report.cycle.state is not CycleState.RUNNING and file.exists():
        return await asyncio.to_thread(file.read_text)
    return await asyncio.to_thread(_draw, report)


def report_file(artifacts: Artifacts, cycle_id: int, form: str) -> Path:
    return artifacts.report_file(f"cycle-{cycle_id}.{form}")


def _publish(artifacts: Artifacts, report: Report) -> None:
    folder = artifacts.temporary_dir()
    for form, content in (("json", msgspec.json.encode(report)), ("html", _draw(report).encode())):
        file = report_file(artifacts, report.cycle.id, form)
        (folder / file.name).write_bytes(content)
        with suppress(FileExistsError):  # an earlier try was cut off between the two
            artifacts.publish(folder / file.name, file)
    shutil.rmtree(folder)


def _draw(report: Report) -> str:
    from learner.report.page import page  # here, in a thread: matplotlib takes a while to import

    return page(report)
