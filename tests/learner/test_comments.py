"""Of comments: the parent model answers again with what was said in view, and only what may teach is learnt, as a weak
correction; otherwise the answer stays what it was."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from learner.collect import collect
from learner.config import CurateSettings
from learner.curate.clean import Cleaner
from learner.curate.comments import commented, objection
from learner.curate.dataset import curate
from learner.curate.decontaminate import Overlap
from learner.curate.pii import describe, redact
from learner.curate.split import split_of
from learner.curate.tools import objection as quality_objection
from learner.engine import AnswerMessage, Choice, Completion, EngineError
from learner.evaluate.suite import load_suites
from learner.policy import load_policy
from learner.rows import Row, RowKind, Split, read_rows
from storage import cycles, datasets
from storage.conversations import insert_conversation, insert_messages
from storage.feedback import insert_feedback
from storage.people import insert_person
from storage.records import Conversation, Evidence, Feedback, FeedbackKind, Message, MessageStatus, Person, Role
from tests.learner.tiny import LetterTokens
from tests.learner.world import SilentEngine, Talker, learner

SUITES = load_suites()
CLEANER = Cleaner(Overlap(SUITES), load_policy().judge, redact, describe, partial(quality_objection, languages=()))
QUESTION = "Which shoes go with a green raincoat?"
ANSWER = "Brown ones go with it, and they go with nearly everything else that people wear in the rain."
AGAIN = "Brown ones go with it."


def commented_on(comment: str = "Too wordy for me.", thumb: str | None = "down", person: str = "ada", **more: object) -> Evidence:
    asked = Message("q", "c", person, None, Role.USER, QUESTION, MessageStatus.COMPLETE, 1.0)
    answer = Message(
        "m", "c", person, "q", Role.ASSISTANT, ANSWER, MessageStatus.COMPLETE, 2.0, adapter="r1", engine_model="r1",
        prompt_token_ids=(1, 2), token_ids=(3, 4),
    )  # fmt: skip
    return msgspec.structs.replace(Evidence(answer, person, (asked,), thumb, (), comment, None, 3.0, 1), **more)


def test_an_answer_that_nothing_speaks_against_is_taken() -> None:
    assert objection(commented_on(), AGAIN, CLEANER) is None
    assert objection(commented_on("Please name the colour, too."), "Brown ones go with it, of any colour.", CLEANER) is None


REFUSED = [
    ("too short to teach", "Too wordy.", "Brown."),
    ("too short to teach", "Too wordy.", ""),
    ("the same again", "Too wordy.", ANSWER.upper()),
    ("declines what may be answered", "Too wordy.", "I'm sorry, but I can't help with that."),
    ("repeats itself", "Too wordy.", "no " * 12),
    ("overlaps a frozen eval item", "Too wordy.", f"Somebody asked: {SUITES[1].items[0].prompt[0].content} Well."),
    ("has personal data in it", "Say whom I should ask.", "Brown ones; ask ann.lee@example.org about it."),
    ("claims what the comment claims", "The zog eats 40 moons.", "Brown ones, and the zog eats 40 moons a day."),
    ("claims what the comment claims", "Forty, it must be 40.", "There are 40 of them in all."),
    ("claims what the comment claims", "That is wrong.", ANSWER.replace("go with", "do not go with")),
]


@pytest.mark.parametrize(("reason", "comment", "answer"), REFUSED)
def test_an_answer_that_may_not_teach_is_not_taken(reason: str, comment: str, answer: str) -> None:
    assert objection(commented_on(comment), answer, CLEANER) == reason


def test_only_people_who_teach_and_did_not_like_or_correct_the_answer_are_listened_to() -> None:
    settings = CurateSettings(heldout_share=0.0)
    assert len(commented([commented_on(thumb="down"), commented_on(thumb=None)], settings)) == 2
    unheard = [
        commented_on(thumb="up"),
        commented_on(correction="Brown."),
        commented_on(comment="  "),
        commented_on(comment=None),
        commented_on(comment="long " * 300),
        commented_on(message=msgspec.structs.replace(commented_on().message, engine_model="r2")),
        commented_on(preferred_over=commented_on().message),
    ]  # fmt: skip
    assert commented(unheard, settings) == []
    assert commented([commented_on()], CurateSettings(heldout_share=1.0)) == []


def test_the_newest_are_answered_again_and_no_more_than_the_limit() -> None:
    evidence = [commented_on(position=number) for number in range(5)]
    assert commented(evidence, CurateSettings(heldout_share=0.0, comments=2)) == evidence[3:]
    assert commented(evidence, CurateSettings(heldout_share=0.0, comments=0)) == []


class Scripted(SilentEngine):
    """Says what it is told to, and keeps what it was asked."""

    def __init__(self, script: Callable[[dict[str, object]], Completion]) -> None:
        super().__init__()
        self.asked: list[dict[str, object]] = []
        self._script = script

    async def complete(self, body: dict[str, object], request_id: str) -> Completion:
        self.asked.append(body)
        return self._script(body)


def says(text: str, finish_reason: str = "stop") -> Callable[[dict[str, object]], Completion]:
    choice = Choice(message=AnswerMessage(text), finish_reason=finish_reason)
    return lambda body: Completion(model=str(body["model"]), choices=[choice])


def is_too_long_for_the_engine(body: dict[str, object]) -> Completion:
    raise EngineError(400, "this model's maximum context length is 8 tokens")


async def comment_on_one(connection: AsyncConnection) -> None:
    """Somebody dislikes an answer and says why; there are votes of others beside it."""
    for _ in range(2):
        await Talker().talk(connection)
    await insert_person(connection, Person("ada", "ada", 1.0))
    await insert_conversation(connection, Conversation("c", "ada", 1.0))
    item = commented_on()
    message = msgspec.structs.replace(item.message, adapter="base", engine_model="base")
    await insert_messages(connection, [*item.context, message])
    said = {FeedbackKind.THUMB: "down", FeedbackKind.COMMENT: item.comment}
    await insert_feedback(connection, [Feedback(f"fb-{kind}", "m", "ada", kind, value, 3.0, "s") for kind, value in said.items()])


def learnt(home: Path, model_dir: Path, zero_dir: Path, engine: Scripted) -> tuple[Row, tuple[str, ...]]:
    """What becomes of the commented answer, and what the manifest says of it."""

    async def body() -> tuple[Row, tuple[str, ...]]:
        home.mkdir()
        async with learner(home, model_dir, zero_dir) as context:
            train = msgspec.structs.replace(context.settings.train, max_row_tokens=300)
            context.settings = msgspec.structs.replace(context.settings, train=train)
            context.engine = engine  # type: ignore[assignment]
            await context.database.write(comment_on_one)
            cycle = await context.database.write(lambda connection: cycles.insert_cycle(connection, "test", "mixed", 9.0))
            await collect(context, cycle)
            made = await curate(context, cycle, "base")
            [row] = [row for row in read_rows(await context.dataset_file(made.dataset_id)) if row.person_id == "ada"]
            listed = await context.database.read(lambda connection: datasets.select_rows(connection, made.dataset_id))
            return row, next(one.transformations for one in listed if one.message_id == row.id)

    return asyncio.run(body())


def test_the_parents_new_answer_becomes_a_weak_correction(model_dir: Path, zero_dir: Path, tmp_path: Path) -> None:
    engine = Scripted(says(AGAIN))
    row, told = learnt(tmp_path / "home", model_dir, zero_dir, engine)
    assert (row.kind, row.label, row.answer_ids) == (RowKind.CORRECTION, -1, (3, 4))
    assert row.weight < 0.6 and told[0] == "answered again with the comment in view ×0.5"
    assert LetterTokens().decode(row.better_ids) == f"{AGAIN}\0"
    [asked] = engine.asked
    assert asked["model"] == "base" and asked["messages"][:2] == [  # type: ignore[index]
        {"role": "user", "content": QUESTION}, {"role": "assistant", "content": ANSWER},
    ]  # fmt: skip
    assert "Too wordy for me." in asked["messages"][2]["content"]  # type: ignore[index]


@pytest.mark.parametrize(
    "script", [says("Brown."), says(AGAIN, "length"), is_too_long_for_the_engine], ids=["refused", "cut off", "too long"]
)
def test_an_answer_that_is_not_taken_leaves_the_vote(
    script: Callable[[dict[str, object]], Completion], model_dir: Path, zero_dir: Path, tmp_path: Path
) -> None:
    row, told = learnt(tmp_path / "home", model_dir, zero_dir, Scripted(script))
    assert (row.kind, row.label, row.better_ids) == (RowKind.THUMB, -1, ())
    assert not any("comment" in done for done in told)


def test_held_out_people_are_never_answered_again() -> None:
    evidence = [commented_on(person=f"person-{number}") for number in range(40)]
    listened = {item.person_id for item in commented(evidence, CurateSettings(heldout_share=0.5))}
    assert listened == {item.person_id for item in evidence if split_of(item.person_id, 0.5) is Split.TRAIN} and len(listened) < 40
