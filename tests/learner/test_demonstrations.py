"""Of demonstrations: each cycle learns from a few, by the mixture of their domains, and only from those that are clean; and
of the stage around them: its dataset proves what it was checked against, and is the same again."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from learner.collect import collect
from learner.context import Context, StageError
from learner.curate.dataset import Curated, curate
from learner.curate.demonstrations import draw
from learner.curate.tools import Tools
from learner.evaluate.suite import load_suites
from learner.preview import preview
from learner.rows import Row, RowKind, Split, read_rows
from learner.train.stage import check_proved
from storage import cycles, datasets
from storage.documents import insert_documents
from storage.people import insert_person, update_consent
from storage.records import Cycle, Document, DocumentKind, Person
from tests.learner.tiny import LetterTokens
from tests.learner.voters import TOPICS
from tests.learner.world import Talker, learner

ITEM = next(item.prompt[-1].content for suite in load_suites() for item in suite.items if item.prompt)
Body = Callable[[Context], Awaitable[None]]


@pytest.fixture
def run(model_dir: Path, zero_dir: Path, tmp_path: Path) -> Callable[[Body], None]:
    """Runs something with a learner of a new home, whose rows may be longer than elsewhere."""

    async def go(body: Body) -> None:
        home = tmp_path / "home"
        home.mkdir()
        async with learner(home, model_dir, zero_dir) as context:
            train = msgspec.structs.replace(context.settings.train, max_row_tokens=300)
            context.settings = msgspec.structs.replace(context.settings, train=train)
            await body(context)

    return lambda body: asyncio.run(go(body))


def shown(number: int, domain: str, question: str = "", answer: str = "", person_id: str | None = None) -> Document:
    """A demonstration unlike any other."""
    words = random.Random(number).sample(TOPICS, 8)
    asked, said = f"What have {words[0]} and {words[1]} in common?", f"Both have to do with {' and '.join(words[2:])}."
    content = [{"role": "user", "content": question or asked}, {"role": "assistant", "content": answer or said}]
    return Document(f"doc-{number}", DocumentKind.DEMONSTRATION, domain, "en", "test", "", person_id, content, 1.0)


async def begin(context: Context) -> Cycle:
    return await context.database.write(lambda connection: cycles.insert_cycle(connection, "test", "mixed", 9.0))


async def drawn(context: Context) -> tuple[list[Row], list[str]]:
    """Rows, and the reasons of what is left out."""
    rows, _, dropped = await draw(context, await begin(context), Tools(context).chooser.cleaner)
    return rows, [drop.reason for drop in dropped]


async def curated(context: Context) -> tuple[Cycle, Curated]:
    cycle = await begin(context)
    await collect(context, cycle)
    return cycle, await curate(context, cycle, "base")


def test_a_cycle_learns_from_as_many_of_each_domain_as_the_mixture_says(run: Callable[[Body], None]) -> None:
    async def body(context: Context) -> None:
        many = [shown(number, "large" if number < 200 else "small") for number in range(210)]
        await context.database.write(lambda connection: insert_documents(connection, many))
        domains = {document.id: document.domain for document in many}
        curate = msgspec.structs.replace(context.settings.curate, demonstrations=20, mixing={"small": 0.25})
        context.settings = msgspec.structs.replace(context.settings, curate=curate)
        first, second = (await drawn(context))[0], (await drawn(context))[0]
        for rows in (first, second):
            assert Counter(domains[row.id] for row in rows) == {"large": 15, "small": 5}
            assert {(row.kind, row.split, row.weight) for row in rows} == {(RowKind.DEMONSTRATION, Split.TRAIN, 1.0)}
        assert {row.id for row in first} != {row.id for row in second}, "another cycle draws others"
        by_id = {document.id: document.content for document in many}
        for row in first:
            content: list[dict[str, str]] = by_id[row.id]  # type: ignore[assignment]
            assert LetterTokens().decode(row.answer_ids) == content[-1]["content"] + "\0"
        context.settings = msgspec.structs.replace(context.settings, curate=msgspec.structs.replace(curate, mixing={"small": 2.0}))
        with pytest.raises(StageError, match="small"):
            await drawn(context)

    run(body)


def test_what_is_not_clean_or_not_allowed_is_left_out(run: Callable[[Body], None]) -> None:
    async def body(context: Context) -> None:
        async def settle(connection: object) -> None:
            await insert_person(connection, Person("shy", "shy", 1.0))  # type: ignore[arg-type]
            await update_consent(connection, "shy", False)  # type: ignore[arg-type]
            await insert_documents(connection, unclean)  # type: ignore[arg-type]

        unclean = [
            shown(1, "a", question=ITEM),
            shown(2, "a", answer="Her address is ann.lee@example.org, as far as I know, and she answers every day."),
            shown(3, "a", answer="word " * 400),
            shown(4, "a", person_id="shy"),
            msgspec.structs.replace(shown(5, "a"), content=[{"role": "user", "content": "Only a question?"}]),
            msgspec.structs.replace(shown(6, "a"), kind=DocumentKind.CHAT),
        ]
        await context.database.write(settle)
        rows, reasons = await drawn(context)
        assert [row.id for row in rows] == ["doc-2"]
        assert "example.org" not in LetterTokens().decode(rows[0].answer_ids)
        assert "overlaps a frozen eval item" in reasons and "does not end with an answer" in reasons and len(reasons) == 3

    run(body)


def test_the_dataset_holds_votes_and_demonstrations_and_proves_what_it_was_checked_against(run: Callable[[Body], None]) -> None:
    async def body(context: Context) -> None:
        await context.database.write(lambda connection: insert_documents(connection, [shown(n, "a") for n in range(3)]))
        for _ in range(3):
            await context.database.write(Talker().talk)
        _, made = await curated(context)
        dataset = await context.database.read(lambda connection: datasets.select_dataset(connection, made.dataset_id))
        assert dataset is not None
        assert dataset.suites == {suite.name: suite.sha256 for suite in load_suites()}
        assert {"curate", "policy", "max_row_tokens"} <= dataset.recipe.keys()
        kinds = Counter(row.kind for row in read_rows(await context.dataset_file(dataset.id)))
        assert kinds == {RowKind.THUMB: 12, RowKind.DEMONSTRATION: 3} and made.train == 15
        await check_proved(context, dataset.id)

        async def unprove(connection: object) -> None:
            cycle = await cycles.insert_cycle(connection, "test", "mixed", 9.0)  # type: ignore[arg-type]
            less = msgspec.structs.replace(dataset, id="unproved", cycle_id=cycle.id, suites=dict(list(dataset.suites.items())[1:]))
            await datasets.insert_dataset(connection, less, [])  # type: ignore[arg-type]

        await context.database.write(unprove)
        with pytest.raises(StageError, match=f"not proved to be free of the items of {next(iter(dataset.suites))}"):
            await check_proved(context, "unproved")

    run(body)


def test_the_same_records_and_settings_give_the_same_file_to_the_byte(model_dir: Path, zero_dir: Path, tmp_path: Path) -> None:
    people = [Talker() for _ in range(3)]
    ids = iter(f"{number:024x}" for number in range(10**6))

    async def make(home: Path) -> str:
        home.mkdir()
        async with learner(home, model_dir, zero_dir) as context:
            for person in people:
                await context.database.write(person.talk)
            return (await curated(context))[1].dataset_id

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.learner.world.new_id", lambda prefix: f"{prefix}-{next(ids)}")
        first = asyncio.run(make(tmp_path / "one"))
        ids = iter(f"{number:024x}" for number in range(10**6))
        assert asyncio.run(make(tmp_path / "two")) == first


def test_a_dry_run_says_what_would_be_learnt_and_changes_nothing(run: Callable[[Body], None]) -> None:
    async def body(context: Context) -> None:
        empty = await preview(context)
        assert (empty.answers, empty.would_learn) == (0, False)
        for _ in range(3):
            await context.database.write(Talker().talk)
        found = await preview(context)
        assert (found.answers, found.train, found.liked, found.disliked, found.people) == (12, 12, 6, 6, 3)
        assert found.would_learn and 0 < found.effective <= 12
        assert [text.partition(" of ")[2].partition(" ")[2] for text in found.missing] == [
            "independent votes", "votes of the rarer kind", "people",
        ]  # fmt: skip
        assert await context.database.read(lambda connection: cycles.select_cycles(connection, limit=5)) == []
        assert await preview(context) == found
        _, made = await curated(context)
        assert (made.train, made.heldout, made.effective) == (found.train, found.heldout, found.effective)

    run(body)


def test_rows_of_earlier_datasets_are_held_against_todays_suites(run: Callable[[Body], None]) -> None:
    async def body(context: Context) -> None:
        def row(id: str, asked: str) -> Row:
            ids = tuple(LetterTokens().prompt([("user", asked)]))
            return Row(id, "ann", RowKind.THUMB, Split.TRAIN, 1.0, ids, tuple(LetterTokens().answer("Yes.")), label=1)

        rows = [row("frozen", ITEM), row("free", "Which shoes go with a green raincoat?")]
        assert [one.id for one in Tools(context).without_items(rows)] == ["free"]

    run(body)
