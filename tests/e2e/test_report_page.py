"""A cycle's report opens from a folder, without a network, for everybody: in both languages, in the dark, on a phone, on paper."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from learner.adapter import make_zero_adapter
from learner.report.language import LANGUAGES
from learner.report.write import read_page
from tests.e2e.axe import serious
from tests.e2e.browser import page_at
from tests.learner.ended import two_cycles
from tests.learner.tiny import RANK, save_model
from tests.learner.world import Talker, learner

pytestmark = pytest.mark.browser
PHONE = {"width": 320, "height": 640}


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The second cycle's page in each language, in a folder with nothing else."""
    home, folder = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("reports")
    model_dir, base = save_model(tmp_path_factory.mktemp("model"), seed=1), home / "base"
    make_zero_adapter(model_dir, base, RANK)

    async def write() -> None:
        async with learner(home, model_dir, base) as context:
            people = [Talker() for _ in range(4)]
            for person in people:
                await context.database.write(person.talk)
            await two_cycles(context, people)
            for language in LANGUAGES:
                (folder / f"{language}.html").write_text(await read_page(context, 2, language))

    asyncio.run(write())
    return {language: folder / f"{language}.html" for language in LANGUAGES}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_axe_finds_nothing_serious_in_either_language_and_theme(reports: dict[str, Path], language: str, scheme: str) -> None:
    with page_at(reports[language].as_uri(), color_scheme=scheme) as page:
        assert serious(page) == []
        ink, paper = (page.evaluate(f"getComputedStyle(document.body).{name}") for name in ("color", "backgroundColor"))
        assert (sum_of(ink) > sum_of(paper)) is (scheme == "dark")
        drawn = page.evaluate("getComputedStyle(document.querySelector('figure svg')).fill")
        assert drawn == ink, "plots are drawn in the page's ink"


def sum_of(colour: str) -> int:
    return sum(int(part) for part in colour.strip("rgb()").split(","))


def test_it_tells_how_the_cycle_ended_before_anything_else_and_leads_to_every_part(reports: dict[str, Path]) -> None:
    with page_at(reports["en"].as_uri()) as page:
        expect(page.get_by_role("heading", level=1)).to_have_text("Cycle 2: promoted r2-00000002")
        expect(page.locator("h1 + p")).to_contain_text("r2-00000002 passed the gate: it is better on the votes")
        links = page.get_by_role("navigation", name="Contents").get_by_role("link")
        assert links.count() == page.locator("h2").count() > 5
        for link in links.all():
            link.click()
            expect(page.locator(f"h2{link.get_attribute('href')}")).to_be_in_viewport()
        pictures = page.get_by_role("img")
        assert pictures.count() == page.locator("svg").count() == 4
        assert all(len(one.get_attribute("aria-label") or "") > 40 for one in pictures.all())
        assert page.locator("table").count() == page.locator("table > caption").count()


def test_a_phone_scrolls_tables_and_not_the_page(reports: dict[str, Path]) -> None:
    with page_at(reports["ru"].as_uri(), viewport=PHONE) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


@pytest.fixture
def printed(reports: dict[str, Path]) -> Iterator[Page]:
    with page_at(reports["en"].as_uri(), color_scheme="dark") as page:
        page.emulate_media(media="print")
        yield page


def test_paper_is_white_and_without_what_is_to_be_clicked(printed: Page) -> None:
    assert printed.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    expect(printed.get_by_role("navigation")).to_be_hidden()
