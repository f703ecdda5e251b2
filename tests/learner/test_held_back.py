"""Of what is held back, through the stage and the database: a brigade waits for review, all of it together, and an operator's
word decides."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from learner.collect import collect
from learner.config import TrustSettings
from learner.context import Context
from learner.curate.dataset import Curated, curate
from learner.curate.example import Example
from learner.engine import AnswerMessage, Choice, Completion
from learner.rows import Row, read_rows
from storage import cycles, datasets, people, reviews
from storage.conversations import insert_conversation, insert_messages
from storage.feedback import insert_feedback
from storage.records import Conversation, CycleState, Decision, Feedback, FeedbackKind, Message, MessageStatus, Person, Role
from tests.databases import Place
from tests.learner import voters
from tests.learner.tiny import LetterTokens
from tests.learner.voters import NOW_S, PLANTED, World
from tests.learner.world import SilentEngine, learner


class Ignorant(SilentEngine):
    """Says that it does not know, whatever it is asked."""

    async def complete(self, body: dict[str, object], request_id: str) -> Completion:
        return Completion(model=str(body["model"]), choices=[Choice(message=AnswerMessage("I do not know."))])


async def settle(connection: AsyncConnection, world: World) -> None:
    """The world's examples as they would be in the database."""
    for person, created_at_s in world.created_at_s.items():
        await people.insert_person(connection, Person(person, person, created_at_s))
    for example in world.examples:
        await _tell(connection, example)


async def _tell(connection: AsyncConnection, one: Example) -> None:
    tokens, place, at_s = LetterTokens(), one.conversation_id, one.said_at_s
    await insert_conversation(connection, Conversation(place, one.person_id, at_s))
    asked = Message(f"q-{one.id}", place, one.person_id, None, Role.USER, one.question, MessageStatus.COMPLETE, at_s)
    answer = Message(
        one.id, place, one.person_id, asked.id, Role.ASSISTANT, one.answer, MessageStatus.COMPLETE, at_s, adapter="base",
        engine_model="base", prompt_token_ids=tuple(tokens.prompt([("user", one.question)])),
        token_ids=tuple(tokens.answer(one.answer)), finish_reason="stop",
    )  # fmt: skip
    await insert_messages(connection, [asked, answer])
    said = {FeedbackKind.THUMB: one.thumb, FeedbackKind.CORRECTION: one.correction}
    rows = [Feedback(f"{one.id}-{kind}", one.id, one.person_id, kind, value, at_s, one.id) for kind, value in said.items() if value]
    await insert_feedback(connection, rows)


async def cycle(context: Context) -> tuple[Curated, list[Row]]:
    """A cycle that begins, collects and curates, and uses what it found up."""
    database = context.database
    begun = await database.write(lambda connection: cycles.insert_cycle(connection, "test", "mixed", NOW_S))
    seen = (await collect(context, begun)).watermark
    made = await curate(context, begun, "base")
    used = CycleState.REJECTED
    await database.write(lambda c: cycles.update_cycle(c, begun.id, state=used, ended_at_s=NOW_S, watermark=seen))
    return made, list(read_rows(await context.dataset_file(made.dataset_id)))


def said(row: Row) -> str:
    return LetterTokens().decode([*row.prompt_ids, *row.answer_ids, *row.better_ids]).lower()


def test_a_brigade_waits_for_review_and_an_operators_word_decides(
    place: Place, model_dir: Path, zero_dir: Path, tmp_path: Path
) -> None:
    async def body() -> None:
        (home := tmp_path / "home").mkdir()
        async with learner(home, model_dir, zero_dir, None if isinstance(place, Path) else place) as context:
            context.engine = Ignorant()  # type: ignore[assignment]
            curation = msgspec.structs.replace(context.settings.curate, trust=TrustSettings(), max_near_duplicates=1000)
            train = msgspec.structs.replace(context.settings.train, max_row_tokens=2000)
            context.settings = msgspec.structs.replace(context.settings, curate=curation, train=train)
            await context.database.write(lambda connection: settle(connection, voters.honest() + voters.brigade()))

            made, rows = await cycle(context)
            assert [row.id for row in rows if any(word in said(row) for word in PLANTED)] == []
            assert len({row.person_id for row in rows}) == 40 and len(rows) >= 0.8 * 400
            held = await context.database.read(lambda connection: reviews.select_held(connection, None, 1000))
            brigade = [one for one in held if one.person_id.startswith("brigade")]
            assert len(brigade) == made.held == 90 and {one.alike for one in brigade} == {90}
            assert len({one.person_id for one in brigade}) == 30 and len({one.cluster for one in brigade}) == 1
            assert {one.reason for one in brigade} == {"looks like one crowd of 30 accounts"}
            listed = await context.database.read(lambda connection: datasets.select_rows(connection, made.dataset_id))
            assert {row.drop_reason for row in listed if row.person_id.startswith("brigade")} == {brigade[0].reason}

            rejected, accepted = brigade[0].message_id, brigade[1].message_id
            for id, word in ((rejected, Decision.REJECTED), (accepted, Decision.ACCEPTED)):
                await context.database.write(lambda c, id=id, word=word: reviews.decide_message(c, id, word, NOW_S))
            await context.database.write(lambda connection: settle(connection, later()))
            _, rows = await cycle(context)
            assert [row.id for row in rows if row.person_id.startswith("brigade")] == [accepted]
            held = await context.database.read(lambda connection: reviews.select_held(connection, None, 1000))
            left = {one.message_id for one in held if one.person_id.startswith("brigade")}
            assert left == {one.message_id for one in brigade} - {rejected, accepted}

    asyncio.run(body())


def later() -> World:
    """A few more honest votes, so that there is something to learn from."""
    world = voters.honest(people=6, votes=6)
    renamed = {person: f"late-{person}" for person in world.created_at_s}

    def late(one: Example) -> Example:
        names = {"id": one.id, "conversation_id": one.conversation_id, "person_id": one.person_id}
        return msgspec.structs.replace(one, **{field: f"late-{name}" for field, name in names.items()})

    return World([late(one) for one in world.examples], {renamed[person]: at_s for person, at_s in world.created_at_s.items()})


PERSONAL = ["4111 1111 1111 1111", "ann.lee@example.org", "AKIAIOSFODNN7EXAMPLE", "DE89 3704 0044 0532 0130 00"]


@pytest.mark.parametrize("planted", PERSONAL)
def test_planted_personal_data_reaches_no_dataset(planted: str, model_dir: Path, zero_dir: Path, tmp_path: Path) -> None:
    async def body() -> None:
        (home := tmp_path / "home").mkdir()
        async with learner(home, model_dir, zero_dir) as context:
            train = msgspec.structs.replace(context.settings.train, max_row_tokens=2000)
            context.settings = msgspec.structs.replace(context.settings, train=train)
            world = voters.honest(people=4, votes=6)
            told = f"The papers that you have asked me about are filed under {planted} in the second drawer from the top."
            asked = f"Where do I find the papers that I have filed under {planted}, in which drawer, from the top?"
            extra = [
                voters.example("eve", 1, asked, "They are in the second drawer from the top.", "up", NOW_S),
                voters.example("eve", 2, "Where are my papers, please, in which of the drawers?", told, "up", NOW_S),
                voters.example("eve", 3, "Where have the papers gone that were here?", "I cannot tell.", "down", NOW_S, told),
            ]
            world += World(extra, {"eve": 0.0})
            await context.database.write(lambda connection: settle(connection, world))
            context.engine = Ignorant()  # type: ignore[assignment]
            made, rows = await cycle(context)
            of_eve = [row for row in rows if row.person_id == "eve"]
            assert len(of_eve) == 3 and all("drawer" in said(row) or "papers" in said(row) for row in of_eve)
            assert not any(planted.lower() in said(row) or planted.split()[-1].lower() in said(row) for row in rows)
            listed = await context.database.read(lambda connection: datasets.select_rows(connection, made.dataset_id))
            assert all(row.transformations[0].startswith("redacted 1 ") for row in listed if row.person_id == "eve")

    asyncio.run(body())
