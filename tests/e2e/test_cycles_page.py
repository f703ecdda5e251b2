"""Cycles in the console: the list, starting one, and one cycle with its stages, plots, verdict and report."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest
from playwright.sync_api import expect
from sqlalchemy.ext.asyncio import AsyncConnection

from learner.context import Context, Progress
from learner.jobs import LOG
from learner.train.methods import METHODS
from learner.train.spec import METRICS, Step
from storage import cycles
from storage.records import Cycle, CycleState, StageName
from tests.conftest import Service
from tests.e2e.axe import serious
from tests.e2e.console import console_at, operated
from tests.learner.ended import two_cycles
from tests.learner.world import Talker

pytestmark = pytest.mark.browser
LOOKS = [("en", "light"), ("ru", "dark")]
OLD = 40  # cycles, more than a page


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with operated(tmp_path_factory.mktemp("operated")) as running:
        yield running


@pytest.fixture(scope="module")
def judged(service: Service) -> Cycle:
    """The last of many cycles, and one that was judged and went live."""
    return service.call(_learn(service.parts.context))


async def _learn(context: Context) -> Cycle:
    async def write(connection: AsyncConnection) -> None:
        for _ in range(OLD):
            cycle = await cycles.insert_cycle(connection, "interval", "mixed", 1000.0)
            ended = {"state": CycleState.FAILED, "ended_at_s": 1060.0, "reasons": ["collect: the disk is full"]}
            await cycles.update_cycle(connection, cycle.id, **ended)  # type: ignore[arg-type]

    await context.database.write(write)
    people = [Talker() for _ in range(4)]
    for person in people:
        await context.database.write(person.talk)
    return (await two_cycles(context, people))[1]


def test_cycles_come_a_page_at_a_time_and_a_new_one_by_itself(service: Service, judged: Cycle) -> None:
    with console_at(service, "/console/cycles") as page:
        rows = page.get_by_test_id("cycles").locator("tbody tr")
        expect(rows).to_have_count(30)
        expect(rows.first).to_contain_text(f"{judged.id}went live")
        page.get_by_test_id("more").click()
        expect(rows).to_have_count(judged.id)
        expect(page.get_by_test_id("more")).to_be_hidden()

        page.get_by_test_id("start").click()
        offered = page.get_by_test_id("method").locator("option").evaluate_all("all => all.map((one) => one.value)")
        assert set(offered) == {"", *METHODS}
        page.get_by_test_id("method").select_option("dpo")
        page.get_by_test_id("start-confirm").click()
        begun = page.get_by_test_id(f"cycle-{judged.id + 1}")
        expect(begun).to_contain_text("skipped", timeout=60_000)  # nobody has preferred anything
        expect(rows).to_have_count(judged.id + 1)
        page.get_by_test_id(f"link-{judged.id}").press("Enter")
        expect(page.get_by_test_id("state")).to_have_text("went live")


def test_a_cycle_tells_what_it_learnt_how_it_was_judged_and_has_a_report(service: Service, judged: Cycle) -> None:
    with console_at(service, f"/console/cycles/{judged.id}") as page:
        expect(page.get_by_test_id("summary")).to_contain_text("passed the gate")
        for stage in ("collect", "curate", "train", "evaluate", "gate"):
            expect(page.get_by_test_id(f"stage-{stage}")).to_have_attribute("data-standing", "done")
        expect(page.get_by_test_id("stage-train")).to_contain_text("2.5 sec")
        expect(page.get_by_test_id("plots").locator(".u-wrap")).to_have_count(4)  # loss, KL, margin, rate
        expect(page.get_by_test_id("heldout")).to_contain_text("would change by +30 points, at least +5")
        expect(page.get_by_test_id("suites").locator("tbody tr")).to_contain_text("facts")
        expect(page.get_by_test_id("passes-facts")).to_have_text("passed")
        expect(page.get_by_test_id("dropped").get_by_role("link")).to_have_attribute(
            "href", f"/console/data?tab=datasets&id={judged.id:064}"
        )
        expect(page.get_by_test_id("kinds")).to_contain_text("thumbs")
        with page.expect_popup() as opened:
            page.get_by_test_id("report").click()
        report = opened.value
        expect(report.locator("h1")).to_contain_text(f"Cycle {judged.id}", timeout=60_000)
        assert report.evaluate("getComputedStyle(document.body).maxWidth") != "none"  # its styles are in force
        with page.expect_download() as saved:
            page.get_by_test_id("report_file").click()
        assert saved.value.suggested_filename == f"cycle-{judged.id}.html"


def test_a_cycle_is_watched_while_it_trains(service: Service, judged: Cycle) -> None:
    context = service.parts.context

    async def begin(connection: AsyncConnection) -> Cycle:
        cycle = await cycles.insert_cycle(connection, "operator", "mixed", context.clock())
        await cycles.start_stage(connection, cycle.id, StageName.TRAIN, context.clock())
        return cycle

    cycle = service.call(context.database.write(begin))
    folder = context.folder(cycle.id) / "train"
    folder.mkdir()
    (folder / LOG).write_text("step 1 of 2\n")
    with console_at(service, f"/console/cycles/{cycle.id}") as page:
        expect(page.get_by_test_id("stage-train")).to_have_attribute("data-standing", "running")
        expect(page.get_by_test_id("log-text")).to_have_text("step 1 of 2\n")
        expect(page.get_by_test_id("plots")).to_have_count(0)
        steps = [Step(n, 2, 1.0 / n, 12.0, {"kl": 0.01}) for n in (1, 2)]
        (folder / METRICS).write_bytes(b"".join(msgspec.json.encode(step) + b"\n" for step in steps))
        with (folder / LOG).open("a") as log:
            log.write("step 2 of 2\n")
        context.progress = Progress("train", 1, 2, "", 0.5, 12.0, 30.0)
        expect(page.get_by_test_id("progress-bar")).to_have_attribute("value", "1")
        expect(page.get_by_test_id("plots").locator(".u-wrap").first).to_be_visible()
        expect(page.get_by_test_id("log-text")).to_have_text("step 1 of 2\nstep 2 of 2\n")
        page.get_by_test_id("cancel").click()
        page.get_by_test_id("dialog-confirm").click()
        expect(page.get_by_test_id("state")).to_have_text("cancelled")
        expect(page.get_by_test_id("stage-train")).to_have_attribute("data-standing", "broken")
        context.progress = Progress()


def test_what_cannot_go_on_says_why(service: Service, judged: Cycle) -> None:
    with console_at(service, f"/console/cycles/{judged.id - 2}") as page:
        expect(page.get_by_test_id("state")).to_have_text("failed")
        page.get_by_test_id("resume").click()
        expect(page.get_by_test_id("trouble")).to_contain_text("start a new one")


@pytest.mark.parametrize(("locale", "scheme"), LOOKS)
def test_everybody_can_use_the_pages(service: Service, judged: Cycle, locale: str, scheme: str) -> None:
    for path, shown in (("", "cycles"), (f"/{judged.id}", "suites")):
        with console_at(service, f"/console/cycles{path}", locale=locale, color_scheme=scheme) as page:
            expect(page.get_by_test_id(shown)).to_be_visible()
            assert serious(page) == []
            page.set_viewport_size({"width": 320, "height": 640})
            assert page.evaluate("document.documentElement.scrollWidth") <= 320
