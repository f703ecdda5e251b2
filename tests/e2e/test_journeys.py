"""A person's way and an operator's, from the first page to the last click, in a real browser with the real engine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from msgspec.structs import replace
from playwright.sync_api import Page, expect

from learner.config import ReleaseSettings
from service.client import Client
from service.config import Config
from storage.feedback import select_current
from storage.records import FeedbackKind
from tests.conftest import Service, run_service
from tests.e2e.browser import page_at
from tests.e2e.chats import person_of
from tests.e2e.console import console_at
from tests.faults.talkers import learns_quickly, settle, spare_anchors
from tests.suites import make_suites

pytestmark = [pytest.mark.engine, pytest.mark.browser]
ANSWER_MS, CYCLE_MS = 120_000, 400_000
PEOPLE, TURNS_EACH = 16, 3


def ask(page: Page, text: str) -> None:
    page.get_by_test_id("prompt").fill(text)
    page.get_by_test_id("prompt").press("Enter")
    expect(page.get_by_test_id("question").last).to_have_text(text)


def said(service: Service, person: str, completion_id: str) -> dict[FeedbackKind, object]:
    """What the person thinks of the answer now, as the database has it."""
    current = service.call(service.parts.database.read(lambda c: select_current(c, completion_id, person)))
    return {kind: row.value for kind, row in current.items()}


def test_a_new_person_finds_everything(home: Path, config: Config) -> None:
    """Asks, compares, votes, corrects, has it answered again, loses the page, takes a copy along, and is forgotten."""
    compared = replace(config, server=replace(config.server, compare_share=1.0))
    with run_service(home, compared) as service, page_at(service.url) as page:
        answers = page.get_by_test_id("answer")
        ask(page, "What is the capital of France?")
        page.get_by_test_id("prefer-second").click(timeout=ANSWER_MS)
        expect(page.get_by_test_id("pair")).to_have_count(0)
        expect(answers).to_have_count(1)
        person, better = person_of(page), answers.get_attribute("data-completion-id") or ""
        page.get_by_test_id("thumb-up").click()
        expect(page.get_by_test_id("feedback-status")).to_have_attribute("data-state", "saved")
        page.get_by_test_id("correct-open").click()
        page.get_by_test_id("correct-text").fill("Paris.")
        page.get_by_test_id("correct-save").click()
        expect(page.get_by_test_id("correct-text")).not_to_be_visible()
        opinion = said(service, person, better)
        assert (opinion[FeedbackKind.THUMB], opinion[FeedbackKind.CORRECTION]) == ("up", "Paris.")
        assert FeedbackKind.PREFERENCE in opinion

        page.get_by_test_id("again").click()
        expect(page.get_by_test_id("sibling-place").last).to_have_text("3/3")
        expect(answers).to_have_attribute("data-state", "done", timeout=ANSWER_MS)
        page.get_by_test_id("previous").last.click()
        expect(answers).to_have_attribute("data-completion-id", better)
        expect(page.get_by_test_id("thumb-up")).to_have_attribute("aria-pressed", "true")

        ask(page, "Write a very long story about a ship, with every detail.")
        expect(answers.nth(1)).not_to_be_empty(timeout=ANSWER_MS)
        page.get_by_test_id("prompt").fill("What I meant to ask")
        page.reload()
        expect(page.get_by_test_id("question").last).to_have_text("Write a very long story about a ship, with every detail.")
        expect(answers.last).not_to_be_empty()
        expect(page.get_by_test_id("prompt")).to_have_value("What I meant to ask")

        page.get_by_test_id("open-settings").click()
        with page.expect_download() as download:
            page.get_by_test_id("export").click()
        copy = json.loads(download.value.path().read_text())
        assert "Paris." in json.dumps(copy) and "every detail" in json.dumps(copy)
        page.get_by_test_id("delete-me").click()
        page.get_by_test_id("dialog-field").fill("delete")
        page.get_by_test_id("dialog-confirm").click()
        expect(page.get_by_test_id("deleted-me")).to_contain_text("Nothing is kept about you")
        assert service.request("GET", "/api/erasures/verify", key=service.key)[1]["remains"] == []


def test_an_operator_has_a_version_made_judges_it_and_moves_people_to_it_and_back(
    home: Path, config: Config, tmp_path: Path
) -> None:
    quick = learns_quickly(config, make_suites(tmp_path / "suites"))
    waits = replace(quick, learner=replace(quick.learner, release=ReleaseSettings(mode="approve")))
    spare_anchors(home)
    with run_service(home, waits) as service:
        settle(Client(url=service.url, key=service.key), PEOPLE, TURNS_EACH)
        with console_at(service, "/console") as page:
            page.get_by_test_id("dry-run").click()
            expect(page.get_by_test_id("preview")).to_contain_text(f"answers looked at{PEOPLE * TURNS_EACH}")
            page.get_by_test_id("start-confirm").click()
            page.goto(f"{service.url}/console/cycles/1")
            expect(page.get_by_test_id("stage-train")).to_have_attribute("data-standing", "running", timeout=CYCLE_MS)
            expect(page.get_by_test_id("plots").locator(".u-wrap").first).to_be_visible(timeout=CYCLE_MS)
            expect(page.get_by_test_id("state")).to_have_attribute("data-state", "staged", timeout=CYCLE_MS)
            expect(page.get_by_test_id("summary")).to_contain_text("passed the gate")
            with page.expect_popup() as opened:
                page.get_by_test_id("report").click()
            expect(opened.value.locator("h1")).to_contain_text("Cycle 1", timeout=60_000)

            page.goto(f"{service.url}/console")
            made = service.request("GET", "/api/cycles/1", key=service.key)[1]["cycle"]["adapter"]
            assert answering(service) == "ratchet@base"
            decide(page, f"approve-{made}")
            expect(page.get_by_test_id("live-version")).to_have_text(made, timeout=60_000)
            assert answering(service) == f"ratchet@{made}"
            decide(page, "roll-back")
            expect(page.get_by_test_id("live-version")).to_have_text("base")
            assert answering(service) == "ratchet@base"
            page.get_by_test_id("toast-undo").last.click()
            expect(page.get_by_test_id("live-version")).to_have_text(made)
            assert answering(service) == f"ratchet@{made}"


def decide(page: Page, button: str) -> None:
    page.get_by_test_id(button).click()
    page.get_by_test_id("dialog-confirm").click()


def answering(service: Service) -> str:
    """Who answers somebody new."""
    return str(service.chat("Hello", max_tokens=1)["model"])
