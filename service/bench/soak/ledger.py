"""What a service has said that it kept, and whether it did: every answer and vote is looked for in its database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from msgspec import Struct

from service.router import model_name
from storage.archive import DATABASE
from storage.conversations import select_message
from storage.database import Database
from storage.feedback import select_submission
from storage.records import Message, MessageStatus

COMPLETE, INTERRUPTED = MessageStatus.COMPLETE, MessageStatus.INTERRUPTED


class Acknowledged(Struct, frozen=True):
    """A whole answer, as its client has it."""

    model: str
    text: str


class Vote(Struct, frozen=True):
    completion_id: str
    kinds: tuple[str, ...]  # as they were acknowledged


@dataclass
class Ledger:
    """By id: answers that ended whole, that broke off and said so, that their client left, and votes."""

    answers: dict[str, Acknowledged] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    left: set[str] = field(default_factory=set)
    votes: dict[str, Vote] = field(default_factory=dict)
    stuck: list[str] = field(default_factory=list)  # what did not end in time
    failures: list[str] = field(default_factory=list)  # ends that nobody is promised
    counts: Counter[str] = field(default_factory=Counter)  # answers by kind of client, and what was turned away

    def problems(self) -> list[str]:
        return [*(f"stuck: {what}" for what in self.stuck), *(f"failed: {what}" for what in self.failures)]


async def audit(home: Path, ledger: Ledger) -> list[str]:
    """What is not as it was acknowledged, in words; none is all well. The service must have ended."""
    database = await Database.open(home / DATABASE)
    try:
        ids = [*ledger.answers, *ledger.broken, *ledger.left]
        kept = {id: await database.read(partial(select_message, id=id)) for id in ids}
        wrong = [f"answer {id}: {why}" for id, said in ledger.answers.items() if (why := _differs(kept[id], said))]
        wrong += [f"broken answer {id}: {why}" for id in sorted(ledger.broken) if (why := _is_not(kept[id], {INTERRUPTED}))]
        wrong += [
            f"answer {id} whose client left: {why}"
            for id in sorted(ledger.left)
            if (why := _is_not(kept[id], {COMPLETE, INTERRUPTED}))
        ]
        for id, vote in ledger.votes.items():
            answer = kept.get(vote.completion_id)
            person_id = answer.person_id if answer else ""
            rows = await database.read(partial(select_submission, person_id=person_id, submission_id=id))
            found = sorted(row.kind.value for row in rows if row.message_id == vote.completion_id)
            if found != sorted(vote.kinds):
                wrong.append(f"vote {id}: {found} is kept, {sorted(vote.kinds)} was acknowledged")
        return wrong
    finally:
        await database.close()


def _differs(kept: Message | None, said: Acknowledged) -> str:
    if kept is None or kept.status is not COMPLETE:
        return _is_not(kept, {COMPLETE})
    if model_name(kept.engine_model) != said.model:
        return f"{model_name(kept.engine_model)} is kept, {said.model} was named"
    return "" if kept.content == said.text else f"{kept.content[:40]!r} is kept, {said.text[:40]!r} was said"


def _is_not(kept: Message | None, expected: Collection[MessageStatus]) -> str:
    if kept is None:
        return "is not there"
    return "" if kept.status in expected else f"is {kept.status.value}, expected {' or '.join(sorted(expected))}"
