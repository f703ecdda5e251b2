"""The "messages" layout, which TRL and most others train on: whole conversations, here with all that is needed to read
them back.

A line is one branch of a conversation, from its beginning to the last answer, so what branches share stands in several
lines. Ids stay as they are: a file read back where it came from changes nothing, and elsewhere it makes the same
conversations again. What clients attached to their requests, token ids and the history of feedback are not in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta, Struct

from storage.interchange.opinion import Opinion, Text, write_opinion
from storage.interchange.talk import Talk
from storage.interchange.tree import Said, Tree, author, say
from storage.records import Conversation, Message, MessageStatus, Person, Role

Id = Annotated[str, Meta(pattern=r"^[!-~]{1,128}$")]
MOST_MESSAGES = 10_000


class SaidText(Struct, frozen=True):
    role: Role
    content: Text


class MessageSource(Struct, frozen=True):
    """The rest of what is known of the message in the same place of `messages`."""

    id: Id
    at_s: float
    adapter: Text
    feedback: Opinion


class ConversationSource(Struct, frozen=True):
    """Whose conversation it is, and when; the person's name is not told."""

    person_id: Id
    learn: bool
    conversation_id: Id
    title: Text
    created_at_s: float
    updated_at_s: float
    messages: Annotated[list[MessageSource], Meta(min_length=1, max_length=MOST_MESSAGES)]


class MessagesRow(Struct, frozen=True):
    messages: list[Said]
    metadata: ConversationSource


class MessagesLine(Struct, frozen=True):
    """A row as it is read: anybody may have written it."""

    messages: list[SaidText]
    metadata: ConversationSource


def messages_rows(tree: Tree) -> Iterator[MessagesRow]:
    """A row for each branch."""
    person, conversation = tree.talk.person, tree.talk.conversation
    for end in tree.last_answers():
        branch = [*tree.context(end), end]
        yield MessagesRow(
            say(branch),
            ConversationSource(
                person.id,
                person.learn,
                conversation.id,
                conversation.title,
                conversation.created_at_s,
                conversation.updated_at_s,
                [MessageSource(m.id, m.created_at_s, author(m), tree.opinion(m)) for m in branch],
            ),
        )


def read_messages(line: MessagesLine) -> Talk:
    """A branch as a talk. Its answers are the client's words: no served version is known to have said them.

    Raises ValueError where words and sources do not fit together.
    """
    source = line.metadata
    if len(line.messages) != len(source.messages):
        raise ValueError(f"{len(line.messages)} messages and {len(source.messages)} metadata.messages, expected one of each")
    person = Person(source.person_id, source.person_id, source.created_at_s, source.learn)
    conversation = Conversation(source.conversation_id, person.id, source.created_at_s, source.title, source.updated_at_s)
    parents = [None, *(message.id for message in source.messages)]
    branch = tuple(
        Message(
            one.id,
            conversation.id,
            person.id,
            parent_id,
            said.role,
            said.content,
            MessageStatus.CLIENT if said.role is Role.ASSISTANT else MessageStatus.COMPLETE,
            one.at_s,
            metadata={"model": one.adapter} if one.adapter else {},
        )
        for said, one, parent_id in zip(line.messages, source.messages, parents, strict=False)
    )
    opinions = zip(branch, source.messages, strict=True)
    return Talk(person, conversation, branch, tuple(row for m, one in opinions for row in write_opinion(m, one.feedback)))
