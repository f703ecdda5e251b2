"""How a candidate that passed the gate goes on: at once, when an operator approves, or tried by ever more people first.

Every step is one transaction with a row in the audit log; routing follows it. Whatever is cut off before the commit leaves
the canary as it was, to be judged again; after it the step is done. What is live moves only by `learner.release`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncConnection

from learner import release
from learner.assignment import tried
from learner.canary import Judgement, Step
from learner.context import Context, NothingToLearn, StageError
from learner.failpoint import failpoint
from learner.release import Released
from learner.train.methods import MAKES_NO_ADAPTER
from learner.train.spec import Probe
from storage import canaries, cycles
from storage.records import AdapterState, Canary, CanaryState, CanaryStep, Cycle, StageName

JUDGE = "canary"  # in the audit log: what was done by itself
ON_TRIAL = (CanaryState.RUNNING, CanaryState.HELD)


class Begun(Struct, frozen=True):
    """How a candidate is on its way: it is live, or it is tried first, or waits."""

    adapter: str
    proof: str  # that the engine serves it
    canary: int | None = None


class Chosen(Struct, frozen=True):
    """What the gate let through."""

    adapter: str
    replaces: str  # what was live when it was made
    against: str  # whom it was judged against, and is compared with
    probes: Sequence[Probe]
    reason: str


async def begin(context: Context, cycle: Cycle, chosen: Chosen) -> Begun:
    """Puts a candidate on its way, as `release.mode` says. Doing it again after a crash finishes it.

    Raises `StageError` when another version than it replaces is live by now, or three are tried already.
    """
    name, mode = chosen.adapter, context.settings.release.mode
    before = await context.database.read(partial(canaries.select_canary, adapter=name))
    if before is not None:
        await release.tell(context)
        return Begun(name, "was on its way already", before.id)
    if mode == "direct":
        released = await release.promote(context, name, chosen.replaces, chosen.probes, chosen.reason)
        return Begun(name, released.proof)
    live = (await release.live_release(context)).adapter
    if live != chosen.replaces:
        raise StageError(f"{name} was made to replace {chosen.replaces}, but {live} is live now")
    await release.load(context, name)
    failpoint("canary:loaded")
    proof = await release.prove(context, name, chosen.probes)
    failpoint("canary:proved")
    state = CanaryState.WAITING_APPROVAL if mode == "approve" else CanaryState.RUNNING
    begun = await _begin(context, cycle, chosen, state)
    failpoint("canary:begun")
    await release.tell(context)
    return Begun(name, proof, begun.id)


async def _begin(context: Context, cycle: Cycle, chosen: Chosen, state: CanaryState) -> Canary:
    async def insert(connection: AsyncConnection) -> Canary:
        await cycles.check_running(connection, cycle.id)
        return await canaries.insert_canary(
            connection, chosen.adapter, chosen.against, cycle.id, state, context.clock(), chosen.reason
        )

    with release.deciding():
        return await context.database.write(insert)


async def lacks_room(connection: AsyncConnection, mode: str, method: str) -> str:
    """Why what a cycle of this method makes could not be tried now; empty where it could, or need not be."""
    if mode == "direct" or method in MAKES_NO_ADAPTER:
        return ""
    try:
        await canaries.select_slots(connection)
    except canaries.NoSlotError as full:
        return str(full)
    return ""


async def check_room(context: Context, cycle: Cycle) -> None:
    """Raises `NothingToLearn` before anything is learnt in vain."""
    mode = context.settings.release.mode
    if why := await context.database.read(partial(lacks_room, mode=mode, method=cycle.method)):
        raise NothingToLearn(f"what was learnt could not be tried: {why}")


async def find(context: Context, adapter: str, *states: CanaryState) -> Canary:
    """The canary of this name, in one of these states. Raises `StageError` otherwise."""
    found = await context.database.read(partial(canaries.select_canary, adapter=adapter))
    if found is None:
        raise StageError(f"{adapter!r} was never tried")
    if found.state not in states:
        raise StageError(f"{adapter} is {found.state.value}, expected {' or '.join(state.value for state in states)}")
    return found


async def take(context: Context, canary: Canary, judged: Judgement) -> None:
    """Does what a judgement says. Of a canary that is held, only the worst."""
    reason = "; ".join(judged.reasons)
    if judged.step is Step.ROLL_BACK:
        await roll_back(context, canary, JUDGE, reason, judged)
    elif canary.state is not CanaryState.RUNNING:
        return
    elif judged.step is Step.ADVANCE:
        await advance(context, canary, reason, judged)
    elif judged.step is Step.PROMOTE:
        await promote(context, canary, JUDGE, reason, judged)
    elif judged.step is Step.HOLD:
        await hold(context, canary, JUDGE, reason, judged)


async def advance(context: Context, canary: Canary, reason: str, judged: Judgement | None = None) -> None:
    """Gives it the next share of the people; those who have it keep it."""
    now = replace(canary, stage=canary.stage + 1, stage_started_at_s=context.clock(), reason=reason)
    await _move(context, canary, now, JUDGE, "advance", judged)


async def hold(context: Context, canary: Canary, actor: str, reason: str, judged: Judgement | None = None) -> None:
    """Keeps it where it is."""
    await _move(context, canary, replace(canary, state=CanaryState.HELD, reason=reason), actor, "hold", judged)


async def resume(context: Context, canary: Canary, actor: str, reason: str) -> None:
    """Lets one that is held go on, with all its time before it."""
    now = replace(canary, state=CanaryState.RUNNING, resumed_at_s=context.clock(), reason=reason)
    await _move(context, canary, now, actor, "resume")


async def _move(context: Context, canary: Canary, now: Canary, actor: str, action: str, judged: Judgement | None = None) -> None:
    step = _step(context, canary, action, actor, now.reason, judged)

    async def write(connection: AsyncConnection) -> None:
        await canaries.update_canary(connection, canary, now, actor, action, step.at_s)
        await canaries.insert_step(connection, step)

    failpoint(f"canary:{action}:decided")
    with release.deciding():
        await context.database.write(write)
    failpoint(f"canary:{action}:committed")
    await release.tell(context)


def _step(context: Context, canary: Canary, step: str, actor: str, reason: str, judged: Judgement | None) -> CanaryStep:
    """What is kept of a move: where the canary was, and what was known of it."""
    share = tried(canary, context.settings.release).share
    known = None if judged is None else msgspec.to_builtins(judged)
    return CanaryStep(0, canary.id, context.clock(), step, canary.stage, share, actor, reason, known)


async def promote(context: Context, canary: Canary, actor: str, reason: str, judged: Judgement | None = None) -> Released:
    """Puts it live, proved by the probes of its training. Raises as `release.promote` does."""
    stages = await context.database.read(partial(cycles.select_stages, cycle_id=canary.cycle_id))
    trained = [msgspec.convert(stage.output, _Trained) for stage in stages if stage.name is StageName.TRAIN and stage.output]
    probes = [probe for one in trained for probe in one.probes.get(canary.adapter, ())]
    note = partial(canaries.insert_step, step=_step(context, canary, "promote", actor, reason, judged))
    return await release.promote(context, canary.adapter, canary.against, probes, reason, actor, note)


class _Trained(Struct, frozen=True):
    """What of a training's output proves which version is served."""

    probes: dict[str, list[Probe]] = {}


async def roll_back(context: Context, canary: Canary, actor: str, reason: str, judged: Judgement | None = None) -> None:
    """Ends it: its people are answered by the live version, and it is quarantined. One that nobody was answered by is
    only declined."""
    waits = canary.state is CanaryState.WAITING_APPROVAL
    state = CanaryState.ENDED if waits else CanaryState.ROLLED_BACK
    becomes = AdapterState.REJECTED if waits else AdapterState.QUARANTINED
    step = _step(context, canary, "roll_back", actor, reason, judged)

    async def write(connection: AsyncConnection) -> None:
        await canaries.end_canary(connection, canary, state, becomes, actor, reason, step.at_s)
        await canaries.insert_step(connection, step)

    failpoint("canary:roll_back:decided")
    with release.deciding():
        await context.database.write(write)
    failpoint("canary:roll_back:committed")
    await release.tell(context)
