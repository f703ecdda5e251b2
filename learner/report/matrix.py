"""The forgetting matrix from what evaluations have put out: nothing is scored for it that the gate did not need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from learner.adapter import BASE
from learner.evaluate.stage import Evaluated
from learner.transfer import BASE_CYCLE, Slice, Transfer, Version, measure
from storage import cycles, heldout
from storage.records import Cycle, CycleState, Stage, StageName

NEWEST = 50  # cycles that a matrix goes back: what it costs does not grow with the history


async def read_transfer(connection: AsyncConnection, until: int | None = None) -> Transfer:
    """The matrix of the `NEWEST` cycles up to cycle `until`, or of the newest there are.

    Rows are of cycles whose candidate went live, columns of those that used up held-out votes.
    """
    newest = await cycles.select_cycles(connection, NEWEST, until)
    since, last = (newest[-1].id, newest[0].id) if newest else (0, 0)
    ended = await cycles.select_outputs(connection, StageName.EVALUATE, since)
    first_used = await heldout.select_slices(connection, since)
    return arrange(newest[::-1], [stage for stage in ended if stage.cycle_id <= last], first_used)


def arrange(found: Sequence[Cycle], evaluated: Sequence[Stage], first_used: Mapping[str, int]) -> Transfer:
    """The matrix of these cycles, oldest first, by what their evaluations put out. `first_used` has each message's slice.

    Who is forgotten is in neither, and so in no cell.
    """
    logps: dict[str, dict[str, float]] = {BASE: {}}
    slices: dict[int, dict[str, int]] = {}
    known = {cycle.id for cycle in found}
    for adapter, message_id, label, logp in _scores(evaluated):
        if first_used.get(message_id) in known:
            logps.setdefault(adapter, {})[message_id] = logp
            slices.setdefault(first_used[message_id], {})[message_id] = label
    made = [(cycle.id, cycle.adapter) for cycle in found if cycle.state is CycleState.PROMOTED and cycle.adapter]
    versions = [Version(number, adapter, logps.get(adapter, {})) for number, adapter in [(BASE_CYCLE, BASE), *made]]
    return measure(versions, [Slice(number, slices[number]) for number in sorted(slices)])


def _scores(evaluated: Sequence[Stage]) -> Iterator[tuple[str, str, int, float]]:
    """(adapter, message, label, mean log-prob per token) of every vote; the newest evaluation of a vote comes last."""
    for stage in evaluated:
        for vote in msgspec.convert(stage.output, Evaluated).votes:
            for adapter, logp in vote.means.items():
                yield adapter, vote.id, vote.label, logp
