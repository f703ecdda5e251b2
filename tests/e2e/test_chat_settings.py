"""The chat page for everybody: by keyboard, on a phone, in both languages and themes, quick to load; and what it keeps."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from storage.feedback import select_current
from storage.records import FeedbackKind
from tests.conftest import Service
from tests.e2e.axe import serious
from tests.e2e.browser import page_at
from tests.e2e.chats import chat_service, person_of, says
from tests.faults.scripted_chat import ScriptedChat

pytestmark = pytest.mark.browser
FIRST_LOAD_BYTES = 200_000


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, ScriptedChat]]:
    with chat_service(tmp_path_factory.mktemp("chat"), compare_share=1.0) as both:
        yield both


def test_two_answers_are_compared_and_the_better_one_goes_on(running: tuple[Service, ScriptedChat]) -> None:
    service, engine = running
    engine.script = says("One.", "Two.", "Three.", "Four.", "Five.")
    with page_at(service.url) as page:
        answers = page.get_by_test_id("answer")
        page.get_by_test_id("prompt").fill("Which?")
        page.get_by_test_id("prompt").press("Enter")
        expect(answers).to_have_text(["One.", "Two."])
        boxes = [answer.bounding_box() for answer in answers.all()]
        assert boxes[0] and boxes[1] and boxes[0]["x"] < boxes[1]["x"] and boxes[0]["y"] == boxes[1]["y"]
        first, second = (answer.get_attribute("data-completion-id") or "" for answer in answers.all())
        assert serious(page) == []
        page.get_by_test_id("prefer-second").click()
        expect(answers).to_have_text(["Two."])
        expect(page.get_by_test_id("sibling-place").last).to_have_text("2/2")
        person = person_of(page)
        said = service.call(service.parts.database.read(lambda c: select_current(c, second, person)))
        assert {kind: row.value for kind, row in said.items()} == {FeedbackKind.PREFERENCE: first}

        page.get_by_test_id("prompt").fill("And then?")
        page.get_by_test_id("prompt").press("Enter")
        expect(answers).to_have_text(["Two.", "Three.", "Four."])
        assert [one["content"] for one in engine.talks[-1].body["messages"]] == ["Which?", "Two.", "And then?"]
        page.get_by_test_id("prefer-neither").click()
        expect(answers).to_have_text(["Two.", "Three."])
        page.get_by_test_id("again").last.click()  # asked for by the reader: not compared
        expect(answers).to_have_text(["Two.", "Five."])


def test_a_reader_sees_what_is_kept_takes_it_along_and_deletes_it(running: tuple[Service, ScriptedChat]) -> None:
    service, engine = running
    engine.script = says("Fine.")
    with page_at(service.url) as page:
        page.get_by_test_id("prompt").fill("Remember me.")
        page.get_by_test_id("prompt").press("Enter")
        page.get_by_test_id("prefer-first").click()
        expect(page.get_by_test_id("pair")).to_have_count(0)
        before = person_of(page)
        page.get_by_test_id("open-settings").click()
        expect(page.get_by_test_id("kept")).to_have_text(
            "Kept about you: 1 conversation, 3 messages, and 1 vote, reason, comment or correction."
        )
        expect(page.get_by_test_id("learn")).to_be_checked()
        page.get_by_test_id("learn").click()
        expect(page.get_by_test_id("learn")).not_to_be_checked()
        with page.expect_download() as download:
            page.get_by_test_id("export").click()
        copy = json.loads(download.value.path().read_text())
        assert "Remember me." in json.dumps(copy)
        page.get_by_test_id("close-settings").click()
        page.get_by_test_id("open-settings").click()
        expect(page.get_by_test_id("learn")).not_to_be_checked()

        page.get_by_test_id("delete-me").click()
        page.get_by_test_id("dialog-field").fill("no")
        page.get_by_test_id("dialog-confirm").click()
        expect(page.get_by_test_id("dialog")).to_be_visible()  # it is not what was to be typed
        page.get_by_test_id("dialog-field").fill("delete")
        page.get_by_test_id("dialog-confirm").click()
        expect(page.get_by_test_id("deleted-me")).to_contain_text("Nothing is kept about you")
        page.get_by_test_id("start-again").click()
        expect(page.get_by_test_id("no-conversations")).to_be_visible()
        assert person_of(page) != before
        assert page.evaluate("Object.keys(localStorage)") == []


@pytest.mark.parametrize(("locale", "theme", "send"), [("en-US", "light", "Send"), ("ru-RU", "dark", "Отправить")])
def test_it_is_fit_for_all_and_quick_to_load(running: tuple[Service, ScriptedChat], locale: str, theme: str, send: str) -> None:
    service, engine = running
    engine.script = says("Some `code` and a [link](https://example.org).\n\n```python\nx = 1  # one\n```\n\n| a |\n|---|\n| b |")
    with page_at(service.url, locale=locale, color_scheme=theme) as page:
        loaded: list[str] = []
        page.on("response", lambda response: loaded.append(response.url))
        page.reload(wait_until="networkidle")
        packed = page.evaluate("() => performance.getEntries().reduce((sum, entry) => sum + (entry.encodedBodySize ?? 0), 0)")
        assert 0 < packed < FIRST_LOAD_BYTES
        assert [url for url in loaded if "highlight" in url or "uplot" in url] == []
        assert any("marked" in url for url in loaded)
        expect(page.get_by_test_id("send")).to_have_accessible_name(send)
        assert serious(page) == []
        page.get_by_test_id("prompt").fill("Show me.")
        page.get_by_test_id("prompt").press("Enter")
        page.get_by_test_id("prefer-first").click()
        expect(page.get_by_test_id("pair")).to_have_count(0)
        page.get_by_test_id("thumb-down").click()
        expect(page.get_by_test_id("reasons")).to_be_visible()
        page.get_by_test_id("comment-open").click()
        assert serious(page) == []
        page.get_by_test_id("open-settings").click()
        expect(page.get_by_test_id("learn")).to_be_enabled()
        assert serious(page) == []


def test_everything_is_reached_by_keyboard_on_a_phone_sized_page(running: tuple[Service, ScriptedChat]) -> None:
    service, engine = running
    engine.script = says("Short.")
    with page_at(service.url, viewport={"width": 320, "height": 640}) as page:
        expect(page.get_by_test_id("prompt")).to_be_focused()
        page.keyboard.type("One line")
        page.keyboard.press("Shift+Enter")
        page.keyboard.type("another")
        page.keyboard.press("Enter")
        expect(page.get_by_test_id("question")).to_have_text("One line\nanother", use_inner_text=True)
        expect(page.get_by_test_id("choice")).to_be_visible()
        tops = [answer.bounding_box() for answer in page.get_by_test_id("answer").all()]
        assert tops[0] and tops[1] and tops[0]["x"] == tops[1]["x"]  # below each other
        press_until(page, "Shift+Tab", "prefer-neither")
        page.keyboard.press("Enter")
        press_until(page, "Shift+Tab", "thumb-up")
        page.keyboard.press("Enter")
        expect(page.get_by_test_id("thumb-up")).to_have_attribute("aria-pressed", "true")
        expect(page.get_by_test_id("sidebar")).to_be_hidden()
        page.get_by_test_id("menu").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_test_id("sidebar")).to_be_visible()
        expect(page.get_by_test_id("new-chat")).to_be_focused()
        assert serious(page) == []
        page.keyboard.press("Escape")
        expect(page.get_by_test_id("menu")).to_be_focused()
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def press_until(page: Page, key: str, testid: str) -> None:
    """Goes from control to control until the one that is named has the focus."""
    for _ in range(40):
        if page.evaluate("document.activeElement?.dataset.testid") == testid:
            return
        page.keyboard.press(key)
    raise AssertionError(f"{testid!r} was not reached by {key}")
