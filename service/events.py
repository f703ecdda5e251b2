"""`/api/events`: what the newest cycle does, as it happens, as server-sent events.

| event    | data                                              | when                                       |
|----------|---------------------------------------------------|--------------------------------------------|
| cycle    | the cycle                                         | it began, or it ended, with its reasons    |
| stage    | `cycle_id`, `stage`, `seconds`, null while it runs | a stage began or ended                     |
| verdict  | `cycle_id`, `verdict`, `reasons`                  | the gate decided                           |
| progress | as in `/api/cycles/{id}`                          | it changed, at most twice a second         |

Who connects is told first where the newest cycle is. Nothing is replayed: who was away is told so again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.response import ServerSentEvent, ServerSentEventMessage
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from learner.context import Context, Progress
from learner.gate import Decision
from service.chat import Chat
from storage import cycles
from storage.database import UnavailableError
from storage.records import Cycle, CycleState, Stage, StageName

POLL_S = 0.5
QUIET_S = 15.0  # after which a comment shows whoever waits, and what is between, that the stream is alive


class StageChange(Struct, frozen=True):
    cycle_id: int
    stage: StageName
    seconds: float | None


class VerdictGiven(Struct, frozen=True):
    cycle_id: int
    verdict: str
    reasons: tuple[str, ...]


class Moment(Struct, frozen=True):
    """What can be seen of the newest cycle at one time."""

    cycle: Cycle | None = None
    stages: tuple[Stage, ...] = ()
    progress: Progress | None = None  # of a cycle that this service runs


def changes(before: Moment, now: Moment) -> Iterator[tuple[str, Struct]]:
    """What happened in between: the name and the data of each event, in the order in which it must have been."""
    cycle = now.cycle
    if cycle is None:
        return
    if before.cycle is None or before.cycle.id != cycle.id:
        before = Moment()
    if before.cycle is None and cycle.state is CycleState.RUNNING:
        yield "cycle", cycle
    for stage in now.stages:
        yield from _stage_changes(stage, next((one for one in before.stages if one.name is stage.name), None))
    if now.progress is not None and now.progress != before.progress:
        yield "progress", now.progress
    if cycle.state is not CycleState.RUNNING and cycle != before.cycle:
        yield "cycle", cycle


def _stage_changes(now: Stage, before: Stage | None) -> Iterator[tuple[str, Struct]]:
    ended = now.ended_at_s is not None
    if before is not None and ended == (before.ended_at_s is not None):
        return
    seconds = None if now.ended_at_s is None else round(now.ended_at_s - now.started_at_s, 3)
    yield "stage", StageChange(now.cycle_id, now.name, seconds)
    if ended and now.name is StageName.GATE:
        decision = msgspec.convert(now.output, Decision)
        yield "verdict", VerdictGiven(now.cycle_id, decision.verdict.value, decision.reasons)


async def look(context: Context) -> Moment:
    """The newest cycle as it is now."""

    async def read(connection: AsyncConnection) -> tuple[Cycle | None, list[Stage]]:
        newest = await cycles.select_cycles(connection, 1)
        return (newest[0], await cycles.select_stages(connection, newest[0].id)) if newest else (None, [])

    cycle, stages = await context.database.read(read)
    runs_here = cycle is not None and cycle.state is CycleState.RUNNING and context.progress.stage
    return Moment(cycle, tuple(stages), msgspec.structs.replace(context.progress) if runs_here else None)


async def follow(
    look: Callable[[], Awaitable[Moment]], closing: Callable[[], bool], poll_s: float = POLL_S, quiet_s: float = QUIET_S
) -> AsyncIterator[ServerSentEventMessage]:
    """Events until the service closes, or the database cannot be asked: then whoever listens connects again."""
    before, silent_s = Moment(), 0.0
    while not closing():
        try:
            now = await look()
        except UnavailableError:
            return
        for name, data in changes(before, now):
            silent_s = 0.0
            yield ServerSentEventMessage(msgspec.json.encode(data).decode(), event=name)
        if silent_s >= quiet_s:
            silent_s = 0.0
            yield ServerSentEventMessage(None, comment="nothing new")
        before, silent_s = now, silent_s + poll_s
        await asyncio.sleep(poll_s)


@get("/events", media_type="text/event-stream")
async def stream_events(context: NamedDependency[Context], chat: NamedDependency[Chat]) -> ServerSentEvent:
    """Progress, stages and verdicts of cycles, as they happen."""
    return ServerSentEvent(follow(lambda: look(context), lambda: chat.closing))


HANDLERS = [stream_events]
