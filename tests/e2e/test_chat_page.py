"""A person in a real browser, with the real engine: asks, watches the answer come, votes, comments and corrects."""

from __future__ import annotations

import time
from typing import Any

import pytest
from msgspec.structs import replace
from playwright.sync_api import expect

from service.config import Config
from storage import conversations, feedback
from storage.records import FeedbackKind, MessageStatus
from tests.conftest import Service
from tests.e2e.browser import page_at

pytestmark = [pytest.mark.engine, pytest.mark.browser]
ANSWER_MS = 120_000


@pytest.fixture
def config(config: Config) -> Config:
    """No answer is asked for twice, by chance, to be compared."""
    return replace(config, server=replace(config.server, compare_share=0.0))


def said(service: Service, completion_id: str) -> dict[FeedbackKind, Any]:
    """What the answer's owner thinks of it now, as the database has it."""

    async def look(connection: Any) -> dict[FeedbackKind, Any]:
        message = await conversations.select_message(connection, completion_id)
        conversation_owner = (await connection.exec_driver_sql(
            "SELECT person_id FROM conversations WHERE id = ?", (message.conversation_id,)
        )).scalar_one()  # fmt: skip
        current = await feedback.select_current(connection, completion_id, conversation_owner)
        return {kind: row.value for kind, row in current.items()}

    return service.call(service.parts.database.read(look))


def test_a_person_chats_votes_comments_and_corrects(service: Service) -> None:
    with page_at(service.url) as page:
        page.get_by_test_id("prompt").fill("What is the capital of France?")
        page.get_by_test_id("send").click()
        answer = page.get_by_test_id("answer").last
        expect(answer).to_have_attribute("data-state", "done", timeout=ANSWER_MS)
        expect(answer).not_to_be_empty()
        completion_id = answer.get_attribute("data-completion-id") or ""
        assert answer.get_attribute("data-model") == "ratchet@base"

        page.get_by_test_id("thumb-up").click()
        expect(page.get_by_test_id("thumb-up")).to_have_attribute("aria-pressed", "true")
        page.get_by_test_id("comment-open").click()
        page.get_by_test_id("comment-text").fill("Right.")
        page.get_by_test_id("comment-save").click()
        expect(page.get_by_test_id("feedback-status")).to_contain_text("aved")
        page.get_by_test_id("correct-open").click()
        page.get_by_test_id("correct-text").fill("Paris.")
        page.get_by_test_id("correct-save").click()
        expect(page.get_by_test_id("correct-text")).not_to_be_visible()
    assert said(service, completion_id) == {"thumb": "up", "comment": "Right.", "correction": "Paris."}


def test_a_vote_can_be_changed_and_taken_back(service: Service) -> None:
    with page_at(service.url) as page:
        page.get_by_test_id("prompt").fill("Say one word.")
        page.get_by_test_id("prompt").press("Enter")
        answer = page.get_by_test_id("answer").last
        expect(answer).to_have_attribute("data-state", "done", timeout=ANSWER_MS)
        completion_id = answer.get_attribute("data-completion-id") or ""
        for button, expected in (("thumb-down", "down"), ("thumb-up", "up"), ("thumb-up", None)):
            page.get_by_test_id(button).click()
            wait_until(lambda expected=expected: said(service, completion_id).get(FeedbackKind.THUMB, "none") == expected)


def test_a_stopped_answer_is_kept_as_interrupted_and_the_next_one_follows_it(service: Service) -> None:
    with page_at(service.url) as page:
        page.get_by_test_id("prompt").fill("Write a very long story about a ship, with every detail.")
        page.get_by_test_id("send").click()
        answer = page.get_by_test_id("answer").last
        expect(answer).not_to_be_empty(timeout=ANSWER_MS)
        page.get_by_test_id("stop").click()
        expect(answer).to_have_attribute("data-state", "stopped")
        completion_id = answer.get_attribute("data-completion-id") or ""
        page.get_by_test_id("prompt").fill("Say hello.")
        page.get_by_test_id("send").click()
        expect(page.get_by_test_id("answer").last).to_have_attribute("data-state", "done", timeout=ANSWER_MS)
    select = conversations.select_message
    wait_until(lambda: service.call(service.parts.database.read(lambda c: select(c, completion_id))) is not None)
    kept = service.call(service.parts.database.read(lambda c: select(c, completion_id)))
    assert kept is not None and kept.status is MessageStatus.INTERRUPTED


def test_the_page_fits_a_phone(service: Service) -> None:
    with page_at(service.url, viewport={"width": 390, "height": 780}) as page:
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        expect(page.get_by_test_id("prompt")).to_be_in_viewport()


def wait_until(true: Any, limit_s: float = 10) -> None:
    deadline = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.1)
