"""`/api`, reports: what a cycle learnt, moved and cost, and what all of them together have kept."""

from __future__ import annotations

from typing import Any

from litestar import MediaType, Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from learner.context import Context
from learner.report.document import Report
from learner.report.language import LANGUAGES
from learner.report.markup import POLICY
from learner.report.matrix import read_transfer
from learner.report.write import read_page, read_report
from learner.transfer import Transfer
from service.languages import choose_language
from service.problem import Problem

HEADERS = {  # the page loads nothing, and its styles are its own
    "content-security-policy": f"{POLICY}; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "vary": "accept-language, cookie",
}


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
async def show_page(
    cycle_id: FromPath[int], context: NamedDependency[Context], request: Request[Any, Any, Any], lang: FromQuery[str] = ""
) -> Response[str]:
    """The same as one page with plots, which needs nothing from anywhere; in the language `lang`, or else the reader's own."""
    return await answer_page(context, cycle_id, request, lang)


async def answer_page(context: Context, cycle_id: int, request: Request[Any, Any, Any], lang: str = "") -> Response[str]:
    """The page of a cycle's report, for whoever may read it. Raises `Problem` for no such cycle or language."""
    language = lang or choose_language(request.cookies, request.headers.get("accept-language", ""))
    if language not in LANGUAGES:
        raise Problem("invalid_request", f"lang is {lang!r}, expected one of {', '.join(LANGUAGES)}")
    try:
        page = await read_page(context, cycle_id, language)
    except LookupError as error:
        raise Problem("not_found", f"there is {error}") from error
    return Response(page, media_type=MediaType.HTML, headers=HEADERS | {"content-language": language})


HANDLERS = [show_transfer, show_report, show_page]
