"""The report of a cycle as artifacts that last: `cycle-N.json`, and a page in each language, `cycle-N.html` and `cycle-N.ru.html`.

They are written when the cycle ends, and once more when its candidate was tried and that has ended.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from pathlib import Path

import msgspec

from learner.context import Context
from learner.report.compose import compose
from learner.report.document import Report
from learner.report.language import LANGUAGES, words_in
from storage import cycles
from storage.artifacts import Artifacts
from storage.records import Cycle, CycleState

logger = logging.getLogger(__name__)
UNDECIDED = (CycleState.RUNNING, CycleState.STAGED)  # a cycle that will be something else yet


async def write_report(context: Context, cycle: Cycle) -> None:
    """Makes and keeps the report of a cycle that has ended. It never raises: what is missing is missing in the report too."""
    try:
        report = await compose(context, cycle)
        await asyncio.to_thread(_publish, context.artifacts, report)
    except Exception:  # the cycle is over, and what it did stays done; the report can be asked for again
        logger.exception("the report of cycle %d could not be made", cycle.id)


async def renew_report(context: Context, cycle_id: int) -> None:
    """Makes a report again that was written before its cycle came to its end, where it was written."""
    cycle = await context.database.read(lambda connection: cycles.select_cycle(connection, cycle_id))
    written = report_file(context.artifacts, cycle_id, "json").exists()  # another service may have had the cycle, and its files
    if cycle is not None and cycle.state not in UNDECIDED and written and await _kept(context, cycle) is None:
        await write_report(context, cycle)


async def read_report(context: Context, cycle_id: int) -> Report:
    """The report as it was kept; while the cycle may yet change, or has none, one of what there is by now.

    LookupError for no cycle.
    """
    cycle = await _select(context, cycle_id)
    return await _kept(context, cycle) or await compose(context, cycle)


async def read_page(context: Context, cycle_id: int, language: str = LANGUAGES[0]) -> str:
    """The same as a page in one of `LANGUAGES`. LookupError as of `read_report`."""
    cycle = await _select(context, cycle_id)
    file = report_file(context.artifacts, cycle_id, _page_form(language))
    if await _kept(context, cycle) and file.exists():
        return await asyncio.to_thread(file.read_text)
    return await asyncio.to_thread(_draw, await compose(context, cycle), language)


def report_file(artifacts: Artifacts, cycle_id: int, form: str) -> Path:
    return artifacts.report_file(f"cycle-{cycle_id}.{form}")


async def _select(context: Context, cycle_id: int) -> Cycle:
    cycle = await context.database.read(lambda connection: cycles.select_cycle(connection, cycle_id))
    if cycle is None:
        raise LookupError(f"no cycle {cycle_id}")
    return cycle


async def _kept(context: Context, cycle: Cycle) -> Report | None:
    """The report that was written when the cycle was as it is now, and may stay so."""
    file = report_file(context.artifacts, cycle.id, "json")
    if cycle.state in UNDECIDED or not file.exists():
        return None
    try:
        kept = await asyncio.to_thread(lambda: msgspec.json.decode(file.read_bytes(), type=Report))
    except msgspec.DecodeError:  # another release of the service wrote it
        return None
    return kept if kept.cycle.state is cycle.state else None


def _publish(artifacts: Artifacts, report: Report) -> None:
    """The pages first: they are there, and of the same state, whenever the figures are."""
    folder = artifacts.temporary_dir()
    pages = [(_page_form(language), _draw(report, language).encode()) for language in LANGUAGES]
    for form, content in (*pages, ("json", msgspec.json.encode(report))):
        file = report_file(artifacts, report.cycle.id, form)
        (folder / file.name).write_bytes(content)
        artifacts.replace(folder / file.name, file)
    shutil.rmtree(folder)


def _page_form(language: str) -> str:
    return "html" if language == LANGUAGES[0] else f"{language}.html"


def _draw(report: Report, language: str) -> str:
    from learner.report.page import page  # here, in a thread: matplotlib takes a while to import

    return page(report, words_in(language))
