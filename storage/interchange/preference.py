"""TRL's conversational "preference" layout: a prompt, an answer, and another that the person finds worse.

Pairs come from corrections, from preferences between answers to the same question, and from answers to the same question
of which one has a thumb up and one a thumb down. What a person said of two answers goes before what their thumbs imply.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import product
from typing import Literal

from msgspec import Struct

from storage.interchange.tree import Said, Tree, author, say
from storage.records import Message, MessageStatus, Role


class PreferenceSource(Struct, frozen=True):
    """Where a pair comes from; TRL passes it over."""

    kind: Literal["correction", "preference", "thumbs"]
    person_id: str
    conversation_id: str
    chosen_id: str  # "" where the person wrote it as a correction
    rejected_id: str
    chosen_adapter: str
    rejected_adapter: str
    served: bool  # whether versions of this service are known to have said what the person did not write


class PreferenceRow(Struct, frozen=True):
    prompt: list[Said]
    chosen: list[Said]
    rejected: list[Said]
    metadata: PreferenceSource


def preference_rows(tree: Tree) -> Iterator[PreferenceRow]:
    """The pairs of one talk; answers with the same words make none."""
    answers = tree.answers()
    for answer in answers:
        correction = tree.opinion(answer).correction
        if correction and correction != answer.content:
            yield _correction(tree, answer, correction)
    preferred = _preferred(tree, answers)
    for chosen, rejected in preferred:
        yield _pair(tree, "preference", chosen, rejected)
    decided = {frozenset((chosen.id, rejected.id)) for chosen, rejected in preferred}
    for chosen, rejected in _opposed(tree, answers):
        if frozenset((chosen.id, rejected.id)) not in decided:
            yield _pair(tree, "thumbs", chosen, rejected)


def _preferred(tree: Tree, answers: list[Message]) -> list[tuple[Message, Message]]:
    by_id = {answer.id: answer for answer in answers}
    pairs = [(answer, by_id.get(tree.opinion(answer).preferred_over)) for answer in answers]
    return [(one, other) for one, other in pairs if other and one.parent_id == other.parent_id and one.content != other.content]


def _opposed(tree: Tree, answers: list[Message]) -> Iterator[tuple[Message, Message]]:
    siblings: defaultdict[str | None, list[Message]] = defaultdict(list)
    for answer in answers:
        siblings[answer.parent_id].append(answer)
    for group in siblings.values():
        up = [answer for answer in group if tree.opinion(answer).thumb == "up"]
        down = [answer for answer in group if tree.opinion(answer).thumb == "down"]
        yield from ((one, other) for one, other in product(up, down) if one.content != other.content)


def _correction(tree: Tree, answer: Message, correction: str) -> PreferenceRow:
    served = answer.status is MessageStatus.COMPLETE
    owner = (answer.person_id, answer.conversation_id)
    source = PreferenceSource("correction", *owner, "", answer.id, "", author(answer), served)
    return PreferenceRow(say(tree.context(answer)), [Said(Role.ASSISTANT, correction)], say([answer]), source)


def _pair(tree: Tree, kind: Literal["preference", "thumbs"], chosen: Message, rejected: Message) -> PreferenceRow:
    served = chosen.status is rejected.status is MessageStatus.COMPLETE
    owner = (chosen.person_id, chosen.conversation_id)
    source = PreferenceSource(kind, *owner, chosen.id, rejected.id, author(chosen), author(rejected), served)
    return PreferenceRow(say(tree.context(chosen)), say([chosen]), say([rejected]), source)
