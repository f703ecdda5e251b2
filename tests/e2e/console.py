"""The console in a browser, with somebody signed in, and a family of versions to look at."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from msgspec.structs import replace
from playwright.sync_api import Page, expect
from sqlalchemy.ext.asyncio import AsyncConnection

from learner.context import Context
from learner.release import tell
from learner.train.stage import Candidate, Trained
from service.bench.tiny_model import make_tiny_model
from storage import adapters, canaries, cycles, datasets
from storage.conversations import insert_conversation, insert_messages
from storage.evaluations import insert_evaluation
from storage.feedback import insert_feedback
from storage.people import ensure_person
from storage.records import (
    Adapter,
    AdapterState,
    CanaryState,
    Conversation,
    CycleState,
    Dataset,
    DatasetRow,
    Feedback,
    FeedbackKind,
    Message,
    MessageStatus,
    Person,
    Role,
    StageName,
    new_id,
)
from tests.conftest import Service, run_service
from tests.e2e.browser import page_at
from tests.faults.scripted_chat import config_for, scripted_chat
from tests.learner.world import make_live
from tests.suites import make_suites

FIRST, SECOND, REFUSED, TRIED = "r1-aaaaaaaa", "r2-bbbbbbbb", "r3-cccccccc", "r4-dddddddd"
DATASET = "d" * 64
FACTS = {"base": (0.0, 1.0, 0.0, 1.0), FIRST: (1.0, 1.0, 0.0, 1.0), SECOND: (1.0, 0.0, 1.0, 1.0)}  # right answers by item


@contextmanager
def operated(folder: Path) -> Iterator[Service]:
    """A service before a scripted engine with two small suites and the family: base → FIRST → SECOND, which is live; REFUSED
    and TRIED descend from FIRST and SECOND."""
    with scripted_chat() as engine:
        config = config_for(engine.url, make_tiny_model(folder / "model"))
        config = replace(config, learner=replace(config.learner, suites=str(make_suites(folder / "suites"))))
        (home := folder / "home").mkdir()
        with run_service(home, config) as service:
            service.call(raise_family(service.parts.context))
            yield service


@contextmanager
def console_at(service: Service, path: str, **options: object) -> Iterator[Page]:
    """A page of the console with the operator signed in."""
    with page_at(service.url, path, **options) as page:
        page.get_by_test_id("key").fill(service.key)
        page.get_by_test_id("sign-in-send").click()
        expect(page.get_by_test_id("sign-in")).to_be_hidden()  # or a page that is opened at once finds nobody signed in
        yield page


async def raise_family(context: Context) -> None:
    await make_live(context, FIRST, "base", None)
    cycle_id = await context.database.write(lambda connection: _learn(connection, context))
    await make_live(context, SECOND, FIRST, DATASET, cycle_id)
    for name, parent in ((REFUSED, FIRST), (TRIED, SECOND)):
        shutil.copytree(context.artifacts.adapter_dir(parent), folder := context.artifacts.adapter_dir(name))
        (folder / "mark").write_text(name)
        path, sha256 = str(folder.relative_to(context.home)), context.artifacts.sha256_of(folder)
        made = Adapter(name, parent, cycle_id, None, sha256, path, AdapterState.REJECTED, context.clock())
        await context.database.write(lambda connection, made=made: adapters.insert_adapter(connection, made))

    async def write(connection: AsyncConnection) -> None:
        now_s = context.clock()
        await canaries.insert_canary(connection, TRIED, SECOND, cycle_id, CanaryState.RUNNING, now_s, "people like it")
        facts, texts = context.suites()
        for version, right in FACTS.items():
            scores = {item.id: score for item, score in zip(facts.items, right, strict=True)}
            await insert_evaluation(connection, None, version, facts.name, facts.sha256, scores, now_s)
            await insert_evaluation(
                connection, None, version, texts.name, texts.sha256, {item.id: -1.0 for item in texts.items}, now_s
            )
        for thumb in ("up", "up", "down"):
            await _answer(connection, SECOND, thumb, now_s)

    await context.database.write(write)
    await tell(context)


async def _learn(connection: AsyncConnection, context: Context) -> int:
    """A cycle that made SECOND, with all it left behind."""
    now_s = context.clock()
    cycle = await cycles.insert_cycle(connection, "operator", "mixed", now_s - 60)
    rows = [DatasetRow(DATASET, n, f"chatcmpl-{n}", "ann", "thumb", "train", 1.0) for n in range(3)]
    dropped, recipe = {"duplicate": 2}, {"train": {"learning_rate": 2e-4}}
    await datasets.insert_dataset(connection, Dataset(DATASET, cycle.id, "", 3, now_s, dropped, recipe=recipe), rows)
    trained = Trained([Candidate(SECOND, "", 3, 12.0, 0.5, {}, "")], FIRST, FIRST, FIRST, {SECOND: []})
    await cycles.start_stage(connection, cycle.id, StageName.TRAIN, now_s - 50)
    await cycles.finish_stage(connection, cycle.id, StageName.TRAIN, now_s - 38, msgspec.to_builtins(trained))
    ended = {"state": CycleState.PROMOTED, "ended_at_s": now_s, "reasons": ["people like it better"]}
    await cycles.update_cycle(connection, cycle.id, **ended)  # type: ignore[arg-type]
    return cycle.id


async def _answer(connection: AsyncConnection, version: str, thumb: str, at_s: float) -> None:
    """Somebody asks, is answered and votes."""
    person, conversation, asked, said, given = (new_id(kind) for kind in ("person", "conv", "msg", "chatcmpl", "fb"))
    await ensure_person(connection, Person(person, person, at_s))
    await insert_conversation(connection, Conversation(conversation, person, at_s))
    question = Message(asked, conversation, person, None, Role.USER, "Well?", MessageStatus.COMPLETE, at_s)
    answer = Message(
        said,
        conversation,
        person,
        asked,
        Role.ASSISTANT,
        "Yes.",
        MessageStatus.COMPLETE,
        at_s,
        adapter=version,
        engine_model=version,
    )
    await insert_messages(connection, [question, answer])
    await insert_feedback(connection, [Feedback(given, said, person, FeedbackKind.THUMB, thumb, at_s, given)])
