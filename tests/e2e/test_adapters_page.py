"""The pages of versions: operators see where each comes from, hold one against another, and move people with a way back."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from playwright.sync_api import Page, expect

from learner.adapter import Card, expected_shapes, write_adapter
from learner.model import model_sha256
from learner.portable import pack
from tests.conftest import Service
from tests.e2e.axe import serious
from tests.e2e.console import FIRST, REFUSED, SECOND, TRIED, console_at, operated
from tests.faults.scripted_chat import WORDS

pytestmark = pytest.mark.browser
LOOKS = [("en", "light"), ("ru", "dark")]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with operated(tmp_path_factory.mktemp("operated")) as running:
        yield running


def confirm(page: Page, reason: str | None = None) -> None:
    if reason is not None:
        page.get_by_test_id("dialog-field").fill(reason)
    page.get_by_test_id("dialog-confirm").click()


def export(service: Service, into: Path) -> Path:
    """The tar of an adapter that this base can serve, and that was made elsewhere."""
    context = service.parts.context
    torch.manual_seed(0)
    tensors = {name: torch.randn(shape) * 1e-3 for name, shape in expected_shapes(context.model_dir, 16).items()}
    write_adapter(into / "made", tensors, 16, context.model_dir, Card(model_sha256(context.model_dir), None, None))
    with (into / "made.tar").open("wb") as tar:
        pack(into / "made", "made elsewhere", 1.0, tar)
    return into / "made.tar"


def test_two_versions_are_held_against_each_other_by_suites_and_by_asking_them(service: Service, tmp_path: Path) -> None:
    with console_at(service, "/console/adapters") as page:
        for above, below in pairwise(("base", FIRST, SECOND, TRIED)):
            expect(page.locator(f'[data-version="{above}"] [data-version="{below}"]')).to_be_visible()
        expect(page.locator(f'[data-version="{SECOND}"] > .line')).to_contain_text("67% up of 3 thumbs")
        expect(page.locator('[data-state="live"]')).to_have_count(1)

        for name in (SECOND, FIRST):  # the older one is the first of the two all the same
            page.get_by_label(f"Compare {name}").check()
        page.get_by_test_id("compare").press("Enter")
        expect(page.get_by_test_id("deltas").locator("tbody tr").first).to_contain_text("facts")
        expect(page.get_by_test_id("comparison").get_by_test_id("verdict")).to_have_text("not worse")
        flips = page.get_by_test_id("flips")
        expect(flips.locator("summary")).to_have_text("facts: 2 items that changed most, 1 lost and 1 won")
        flips.locator("summary").click()
        expect(flips).to_contain_text("What is 2 plus 2?")
        flips.get_by_test_id("ask-item").first.click()
        answers = page.get_by_test_id("answer")
        expect(answers).to_have_count(2)
        assert [one.get_attribute("data-version") for one in answers.all()] == [FIRST, SECOND]
        expect(answers.last).to_contain_text("".join(WORDS))
        page.reload()
        expect(page.get_by_test_id("deltas")).to_be_visible()  # the address says which two

        page.get_by_test_id("import-file").set_input_files(export(service, tmp_path))
        page.get_by_test_id("import-send").click()
        expect(page.get_by_test_id("imported")).to_be_visible(timeout=30_000)
        page.get_by_test_id("import-file").set_input_files(tmp_path / "made.tar")
        page.get_by_test_id("import-send").click()
        expect(page.get_by_test_id("trouble")).to_contain_text("this adapter is here already: imported-")


def test_people_are_moved_once_it_is_confirmed_and_moved_back_by_undo(service: Service) -> None:
    with console_at(service, f"/console/adapters/{FIRST}") as page:
        page.get_by_test_id("again").press("Enter")
        page.keyboard.press("Escape")  # nothing was decided
        assert service.live == SECOND
        page.get_by_test_id("again").click()
        confirm(page)
        expect(page.get_by_test_id("facts").locator('[data-state="live"]')).to_be_visible()
        assert service.live == FIRST
        page.get_by_test_id("toast-undo").click()
        expect(page.get_by_test_id("facts").locator('[data-state="retired"]')).to_be_visible()
        assert service.live == SECOND

        page.goto(f"{service.url}/console/adapters/{SECOND}")
        expect(page.get_by_test_id("training")).to_contain_text("people like it better")
        expect(page.get_by_test_id("lesson-ids").locator("li")).to_have_count(3)
        expect(page.get_by_test_id("score-table").locator("tbody tr").first).to_contain_text("0.75")
        page.get_by_test_id("quarantine").click()
        confirm(page, "it flatters")
        expect(page.get_by_test_id("facts").locator('[data-state="quarantined"]')).to_be_visible()
        assert service.live == FIRST
        page.get_by_test_id("toast-undo").click()
        expect(page.get_by_test_id("facts").locator('[data-state="live"]')).to_be_visible()
        assert service.live == SECOND

        with page.expect_download() as download:
            page.get_by_test_id("export").click()
        assert download.value.suggested_filename == f"{SECOND}.tar"


@pytest.mark.parametrize(("locale", "scheme"), LOOKS)
def test_everybody_can_use_the_pages(service: Service, locale: str, scheme: str) -> None:
    with console_at(service, f"/console/adapters?a={FIRST}&b={SECOND}", locale=locale, color_scheme=scheme) as page:
        page.get_by_test_id("flips").locator("summary").click()
        expect(page.get_by_test_id("ask-item").first).to_be_visible()
        assert serious(page) == []
        for name in (TRIED, REFUSED, SECOND):
            page.goto(f"{service.url}/console/adapters/{name}")
            expect(page.get_by_test_id("lessons").locator("p, ul").first).to_be_visible()
            assert serious(page) == []
        page.set_viewport_size({"width": 320, "height": 640})
        for path in ("", f"/{SECOND}"):
            page.goto(f"{service.url}/console/adapters{path}")
            expect(page.locator(f'[data-version="{SECOND}"], [data-testid="training"] dl').first).to_be_visible()
            assert page.evaluate("document.documentElement.scrollWidth") <= 320
