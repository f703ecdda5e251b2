"""The page of suites: what judges here, how versions did on it over time, and what another version does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.conftest import Service
from tests.e2e.axe import serious
from tests.e2e.console import FIRST, REFUSED, SECOND, console_at, operated

pytestmark = pytest.mark.browser
LOOKS = [("en", "light"), ("ru", "dark")]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with operated(tmp_path_factory.mktemp("operated")) as running:
        yield running


def test_a_suite_tells_how_versions_did_and_which_items_turned(service: Service) -> None:
    with console_at(service, "/console/suites") as page:
        expect(page.get_by_test_id("live-facts")).to_have_text("0.75")
        page.get_by_test_id("suite-facts").press("Enter")
        about = page.locator("#about-facts")
        expect(about.locator(".u-wrap")).to_be_visible()  # the plot
        expect(about.locator("tbody tr").filter(has_text=SECOND).last).to_contain_text("0.75")

        page.get_by_test_id("run-version").select_option(FIRST)
        page.locator("#run-suites").get_by_label("facts").check()
        page.get_by_test_id("run").click()
        expect(page.get_by_test_id("ran-table").locator("tbody tr")).to_have_text("facts40.75")  # as it is known already

        page.get_by_test_id("compare-a").select_option(SECOND)
        page.get_by_test_id("compare-b").select_option("base")
        page.get_by_test_id("compare-suite").select_option("facts")
        page.get_by_test_id("compare").click()
        expect(page.get_by_test_id("deltas").locator("tbody tr")).to_have_count(1)
        page.get_by_test_id("flips").locator("summary").click()
        expect(page.get_by_test_id("flips").locator("tbody tr")).to_have_count(3)
        page.get_by_test_id("compare-b").select_option(REFUSED)
        page.get_by_test_id("compare").click()
        expect(page.get_by_test_id("score-missing")).to_be_visible()  # nothing is known of that one


@pytest.mark.parametrize(("locale", "scheme"), LOOKS)
def test_everybody_can_use_the_page(service: Service, locale: str, scheme: str) -> None:
    with console_at(service, f"/console/suites?a=base&b={SECOND}#facts", locale=locale, color_scheme=scheme) as page:
        expect(page.locator("#about-facts .u-wrap")).to_be_visible()
        expect(page.get_by_test_id("deltas")).to_be_visible()
        assert serious(page) == []
        page.set_viewport_size({"width": 320, "height": 640})
        assert page.evaluate("document.documentElement.scrollWidth") <= 320
