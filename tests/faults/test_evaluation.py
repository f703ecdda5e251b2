"""Whatever keeps an evaluation from being whole and true ends in `inconclusive`, and nothing goes live."""

from __future__ import annotations

import asyncio
import math
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
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
from learner.evaluate.kept import known_scores
from learner.evaluate.stage import Evaluated, cases, evaluate
from learner.evaluate.suite import Header, Item, Turn, freeze, write_suite
from learner.gate import Choice, Verdict, choose
from learner.rows import Row, write_rows
from learner.train.spec import Probe
from storage.records import Cycle
from tests.faults.fans import LIKED, RANK, votes
from tests.faults.scripted_engine import ScriptedEngine, hang, scripted_engine
from tests.learner.world import learner, offer

pytestmark = pytest.mark.usefixtures("computes_here")  # but for `evaluated`, which is made as in a service
CANDIDATE = "r1-00000001"
PROBE = [11, 12, 13, 14]


@dataclass
class Stage:
    """A cycle that has come to its evaluation."""

    context: Context
    engine: ScriptedEngine
    cycle: Cycle
    dataset_id: str

    async def judge(self) -> Choice:
        return await decide(self.context, await self.evaluate())

    async def evaluate(self) -> Evaluated:
        served = [[self.engine.logprob(name, token) for token in PROBE[1:]] for name in ("base", CANDIDATE)]
        probes = {CANDIDATE: [Probe(PROBE, *served)]}
        return await evaluate(self.context, self.cycle, self.dataset_id, probes, "base")


async def decide(context: Context, evaluated: Evaluated) -> Choice:
    return choose(await cases(context, evaluated), context.settings.gate)


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
async def opened(folder: Path, model_dir: Path, base: Path) -> AsyncIterator[tuple[Context, ScriptedEngine]]:
    """A learner with the suites of a folder, and an engine in which the candidate is better for people, and no worse on any."""
    async with (
        scripted_engine({CANDIDATE: dict.fromkeys((*LIKED, *PROBE), 0.3)}) as engine,
        Engines.of([engine.url]) as client,
        learner(folder / "home", model_dir, base) as context,
    ):
        context.engine = client
        gate = GateSettings(min_heldout_votes=8)
        context.settings = msgspec.structs.replace(
            context.settings,
            gate=gate,
            suites=str(folder / "suites"),
            train=msgspec.structs.replace(context.settings.train, rank=RANK),
            evaluation_time_limit_s=120,
        )
        yield context, engine


@asynccontextmanager
async def stage(folder: Path, model_dir: Path, base: Path, taught: Path, earlier: Sequence[Row] = ()) -> AsyncIterator[Stage]:
    """A cycle of a new home, with its dataset and its candidate."""
    write_suites(folder / "suites")
    (folder / "home").mkdir()
    async with opened(folder, model_dir, base) as (context, engine):
        write_rows(context.home / "rows.jsonl", [*votes(), *earlier])
        shutil.copytree(taught, context.artifacts.adapter_dir(CANDIDATE))
        yield Stage(context, engine, *await offer(context, CANDIDATE, context.home / "rows.jsonl"))


@pytest.fixture(scope="module")
def evaluated(
    tmp_path_factory: pytest.TempPathFactory, small_model: Path, small_base: Path, taught: Path
) -> tuple[Path, Evaluated]:
    """A whole evaluation, and the folder that has its home and its suites: to be copied."""
    folder = tmp_path_factory.mktemp("evaluated")

    async def body() -> Evaluated:
        async with stage(folder, small_model, small_base, taught) as ready:
            return await ready.evaluate()

    return folder, asyncio.run(body())


Meddle = Callable[[Context], Awaitable[None]]


async def is_whole(context: Context) -> None:
    pass


async def loses_a_score(context: Context) -> None:
    await execute(context, "DELETE FROM scores WHERE item_id = 'plain-3'")


async def is_raised_in_the_database(context: Context) -> None:
    await execute(context, "UPDATE scores SET value = value + 0.01 WHERE item_id = 'plain-3'")


async def has_another_suite_by_now(context: Context) -> None:
    await has_a_changed_suite(context)
    freeze(suites_of(context))


async def has_a_changed_suite(context: Context) -> None:
    items = suites_of(context) / "plain" / "items.jsonl"
    items.write_text(items.read_text().replace("Number 3", "Number three"))


def suites_of(context: Context) -> Path:
    assert context.settings.suites is not None
    return Path(context.settings.suites)


async def execute(context: Context, statement: str) -> None:
    async def run(connection: AsyncConnection) -> None:
        await connection.execute(text(statement))

    await context.database.write(run)


@pytest.mark.parametrize(
    ("meddle", "verdict", "said"),
    [
        (is_whole, Verdict.PROMOTE, "held-out votes: the share of thumbs up would change by +"),
        (loses_a_score, Verdict.INCONCLUSIVE, "plain: live has no proper score"),
        (is_raised_in_the_database, Verdict.INCONCLUSIVE, "plain: live has no proper score"),
        (has_another_suite_by_now, Verdict.INCONCLUSIVE, "plain changed since it was scored"),
        (has_a_changed_suite, Verdict.INCONCLUSIVE, "suite 'plain' has changed since it was frozen"),
    ],
)
def test_an_evaluation_that_when_it_is_judged(
    meddle: Meddle,
    verdict: Verdict,
    said: str,
    tmp_path: Path,
    small_model: Path,
    small_base: Path,
    evaluated: tuple[Path, Evaluated],
) -> None:
    shutil.copytree(evaluated[0], tmp_path / "copy")

    async def body() -> Choice:
        async with opened(tmp_path / "copy", small_model, small_base) as (context, _):
            await meddle(context)
            return await decide(context, evaluated[1])

    assert_says(asyncio.run(body()), verdict, said)


Spoil = Callable[[Stage], Awaitable[Choice]]


async def takes_too_long(stage: Stage) -> Choice:
    stage.context.settings = msgspec.structs.replace(stage.context.settings, evaluation_time_limit_s=5)
    stage.engine.before_scoring = after_the_proof(hang)
    return await stage.judge()


async def gives_what_is_no_number(stage: Stage) -> Choice:
    stage.engine.before_scoring = after_the_proof(lambda engine: spoil(engine, math.nan))
    return await stage.judge()


async def gives_more_than_certainty(stage: Stage) -> Choice:
    async def brag(engine: ScriptedEngine) -> None:
        engine.likes["base"] = dict.fromkeys(range(100_000), 5.0)  # every token there is

    stage.engine.before_scoring = after_the_proof(brag)
    return await stage.judge()


async def was_of_another_adapter(stage: Stage) -> Choice:
    served = [[stage.engine.logprob(name, token) for token in PROBE[1:]] for name in ("base", CANDIDATE)]
    stage.engine.serves = {CANDIDATE: "base"}
    evaluated = await evaluate(stage.context, stage.cycle, stage.dataset_id, {CANDIDATE: [Probe(PROBE, *served)]}, "base")
    return await decide(stage.context, evaluated)


async def is_of_another_adapter_at_its_end(stage: Stage) -> Choice:
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


@pytest.mark.parametrize(
    ("way", "said"),
    [
        (takes_too_long, "took longer than its limit of 5 s"),
        (gives_what_is_no_number, "it could not be evaluated"),
        (gives_more_than_certainty, "plain: live has "),
        (was_of_another_adapter, "expected nearer to the candidate"),
        (is_of_another_adapter_at_its_end, "expected nearer to the candidate"),
    ],
)
def test_an_evaluation_that(way: Spoil, said: str, tmp_path: Path, small_model: Path, small_base: Path, taught: Path) -> None:
    async def body() -> Choice:
        async with stage(tmp_path, small_model, small_base, taught) as ready:
            return await way(ready)

    assert_says(asyncio.run(body()), Verdict.INCONCLUSIVE, said)


def assert_says(choice: Choice, verdict: Verdict, said: str) -> None:
    assert choice.verdict is verdict, choice.reasons
    assert any(said in reason for reason in choice.reasons), choice.reasons


def test_votes_on_answers_of_another_version_do_not_judge_and_are_told_of(
    tmp_path: Path, small_model: Path, small_base: Path, taught: Path
) -> None:
    """These would refuse it: on the same answers people said the opposite."""
    earlier = [msgspec.structs.replace(vote, id=f"r0-{vote.id}", label=-vote.label, drawn_by="r0") for vote in votes()]

    async def body() -> tuple[Evaluated, Choice]:
        async with stage(tmp_path, small_model, small_base, taught, earlier) as ready:
            evaluated = await ready.evaluate()
            return evaluated, await decide(ready.context, evaluated)

    evaluated, choice = asyncio.run(body())
    assert choice.verdict is Verdict.PROMOTE, choice.reasons
    assert [vote.id for vote in evaluated.judging] == [vote.id for vote in votes()]
    assert all({"base", CANDIDATE} <= vote.means.keys() for vote in evaluated.votes) and len(evaluated.votes) == 2 * len(votes())


def test_a_candidate_that_the_votes_refuse_costs_no_suite_unless_asked_for(
    tmp_path: Path, small_model: Path, small_base: Path, taught: Path
) -> None:
    async def body(always: bool) -> tuple[Evaluated, Choice]:
        async with stage(tmp_path / str(always), small_model, small_base, taught) as ready:
            gate = msgspec.structs.replace(ready.context.settings.gate, always_score_suites=always, min_heldout_votes=1000)
            ready.context.settings = msgspec.structs.replace(ready.context.settings, gate=gate)
            evaluated = await ready.evaluate()
            known = await known_scores(ready.context, ["base", CANDIDATE], ready.context.suites())
            scored = {name for name, by_suite in known.items() if by_suite.keys() == {"facts", "plain"}}
            assert scored == {"base", *evaluated.scored}  # what the next cycle needs of base is there
            return evaluated, await decide(ready.context, evaluated)

    evaluated, choice = asyncio.run(body(always=False))
    assert (evaluated.scored, choice.verdict, choice.suites) == ([], Verdict.INCONCLUSIVE, {})
    evaluated, choice = asyncio.run(body(always=True))
    assert (evaluated.scored, choice.verdict, set(choice.suites)) == ([CANDIDATE], Verdict.INCONCLUSIVE, {"facts", "plain"})
