"""TRL's conversational "unpaired preference" layout: a prompt, an answer to it, and whether the person liked it."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from storage.interchange.tree import Said, Tree, author, say
from storage.records import MessageStatus


class UnpairedSource(Struct, frozen=True):
    """Where a row comes from; TRL passes it over."""

    person_id: str
    conversation_id: str
    message_id: str
    adapter: str
    served: bool  # whether a version of this service is known to have said it
    reasons: str
    comment: str


class UnpairedRow(Struct, frozen=True):
    prompt: list[Said]
    completion: list[Said]
    label: bool
    metadata: UnpairedSource


def unpaired_rows(tree: Tree) -> Iterator[UnpairedRow]:
    """A row for each answer with a thumb."""
    for answer in tree.answers():
        opinion = tree.opinion(answer)
        if opinion.thumb:
            source = UnpairedSource(
                answer.person_id,
                answer.conversation_id,
                answer.id,
                author(answer),
                answer.status is MessageStatus.COMPLETE,
                opinion.reasons,
                opinion.comment,
            )
            yield UnpairedRow(say(tree.context(answer)), say([answer]), opinion.thumb == "up", source)
