"""Of documents: each cycle learns from those that its method reads, by the mixture of their domains, and only from what is
clean; and of the stage around them: its dataset proves what it was checked against, and is the same again."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from learner.collect import collect
from learner.context import Context, NothingToLearn, StageError
from learner.curate.dataset import Curated, curate
from learner.curate.documents import KINDS, draw
from learner.curate.tools import Tools
from learner.evaluate.suite import load_suites
from learner.preview import preview
from learner.rows import Row, RowKind, Split, read_rows
from learner.train.methods import READS
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


def of_kind(kind: DocumentKind, number: int, content: object, domain: str = "a", source: str = "test") -> Document:
    return Document(f"{kind.value}-{number}", kind, domain, "en", source, "", None, content, 1.0)


def chat(number: int) -> Document:
    """Two questions with their answers."""
    turns = [
        turn for part in (2 * number, 2 * number + 1) for turn in msgspec.convert(shown(part, "a").content, list[dict[str, str]])
    ]
    return of_kind(DocumentKind.CHAT, number, turns)


def pair(number: int) -> Document:
    asked, chosen = msgspec.convert(shown(number, "a").content, list[dict[str, str]])
    content = {"prompt": [asked], "chosen": chosen["content"], "rejected": "I cannot say what they have in common."}
    return of_kind(DocumentKind.PREFERENCE, number, content)


def text(number: int, sentences: int = 4, domain: str = "a", source: str = "test") -> Document:
    chance = random.Random(number)
    told = " ".join(f"{' '.join(chance.sample(TOPICS, 8)).capitalize()}." for _ in range(sentences))
    return of_kind(DocumentKind.CORPUS, number, told, domain, source)


async def begin(context: Context, method: str = "mixed", corpus: str = "") -> Cycle:
    return await context.database.write(lambda connection: cycles.insert_cycle(connection, "test", method, 9.0, corpus))


async def drawn(context: Context, method: str = "mixed", corpus: str = "") -> tuple[list[Row], list[str]]:
    """Rows, and the reasons of what is left out."""
    rows, _, dropped = await draw(context, await begin(context, method, corpus), Tools(context).chooser.cleaner)
    return rows, [drop.reason for drop in dropped]


async def curated(context: Context, method: str = "mixed") -> tuple[Cycle, Curated]:
    cycle = await begin(context, method)
    await collect(context, cycle)
    return cycle, await curate(context, cycle, "base")


async def rows_of(context: Context, made: Curated) -> list[Row]:
    return list(read_rows(await context.dataset_file(made.dataset_id)))


async def fill(context: Context, *found: Document) -> None:
    await context.database.write(lambda connection: insert_documents(connection, found))


def set_curation(context: Context, **fields: object) -> None:
    curation = msgspec.structs.replace(context.settings.curate, **fields)
    context.settings = msgspec.structs.replace(context.settings, curate=curation)


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
        empty = await preview(context, "mixed")
        assert (empty.answers, empty.would_learn) == (0, False)
        for _ in range(3):
            await context.database.write(Talker().talk)
        found = await preview(context, "mixed")
        assert (found.answers, found.train, found.liked, found.disliked, found.people) == (12, 12, 6, 6, 3)
        assert found.would_learn and 0 < found.effective <= 12
        assert [text.partition(" of ")[2].partition(" ")[2] for text in found.missing] == [
            "independent votes", "votes of the rarer kind", "people",
        ]  # fmt: skip
        assert await context.database.read(lambda connection: cycles.select_cycles(connection, limit=5)) == []
        assert await preview(context, "mixed") == found
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


def test_every_method_with_documents_reads_the_rows_that_they_make() -> None:
    makes = {
        DocumentKind.DEMONSTRATION: RowKind.DEMONSTRATION, DocumentKind.CHAT: RowKind.DEMONSTRATION,
        DocumentKind.PREFERENCE: RowKind.PREFERENCE, DocumentKind.CORPUS: RowKind.TEXT,
    }  # fmt: skip
    assert all(makes[kind] in READS[method] for method, kinds in KINDS.items() for kind in kinds)


def test_a_chat_is_a_row_for_each_of_its_answers_and_a_pair_is_a_preference(run: Callable[[Body], None]) -> None:
    async def body(context: Context) -> None:
        await fill(context, shown(50, "a"), chat(1), pair(7), text(1))
        tokens = LetterTokens()
        rows, _ = await drawn(context, "sft")
        turns = msgspec.convert(chat(1).content, list[dict[str, str]])
        by_id = {row.id: row for row in rows}
        assert by_id.keys() == {"doc-50", "chat-1#1", "chat-1#3"} and {row.kind for row in rows} == {RowKind.DEMONSTRATION}
        before = [(turn["role"], turn["content"]) for turn in turns[:3]]
        assert list(by_id["chat-1#3"].prompt_ids) == tokens.prompt(before)
        assert list(by_id["chat-1#3"].answer_ids) == tokens.answer(turns[3]["content"])
        for method in ("dpo", "reward"):
            [row], _ = await drawn(context, method)
            assert (row.id, row.kind, row.label, row.split) == ("preference-7", RowKind.PREFERENCE, 0, Split.TRAIN)
            assert tokens.decode(row.better_ids).startswith("Both have to do with ")
            assert tokens.decode(row.answer_ids) == "I cannot say what they have in common.\0"
        assert {row.id for row in (await drawn(context))[0]} == {"doc-50", "preference-7"}, "mixed learns from a few of either"
        assert (await drawn(context, "kto")) == ([], [])

    run(body)


def test_a_corpus_is_pieces_that_fit_and_some_documents_only_measure(run: Callable[[Body], None]) -> None:
    async def body(context: Context) -> None:
        many = [text(number, 12) for number in range(40)]
        await fill(context, *many, msgspec.structs.replace(text(40), content={"no": "text"}))
        set_curation(context, text_heldout_share=0.3)
        rows, dropped = await drawn(context, "cpt")
        assert {row.kind for row in rows} == {RowKind.TEXT} and {row.prompt_ids for row in rows} == {()}
        assert 200 < max(len(row.answer_ids) for row in rows) <= context.settings.train.max_row_tokens
        pieces = sorted((row for row in rows if row.id.startswith("corpus-3#")), key=lambda row: int(row.id.partition("#")[2]))
        assert LetterTokens().decode([id for row in pieces for id in row.answer_ids]) == many[3].content
        sides = {row.id.partition("#")[0]: row.split for row in rows}
        assert all(sides[row.id.partition("#")[0]] is row.split for row in rows), "a document is on one side"
        assert 4 <= list(sides.values()).count(Split.HELDOUT) <= 20
        assert dropped == ["is not of the form of its kind"]
        set_curation(context, documents=7)
        assert len((await drawn(context, "cpt"))[0]) == 7

    run(body)


def test_a_cycle_that_names_a_corpus_learns_from_that_alone(run: Callable[[Body], None]) -> None:
    async def body(context: Context) -> None:
        await fill(context, text(1, domain="novels", source="one.txt"), text(2, domain="novels", source="two.txt"), text(3))
        for corpus, expected in {"novels": {"1", "2"}, "two.txt": {"2"}, "test": {"3"}, "": {"1", "2", "3"}}.items():
            rows, _ = await drawn(context, "cpt", corpus)
            assert {row.id.partition("#")[0].removeprefix("corpus-") for row in rows} == expected
        with pytest.raises(StageError, match="'cpt' finds nothing in 'poems'"):
            await drawn(context, "cpt", "poems")
        with pytest.raises(StageError, match="'kto' finds nothing in 'novels'"):
            await drawn(context, "kto", "novels")

    run(body)


def test_a_method_that_reads_no_votes_needs_none_and_leaves_them_for_the_next_cycle(run: Callable[[Body], None]) -> None:
    async def body(context: Context) -> None:
        cycle = await begin(context, "cpt")
        assert (await collect(context, cycle)).answers == 0
        with pytest.raises(NothingToLearn, match="nothing that the method 'cpt' learns from"):
            await curate(context, cycle, "base")
        await fill(context, text(1))
        assert (await curate(context, cycle, "base")).train >= 1
        set_curation(context, heldout_share=0.5)
        for person in range(6):
            await context.database.write(Talker(f"person-{person}").talk)
        collected = await collect(context, cycle)
        assert (collected.answers, collected.watermark) == (24, 0)
        rows = await rows_of(context, await curate(context, cycle, "base"))
        assert {row.kind for row in rows if row.split is Split.TRAIN} == {RowKind.TEXT}
        assert {row.kind for row in rows if row.split is Split.HELDOUT} == {RowKind.THUMB}, "held-out votes judge every method"
        assert (await collect(context, await begin(context))).watermark > 0

    run(body)


def test_only_rows_that_a_method_reads_are_in_its_training_split(run: Callable[[Body], None]) -> None:
    async def body(context: Context) -> None:
        for _ in range(3):
            await context.database.write(Talker().talk)
        await fill(context, shown(1, "a"), pair(2))
        _, made = await curated(context, "kto")
        assert Counter(row.kind for row in await rows_of(context, made)) == {RowKind.THUMB: 12} and made.train == 12
        _, made = await curated(context, "dpo")
        assert Counter(row.kind for row in await rows_of(context, made)) == {RowKind.PREFERENCE: 1}
        assert made.dropped == {"the method 'dpo' does not learn from rows of kind 'thumb'": 12}
        _, made = await curated(context, "sft")
        assert Counter(row.kind for row in await rows_of(context, made)) == {RowKind.THUMB: 12, RowKind.DEMONSTRATION: 1}

    run(body)


def test_a_dry_run_of_another_method_counts_what_that_would_learn(run: Callable[[Body], None]) -> None:
    async def body(context: Context) -> None:
        found = await preview(context, "cpt")
        assert (found.method, found.would_learn) == ("cpt", False) and "'cpt' learns from (text)" in found.why_not
        await fill(context, text(1))
        await context.database.write(Talker().talk)
        found = await preview(context, "cpt")
        assert (found.answers, found.train, found.would_learn) == (4, 0, True)
        assert not (await preview(context, "dpo")).would_learn

    run(body)
