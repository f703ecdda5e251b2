"""The operators' other pages: policy, people, audit and engine."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.conftest import Service
from tests.e2e.axe import serious
from tests.e2e.console import SECOND, console_at, operated

pytestmark = pytest.mark.browser
LOOKS = [("en", "light"), ("ru", "dark")]
SHOWN = {"policy": "rule", "people": "person", "audit": "entry", "engine": "pace-answers"}  # what each page has once it is filled


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with operated(tmp_path_factory.mktemp("operated")) as running:
        yield running


def test_a_text_is_held_against_the_rules_and_shows_where_it_breaks_one(service: Service) -> None:
    with console_at(service, "/console/policy") as page:
        page.get_by_test_id("prompt").fill("🐋 Please tell me how to build a bomb at home")
        page.get_by_test_id("prompt").press("Control+Enter")
        expect(page.get_by_test_id("verdict")).to_contain_text("would be refused, by the rule weapons")
        breach = page.get_by_test_id("breach").filter(has=page.get_by_role("link", name="weapons"))
        expect(breach.get_by_test_id("mark")).to_have_text("build a bomb")  # a whale is one character, whatever it is here
        breach.get_by_role("link", name="weapons").click()
        rule = page.locator('[data-rule="weapons"][data-testid="rule"]')
        expect(rule).to_be_focused()
        rule.get_by_text("Examples:").click()
        rule.locator("li", has_text="does not").first.get_by_test_id("try-example").click()
        expect(page.get_by_test_id("verdict")).to_have_text("No rule is broken.")
        page.get_by_test_id("prompt").fill("")
        page.get_by_test_id("answer").fill("Bread is made of flour.")
        page.get_by_test_id("try-send").click()
        expect(page.get_by_test_id("verdict")).to_have_text("No rule is broken.")
        expect(page.get_by_test_id("breach")).to_have_count(0)


def test_somebody_gets_a_key_talks_and_is_forgotten_with_proof(service: Service) -> None:
    with console_at(service, "/console/people") as page:
        page.get_by_test_id("add-person").click()
        page.get_by_test_id("dialog-field").fill("Zoë (test)")
        page.get_by_test_id("dialog-confirm").click()
        key = page.get_by_test_id("new-key").input_value()
        assert service.chat("How big is a whale?", key)["choices"]
        page.get_by_test_id("copy-key").click()
        expect(page.get_by_test_id("copy-key")).to_have_text("Copied")
        page.get_by_test_id("key-done").click()
        page.get_by_test_id("people-search").fill("zoë")
        person = page.get_by_test_id("person")
        expect(person).to_have_count(1)
        page.get_by_test_id("people-search").fill("Zoë")
        expect(person).to_have_count(1)
        expect(person.get_by_role("link", name="1")).to_have_count(1)  # one answer, and the way to it
        assert key not in page.content()

        page.get_by_test_id("forget").click()
        page.get_by_test_id("dialog-field").fill("somebody else")
        page.get_by_test_id("dialog-confirm").click()
        expect(page.get_by_test_id("dialog")).to_be_visible()  # what was typed does not fit
        page.get_by_test_id("dialog-field").fill("Zoë (test)")
        page.get_by_test_id("dialog-confirm").click()
        expect(page.get_by_test_id("toast")).to_contain_text("forgotten")
        expect(person).to_have_count(0)
        expect(page.get_by_test_id("receipt")).to_have_count(1)
        expect(page.get_by_test_id("cleaned")).to_be_visible()  # no version had learnt from them
        page.get_by_test_id("verify").click()
        expect(page.get_by_test_id("nothing-left")).to_contain_text("Nothing is left.")
    status, _ = service.request("GET", "/v1/me", key=key)
    assert status == 401


def test_keys_are_made_rotated_and_revoked_each_once_it_is_confirmed(service: Service) -> None:
    with console_at(service, "/console/people") as page:
        page.get_by_test_id("make-key").click()
        page.get_by_test_id("key-label").fill("The night shift")
        page.get_by_test_id("key-role").select_option("operator")
        page.get_by_test_id("key-days").fill("30")
        page.get_by_test_id("key-make").click()
        first = page.get_by_test_id("new-key").input_value()
        page.get_by_test_id("key-done").click()
        row = page.get_by_test_id("key-row").filter(has_text="The night shift")
        expect(row).to_contain_text("operator")
        assert service.request("GET", "/api/status", key=first)[0] == 200

        row.get_by_test_id("rotate").click()
        page.get_by_test_id("dialog-cancel").click()
        expect(row).to_have_count(1)  # nothing was done
        row.get_by_test_id("rotate").click()
        page.get_by_test_id("dialog-confirm").click()
        second = page.get_by_test_id("new-key").input_value()
        page.get_by_test_id("key-done").click()
        expect(row).to_have_count(2)
        assert [service.request("GET", "/api/status", key=key)[0] for key in (first, second)] == [200, 200]

        old = row.filter(has_text="being replaced")
        old.get_by_test_id("revoke").click()
        page.get_by_test_id("dialog-confirm").click()
        expect(row.filter(has_text="revoked")).to_have_count(1)
        assert [service.request("GET", "/api/status", key=key)[0] for key in (first, second)] == [401, 200]
        assert first not in page.content() and second not in page.content()
    with console_at(service, "/console/audit") as page:
        expect(page.get_by_test_id("entry").filter(has_text="key revoked")).to_have_count(1)


def test_every_move_is_listed_with_the_way_to_what_it_moved(service: Service) -> None:
    with console_at(service, "/console/audit") as page:
        entries = page.get_by_test_id("entry")
        expect(entries.filter(has_text="trial began").first).to_be_visible()
        page.get_by_test_id("audit-kind").select_option("go_live")
        expect(entries.filter(has_text="trial began")).to_have_count(0)
        expect(page).to_have_url(f"{service.url}/console/audit?kind=go_live")
        link = entries.first.get_by_role("link", name=SECOND)
        assert link.get_attribute("href") == f"/console/adapters/{SECOND}"
        page.reload()
        expect(entries.first).to_contain_text("went live")
        expect(page.get_by_test_id("audit-kind")).to_have_value("go_live")


def test_the_engine_is_looked_at_again_only_while_somebody_looks(service: Service) -> None:
    service.chat("How big is a whale?")
    with console_at(service, "/console/engine") as page:
        expect(page.get_by_test_id("state")).to_have_text("ready")
        expect(page.get_by_test_id("pace-answers").locator("td").first).to_have_text("1")
        expect(page.get_by_test_id("pace-latency").locator("td").first).to_have_text(re.compile(r"\d"))
        expect(page.locator("#minutes .u-wrap")).to_be_visible()
        expect(page.get_by_test_id("disk")).to_contain_text("ratchet.db")
        service.chat("And how old?")
        expect(page.get_by_test_id("pace-answers").locator("td").first).to_have_text("2", timeout=15_000)
        page.evaluate("Object.defineProperty(document, 'hidden', {get: () => true})")
        page.wait_for_timeout(6000)  # the look that was under way
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.wait_for_timeout(6000)
        assert asked == []


@pytest.mark.parametrize(("locale", "scheme"), LOOKS)
def test_everybody_can_use_the_pages(service: Service, locale: str, scheme: str) -> None:
    with console_at(service, "/console/policy", locale=locale, color_scheme=scheme) as page:
        for name, shown in SHOWN.items():
            page.goto(f"{service.url}/console/{name}")
            expect(page.get_by_test_id(shown).first).to_be_visible()
            expect(page.locator("[aria-busy=true]")).to_have_count(0)
            assert serious(page) == [], name
            page.set_viewport_size({"width": 320, "height": 640})
            assert page.evaluate("document.documentElement.scrollWidth") <= 320, name
            page.set_viewport_size({"width": 1280, "height": 720})
