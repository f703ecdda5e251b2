"""Of pretrainings in a running service: which documents they read, and that one which is cut off goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import msgspec
import pytest

from learner.context import Context
from learner.evaluate.suite import load_suites
from learner.pretrain.gather import gather
from learner.pretrain.pretrainer import Pretrainer
from learner.pretrain.spec import DOCUMENTS, FOLDERS, JOB, MODELS, PretrainError, Report, Request, State, Text
from learner.rows import Split
from learner.train.spec import CHECKPOINTS
from storage.cycles import insert_cycle, update_cycle
from storage.documents import insert_documents
from storage.people import insert_person
from storage.records import CycleState, Document, DocumentKind, Person
from tests.learner.test_pretrain import SCRATCH, tale
from tests.learner.world import learner

ITEM = next(item.prompt[-1].content for suite in load_suites() for item in suite.items if item.prompt)
Body = Callable[[Context], Awaitable[None]]
LONG = msgspec.structs.replace(SCRATCH, name="long", passes=500, checkpoint_steps=2)
ENDS_BY_S = 240


@pytest.fixture
def run(model_dir: Path, zero_dir: Path, tmp_path: Path) -> Callable[[Body], None]:
    """Runs something with a learner of a new home."""

    async def go(body: Body) -> None:
        home = tmp_path / "home"
        home.mkdir()
        async with learner(home, model_dir, zero_dir) as context:
            train = msgspec.structs.replace(context.settings.train, precision="float32")
            context.settings = msgspec.structs.replace(context.settings, train=train)
            await body(context)

    return lambda body: asyncio.run(go(body))


def document(number: int, text: str = "", domain: str = "tales", source: str = "a book", person_id: str | None = None) -> Document:
    text = text or f"{tale(number)} That was story {number}, and it was told twice."
    return Document(f"doc-{number}", DocumentKind.CORPUS, domain, "en", source, f"of {source}", person_id, text, 1.0)


async def keep(context: Context, *kept: Document) -> None:
    await context.database.write(lambda connection: insert_documents(connection, kept))


async def gathered(context: Context, request: Request) -> tuple[list[Text], dict[str, int], tuple[str, ...]]:
    """The texts of the file, why others are left out, and the licences."""
    folder = context.home / "gathered"
    folder.mkdir(exist_ok=True)
    found = await gather(context, request, folder, lambda count: None)
    texts = [msgspec.json.decode(line, type=Text) for line in (folder / DOCUMENTS).read_bytes().splitlines()]
    assert (found.documents, found.sha256) == (len(texts), context.artifacts.sha256_of(folder / DOCUMENTS))
    return texts, found.dropped, found.licences


async def until(pretrainer: Pretrainer, name: str, holds: Callable[[Report], bool]) -> Report:
    async with asyncio.timeout(ENDS_BY_S):
        while (report := pretrainer.show(name)) is None or not holds(report):
            await asyncio.sleep(0.01)
    return report


def test_a_corpus_is_a_domain_or_a_source_clean_and_of_nobody_here(run: Callable[[Body], None]) -> None:
    async def body(context: Context) -> None:
        await context.database.write(lambda connection: insert_person(connection, Person("person-1", "one", 1.0)))
        await keep(
            context,
            *(document(number) for number in range(300)),
            *(document(number, domain="other", source="tales") for number in range(300, 310)),
            document(310, domain="cooking", source="elsewhere"),
            document(311, person_id="person-1"),
            document(312, f"Somebody asked: {ITEM} And then they went home."),
            document(313, f"{tale(313)} Whoever wants to hear it again may write to the.fox@under-the-hill.org at night."),
            document(314, "no " * 400),
        )
        texts, dropped, licences = await gathered(context, msgspec.structs.replace(SCRATCH, heldout_share=0.2))
        assert [text.id for text in texts] == [f"doc-{number}" for number in (*range(310), 313)]
        assert dropped == {"overlaps a frozen eval item": 1, "repeats itself": 1}
        assert "<e-mail address>" in texts[-1].text and "under-the-hill.org" not in texts[-1].text
        assert licences == ("of a book", "of tales")
        assert 30 < sum(text.split is Split.HELDOUT for text in texts) < 100

    run(body)


def test_a_corpus_that_is_not_there_is_a_reason_that_says_what_is(run: Callable[[Body], None]) -> None:
    async def body(context: Context) -> None:
        pretrainer = Pretrainer(context)
        for kept, why in (((), "none: import one"), ((document(1),), "'a book', 'tales'")):
            await keep(context, *kept)
            await pretrainer.begin(msgspec.structs.replace(SCRATCH, corpus="unknown"))
            report = await until(pretrainer, SCRATCH.name, lambda report: report.state is State.FAILED)
            assert "there is no corpus 'unknown'" in report.reason and why in report.reason
        assert Pretrainer(context).reports() == [report]  # it is known after a restart too
        assert not (context.home / MODELS).exists()

    run(body)


def test_none_begins_while_a_cycle_runs(run: Callable[[Body], None]) -> None:
    async def body(context: Context) -> None:
        pretrainer = Pretrainer(context)
        begun = await context.database.write(lambda connection: insert_cycle(connection, "test", "mixed", 9.0))
        with pytest.raises(PretrainError, match=f"cycle {begun.id} is running"):
            await pretrainer.begin(SCRATCH)
        await context.database.write(partial(update_cycle, id=begun.id, state=CycleState.CANCELLED))
        assert (await pretrainer.begin(SCRATCH)).state is State.GATHERING
        await pretrainer.stop()

    run(body)


def test_one_that_a_stop_cut_off_goes_on_from_its_checkpoint_and_can_be_cancelled(run: Callable[[Body], None]) -> None:
    async def body(context: Context) -> None:
        await keep(context, *(document(number) for number in range(40)))
        folder, first = context.home / FOLDERS / "long", Pretrainer(context)
        begun = await first.begin(LONG)
        assert await first.begin(LONG) == begun  # asked again, it says how it stands
        with pytest.raises(PretrainError, match="'long' is running"):
            await first.begin(SCRATCH)
        before = await until(first, "long", lambda report: bool(report.progress and report.progress.step > 4))
        await first.stop()
        assert before.progress is not None and (folder / JOB).is_file() and (folder / CHECKPOINTS).is_dir()

        second = Pretrainer(context)
        assert [report.state for report in second.reports()] == [State.INTERRUPTED]
        with pytest.raises(PretrainError, match="was asked for otherwise"):
            await second.begin(msgspec.structs.replace(LONG, seed=1))
        assert (await second.begin(msgspec.structs.replace(LONG, time_limit_s=1e6))).state is State.TRAINING
        after = await until(second, "long", lambda report: report.progress is not None)
        assert after.progress is not None and after.progress.step > 2
        cancelled = await second.cancel()
        assert cancelled is not None and cancelled.state is State.CANCELLED and await second.cancel() is None
        assert not (folder / JOB).exists() and not (folder / CHECKPOINTS).exists() and not (context.home / MODELS).exists()

    run(body)
