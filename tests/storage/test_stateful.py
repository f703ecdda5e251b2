"""Whatever people do, in whatever order, storage and a plain model of it agree on what each of them sees and is learnt from."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import TypeVar

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy.ext.asyncio import AsyncConnection

from storage import completions, conversations, erase, feedback, people
from storage.database import Database
from storage.records import Conversation, Feedback, FeedbackKind, Message, MessageStatus, Role
from storage.tables import metadata
from tests.databases import Place
from tests.storage.loop import person
from tests.storage.model import Model

T = TypeVar("T")
NAMES = st.sampled_from(["ann", "bob", "eve"])
CHOICES = st.integers(0, 2**16)
STATUSES = st.sampled_from([MessageStatus.COMPLETE, MessageStatus.COMPLETE, MessageStatus.INTERRUPTED])
SAID = st.one_of(
    st.tuples(st.just(FeedbackKind.THUMB), st.sampled_from(["up", "down", None])),
    st.tuples(st.just(FeedbackKind.COMMENT), st.text(max_size=3)),
    st.tuples(st.just(FeedbackKind.CORRECTION), st.text(max_size=3)),
)
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
SUBMISSIONS = st.sampled_from(["first", "second", "third"])
SETTINGS = settings(deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))


class Life(RuleBasedStateMachine):
    """People who talk, vote, and go. Subclasses have a database and the loop that it lives in."""

    db: Database
    runner: asyncio.Runner

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.positions: list[int] = []  # of the model's feedback in the database, row by row
        self.numbers = count(1)
        self.do(empty)

    def do(self, operation: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        return self.runner.run(self.db.write(operation))

    def see(self, operation: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        return self.runner.run(self.db.read(operation))

    def agree(self, operation: Callable[[AsyncConnection], Awaitable[object]], modelled: Callable[[], object]) -> None:
        """Does it in both: both do it, or both say that there is no such thing."""
        try:
            modelled()
        except LookupError:
            with pytest.raises(LookupError):
                self.do(operation)
        else:
            self.do(operation)

    @initialize()
    def begin_with_two(self) -> None:
        for name in ("ann", "bob"):
            self.comes(name)
        for choice in (0, 1):
            self.begins(choice, "a", MessageStatus.COMPLETE)

    @rule(name=NAMES)
    def comes(self, name: str) -> None:
        self.do(lambda connection: people.ensure_person(connection, person(name)))
        self.model.learn.setdefault(name, True)

    @rule(name=NAMES, learn=st.booleans())
    def consents(self, name: str, learn: bool) -> None:
        def modelled() -> None:
            self.model.learn[name]
            self.model.learn[name] = learn

        self.agree(lambda connection: people.update_consent(connection, name, learn), modelled)

    @precondition(lambda self: self.model.learn)
    @rule(choice=CHOICES, text=TEXT, status=STATUSES)
    def begins(self, choice: int, text: str, status: MessageStatus) -> None:
        name = pick(list(self.model.learn), choice)
        number = next(self.numbers)
        begun = Conversation(f"conversation-{number}", name, 1.0, text, float(number))
        self.do(lambda connection: conversations.insert_conversation(connection, begun))
        self.model.conversations[begun.id] = begun
        self.asks(begun, None, text, status)

    @precondition(lambda self: self.model.messages)
    @rule(choice=CHOICES, text=TEXT, status=STATUSES)
    def goes_on(self, choice: int, text: str, status: MessageStatus) -> None:
        """Below an answer a question with its answer; below a question another answer."""
        above = pick(list(self.model.messages.values()), choice)
        conversation = self.model.conversations[above.conversation_id]
        if above.role is Role.ASSISTANT:
            self.asks(conversation, above.id, text, status)
        else:
            self.says(conversation, above.id, Role.ASSISTANT, text, status)

    @precondition(lambda self: self.model.messages and self.model.learn)
    @rule(choice=CHOICES, who=CHOICES, said=st.lists(SAID, min_size=1, max_size=2), submission=SUBMISSIONS)
    def votes(self, choice: int, who: int, said: list[tuple[FeedbackKind, object]], submission: str) -> None:
        """Mostly owners about answers, but anybody about anything; what is submitted again changes nothing."""
        answers = [id for id, message in self.model.messages.items() if message.role is Role.ASSISTANT]
        message = pick(answers or list(self.model.messages), choice) if who % 4 else pick(list(self.model.messages), choice)
        name = self.model.messages[message].person_id if who % 3 else pick(list(self.model.learn), who)
        id, at_s = f"{message}/{submission}", float(next(self.numbers))
        rows = [Feedback(f"{at_s}/{n}", message, name, kind, value, at_s, id) for n, (kind, value) in enumerate(said)]
        before = self.see(lambda connection: feedback.select_submission(connection, name, id))
        assert before == self.model.submission(name, id)
        if not before:
            self.do(lambda connection: feedback.insert_feedback(connection, rows))
            self.model.feedback += rows

    @precondition(lambda self: self.model.messages)
    @rule(choice=CHOICES, name=NAMES)
    def deletes_an_answer(self, choice: int, name: str) -> None:
        id = pick(list(self.model.messages), choice)
        name = pick([self.model.messages[id].person_id, self.model.messages[id].person_id, name], choice)
        self.agree(
            lambda connection: completions.delete_completion(connection, id, name),
            lambda: self.model.delete_completion(id, name),
        )

    @precondition(lambda self: self.model.conversations)
    @rule(choice=CHOICES, name=NAMES)
    def deletes_a_conversation(self, choice: int, name: str) -> None:
        id = pick(list(self.model.conversations), choice)
        self.agree(
            lambda connection: conversations.delete_conversation(connection, id, name),
            lambda: self.model.delete_conversation(id, name),
        )

    @rule(name=NAMES)
    def is_forgotten(self, name: str) -> None:
        self.agree(lambda connection: erase.erase_person(connection, name, 9.0), lambda: self.model.forget(name))

    @invariant()
    def everyone_sees_their_own_and_evidence_is_what_owners_say_now(self) -> None:
        self.see(self._compare)

    def asks(self, conversation: Conversation, above: str | None, text: str, status: MessageStatus) -> None:
        question = self.says(conversation, above, Role.USER, text, MessageStatus.COMPLETE)
        self.says(conversation, question.id, Role.ASSISTANT, text, status)

    def says(self, conversation: Conversation, above: str | None, role: Role, text: str, status: MessageStatus) -> Message:
        id, owner = f"message-{next(self.numbers)}", conversation.person_id
        said = Message(id, conversation.id, owner, above, role, text, status, 1.0, metadata={"said": text})
        self.do(lambda connection: conversations.insert_message(connection, said))
        self.model.messages[id] = said
        return said

    async def _compare(self, connection: AsyncConnection) -> None:
        await self._compare_what_is_seen(connection)
        await self._compare_evidence(connection)

    async def _compare_what_is_seen(self, connection: AsyncConnection) -> None:
        for name in ("ann", "bob", "eve"):
            seen = await conversations.select_conversations(connection, name, 1000)
            assert seen == self.model.conversations_of(name)
            assert await completions.select_completions(connection, name, 1000) == self.model.completions_of(name)
            for id in self.model.conversations:
                said = await conversations.select_messages(connection, id, name)
                assert said == self.model.messages_of(id, name)

    async def _compare_evidence(self, connection: AsyncConnection) -> None:
        """Positions differ where rows went: they are compared by their order."""
        found = await feedback.select_evidence(connection, 0, 1000)
        expected = self.model.evidence(0)
        assert [bare(one) for one in found] == [bare(one) for one in expected]
        assert [one.position for one in found] == sorted(one.position for one in found)
        if found:  # what was read up to the middle is not read again
            middle = len(found) // 2
            later = await feedback.select_evidence(connection, found[middle].position, 1000)
            assert [bare(one) for one in later] == [bare(one) for one in self.model.evidence(expected[middle].position)]


def bare(evidence: object) -> object:
    return msgspec.structs.replace(evidence, position=0)


def pick(things: list[T], choice: int) -> T:
    return things[choice % len(things)]


async def empty(connection: AsyncConnection) -> None:
    for table in reversed(metadata.sorted_tables):
        await connection.execute(table.delete())


@contextmanager
def life_in(place: Place) -> Iterator[type[Life]]:
    with asyncio.Runner() as runner:
        db = runner.run(Database.open(place))
        yield type("LifeHere", (Life,), {"db": db, "runner": runner})
        runner.run(db.close())


def test_storage_agrees_with_a_plain_model(place: Place) -> None:
    with life_in(place) as life:
        run_state_machine_as_test(life, settings=settings(SETTINGS, max_examples=12, stateful_step_count=30))


@pytest.mark.long
def test_storage_agrees_with_a_plain_model_for_long(place: Place) -> None:
    with life_in(place) as life:
        run_state_machine_as_test(life, settings=settings(SETTINGS, max_examples=200, stateful_step_count=60))
