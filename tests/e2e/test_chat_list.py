"""The list of conversations on the chat page: long, searched, renamed, and deleted with a way back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from storage.conversations import select_conversation
from tests.conftest import Service
from tests.e2e.browser import page_at
from tests.e2e.chats import ask, chat_service, keep_conversations, person_of, says
from tests.faults.scripted_chat import ScriptedChat

pytestmark = pytest.mark.browser
MANY = 10_000
PAGE = 50


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, ScriptedChat]]:
    with chat_service(tmp_path_factory.mktemp("chat"), compare_share=0.0) as both:
        yield both


def test_ten_thousand_come_as_they_are_scrolled_to_and_are_found_by_a_word(
    running: tuple[Service, ScriptedChat],
) -> None:
    service, _ = running
    with page_at(service.url) as page:
        keep_conversations(service, person_of(page), MANY)
        page.reload()
        items = page.get_by_test_id("conversation")
        expect(items.first).to_contain_text("Talk 1")
        assert items.count() <= 4 * PAGE  # what is seen, and some to scroll to
        for _ in range(20):
            before = items.count()
            page.evaluate("() => document.querySelector('#conversations').scrollTo(0, 1e9)")
            expect(items.nth(before)).to_be_attached()
        assert "Talk 1000" in items.all_inner_texts()

        page.keyboard.press("Tab")  # the reader is not typing
        page.get_by_test_id("prompt").blur()
        page.keyboard.press("/")
        expect(page.get_by_test_id("search")).to_be_focused()
        page.keyboard.type("Talk 9876")
        expect(items).to_have_count(1)
        expect(items).to_contain_text("Talk 9876")
        page.get_by_test_id("search").fill("no such words")
        expect(page.get_by_test_id("no-conversations")).to_have_text("No conversation has these words.")


def test_one_is_renamed_and_a_deletion_can_be_undone_until_the_page_is_left(
    running: tuple[Service, ScriptedChat],
) -> None:
    service, engine = running
    engine.script = says("Hello.")
    with page_at(service.url) as page:
        person = person_of(page)
        ask(page, "First one")
        page.keyboard.press("Control+Shift+KeyO")
        ask(page, "Second one")
        items, titles = page.get_by_test_id("conversation"), page.get_by_test_id("open")
        expect(titles).to_have_text(["Second one", "First one"])
        expect(page.locator("#conversations h2:visible")).to_have_text(["Today"])
        expect(page.get_by_test_id("title")).to_have_text("Second one")

        items.first.hover()
        page.get_by_test_id("rename").first.click()
        page.get_by_test_id("dialog-field").fill("Renamed")
        page.get_by_test_id("dialog-confirm").click()
        expect(titles).to_have_text(["Renamed", "First one"])
        expect(page).to_have_title("Renamed · Ratchet")

        titles.last.click()
        expect(page.get_by_test_id("question")).to_have_text("First one")
        id = page.url.partition("?c=")[2]
        page.get_by_test_id("delete").last.click()
        expect(titles).to_have_text(["Renamed"])
        expect(page.get_by_test_id("welcome")).to_be_visible()
        page.get_by_test_id("toast-undo").click()
        expect(titles).to_have_text(["Renamed", "First one"])

        def kept() -> bool:
            found = service.call(service.parts.database.read(lambda c: select_conversation(c, id, person)))
            return found is not None

        items.last.hover()
        page.get_by_test_id("delete").last.click()
        expect(page.get_by_test_id("toast")).to_be_visible()
        assert kept()  # while it can be undone
        page.reload()
        expect(titles).to_have_text(["Renamed"])
        assert not kept()

        page.goto(f"{service.url}/?c={id}")
        expect(page.get_by_test_id("open-trouble")).to_contain_text("There is no such conversation")
