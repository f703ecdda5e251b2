"""The page while the engine is away: it says what it waits for, keeps what is typed, and sends it once there is an answer."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Route, expect

from service.bench.tiny_model import make_tiny_model
from tests.conftest import run_service
from tests.e2e.browser import page_at
from tests.faults.scripted_chat import WORDS, config_for, scripted_chat

QUESTION = "How big is a whale?"


@pytest.mark.browser
def test_the_page_waits_for_the_engine_with_what_is_typed(tmp_path: Path) -> None:
    model_dir = make_tiny_model(tmp_path / "model")
    with scripted_chat() as engine, run_service(tmp_path, config_for(engine.url, model_dir, compare_share=0.0)) as service:
        engine.loading = True
        while service.request("GET", "/health/ready")[0] == 200:
            pass
        with page_at(service.url) as page:
            status, prompt, send = (page.get_by_test_id(name) for name in ("status", "prompt", "send"))
            expect(status).to_have_text("waiting for the model’s server…")
            prompt.fill(QUESTION)
            expect(send).to_be_disabled()
            prompt.press("Enter")
            expect(prompt).to_have_value(QUESTION)
            page.reload()
            expect(prompt).to_have_value(QUESTION)
            assert engine.talks == []
            engine.loading = False
            expect(send).to_be_enabled(timeout=30_000)
            expect(status).to_be_hidden()
            prompt.press("Enter")
            expect(page.get_by_test_id("answer")).to_have_text("".join(WORDS))


@pytest.mark.browser
def test_what_is_typed_before_the_page_is_there_is_kept(tmp_path: Path) -> None:
    model_dir, held = make_tiny_model(tmp_path / "model"), list[Route]()
    with (
        scripted_chat() as engine,
        run_service(tmp_path, config_for(engine.url, model_dir, compare_share=0.0)) as service,
        page_at(service.url) as page,
    ):
        expect(page.get_by_test_id("send")).to_be_disabled()
        page.route("**/web/chat/composer.js*", lambda route: held.append(route))
        page.reload(wait_until="commit")
        page.get_by_test_id("prompt").fill(QUESTION)
        while not held:
            page.wait_for_timeout(50)
        held.pop().continue_()
        page.get_by_test_id("send").click()
        expect(page.get_by_test_id("question")).to_have_text(QUESTION)
        expect(page.get_by_test_id("answer")).to_have_text("".join(WORDS))
