"""Conversations as Open WebUI's chat export, which its "Import Chats" reads: each with the tree of its messages and its thumbs.

What it has no place for is not in it: corrections, preferences, reasons beyond the first, and those that it does not know.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from storage.interchange.openwebui import REASONS, Rating
from storage.interchange.opinion import Opinion
from storage.interchange.tree import Tree, author
from storage.records import Conversation, Message, Reason, Role

KEYS = {reason: key for key, reason in reversed(REASONS.items())}  # the first where several mean the same
RATINGS: dict[str, Literal[1, -1]] = {"up": 1, "down": -1}


class Node(Struct, frozen=True, rename="camel"):
    """A message. Times are whole seconds: Open WebUI takes no fractions."""

    id: str
    parent_id: str | None
    children_ids: list[str]
    role: Role
    content: str
    timestamp: int
    model: str | UnsetType = UNSET
    model_name: str | UnsetType = UNSET
    done: bool | UnsetType = UNSET
    annotation: Rating | UnsetType = UNSET


class NodeTree(Struct, frozen=True, rename="camel"):
    messages: dict[str, Node]
    current_id: str


class Body(Struct, frozen=True):
    title: str
    models: list[str]
    params: dict[str, str]
    history: NodeTree
    messages: list[Node]  # the branch that is shown; Open WebUI searches in these
    timestamp: int  # milliseconds


class ExportedChat(Struct, frozen=True):
    id: str
    user_id: str
    title: str
    chat: Body
    created_at: int
    updated_at: int
    meta: dict[str, str] = {}
    pinned: bool = False
    archived: bool = False


def chat_rows(tree: Tree) -> Iterator[ExportedChat]:
    """The conversation with all its branches, each to its last answer; none where nobody was answered."""
    if not (ends := tree.last_answers()):
        return
    conversation, branches = tree.talk.conversation, [[*tree.context(end), end] for end in ends]
    system, said = _part_system(list({message.id: message for branch in branches for message in branch}.values()))
    nodes = _nodes(tree, said, system)
    shown = [nodes[message.id] for message in branches[-1] if message.id in nodes]
    yield ExportedChat(
        conversation.id,
        conversation.person_id,
        conversation.title,
        _body(conversation, nodes, shown, system),
        int(conversation.created_at_s),
        int(conversation.updated_at_s),
    )


def _part_system(said: list[Message]) -> tuple[Message | None, list[Message]]:
    """The system prompt, which Open WebUI keeps beside the messages, and the rest; several of them stay among the messages."""
    roots = [message for message in said if message.parent_id is None]
    if len(roots) == 1 and roots[0].role is Role.SYSTEM:
        return roots[0], [message for message in said if message is not roots[0]]
    return None, said


def _nodes(tree: Tree, said: Sequence[Message], system: Message | None) -> dict[str, Node]:
    children: defaultdict[str | None, list[str]] = defaultdict(list)
    for message in said:
        children[message.parent_id].append(message.id)
    above = system.id if system else None
    return {
        message.id: _node(message, None if message.parent_id == above else message.parent_id, children[message.id], tree)
        for message in said
    }


def _node(message: Message, parent_id: str | None, children: list[str], tree: Tree) -> Node:
    place = message.id, parent_id, children, message.role, message.content, int(message.created_at_s)
    if message.role is not Role.ASSISTANT:
        return Node(*place)
    model = author(message) or UNSET
    return Node(*place, model, model, done=True, annotation=_rating(tree.opinion(message)))


def _rating(opinion: Opinion) -> Rating | UnsetType:
    known = [KEYS[Reason(reason)] for reason in opinion.reasons.split(",") if reason in KEYS]
    if not (opinion.thumb or opinion.comment or known):
        return UNSET
    return Rating(RATINGS.get(opinion.thumb), known[0] if known else None, opinion.comment, [])


def _body(conversation: Conversation, nodes: dict[str, Node], shown: list[Node], system: Message | None) -> Body:
    models = list(dict.fromkeys(node.model for node in shown if node.model is not UNSET))
    return Body(
        conversation.title,
        models[-1:] or [""],  # of the next answer; "" is Open WebUI's own choice
        {"system": system.content} if system else {},
        NodeTree(nodes, shown[-1].id),
        shown,
        int(conversation.created_at_s * 1000),
    )
