"""A chat page before a scripted engine, and what its tests do on it again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec.structs import replace
from playwright.sync_api import Locator, Page, expect
from sqlalchemy.ext.asyncio import AsyncConnection

from service.bench.tiny_model import make_tiny_model
from storage.conversations import insert_conversation
from storage.people import ensure_person
from storage.records import Conversation, Person
from tests.conftest import Service, run_service
from tests.faults.scripted_chat import Script, ScriptedChat, Talk, config_for, scripted_chat


@contextmanager
def chat_service(folder: Path, **server: object) -> Iterator[tuple[Service, ScriptedChat]]:
    """A service and the engine that it asks."""
    model_dir = make_tiny_model(folder / "model")
    with scripted_chat() as engine, run_service(folder, config_for(engine.url, model_dir, **server)) as service:
        yield service, engine


def says(*answers: str) -> Script:
    """Each of these in turn, and the last one from then on."""
    left = list(answers)

    async def script(talk: Talk) -> None:
        text = left.pop(0) if len(left) > 1 else left[0]
        await talk.answer(*(text[start : start + 7] for start in range(0, len(text), 7)))

    return script


async def says_a_little_and_waits(talk: Talk) -> None:
    await talk.say("Half ", "an answer")
    await asyncio.sleep(600)


async def refuses(talk: Talk) -> None:
    talk.refuse(500, "no such luck")


def ask(page: Page, text: str) -> Locator:
    """Asks, and gives the answer once it is whole."""
    page.get_by_test_id("prompt").fill(text)
    page.get_by_test_id("prompt").press("Enter")
    expect(page.get_by_test_id("question").last).to_have_text(text)
    answer = page.get_by_test_id("answer").last
    expect(answer).to_have_attribute("data-state", "done", timeout=20_000)
    return answer


def person_of(page: Page) -> str:
    """The id of the person whom the page's browser is."""
    return str(page.evaluate("async () => (await (await fetch('/v1/me')).json()).id"))


def keep_conversations(service: Service, person_id: str, count: int) -> None:
    """Conversations called "Talk 1" and so on, each a minute older than the one before, the first a minute old now."""

    async def write(connection: AsyncConnection) -> None:
        await ensure_person(connection, Person(person_id, "cookie", 1.0))
        newest = Conversation("", person_id, 1.0, "", service.parts.clock())
        for number in range(1, count + 1):
            at_s = newest.updated_at_s - 60.0 * number
            await insert_conversation(connection, replace(newest, id=f"conv-{number}", title=f"Talk {number}", updated_at_s=at_s))

    service.call(service.parts.database.write(write))
