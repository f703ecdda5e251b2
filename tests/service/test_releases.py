"""`/api/release`, quarantine and their keeper: what is tried is watched, and operators have the last word."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec
import pytest
from httpx import ASGITransport, AsyncClient
from litestar import Litestar, Router
from litestar.di import Provide

from learner import rollout
from learner.config import ReleaseSettings
from learner.report.document import Report
from learner.report.write import write_report
from service import releases
from service.canary_keeper import CanaryKeeper
from service.errors import respond
from storage import cycles
from storage.records import CanaryState, CycleState
from tests.learner.trials import STAGED, Trials, trials

Body = Callable[[Trials, CanaryKeeper, AsyncClient], Awaitable[None]]
EASY = ReleaseSettings(mode="staged", min_people=3, min_stage_s=0, tolerated_loss=0.45)


@pytest.fixture
def run(tiny: tuple[Path, Path], tmp_path: Path) -> Callable[..., None]:
    async def go(body: Body, settings: ReleaseSettings) -> None:
        async with trials(tmp_path / "home", *tiny, settings) as world:
            keeper = CanaryKeeper(world.context, lambda: True)
            parts = {"context": lambda: world.context, "keeper": lambda: keeper, "actor": lambda: "operator"}
            app = Litestar(
                [Router("/api", route_handlers=releases.HANDLERS)],
                dependencies={name: Provide(part, sync_to_thread=False) for name, part in parts.items()},
                exception_handlers={Exception: respond},
            )
            async with AsyncClient(transport=ASGITransport(app), base_url="http://ratchet") as client:  # in the database's own loop
                await body(world, keeper, client)

    return lambda body, settings=STAGED: asyncio.run(go(body, settings))


async def vote(world: Trials, version: str, thumbs: Sequence[str], group: str) -> None:
    for number, thumb in enumerate(thumbs):
        await world.answer(f"{group}-{number}", version, [thumb])


def test_the_keeper_gives_more_people_a_version_that_nothing_speaks_against(run: Callable[..., None]) -> None:
    async def body(world: Trials, keeper: CanaryKeeper, client: AsyncClient) -> None:
        canary = await world.begin()
        await keeper.look()
        assert await world.canary(canary.adapter) == canary, "nobody has voted yet"
        await vote(world, canary.adapter, ["up", "up", "down"], "some")
        await vote(world, "base", ["up", "down", "up"], "others")
        await keeper.look()
        assert (await world.canary(canary.adapter)).stage == 1

    run(body, EASY)


def test_the_keeper_takes_a_broken_version_back_even_when_it_is_held(run: Callable[..., None]) -> None:
    async def body(world: Trials, keeper: CanaryKeeper, client: AsyncClient) -> None:
        canary = await world.begin()
        await rollout.hold(world.context, canary, "operator", "wait")
        for number in range(6):
            await world.answer(f"person-{number}", canary.adapter, content="")
        await keeper.look()
        assert (await world.canary(canary.adapter)).state is CanaryState.ROLLED_BACK
        assert canary.adapter not in await world.context.engine.models(), "nobody needs it any more"

    run(body)


def test_the_keeper_has_the_engine_serve_what_is_tried_or_takes_it_back(run: Callable[..., None]) -> None:
    async def body(world: Trials, keeper: CanaryKeeper, client: AsyncClient) -> None:
        canary = await world.begin()
        await world.context.engine.unload(canary.adapter)
        await keeper.look()
        assert canary.adapter in await world.context.engine.models()
        await world.context.engine.unload(canary.adapter)
        (world.context.artifacts.adapter_dir(canary.adapter) / "mark").write_text("spoilt")
        await keeper.look()
        assert (await world.canary(canary.adapter)).state is CanaryState.ROLLED_BACK

    run(body)


def test_the_keeper_waits_for_the_cycle_and_holds_what_has_lost_its_rival(run: Callable[..., None]) -> None:
    async def body(world: Trials, keeper: CanaryKeeper, client: AsyncClient) -> None:
        first = await world.begin()
        await rollout.promote(world.context, first, "test", "good")
        cycle, chosen = await world.candidate(first.adapter)
        await rollout.begin(world.context, cycle, chosen)
        await client.post("/api/adapters/rollback")
        await keeper.look()
        assert (await world.canary(chosen.adapter)).state is CanaryState.RUNNING
        await world.context.database.write(lambda c: cycles.update_cycle(c, cycle.id, state=CycleState.STAGED))
        await keeper.look()
        held = await world.canary(chosen.adapter)
        assert held.state is CanaryState.HELD
        assert held.reason == f"it is tried against {first.adapter}, but base is live now"

    run(body)


def test_the_keeper_has_reports_tell_how_trials_ended(run: Callable[..., None]) -> None:
    async def body(world: Trials, keeper: CanaryKeeper, client: AsyncClient) -> None:
        canary = await world.begin()
        await write_report(world.context, await world.cycle(canary.cycle_id))
        file = world.context.artifacts.report_file(f"cycle-{canary.cycle_id}.json")
        await client.post(f"/api/release/{canary.adapter}/rollback")
        await keeper.look()
        report = msgspec.json.decode(file.read_bytes(), type=Report)
        assert report.cycle.state is CycleState.REJECTED and report.path is not None
        assert [(move.step, move.actor, move.judgement) for move in report.path.moves] == [("roll_back", "operator", None)]
        made_at = file.stat().st_mtime_ns
        await keeper.look()
        assert file.stat().st_mtime_ns == made_at, "once is enough"

    run(body)


def test_an_operator_sees_what_is_tried_and_has_the_last_word(run: Callable[..., None]) -> None:
    async def body(world: Trials, keeper: CanaryKeeper, client: AsyncClient) -> None:
        canary, other = await world.begin(), await world.begin()
        await vote(world, canary.adapter, ["up"], "some")
        status = (await client.get("/api/release")).json()
        assert (status["live"], status["previous"], status["mode"]) == ("base", None, "staged")
        [first, _] = status["trials"]
        assert first["canary"]["adapter"] == canary.adapter and first["share"] == 0.05
        assert first["judgement"]["people"] == 1 and first["judgement"]["reasons"]
        at = f"/api/release/{canary.adapter}"
        assert (await client.post(f"{at}/hold")).json()["state"] == "held"
        assert (await client.post(f"{at}/resume")).json()["state"] == "running"
        assert (await client.post(f"/api/release/{other.adapter}/rollback")).json()["state"] == "rolled_back"
        moved = (await client.post(f"{at}/promote")).json()
        assert (moved["adapter"], moved["previous"]) == (canary.adapter, "base")
        status = (await client.get("/api/release")).json()
        assert status["trials"] == [] and {one["state"] for one in status["ended"]} == {"promoted", "rolled_back"}
        back = (await client.post("/api/adapters/rollback", json={"to": "base"})).json()
        assert back["adapter"] == "base"

    run(body)


def test_what_waits_is_approved_or_declined(run: Callable[..., None]) -> None:
    async def body(world: Trials, keeper: CanaryKeeper, client: AsyncClient) -> None:
        waits, other = await world.begin(), await world.begin()
        await keeper.look()
        status = (await client.get("/api/release")).json()
        assert [(one["share"], one["judgement"]) for one in status["trials"]] == [(0.0, None), (0.0, None)]
        assert (await client.post(f"/api/release/{other.adapter}/rollback")).json()["state"] == "ended"
        assert (await client.post(f"/api/release/{waits.adapter}/approve")).json()["adapter"] == waits.adapter

    run(body, ReleaseSettings(mode="approve"))


def test_what_cannot_be_is_refused_with_one_clear_line(run: Callable[..., None]) -> None:
    async def body(world: Trials, keeper: CanaryKeeper, client: AsyncClient) -> None:
        canary = await world.begin()
        name = canary.adapter

        async def refused(path: str, body: object = None) -> tuple[int, str]:
            answer = await client.post(f"/api{path}", json=body) if body else await client.post(f"/api{path}")
            return answer.status_code, answer.json()["error"]["message"]

        assert await refused("/release/nothing/promote") == (409, "'nothing' was never tried")
        assert await refused(f"/release/{name}/approve") == (409, f"{name} is running, expected waiting_approval")
        assert await refused(f"/release/{name}/resume") == (409, f"{name} is running, expected held")
        assert await refused("/adapters/rollback") == (409, "there is no version before 'base' to roll back to")
        assert (await refused("/adapters/rollback", {"to": name}))[1] == f"{name} is canary, expected a retired version"
        assert (await refused(f"/adapters/{name}/quarantine"))[0] == 400
        empty = (409, "the reason is ' '; expected words that say why")
        assert await refused(f"/adapters/{name}/quarantine", {"reason": " "}) == empty
        assert (await refused("/adapters/base/quarantine", {"reason": "rude"}))[0] == 409
        done = await client.post(f"/api/adapters/{name}/quarantine", json={"reason": "rude"})
        assert (done.status_code, done.json()["state"]) == (200, "quarantined")
        assert (await refused(f"/release/{name}/promote"))[1] == f"{name} is rolled_back, expected running or held"
        done = await client.post(f"/api/adapters/{name}/restore", json={"reason": "not rude"})
        assert (done.status_code, done.json()["state"]) == (200, "retired")

    run(body)
