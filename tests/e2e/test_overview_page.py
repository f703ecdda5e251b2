"""The console's overview: the loop at a glance, live, and an operator's moves, each asked once and taken back by a click."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from msgspec.structs import replace
from playwright.sync_api import Page, expect

from learner.context import Context, Progress
from storage import cycles
from storage.records import StageName
from tests.conftest import Service
from tests.e2e.axe import serious
from tests.e2e.console import SECOND, TRIED, console_at, operated
from tests.learner.trials import STAGED, Trials

pytestmark = pytest.mark.browser
LOOKS = [("en", "light"), ("ru", "dark")]


class Offers(Trials):
    """Candidates in a home whose engine proves them."""

    def __init__(self, context: Context) -> None:
        self.context, self.told = context, []


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with operated(tmp_path_factory.mktemp("operated")) as running:
        context = running.parts.context
        context.settings = replace(context.settings, release=STAGED)
        yield running


def confirm(page: Page, button: str) -> None:
    page.get_by_test_id(button).click()
    page.get_by_test_id("dialog-confirm").click()


def test_a_move_that_fails_is_told_where_it_was_made_and_one_that_hurts_can_be_undone(service: Service) -> None:
    offered = service.call(Offers(service.parts.context).begin(SECOND)).adapter
    with console_at(service, "/console") as page:
        confirm(page, f"promote-{TRIED}")  # nothing is there to prove it by
        section = page.locator("section", has=page.get_by_test_id(f"trial-{TRIED}"))
        expect(section.get_by_test_id("trouble")).to_contain_text("there is no text to prove it by")
        expect(section.get_by_test_id("trouble").get_by_role("button")).to_be_visible()  # to try again
        expect(page.get_by_test_id("live-version")).to_have_text(SECOND)
        confirm(page, f"take_back-{offered}")
        expect(page.get_by_test_id(f"trial-{offered}")).to_have_count(0)
        page.get_by_test_id("toast-undo").click()
        expect(page.get_by_test_id("toast").filter(has_text="Taken back.")).to_be_visible()
        assert service.call(Offers(service.parts.context).state(offered)).value != "quarantined"


def test_an_operator_sees_the_loop_and_moves_traffic_back_and_forth(service: Service) -> None:
    offered = service.call(Offers(service.parts.context).begin(SECOND)).adapter
    with console_at(service, "/console") as page:
        live, undo = page.get_by_test_id("live-version"), page.get_by_test_id("toast-undo").last
        expect(live).to_have_text(SECOND)
        expect(page.get_by_test_id("loop-live")).to_contain_text(SECOND)
        expect(page.get_by_test_id("loop-live")).to_have_attribute("href", f"/console/adapters/{SECOND}")
        expect(page.get_by_test_id("need-independent")).to_have_attribute("data-met", "false")
        expect(page.get_by_test_id("need-people")).to_contain_text("3 of")
        expect(page.get_by_test_id("next-run")).to_contain_text("No cycle starts by itself")
        expect(page.get_by_test_id(f"up-{SECOND}")).to_have_text("2", timeout=60_000)
        expect(page.get_by_test_id("shares").locator(".u-wrap")).to_be_visible()  # the plot

        trial = page.get_by_test_id(f"trial-{TRIED}")
        expect(trial).to_contain_text("5% of the people")
        confirm(page, f"hold-{TRIED}")
        expect(trial.get_by_test_id("trial-state")).to_have_text("held")
        undo.click()
        expect(trial.get_by_test_id("trial-state")).to_have_text("being tried")

        page.get_by_test_id(f"promote-{offered}").click()
        page.get_by_test_id("dialog-cancel").click()
        expect(live).to_have_text(SECOND)  # who steps back moves nothing
        confirm(page, f"promote-{offered}")
        expect(live).to_have_text(offered)
        undo.click()
        expect(live).to_have_text(SECOND)
        confirm(page, "roll-back")
        expect(live).not_to_have_text(SECOND)
        undo.click()
        expect(live).to_have_text(SECOND)
        assert service.request("GET", "/api/status", key=service.key)[1]["live"] == SECOND


def test_a_cycle_that_runs_lights_up_the_loop_as_it_happens(service: Service) -> None:
    context = service.parts.context
    with console_at(service, "/console") as page:
        expect(page.get_by_test_id("loop-learn")).to_contain_text("rests")
        cycle = service.call(context.database.write(lambda c: cycles.insert_cycle(c, "operator", "mixed", context.clock())))
        service.call(context.database.write(lambda c: cycles.start_stage(c, cycle.id, StageName.TRAIN, context.clock())))
        context.progress = Progress("train", 3, 9, "wide", 0.7, 12.0, 30.0)
        expect(page.get_by_test_id("loop-learn")).to_have_attribute("aria-current", "step")
        expect(page.get_by_test_id("progress")).to_contain_text("3 of 9 (33%) · 12 rows/s · loss 0.7 · 30 sec left")
        context.progress = Progress("train", 6, 9, "wide", 0.6, 12.0, 15.0)
        expect(page.get_by_test_id("progress")).to_contain_text("6 of 9 (67%)")
        confirm(page, "cancel")
        expect(page.get_by_test_id("last-state")).to_have_attribute("data-state", "cancelled")
        expect(page.get_by_test_id("running")).to_have_count(0)
        expect(page.get_by_test_id("loop-learn")).not_to_have_attribute("aria-current", "step")
        context.progress = Progress()


@pytest.mark.parametrize(("locale", "scheme"), LOOKS)
def test_everybody_can_use_the_page(service: Service, locale: str, scheme: str) -> None:
    with console_at(service, "/console", locale=locale, color_scheme=scheme) as page:
        expect(page.get_by_test_id("votes-table")).to_be_visible(timeout=60_000)
        expect(page.locator("#evidence [lang=en]")).to_have_count(0)  # every condition is told in the reader's language
        assert serious(page) == []
        page.get_by_test_id("dry-run").click()
        expect(page.get_by_test_id("would")).to_be_visible(timeout=60_000)
        assert serious(page) == []
        page.keyboard.press("Escape")
        expect(page.get_by_test_id("start-dialog")).to_have_count(0)
        page.set_viewport_size({"width": 320, "height": 640})
        assert page.evaluate("document.documentElement.scrollWidth") <= 320
