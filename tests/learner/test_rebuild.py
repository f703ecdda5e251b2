"""What a cycle begins from: the live version, base after so many cycles or too far away, a clean ancestor after a taint."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncConnection

from learner.context import Context
from learner.rebuild import Basis, keep_newest, select_basis
from learner.rows import Split
from storage import adapters, cycles, datasets
from storage.records import AdapterState, Cycle, CycleState, Dataset, StageName
from storage.tables import adapters as adapters_table
from tests.learner.tiny import corrections, thumbs
from tests.learner.world import learner, make_live

EVERY = 3
Body = Callable[[Context], Awaitable[None]]


@pytest.fixture
def run(model_dir: Path, zero_dir: Path, tmp_path: Path) -> Callable[[Body], None]:
    """Runs a body in a home with base live, where a candidate is learnt anew after `EVERY` accepted cycles."""

    async def go(body: Body) -> None:
        async with learner(tmp_path, model_dir, zero_dir) as context:
            context.settings = replace(context.settings, train=replace(context.settings.train, rebuild_every=EVERY))
            await body(context)

    return lambda body: asyncio.run(go(body))


async def accept(context: Context, parent: str, kl_base: float = 0.0) -> str:
    """A cycle whose candidate, so far from base, went live; gives its name."""
    cycle = await begin(context)
    name, dataset_id = f"r{cycle.id}-00000000", f"d{cycle.id}"
    kept: dict[str, object] = {"candidates": [{"adapter": name, "measures": {"kl_base": kl_base}}]}

    async def write(connection: AsyncConnection) -> None:
        await datasets.insert_dataset(connection, Dataset(dataset_id, cycle.id, "", 0, 1.0, {}), [])
        await cycles.start_stage(connection, cycle.id, StageName.TRAIN, 1.0)
        await cycles.finish_stage(connection, cycle.id, StageName.TRAIN, 2.0, kept)
        await cycles.update_cycle(connection, cycle.id, state=CycleState.PROMOTED, ended_at_s=2.0, adapter=name)

    await context.database.write(write)
    await make_live(context, name, parent, dataset_id, cycle.id)
    return name


async def refuse_one_from_base(context: Context) -> None:
    cycle = await begin(context)
    base = await context.database.read(lambda c: adapters.select_adapter(c, "base"))
    assert base is not None
    refused = replace(base, name=f"r{cycle.id}-ffffffff", parent="base", cycle_id=cycle.id, state=AdapterState.REJECTED)
    await context.database.write(lambda c: adapters.insert_adapter(c, refused))
    ended = {"state": CycleState.REJECTED, "ended_at_s": 2.0}
    await context.database.write(lambda c: cycles.update_cycle(c, cycle.id, **ended))  # type: ignore[arg-type]


async def begin(context: Context, method: str = "mixed") -> Cycle:
    return await context.database.write(lambda c: cycles.insert_cycle(c, "test", method, 1.0))


async def basis(context: Context, method: str = "mixed") -> Basis:
    return await select_basis(context, await begin(context, method))


def test_the_live_version_is_continued_until_enough_cycles_were_accepted(run: Callable[[Body], None]) -> None:
    async def body(context: Context) -> None:
        assert await basis(context) == Basis("base", "base", "base", ())
        live = "base"
        for _ in range(EVERY - 1):
            live = await accept(context, live)
            assert await basis(context) == Basis(live, live, live, ())
        live = await accept(context, live)
        due = await basis(context)
        assert (due.live, due.parent, due.against) == (live, "base", live)
        made = await context.database.read(lambda c: datasets.select_promoted(c, before=99))
        assert due.again == tuple(made) and len(made) == EVERY
        assert due.why == f"learnt anew from base: {EVERY} cycles were accepted since the last time"
        fresh = await accept(context, "base")
        assert await basis(context) == Basis(fresh, fresh, fresh, ())

    run(body)


def test_after_a_refused_rebuild_daily_learning_goes_on_until_it_is_due_again(run: Callable[[Body], None]) -> None:
    async def body(context: Context) -> None:
        live = "base"
        for _ in range(EVERY):
            live = await accept(context, live)
        await refuse_one_from_base(context)
        for _ in range(EVERY):
            assert (await basis(context)).parent == live
            live = await accept(context, live)
        assert (await basis(context)).parent == "base"

    run(body)


def test_a_version_too_far_from_base_is_learnt_anew_once(run: Callable[[Body], None]) -> None:
    async def body(context: Context) -> None:
        live = await accept(context, "base", kl_base=0.9)
        assert (await basis(context)).parent == live
        live = await accept(context, live, kl_base=1.25)
        due = await basis(context)
        assert (due.parent, due.against) == ("base", live)
        assert due.why == f"learnt anew from base: {live} is 1.250 nats per token from base, the budget is 1"
        assert (await basis(context, method="sft")).parent == live  # what another method cannot read would be lost
        await refuse_one_from_base(context)
        assert (await basis(context)).parent == live

    run(body)


def test_a_tainted_version_is_replaced_from_its_clean_ancestor_whatever_else_is_due(run: Callable[[Body], None]) -> None:
    async def body(context: Context) -> None:
        clean = await accept(context, "base")
        tainted = [await accept(context, clean)]
        tainted.append(await accept(context, tainted[0]))

        async def taint(connection: AsyncConnection) -> None:
            marked = adapters_table.update().where(adapters_table.c.name.in_(tainted))
            await connection.execute(marked.values(tainted_at_s=3.0))

        await context.database.write(taint)
        found = await basis(context)
        assert (found.live, found.parent, found.against) == (tainted[1], clean, clean)
        assert [dataset.cycle_id for dataset in found.again] == [int(name[1]) for name in tainted]
        assert found.why == f"rebuilt from {clean}: {tainted[1]} learnt from somebody who is forgotten"

    run(body)


def test_of_too_many_rows_the_newest_stay_in_order_and_rare_kinds_stay_whole() -> None:
    judged = [replace(row, split=Split.HELDOUT) for row in thumbs(10, seed=2)]
    rows = [*corrections(3), *thumbs(100), *judged]
    kept = keep_newest(rows, 45)
    assert len(kept) == 45 and [row for row in rows if row in kept] == kept
    counts = Counter((row.split, row.kind, row.label) for row in kept)
    assert sorted(counts.values()) == [3, 5, 5, 16, 16]
    liked = [row for row in thumbs(100) if row.label > 0]
    assert [row for row in kept if row in liked] == liked[-16:]


@pytest.mark.parametrize("count", [0, 1, 2, 113, 500])
def test_no_more_rows_are_kept_than_may_be_and_no_fewer(count: int) -> None:
    rows = [*corrections(3), *thumbs(110)]
    assert len(keep_newest(rows, count)) == min(count, len(rows))
