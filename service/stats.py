"""`/api/data/stats`: what the data is made of, as figures and as a picture."""

from __future__ import annotations

import asyncio
from typing import Literal

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromQuery

from learner.context import Context
from learner.corpora.stats import Stats, gather
from service.problem import Problem

Kind = Literal["corpus", "chat", "demonstration", "preference", "answer"]
MEDIA_TYPES = {"svg": "image/svg+xml", "png": "image/png"}


@get("/data/stats")
async def show_stats(
    context: NamedDependency[Context], kind: FromQuery[Kind | None] = None, domain: FromQuery[str | None] = None
) -> Stats:
    """Of documents, and of answers in conversations of people who let cycles learn; all, or of one kind or domain."""
    return await _gather(context, kind, domain)


@get("/data/stats/picture")
async def draw_stats(
    context: NamedDependency[Context],
    format: FromQuery[Literal["svg", "png"]] = "svg",
    kind: FromQuery[Kind | None] = None,
    domain: FromQuery[str | None] = None,
) -> Response[bytes]:
    """The same as a picture."""
    stats = await _gather(context, kind, domain)
    picture = await asyncio.to_thread(_draw, stats, format)
    return Response(picture, media_type=MEDIA_TYPES[format])


async def _gather(context: Context, kind: str | None, domain: str | None) -> Stats:
    def count_tokens(text: str) -> int:
        return len(context.tokens.text(text))

    try:
        return await gather(context.database, context.settings.curate, count_tokens, kind, domain)
    except ValueError as error:
        raise Problem("conflict", f"learner.curate: {error}") from error


def _draw(stats: Stats, format: Literal["svg", "png"]) -> bytes:
    from learner.corpora.picture import draw  # here, in a thread: matplotlib takes a while to import

    return draw(stats, format)


HANDLERS = [show_stats, draw_stats]
