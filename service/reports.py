"""`/api`, reports: what a cycle learnt, moved and cost, and what all of them together have kept."""

from __future__ import annotations

from litestar import MediaType, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from learner.context import Context
from learner.report.document import Report
from learner.report.matrix import read_transfer
from learner.report.write import read_page, read_report
from learner.transfer import Transfer
from service.problem import Problem


@get("/transfer")
async def show_transfer(context: NamedDependency[Context]) -> Transfer:
    """The forgetting matrix of the newest cycles, with its averages."""
    return await context.database.read(read_transfer)


@get("/cycles/{cycle_id:int}/report")
async def show_report(cycle_id: FromPath[int], context: NamedDependency[Context]) -> Report:
    """The report of a cycle; of one that runs, as far as it has come."""
    try:
        return await read_report(context, cycle_id)
    except LookupError as error:
        raise Problem("not_found", f"there is {error}") from error


@get("/cycles/{cycle_id:int}/report.html", media_type=MediaType.HTML)
async def show_page(cycle_id: FromPath[int], context: NamedDependency[Context]) -> str:
    """The same as one page with plots, which needs nothing from anywhere."""
    try:
        return await read_page(context, cycle_id)
    except LookupError as error:
        raise Problem("not_found", f"there is {error}") from error


HANDLERS = [show_transfer, show_report, show_page]
