"""The pictures of the README's tour, of a service that has learnt something: `python -m tests.e2e.tour HOME`.

HOME is that of a running service whose people have voted and whose cycles have been judged, as `ratchet simulate --url` leaves
it. Somebody new chats there, an operator looks around, and each page is kept as a picture in `deploy/tour/`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import Page, ViewportSize, expect

from service.client import Client
from service.config import ADDRESS_FILE, OPERATOR_KEY_FILE
from storage.records import CycleState
from tests.e2e.browser import page_at

FOLDER = Path(__file__).parents[2] / "deploy" / "tour"
VIEW: ViewportSize = {"width": 1280, "height": 800}
TALL: ViewportSize = {"width": 1280, "height": 1400}
QUESTIONS = ("What is the capital of France?", "Why do leaves turn red in autumn? One sentence, please.")
ANSWER_MS = 120_000
SETTLE_MS = 1000  # plots are drawn a moment after their data came


def main(home: Path) -> None:
    url, key = (home / ADDRESS_FILE).read_text().strip(), (home / OPERATOR_KEY_FILE).read_text().strip()
    FOLDER.mkdir(exist_ok=True)
    with page_at(url, viewport=VIEW) as page:
        _chat(page)
    client = Client(url=url, key=key)
    judged = next(cycle for cycle in client.get("/api/cycles") if cycle["state"] == CycleState.PROMOTED)
    newest = client.get("/api/messages?limit=1&everyone=true")["data"][0]
    with page_at(url, "/console", viewport=VIEW) as page:
        page.clock.set_system_time(newest["created_at_s"])  # simulated days have passed there
        page.reload()
        page.get_by_test_id("key").fill(key)
        page.get_by_test_id("sign-in-send").click()
        expect(page.get_by_test_id("shares").locator(".u-wrap")).to_be_visible(timeout=ANSWER_MS)
        _keep(page, "console")
        page.goto(f"{url}/console/cycles/{judged['id']}")
        expect(page.get_by_test_id("plots").locator(".u-wrap").first).to_be_visible(timeout=ANSWER_MS)
        page.set_viewport_size(TALL)
        _keep(page, "cycle")
        page.set_viewport_size(VIEW)
        page.goto(f"{url}/console/adapters?a=base&b={judged['adapter']}")
        page.get_by_test_id("flips").locator("summary").first.click()
        _keep(page, "versions")


def _chat(page: Page) -> None:
    for question in QUESTIONS:
        page.get_by_test_id("prompt").fill(question)
        page.get_by_test_id("prompt").press("Enter")
        expect(page.get_by_test_id("question").last).to_have_text(question)
        expect(page.get_by_test_id("answer").last).to_have_attribute("data-state", "done", timeout=ANSWER_MS)
        if (pair := page.get_by_test_id("prefer-first")).is_visible():
            pair.click()
    page.get_by_test_id("thumb-up").first.click()
    page.get_by_test_id("thumb-down").last.click()
    expect(page.get_by_test_id("reasons").last).to_be_visible()
    _keep(page, "chat")


def _keep(page: Page, name: str) -> None:
    page.wait_for_timeout(SETTLE_MS)
    page.evaluate("scrollTo(0, 0)")
    page.screenshot(path=FOLDER / f"{name}.png", animations="disabled")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
