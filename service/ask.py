"""`POST /api/adapters/ask`: several versions answer the same, side by side, and nothing of it is kept or learnt from."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import Annotated

from litestar import post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Meta, Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from learner import release
from learner.context import Context
from learner.engine import EngineError, gather_limited
from service.lineage import known_adapter
from service.problem import Problem
from service.router import Router
from service.wire import ChatMessage
from storage.records import AdapterState, new_id

MOST = 4  # versions, as many as stand side by side
PRIORITY = 1  # in the engine: after people, whose requests are 0, and before evaluation


class Question(Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked, and of whom. Temperature 0 shows best what differs between versions."""

    versions: Annotated[list[str], Meta(min_length=1, max_length=MOST)]
    messages: Annotated[list[ChatMessage], Meta(min_length=1, max_length=1000)]
    max_tokens: Annotated[int, Meta(ge=1, le=1024)] = 256
    temperature: Annotated[float, Meta(ge=0, le=2)] = 0.0
    seed: int | None = None


class VersionAnswer(Struct, frozen=True):
    """What a version said, as the engine gave it: no policy was held against it."""

    version: str
    content: str
    finish_reason: str | None
    tokens: int | None
    latency_ms: float
    loaded: bool  # the engine had to load it first, and keeps it until a cycle ends


@post("/adapters/ask", status_code=200)
async def ask_versions(
    data: JSONBody[Question], context: NamedDependency[Context], router: NamedDependency[Router]
) -> list[VersionAnswer]:
    """The answers of up to four versions, in the order in which these are named. One that is not loaded is loaded first.

    People's answers come before them in the engine. Where a version cannot be served, or fails, none is told: the problem
    names it.
    """
    if len(set(data.versions)) < len(data.versions):
        raise Problem("invalid_request", f"versions are {data.versions}; expected each once", "versions")
    await context.database.read(partial(_check_there, names=data.versions))
    jobs = [partial(_ask, context, router, data, name, await _ensure_loaded(context, name)) for name in data.versions]
    return await gather_limited(MOST, jobs)


async def _check_there(connection: AsyncConnection, names: Sequence[str]) -> None:
    for name in names:
        found = await known_adapter(connection, name)
        if found.state is AdapterState.ERASED:
            raise Problem("conflict", f"{name} is erased: its weights are gone", "versions")


async def _ensure_loaded(context: Context, name: str) -> bool:
    """Whether it had to be loaded."""
    if name in await context.engine.models():
        return False
    await release.load(context, name)
    return True


async def _ask(context: Context, router: Router, asked: Question, name: str, loaded: bool) -> VersionAnswer:
    body: dict[str, object] = {
        "model": name,
        "messages": [{"role": message.role, "content": message.text} for message in asked.messages],
        "max_tokens": asked.max_tokens,
        "temperature": asked.temperature,
        "priority": PRIORITY,
    }
    if asked.seed is not None:
        body["seed"] = asked.seed
    begun = time.monotonic()
    try:
        with router.flight(name):  # or a cycle that ends meanwhile would take it out of the engine
            answer = await context.engine.complete(body, new_id("ask"))
    except EngineError as error:
        raise EngineError(error.status, f"{name}: {error.message}") from error
    if answer.model != name:
        raise Problem("engine_failed", f"{name} was asked, but {answer.model!r} answered")
    [choice, *_] = answer.choices
    tokens = answer.usage.completion_tokens if answer.usage else None
    latency_ms = (time.monotonic() - begun) * 1000
    return VersionAnswer(name, choice.message.content or "", choice.finish_reason, tokens, latency_ms, loaded)


HANDLERS = [ask_versions]
