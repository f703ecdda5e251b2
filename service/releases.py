"""`/api/release` and quarantine: what is live, what is tried and how it does, and an operator's word on it."""

from __future__ import annotations

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from learner import quarantine, release, rollout
from learner.assignment import tried
from learner.canary import Judgement
from learner.context import Context
from learner.release import Released
from service.canary_keeper import CanaryKeeper
from storage import canaries
from storage.records import Adapter, Canary, CanaryState

ENDED_SHOWN = 20


class Trial(Struct, frozen=True):
    """A version that is tried, the share of the people who have it, and what there is to say of it by now."""

    canary: Canary
    share: float
    judgement: Judgement | None  # None while nobody is answered by it


class ReleaseStatus(Struct, frozen=True):
    live: str
    previous: str | None  # what a rollback returns to
    mode: str
    shares: tuple[float, ...]  # of the people, stage by stage
    trials: list[Trial]
    ended: list[Canary]  # newest first


class Because(Struct, frozen=True, forbid_unknown_fields=True):
    reason: str


class RollbackRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Where to; the version before the live one where it is not said."""

    to: str | None = None


@get("/release")
async def show_release(context: NamedDependency[Context], keeper: NamedDependency[CanaryKeeper]) -> ReleaseStatus:
    """What is live, and what is tried."""
    settings = context.settings.release

    async def look(connection: AsyncConnection) -> tuple[list[Canary], list[Canary]]:
        newest = await canaries.select_canaries(connection, ENDED_SHOWN)
        return await canaries.select_open(connection), [one for one in newest if one.state not in canaries.OPEN]

    standing = await release.standing(context.database, settings)
    on_trial, ended = await context.database.read(look)
    trials = [
        Trial(one, tried(one, settings).share, await keeper.judge(one) if one.state in rollout.ON_TRIAL else None)
        for one in on_trial
    ]
    return ReleaseStatus(standing.live, standing.previous, settings.mode, settings.shares, trials, ended)


@post("/release/{adapter:str}/approve", status_code=200)
async def approve(adapter: FromPath[str], context: NamedDependency[Context], actor: NamedDependency[str]) -> Released:
    """Puts a version live that waits for this."""
    canary = await rollout.find(context, adapter, CanaryState.WAITING_APPROVAL)
    return await rollout.promote(context, canary, actor, "approved by an operator")


@post("/release/{adapter:str}/promote", status_code=200)
async def promote(adapter: FromPath[str], context: NamedDependency[Context], actor: NamedDependency[str]) -> Released:
    """Puts a version live that is tried, whatever is known of it by now."""
    canary = await rollout.find(context, adapter, *rollout.ON_TRIAL)
    return await rollout.promote(context, canary, actor, "promoted by an operator")


@post("/release/{adapter:str}/hold", status_code=200)
async def hold(adapter: FromPath[str], context: NamedDependency[Context], actor: NamedDependency[str]) -> Canary:
    """Keeps a version with the people who have it."""
    canary = await rollout.find(context, adapter, CanaryState.RUNNING)
    await rollout.hold(context, canary, actor, "held by an operator")
    return await rollout.find(context, adapter, *CanaryState)


@post("/release/{adapter:str}/resume", status_code=200)
async def resume(adapter: FromPath[str], context: NamedDependency[Context], actor: NamedDependency[str]) -> Canary:
    """Lets a version go on that is held."""
    canary = await rollout.find(context, adapter, CanaryState.HELD)
    await rollout.resume(context, canary, actor, "resumed by an operator")
    return await rollout.find(context, adapter, *CanaryState)


@post("/release/{adapter:str}/rollback", status_code=200)
async def roll_back_trial(adapter: FromPath[str], context: NamedDependency[Context], actor: NamedDependency[str]) -> Canary:
    """Takes a version back that is tried, and quarantines it; one that waits for approval is declined."""
    canary = await rollout.find(context, adapter, *canaries.OPEN)
    await rollout.roll_back(context, canary, actor, "taken back by an operator")
    return await rollout.find(context, adapter, *CanaryState)


@post("/adapters/rollback", status_code=200)
async def roll_back(
    context: NamedDependency[Context], actor: NamedDependency[str], data: JSONBody[RollbackRequest | None] = None
) -> Released:
    """Returns to the version before the live one, or to a retired one that is named."""
    return await release.roll_back(context, actor, (data or RollbackRequest()).to)


@post("/adapters/{name:str}/quarantine", status_code=200)
async def put_in_quarantine(
    name: FromPath[str], data: JSONBody[Because], context: NamedDependency[Context], actor: NamedDependency[str]
) -> Adapter:
    """Takes a version away from everybody; if it is live, the one before takes its place."""
    return await quarantine.quarantine(context, name, actor, data.reason)


@post("/adapters/{name:str}/restore", status_code=200)
async def restore(
    name: FromPath[str], data: JSONBody[Because], context: NamedDependency[Context], actor: NamedDependency[str]
) -> Adapter:
    """Lets a quarantined version be rolled back to again; what is live stays live."""
    return await quarantine.restore(context, name, actor, data.reason)


HANDLERS = [show_release, approve, promote, hold, resume, roll_back_trial, roll_back, put_in_quarantine, restore]
