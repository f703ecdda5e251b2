"""Cycles as they are in the database when they have ended, for tests of what is told about them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from learner.collect import Collected
from learner.context import Context
from learner.curate.dataset import Curated
from learner.evaluate.stage import Evaluated, VotedAnswer
from learner.gate import Choice, SuiteComparison, Verdict, VoteComparison
from learner.train.spec import METRICS, Probe, Step
from learner.train.stage import Candidate, Trained
from storage import cycles, datasets
from storage.records import Cycle, CycleState, Dataset, DatasetRow, StageName, SuiteRecord
from storage.suites import ensure_suite
from tests.learner.world import Talker, make_live

FACTS = SuiteRecord("5" * 64, "facts", 1, "choice", 10, 0.02, False, 1.0)
GAINED = VoteComparison(0.1, 0.4, 0.3, 0.05)


def answers(person: Talker) -> list[str]:
    return [id for id in person.ids if id.startswith("chatcmpl")]


def judged(people: Sequence[Talker], worth: dict[str, float]) -> list[VotedAnswer]:
    """Every vote of these people, under versions whose margin on them is as given."""
    return [
        VotedAnswer(id, person.id, label, {version: -2 + label * margin / 2 for version, margin in worth.items()})
        for person in people
        for id, label in zip(answers(person), (1, -1, 1, -1), strict=True)
    ]


async def keep(context: Context, cycle: Cycle, outputs: dict[StageName, Struct]) -> None:
    async def write(connection: AsyncConnection) -> None:
        for name, output in outputs.items():
            await cycles.start_stage(connection, cycle.id, name, 10.0)
            await cycles.finish_stage(connection, cycle.id, name, 12.5, msgspec.to_builtins(output))

    await context.database.write(write)


async def promoted(context: Context, people: Sequence[Talker], worth: dict[str, float], live: str) -> Cycle:
    """A cycle that was judged by these people's votes, and whose candidate, the last of `worth`, went live."""
    cycle = await context.database.write(lambda c: cycles.insert_cycle(c, "operator", "mixed", 1.0))
    name, dataset_id = list(worth)[-1], f"{cycle.id:064}"
    rows = [DatasetRow(dataset_id, 100, answers(people[0])[0], people[0].id, "thumb", "dropped", 0.0, "cap")]
    rows += [
        DatasetRow(dataset_id, number, id, person.id, "thumb", "heldout", 1.0)
        for number, (person, id) in enumerate((person, id) for person in people for id in answers(person))
    ]
    dataset = Dataset(dataset_id, cycle.id, "", len(rows) - 1, 2.0, {"cap": 1})
    await context.database.write(lambda c: datasets.insert_dataset(c, dataset, rows))
    await context.database.write(lambda c: ensure_suite(c, FACTS))
    await make_live(context, name, live, dataset_id, cycle.id)
    compared = {"facts": SuiteComparison(0.6, 0.59, -0.01, -0.015, FACTS.margin, won=1, lost=2)}
    await keep(
        context,
        cycle,
        {
            StageName.COLLECT: Collected(9, len(people) * 4, len(people)),
            StageName.CURATE: Curated(dataset_id, 0, len(rows) - 1, 0, {"cap": 1}),
            StageName.TRAIN: Trained(
                [Candidate(name, "", 12, 3.5, 0.7, {"kl_base": 0.1}, "")],
                parent=live,
                against=live,
                replaced=live,
                probes={name: [Probe([1, 2], [-0.5], [-0.4])]},
            ),
            StageName.EVALUATE: Evaluated([name], live, {"facts": "5" * 64}, judged(people, worth), 2.0, 0.0125, [name]),
            StageName.GATE: Choice(Verdict.PROMOTE, ("liked answers gained",), compared, GAINED, name, {}),
        },
    )
    metrics = context.folder(cycle.id) / "train" / METRICS
    metrics.parent.mkdir(exist_ok=True)
    steps = [Step(n, 20, 1.0 / n, 12.0, {"thumb": 0.7, "kl": 0.01 * n, "margin": 0.1}) for n in range(1, 21)]
    metrics.write_bytes(b"".join(msgspec.json.encode(step) + b"\n" for step in steps))
    ended = {"state": CycleState.PROMOTED, "ended_at_s": 20.0, "adapter": name, "reasons": ("liked answers gained",)}
    await context.database.write(lambda c: cycles.update_cycle(c, cycle.id, **ended))
    found = await context.database.read(lambda c: cycles.select_cycle(c, cycle.id))
    assert found is not None
    return found


async def two_cycles(context: Context, people: list[Talker]) -> tuple[Cycle, Cycle]:
    """Two people's votes judge the first, and all four people's the second, which loses half of what the first gained."""
    first = await promoted(context, people[:2], {"base": 0.0, "r1-00000001": 1.0}, "base")
    worth = {"base": 0.2, "r1-00000001": 1.0, "r2-00000002": 0.5}
    return first, await promoted(context, people, worth, "r1-00000001")
