"""The data page: an operator looks answers up, decides about held ones, brings files in, and sees what cycles made of it all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from playwright.sync_api import Page, expect
from sqlalchemy.ext.asyncio import AsyncConnection

from learner.curate.dataset import manifest, publish_rows
from learner.curate.example import Drop
from storage import cycles
from storage.conversations import insert_conversation, insert_messages
from storage.datasets import insert_dataset
from storage.feedback import insert_feedback
from storage.people import insert_person
from storage.records import (
    Conversation,
    CycleState,
    Dataset,
    Feedback,
    FeedbackKind,
    Message,
    MessageStatus,
    Person,
    Review,
    Role,
)
from storage.reviews import hold
from tests.conftest import Service
from tests.e2e.axe import serious
from tests.e2e.console import console_at, operated
from tests.learner.tiny import corrections, thumbs

pytestmark = pytest.mark.browser
LOOKS = [("en", "light"), ("ru", "dark")]
TABS = ("answers", "review", "documents", "datasets", "pictures")
TALKS = 24  # of which the newest is about salt, and the three before are held back
FIRST_ROW = msgspec.structs.replace(thumbs(1)[0], id="answer-0", person_id="person-ann")
ROWS = [FIRST_ROW, *thumbs(4)[1:], *corrections(2)]
READ_MS = 60_000  # a file is read by a process of its own, and a picture drawn


def message(id: str, parent: str | None, role: Role, text: str, at_s: float) -> Message:
    bare = Message(id, "conv-ann", "person-ann", parent, role, text, MessageStatus.COMPLETE, at_s)
    return bare if role is Role.USER else msgspec.structs.replace(bare, adapter="base", engine_model="base", latency_ms=1500.0)


async def furnish(connection: AsyncConnection, dataset: Dataset) -> None:
    """Ann's talks, what she thinks of them, three that are held back, and the dataset of a cycle that learnt from the first."""
    await insert_person(connection, Person("person-ann", "Ann", 1.0))
    await insert_conversation(connection, Conversation("conv-ann", "person-ann", 1.0))
    for number in range(TALKS):
        food = "salt" if number == TALKS - 1 else f"bread number {number}"
        asked = message(f"msg-{number}", None, Role.USER, f"How is {food} made?", 1000.0 + number)
        answer = "By the <b>sea</b>. " * 60 if food == "salt" else f"With flour, way {number}."
        await insert_messages(connection, [asked, message(f"answer-{number}", asked.id, Role.ASSISTANT, answer, 1000.5 + number)])
    for number, kind, value in (
        (TALKS - 1, FeedbackKind.THUMB, "down"),
        (TALKS - 1, FeedbackKind.REASON, ["too_long"]),
        (TALKS - 1, FeedbackKind.CORRECTION, "By drying sea water."),
        (0, FeedbackKind.THUMB, "up"),
    ):
        given = f"fb-{number}-{kind}"
        await insert_feedback(connection, [Feedback(given, f"answer-{number}", "person-ann", kind, value, 2000.0, given)])
    cycle = await cycles.insert_cycle(connection, "operator", "mixed", 3000.0)
    held = [
        (TALKS - 2, "looks like one crowd", "crowd:1"),
        (TALKS - 3, "looks like one crowd", "crowd:1"),
        (TALKS - 4, "new here", ""),
    ]
    await hold(
        connection,
        [Review(f"answer-{n}", "person-ann", cycle.id, why, group, 3000.0 + n) for n, why, group in held],
    )
    named = manifest(dataset.id, ROWS, [Drop("answer-1", "person-ann", "duplicate")], {})
    await insert_dataset(connection, msgspec.structs.replace(dataset, cycle_id=cycle.id), named)
    await cycles.update_cycle(connection, cycle.id, state=CycleState.REJECTED, ended_at_s=3600.0)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with operated(tmp_path_factory.mktemp("operated")) as running:
        artifacts = running.parts.context.artifacts
        sha256 = publish_rows(artifacts, ROWS)
        path = str(artifacts.dataset_file(sha256).relative_to(running.home))
        dataset = Dataset(sha256, 0, path, len(ROWS), 3100.0, {"duplicate": 1}, sha256, {"facts": "5" * 64}, {"seed": 7})
        running.call(running.parts.database.write(lambda connection: furnish(connection, dataset)))
        yield running


def test_an_answer_is_found_and_leads_to_what_learnt_from_it(service: Service) -> None:
    with console_at(service, "/console/data") as page:
        found = page.get_by_test_id("found-answer")
        expect(found).to_have_count(20)
        page.get_by_test_id("found").get_by_test_id("more").click()
        expect(found).to_have_count(TALKS + 3)  # and those of the family
        page.get_by_test_id("text").fill("SALT")
        expect(found).to_have_count(1)
        expect(page).to_have_url(f"{service.url}/console/data?tab=answers&text=SALT")
        expect(found).to_contain_text("By the <b>sea</b>.")  # as it was written
        for said in ("Thumb down", "Too long", "By drying sea water.", "1.5 sec"):
            expect(found).to_contain_text(said)
        page.get_by_test_id("thumb").select_option("up")
        expect(found).to_have_count(0)
        expect(page.get_by_test_id("found")).to_contain_text("No answer fits")
        page.get_by_test_id("clear").click()
        page.get_by_test_id("person").fill("person-ann")
        page.get_by_test_id("thumb").select_option("up")
        expect(found).to_have_count(1)
        page.get_by_role("button", name="Who learnt from it").click()
        expect(found).to_contain_text("No version yet")

        found.get_by_role("link", name=service_dataset(service)[:8]).click()
        expect(page.get_by_test_id("manifest")).to_contain_text("duplicate")
        expect(page.get_by_test_id("manifest").get_by_role("row", name="Corrections")).to_contain_text("2")
        with page.expect_download() as saved:
            page.get_by_test_id("export").click()
        assert saved.value.suggested_filename.endswith(".tar") and Path(saved.value.path()).stat().st_size > 1000
        page.go_back()
        expect(found).to_have_count(1)
        page.get_by_test_id("tab-answers").press("ArrowLeft")
        expect(page.get_by_test_id("tab-pictures")).to_be_focused()
        expect(page.get_by_test_id("tab-pictures")).to_have_attribute("aria-selected", "true")
        expect(page.get_by_test_id("totals")).to_contain_text(f"{TALKS + 3}", timeout=READ_MS)
        page.wait_for_function("document.querySelector('[data-testid=picture]')?.naturalWidth > 100", timeout=READ_MS)


def service_dataset(service: Service) -> str:
    listed = service.request("GET", "/api/datasets", key=service.key)[1]
    return next(str(one["id"]) for one in listed if one["recipe"] == {"seed": 7})


def pending(service: Service) -> list[str]:
    return [one["message_id"] for one in service.request("GET", "/api/data/review", key=service.key)[1]["data"]]


def test_held_answers_are_decided_by_single_keys_and_taken_back(service: Service) -> None:
    first, second, third = before = pending(service)
    with console_at(service, "/console/data?tab=review") as page:
        held = page.get_by_test_id("held")
        expect(held).to_have_count(3)
        expect(page.get_by_test_id("review-reason")).to_contain_text("looks like one crowd: 2, people: 1")
        held.first.focus()
        page.keyboard.press("j")
        expect(held.nth(1)).to_be_focused()
        page.keyboard.press("k")
        page.keyboard.press("a")
        expect(held).to_have_count(2)
        expect(page.get_by_test_id("toast")).to_contain_text("may teach")
        expect(page.locator(f'[data-id="{second}"]')).to_be_focused()
        wait_for(page, lambda: pending(service) == [second, third])
        page.keyboard.press("u")
        expect(held).to_have_count(3)
        wait_for(page, lambda: pending(service) == before)
        page.locator(f'[data-id="{third}"]').get_by_test_id("because").fill("made up")  # and none of the letters is a command
        page.locator(f'[data-id="{third}"]').get_by_test_id("refuse").click()
        expect(held).to_have_count(2)
        page.locator(f'[data-id="{first}"]').get_by_test_id("accept_all").click()
        expect(page.get_by_test_id("held-list")).to_contain_text("Nothing waits")
        page.get_by_test_id("review-state").select_option("rejected")
        expect(held).to_have_count(1)
        held.get_by_test_id("wait").click()
        expect(held).to_have_count(0)
        wait_for(page, lambda: pending(service) == [third])
    entries = service.request("GET", "/api/audit?kind=review", key=service.key)[1]
    details = {one["action"]: one["detail"] for one in reversed(entries)}  # the newest of each
    assert details["review.rejected"] == "1 answers: made up" and details["review.accepted"] == "2 answers"


def wait_for(page: Page, true: object, limit_ms: int = 10_000) -> None:
    assert callable(true)
    for _ in range(limit_ms // 50):
        if true():
            return
        page.wait_for_timeout(50)
    raise AssertionError("it never came true")


def test_a_file_comes_in_and_its_source_is_taken_back(service: Service, tmp_path: Path) -> None:
    file, talks = tmp_path / "sums.jsonl", tmp_path / "talks.jsonl"
    file.write_text('{"prompt": "2+2?", "completion": "4"}\n{"prompt": "3+3?", "completion": "6"}\nbad\n')
    talks.write_text("[")
    with console_at(service, "/console/data?tab=documents") as page:
        expect(page.get_by_test_id("sources")).to_contain_text("No documents yet")
        page.get_by_test_id("file").set_input_files(file)
        expect(page.get_by_test_id("drop")).to_contain_text("sums.jsonl")
        for field, value in (("domain", "sums"), ("doc-language", "en"), ("source", "a book"), ("licence", "CC0-1.0")):
            page.get_by_test_id(field).fill(value)
        page.get_by_test_id("bring-send").click()
        expect(page.get_by_test_id("brought-says")).to_contain_text("documents added: 2", timeout=READ_MS)
        expect(page.get_by_test_id("brought")).to_contain_text("line 3")
        expect(page.get_by_test_id("bringing")).to_be_hidden()
        expect(page.get_by_test_id("source-row")).to_contain_text("a book")
        expect(page.get_by_test_id("import-row")).to_have_count(1)
        page.get_by_test_id("talks").check()
        page.get_by_test_id("file").set_input_files(talks)
        page.get_by_test_id("bring-send").click()
        expect(page.get_by_test_id("bring-trouble")).to_contain_text("expected an array of records")
        page.get_by_test_id("delete-source").click()
        page.get_by_test_id("dialog-cancel").click()
        expect(page.get_by_test_id("source-row")).to_have_count(1)
        page.get_by_test_id("delete-source").click()
        page.get_by_test_id("dialog-confirm").click()
        expect(page.get_by_test_id("toast")).to_contain_text("2 documents from a book deleted")
        expect(page.get_by_test_id("source-row")).to_have_count(0)


@pytest.mark.parametrize(("locale", "scheme"), LOOKS)
def test_everybody_can_use_each_tab(service: Service, locale: str, scheme: str) -> None:
    with console_at(service, "/console/data", locale=locale, color_scheme=scheme) as page:
        shown = {
            "answers": "found-answer",
            "datasets": "dataset-row",
            "pictures": "totals",
            "documents": "bring",
            "review": "review-filters",
        }
        for tab in TABS:
            page.get_by_test_id(f"tab-{tab}").click()
            expect(page.get_by_test_id(shown[tab]).first).to_be_visible(timeout=READ_MS)
            expect(page.locator("[aria-busy=true]")).to_have_count(0)
            assert serious(page) == [], tab
        page.set_viewport_size({"width": 320, "height": 640})
        for tab in TABS:
            page.get_by_test_id(f"tab-{tab}").click()
            assert page.evaluate("document.documentElement.scrollWidth") <= 320, tab
