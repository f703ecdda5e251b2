"""Who has to be somebody before they chat signs in with a key, and out again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from msgspec.structs import replace
from playwright.sync_api import expect

from service.bench.tiny_model import make_tiny_model
from service.config import AuthSettings
from tests.conftest import Service, run_service
from tests.e2e.axe import serious
from tests.e2e.browser import page_at
from tests.faults.scripted_chat import config_for, scripted_chat

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("keys")
    (home := folder / "home").mkdir()
    with scripted_chat() as engine:
        model_dir = make_tiny_model(folder / "model")
        config = replace(config_for(engine.url, model_dir, compare_share=0.0), auth=AuthSettings(mode="keys"))
        with run_service(home, config) as service:
            yield service


def test_a_person_signs_in_chats_and_signs_out(service: Service) -> None:
    _, made = service.request("POST", "/api/keys", {"label": "Ann"}, service.key)
    with page_at(service.url) as page:
        assert serious(page) == []
        page.get_by_test_id("key").fill("rt_not-this-one")
        page.get_by_test_id("sign-in-send").click()
        expect(page.get_by_test_id("sign-in-trouble")).to_contain_text("not, or no longer, good here")
        page.get_by_test_id("key").fill(made["key"])
        page.get_by_test_id("sign-in-send").click()
        page.get_by_test_id("prompt").fill("Which animal is the largest?")
        page.get_by_test_id("send").click()
        expect(page.get_by_test_id("answer")).to_contain_text("Blue whales")
        page.reload()
        expect(page.get_by_test_id("conversation")).to_have_count(1)
        page.get_by_test_id("open-settings").click()
        page.get_by_test_id("sign-out").click()
        expect(page.get_by_test_id("key")).to_be_visible()
    _, talks = service.request("GET", "/v1/conversations", key=made["key"])
    assert len(talks["data"]) == 1


def test_the_console_is_not_for_a_persons_key(service: Service) -> None:
    _, made = service.request("POST", "/api/keys", {"label": "Bob"}, service.key)
    with page_at(service.url, "/console") as page:
        page.get_by_test_id("key").fill(made["key"])
        page.get_by_test_id("sign-in-send").click()
        expect(page.get_by_test_id("sign-in-trouble")).to_contain_text("the console is for operators")
        page.get_by_test_id("key").fill(service.key)
        page.get_by_test_id("sign-in-send").click()
        expect(page.get_by_test_id("sign-out")).to_be_visible()
        page.reload()
        expect(page.get_by_test_id("sign-out")).to_be_visible()
        page.get_by_test_id("sign-out").click()
        expect(page.get_by_test_id("key")).to_be_visible()
