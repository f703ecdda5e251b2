"""OpenAI's fine-tuning files: chats of which the last answer is to be learnt, and pairs for its preference method.

https://developers.openai.com/api/docs/guides/supervised-fine-tuning and …/direct-preference-optimization. Fields that are
not of their form are refused there, so no line tells whose it is. Read back here, they are documents of nobody.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from storage.interchange.preference import preference_rows
from storage.interchange.tree import Said, Tree
from storage.records import Message, Role


class Weighed(Struct, frozen=True):
    """A message of a chat. Answers weigh 1 where they are to be learnt, and 0 where they only lead there."""

    role: Role
    content: str
    weight: Literal[0, 1] | UnsetType = UNSET


class TuningChat(Struct, frozen=True):
    messages: list[Weighed]


class PairInput(Struct, frozen=True):
    messages: list[Said]


class TuningPair(Struct, frozen=True):
    input: PairInput
    preferred_output: list[Said]
    non_preferred_output: list[Said]


def tuning_chats(tree: Tree) -> Iterator[TuningChat]:
    """A row for each answer that the person liked, or wrote a better one for, which then stands in its place."""
    for answer in tree.answers():
        opinion = tree.opinion(answer)
        if words := opinion.correction or (answer.content if opinion.thumb == "up" else ""):
            before = [_lead(message) for message in tree.context(answer)]
            yield TuningChat([*before, Weighed(Role.ASSISTANT, words, 1)])


def tuning_pairs(tree: Tree) -> Iterator[TuningPair]:
    """The same pairs as those of TRL's layout."""
    for row in preference_rows(tree):
        yield TuningPair(PairInput(row.prompt), row.chosen, row.rejected)


def _lead(message: Message) -> Weighed:
    return Weighed(message.role, message.content, 0 if message.role is Role.ASSISTANT else UNSET)
