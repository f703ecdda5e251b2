"""Stored completions, as OpenAI has them: what the asker's requests were answered, to list, mark and delete."""

from __future__ import annotations

import re
from typing import Annotated

from litestar import Request, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from sqlalchemy.ext.asyncio import AsyncConnection

from learner.engine import Usage
from service.auth import asker_of
from service.paging import LIMIT, After, Limit, Order, Page, page
from service.problem import Problem, owned
from service.router import ALIAS, model_name
from service.wire import (
    AnswerChoice,
    AnswerMessage,
    CompletionDeleted,
    MetadataChange,
    StoredAnswer,
    StoredMessage,
)
from storage import completions, conversations
from storage.database import Database
from storage.records import Message

METADATA = re.compile(r"metadata\[(.*)\]", re.DOTALL)


@get("/v1/chat/completions")
async def list_completions(
    request: Request,  # type: ignore[type-arg]
    database: NamedDependency[Database],
    after: After = None,
    limit: Limit = LIMIT,
    order: Order = "asc",
    model: Annotated[str | None, QueryParameter()] = None,
) -> Page[StoredAnswer]:
    """The asker's answers by age; `metadata[key]=value`, any number of times, leaves those that have it attached."""
    person, version, wanted = asker_of(request).person, _version(model), _metadata(request)

    async def select(connection: AsyncConnection) -> list[Message]:
        return await completions.select_completions(
            connection, person.id, limit + 1, after=after, order=order, model=version, metadata=wanted
        )

    with owned("after"):
        found = await database.read(select)
    return page([_stored(message) for message in found], limit)


@get("/v1/chat/completions/{completion_id:str}")
async def show_completion(
    completion_id: FromPath[str],
    request: Request,  # type: ignore[type-arg]
    database: NamedDependency[Database],
) -> StoredAnswer:
    """One of the asker's answers."""
    person = asker_of(request).person
    return _stored(await database.read(lambda connection: _select(connection, completion_id, person.id)))


@post("/v1/chat/completions/{completion_id:str}", status_code=200)
async def change_metadata(
    completion_id: FromPath[str],
    data: JSONBody[MetadataChange],
    request: Request,  # type: ignore[type-arg]
    database: NamedDependency[Database],
) -> StoredAnswer:
    """Replaces what is attached to an answer; null takes it all away."""
    person = asker_of(request).person

    async def change(connection: AsyncConnection) -> Message:
        await completions.update_metadata(connection, completion_id, person.id, data.metadata or {})
        return await _select(connection, completion_id, person.id)

    with owned("completion_id"):
        return _stored(await database.write(change))


@delete("/v1/chat/completions/{completion_id:str}", status_code=200)
async def delete_completion(
    completion_id: FromPath[str],
    request: Request,  # type: ignore[type-arg]
    database: NamedDependency[Database],
) -> CompletionDeleted:
    """Deletes an answer with the feedback on it, and the questions that led only to it."""
    person = asker_of(request).person
    with owned("completion_id"):
        await database.write(lambda connection: completions.delete_completion(connection, completion_id, person.id))
    return CompletionDeleted(completion_id)


@get("/v1/chat/completions/{completion_id:str}/messages")
async def list_messages(
    completion_id: FromPath[str],
    request: Request,  # type: ignore[type-arg]
    database: NamedDependency[Database],
    after: After = None,
    limit: Limit = LIMIT,
    order: Order = "asc",
) -> Page[StoredMessage]:
    """The messages of the request that was answered so, as they were said."""
    person = asker_of(request).person

    async def select(connection: AsyncConnection) -> list[Message]:
        await _select(connection, completion_id, person.id)
        return list(await conversations.select_thread(connection, completion_id))[:-1]

    asked = await database.read(select)
    if order == "desc":
        asked.reverse()
    start = _start(asked, after)
    cards = [StoredMessage(message.id, message.role.value, message.content) for message in asked]
    return page(cards[start : start + limit + 1], limit)


async def _select(connection: AsyncConnection, id: str, person_id: str) -> Message:
    found = await completions.select_completion(connection, id, person_id)
    if found is None:
        raise Problem("not_found", f"you have no completion {id!r}", "completion_id")
    return found


def _stored(message: Message) -> StoredAnswer:
    prompt, answer = len(message.prompt_token_ids), len(message.token_ids)
    return StoredAnswer(
        id=message.id,
        created=int(message.created_at_s),
        model=model_name(message.engine_model),
        choices=[AnswerChoice(0, AnswerMessage(message.content), message.finish_reason)],
        usage=Usage(prompt, answer, prompt + answer),
        metadata=message.metadata,
    )


def _version(model: str | None) -> str | None:
    """The version a model's name stands for; None for any, as all were asked for by the alias."""
    if model is None or model == ALIAS:
        return None
    alias, at, version = model.partition("@")
    if alias != ALIAS or not (at and version):
        raise Problem("model_not_found", f"there is no model {model!r} here; expected {ALIAS!r} or '{ALIAS}@<version>'", "model")
    return version


def _metadata(request: Request) -> dict[str, str]:  # type: ignore[type-arg]
    pairs = request.query_params.multi_items()
    return {match[1]: value for name, value in pairs if (match := METADATA.fullmatch(name))}


def _start(asked: list[Message], after: str | None) -> int:
    """Where the page after a message begins."""
    if after is None:
        return 0
    for number, message in enumerate(asked):
        if message.id == after:
            return number + 1
    raise Problem("not_found", f"you have no message {after!r} there", "after")


HANDLERS = [list_completions, show_completion, change_metadata, delete_completion, list_messages]
