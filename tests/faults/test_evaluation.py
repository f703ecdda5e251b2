"""Whatever keeps an evaluation from being whole and true ends in `inconclusive`, and nothing goes live."""

from __future__ import annotations

import asyncio
import math
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from learner.config import GateSettings
from learner.context import Context
from learner.engines import Engines
from learner.evaluate.stage import Evaluated, cases, evaluate
from learner.evaluate.suite import Header, Item, Turn, freeze, write_suite
from learner.gate import Choice, Verdict, choose
from learner.rows import write_rows
from learner.train.spec import Probe
from storage.records import Cycle
from tests.faults.fans import LIKED, votes
from tests.faults.scripted_engine import ScriptedEngine, hang, scripted_engine
from tests.learner.world import learner, offer

CANDIDATE = "r1-00000001"
PROBE = [11, 12, 13, 14]


@dataclass
class Stage:
    """A cycle that has come to its evaluation."""

    context: Context
    engine: ScriptedEngine
    cycle: Cycle
    dataset_id: str
    suites: Path

    async def judge(self) -> tuple[Evaluated, Choice]:
        evaluated = await self.evaluate()
        return evaluated, await self.decide(evaluated)

    async def evaluate(self) -> Evaluated:
        served = [[self.engine.logprob(name, token) for token in PROBE[1:]] for name in ("base", CANDIDATE)]
        probes = {CANDIDATE: [Probe(PROBE, *served)]}
        return await evaluate(self.context, self.cycle, self.dataset_id, probes, "base")

    async def decide(self, evaluated: Evaluated) -> Choice:
        return choose(await cases(self.context, evaluated), self.context.settings.gate)


def write_suites(folder: Path) -> None:
    folder.mkdir(parents=True)
    asked = (Turn("user", "Which one?"),)
    plain = [Item(f"plain-{n}", f"plain-{n}", "test", text=f"Number {n} is a number.") for n in range(6)]
    facts = [
        Item(f"facts-{n}", f"facts-{n}", "test", prompt=asked, choices=(f"It is {n}.", "None."), answer=n % 2) for n in range(6)
    ]
    write_suite(folder / "plain", Header("a test", "text", 1, 0.05, False), plain)
    write_suite(folder / "facts", Header("a test", "choice", 1, 0.05, False), facts)
    freeze(folder)


@asynccontextmanager
async def stage(tmp_path: Path, model_dir: Path, base: Path, taught: Path) -> AsyncIterator[Stage]:
    """Where the candidate is better for people, and no worse on any suite."""
    write_suites(tmp_path / "suites")
    (tmp_path / "home").mkdir()
    async with (
        scripted_engine({CANDIDATE: dict.fromkeys((*LIKED, *PROBE), 0.3)}) as engine,
        Engines.of([engine.url]) as client,
        learner(tmp_path / "home", model_dir, base) as context,
    ):
        context.engine = client
        gate = GateSettings(min_heldout_votes=8)
        context.settings = msgspec.structs.replace(
            context.settings,
            gate=gate,
            suites=str(tmp_path / "suites"),
            train=msgspec.structs.replace(context.settings.train, rank=16),
            evaluation_time_limit_s=120,
        )
        yield Stage(context, engine, *await furnish(context, taught), tmp_path / "suites")


async def furnish(context: Context, taught: Path) -> tuple[Cycle, str]:
    """A cycle with its dataset and its candidate."""
    write_rows(context.home / "rows.jsonl", votes())
    shutil.copytree(taught, context.artifacts.adapter_dir(CANDIDATE))
    return await offer(context, CANDIDATE, context.home / "rows.jsonl")


Spoil = Callable[[Stage], Awaitable[tuple[Evaluated, Choice]]]


async def is_whole(stage: Stage) -> tuple[Evaluated, Choice]:
    return await stage.judge()


async def loses_a_score(stage: Stage) -> tuple[Evaluated, Choice]:
    evaluated = await stage.evaluate()
    await execute(stage, "DELETE FROM scores WHERE item_id = 'plain-3'")
    return evaluated, await stage.decide(evaluated)


async def is_raised_in_the_database(stage: Stage) -> tuple[Evaluated, Choice]:
    evaluated = await stage.evaluate()
    await execute(stage, "UPDATE scores SET value = value + 0.01 WHERE item_id = 'plain-3'")
    return evaluated, await stage.decide(evaluated)


async def has_another_suite_by_now(stage: Stage) -> tuple[Evaluated, Choice]:
    evaluated = await stage.evaluate()
    items = stage.suites / "plain" / "items.jsonl"
    items.write_text(items.read_text().replace("Number 3", "Number three"))
    freeze(stage.suites)
    return evaluated, await stage.decide(evaluated)


async def has_a_changed_suite(stage: Stage) -> tuple[Evaluated, Choice]:
    evaluated = await stage.evaluate()
    items = stage.suites / "plain" / "items.jsonl"
    items.write_text(items.read_text().replace("Number 3", "Number three"))
    return evaluated, await stage.decide(evaluated)


async def takes_too_long(stage: Stage) -> tuple[Evaluated, Choice]:
    stage.context.settings = msgspec.structs.replace(stage.context.settings, evaluation_time_limit_s=20)
    stage.engine.before_scoring = after_the_proof(hang)
    return await stage.judge()


async def gives_what_is_no_number(stage: Stage) -> tuple[Evaluated, Choice]:
    stage.engine.before_scoring = after_the_proof(lambda engine: spoil(engine, math.nan))
    return await stage.judge()


async def gives_more_than_certainty(stage: Stage) -> tuple[Evaluated, Choice]:
    async def brag(engine: ScriptedEngine) -> None:
        engine.likes["base"] = dict.fromkeys(range(100_000), 5.0)  # every token there is

    stage.engine.before_scoring = after_the_proof(brag)
    return await stage.judge()


async def was_of_another_adapter(stage: Stage) -> tuple[Evaluated, Choice]:
    served = [[stage.engine.logprob(name, token) for token in PROBE[1:]] for name in ("base", CANDIDATE)]
    stage.engine.serves = {CANDIDATE: "base"}
    evaluated = await evaluate(stage.context, stage.cycle, stage.dataset_id, {CANDIDATE: [Probe(PROBE, *served)]}, "base")
    return evaluated, await stage.decide(evaluated)


async def is_of_another_adapter_at_its_end(stage: Stage) -> tuple[Evaluated, Choice]:
    async def swap(engine: ScriptedEngine) -> None:
        engine.serves = {CANDIDATE: "base"}

    stage.engine.before_scoring = amid_the_suites(swap)
    return await stage.judge()


def after_the_proof(act: Callable[[ScriptedEngine], Awaitable[None]]) -> Callable[[ScriptedEngine], Awaitable[None]]:
    return _from(2, act)


def amid_the_suites(act: Callable[[ScriptedEngine], Awaitable[None]]) -> Callable[[ScriptedEngine], Awaitable[None]]:
    return _from(8, act)


def _from(number: int, act: Callable[[ScriptedEngine], Awaitable[None]]) -> Callable[[ScriptedEngine], Awaitable[None]]:
    async def before(engine: ScriptedEngine) -> None:
        if engine.asked >= number:
            await act(engine)

    return before


async def spoil(engine: ScriptedEngine, logprob: float) -> None:
    engine.spoilt = logprob


async def execute(stage: Stage, statement: str) -> None:
    async def run(connection: AsyncConnection) -> None:
        await connection.execute(text(statement))

    await stage.context.database.write(run)


@pytest.mark.parametrize(
    ("way", "verdict", "said"),
    [
        (is_whole, Verdict.PROMOTE, "held-out votes: the share of thumbs up would change by +"),
        (loses_a_score, Verdict.INCONCLUSIVE, "plain: live has no proper score"),
        (is_raised_in_the_database, Verdict.INCONCLUSIVE, "plain: live has no proper score"),
        (has_another_suite_by_now, Verdict.INCONCLUSIVE, "plain changed since it was scored"),
        (has_a_changed_suite, Verdict.INCONCLUSIVE, "suite 'plain' has changed since it was frozen"),
        (takes_too_long, Verdict.INCONCLUSIVE, "took longer than its limit of 20 s"),
        (gives_what_is_no_number, Verdict.INCONCLUSIVE, "it could not be evaluated"),
        (gives_more_than_certainty, Verdict.INCONCLUSIVE, "plain: live has "),
        (was_of_another_adapter, Verdict.INCONCLUSIVE, "expected nearer to the candidate"),
        (is_of_another_adapter_at_its_end, Verdict.INCONCLUSIVE, "expected nearer to the candidate"),
    ],
)
def test_an_evaluation_that(
    way: Spoil, verdict: Verdict, said: str, tmp_path: Path, model_dir: Path, base_adapter: Path, taught: Path
) -> None:
    async def body() -> None:
        async with stage(tmp_path, model_dir, base_adapter, taught) as ready:
            _, choice = await way(ready)
        assert choice.verdict is verdict, choice.reasons
        assert any(said in reason for reason in choice.reasons), choice.reasons

    asyncio.run(body())


def test_a_candidate_that_the_votes_refuse_costs_no_suite_unless_asked_for(
    tmp_path: Path, model_dir: Path, base_adapter: Path, taught: Path
) -> None:
    async def body(always: bool) -> tuple[Evaluated, Choice]:
        async with stage(tmp_path / str(always), model_dir, base_adapter, taught) as ready:
            gate = msgspec.structs.replace(ready.context.settings.gate, always_score_suites=always, min_heldout_votes=1000)
            ready.context.settings = msgspec.structs.replace(ready.context.settings, gate=gate)
            return await ready.judge()

    evaluated, choice = asyncio.run(body(always=False))
    assert (evaluated.scored, choice.verdict, choice.suites) == ([], Verdict.INCONCLUSIVE, {})
    evaluated, choice = asyncio.run(body(always=True))
    assert (evaluated.scored, choice.verdict, set(choice.suites)) == ([CANDIDATE], Verdict.INCONCLUSIVE, {"facts", "plain"})
