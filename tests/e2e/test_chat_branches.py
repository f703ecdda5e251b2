"""A conversation on the chat page: written as it comes, asked again and otherwise, voted on, found again as it was."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.conftest import Service
from tests.e2e.browser import page_at
from tests.e2e.chats import ask, chat_service, refuses, says, says_a_little_and_waits
from tests.faults.scripted_chat import ScriptedChat

pytestmark = pytest.mark.browser
MARKDOWN = """# Whales

Some are **blue**: [more](https://example.org/whales) and ![a picture](https://example.org/whale.png).

<img src="https://example.org/x.png" onerror="alert(1)"><script>alert(2)</script>

[bad](javascript:alert(3))

| kind | tonnes |
|---|--:|
| blue | 150 |

```python
print("whale")
```
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, ScriptedChat]]:
    with chat_service(tmp_path_factory.mktemp("chat"), compare_share=0.0) as both:
        yield both


def test_an_answer_is_markdown_that_can_neither_run_nor_load_anything(running: tuple[Service, ScriptedChat]) -> None:
    service, engine = running
    engine.script = says(MARKDOWN)
    with page_at(service.url, permissions=["clipboard-read", "clipboard-write"]) as page:
        answer = ask(page, "What of whales?")
        expect(answer.locator("h3")).to_have_text("Whales")
        expect(answer.locator("strong")).to_have_text("blue")
        expect(answer.locator("td").last).to_have_attribute("align", "right")
        links = answer.locator("a")
        expect(links).to_have_count(3)
        assert [link.get_attribute("href") for link in links.all()] == [
            "https://example.org/whales",
            "https://example.org/whale.png",
            None,
        ]
        for link in links.all():
            assert (link.get_attribute("target"), link.get_attribute("rel")) == ("_blank", "noopener noreferrer")
        assert answer.locator("img, script").count() == 0
        expect(answer).to_contain_text('onerror="alert(1)"')  # shown as it was written
        expect(answer.locator(".hljs-string")).to_have_text('"whale"')
        answer.get_by_test_id("copy-code").click()
        expect(answer.get_by_test_id("copy-code")).to_have_text("Copied")
        assert page.evaluate("navigator.clipboard.readText()") == 'print("whale")\n'


def test_what_stands_is_not_rebuilt_while_more_comes(running: tuple[Service, ScriptedChat]) -> None:
    service, _ = running
    with page_at(service.url) as page:
        kept = page.evaluate(
            """async () => {
              const { Rendered } = await import('/web/shared/markdown.js');
              const place = document.createElement('div');
              const rendered = new Rendered(place);
              const text = 'One *two*.\\n\\n- three\\n- four\\n\\n```js\\nlet five;\\nlet six;\\n```\\n\\nSeven.';
              const firsts = new Set(), frames = new Set();
              for (let end = 12; end <= text.length; end += 1) {
                rendered.show(text.slice(0, end));
                firsts.add(place.firstChild);
                if (place.querySelector('.code') && end > 40) frames.add(place.querySelector('.code'));
              }
              const grown = place.innerHTML;
              const whole = document.createElement('div');
              new Rendered(whole).show(text);
              return [firsts.size, frames.size, grown === whole.innerHTML];
            }"""
        )
    assert kept == [1, 1, True]


def test_an_answer_is_asked_again_edited_and_found_with_all_its_branches(running: tuple[Service, ScriptedChat]) -> None:
    service, engine = running
    engine.script = says("Paris.", "It is Paris.", "Rome.", "Yes.")
    with page_at(service.url) as page:
        ask(page, "Capital of France?")
        page.get_by_test_id("again").click()
        answer = page.get_by_test_id("answer")
        expect(answer).to_have_text("It is Paris.")
        place = page.get_by_test_id("meta").get_by_test_id("sibling-place")
        expect(place).to_have_text("2/2")
        page.get_by_test_id("meta").get_by_test_id("previous").focus()
        page.keyboard.press("ArrowLeft")
        expect(answer).to_have_text("Paris.")
        expect(place).to_have_text("1/2")
        page.keyboard.press("ArrowRight")  # the focus went along
        expect(answer).to_have_text("It is Paris.")

        page.get_by_test_id("edit").click()
        page.get_by_test_id("edit-text").fill("Capital of Italy?")
        page.get_by_test_id("edit-text").press("Enter")
        expect(answer).to_have_text("Rome.")
        ask(page, "Sure?")
        assert [said["content"] for said in engine.talks[-1].body["messages"]] == ["Capital of Italy?", "Rome.", "Sure?"]

        page.get_by_test_id("thumb-down").first.click()
        page.get_by_test_id("reason-too_short").first.click()
        expect(page.get_by_test_id("feedback-status").first).to_contain_text("Saved")
        page.get_by_test_id("which").first.click()
        expect(page.get_by_test_id("version").first).to_contain_text("ratchet@base")

        address = page.url
        page.reload()
        assert "?c=conv-" in address and page.url == address
        expect(page.get_by_test_id("question")).to_have_text(["Capital of Italy?", "Sure?"])
        expect(page.get_by_test_id("answer")).to_have_text(["Rome.", "Yes."])
        expect(page.get_by_test_id("thumb-down").first).to_have_attribute("aria-pressed", "true")
        expect(page.get_by_test_id("reason-too_short").first).to_have_attribute("aria-pressed", "true")
        page.get_by_test_id("previous").first.click()
        expect(page.get_by_test_id("question")).to_have_text(["Capital of France?"])
        expect(page.get_by_test_id("meta").get_by_test_id("sibling-place")).to_have_text("2/2")

        page.get_by_test_id("new-chat").click()
        expect(page.get_by_test_id("welcome")).to_be_visible()
        page.go_back()
        expect(page.get_by_test_id("answer").last).to_have_text("Yes.")


def test_a_reload_mid_stream_shows_the_answer_as_interrupted_and_loses_nothing_typed(running: tuple[Service, ScriptedChat]) -> None:
    service, engine = running
    engine.script = says_a_little_and_waits
    with page_at(service.url) as page:
        prompt, answer = page.get_by_test_id("prompt"), page.get_by_test_id("answer")
        prompt.fill("Tell me all.")
        prompt.press("Enter")
        expect(answer).to_have_text("Half an answer")
        prompt.fill("And then?")
        page.reload()
        expect(answer).to_have_attribute("data-state", "interrupted")
        expect(answer).to_have_text("Half an answer")
        expect(page.get_by_test_id("ending")).to_have_text("The answer was interrupted.")
        expect(prompt).to_have_value("And then?")

        page.get_by_test_id("again").click()
        expect(answer).to_have_text("Half an answer")
        page.keyboard.press("Escape")
        expect(answer).to_have_attribute("data-state", "stopped")

        page.context.set_offline(True)
        expect(page.get_by_test_id("status")).to_have_text("You seem to be offline.")
        prompt.press("Enter")
        expect(prompt).to_have_value("And then?")  # it waits for the network
        page.context.set_offline(False)
        expect(page.get_by_test_id("send")).to_be_enabled()
        engine.script = refuses
        prompt.press("Enter")
        expect(page.get_by_test_id("error").last).to_contain_text("no such luck")
        engine.script = says("Then the end.")
        page.get_by_test_id("retry").last.click()
        expect(answer.last).to_have_text("Then the end.")
        said = [message["content"] for message in engine.talks[-1].body["messages"]]
        assert said == ["Tell me all.", "Half an answer", "And then?"]
