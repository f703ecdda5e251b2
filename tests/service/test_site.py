"""Of the pages: they say the same in each language, in the one and the theme that the reader has, and run nothing of others."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest
from litestar import Litestar
from litestar.di import Provide
from litestar.testing import TestClient

from service.assets import WEB, load_assets
from service.config import Config
from service.cookies import Cookies
from service.languages import FOLDER, LANGUAGES, choose_language, load_messages
from service.site import CHAT, CONSOLE, HANDLERS, Page

AREAS = sorted({file.name.split(".")[0] for file in FOLDER.glob("*.json")})
PLURALS = {"zero", "one", "two", "few", "many", "other"}
PLACE = re.compile(r"\{(\w+)\}")
ADDRESSES = [(page, page.path.replace("{id:int}", "7").replace("{id:str}", "r1-0")) for page in (CHAT, *CONSOLE)]


def pages(config: Config) -> Litestar:
    """All pages, without the files that they load."""
    given = {"config": Provide(lambda: config, sync_to_thread=False), "jar": Provide(lambda: Cookies(""), sync_to_thread=False)}
    return Litestar(HANDLERS[:-1], dependencies=given)


@pytest.fixture(scope="module")
def web() -> TestClient[Litestar]:
    return TestClient(pages(Config()))


class Loaded(HTMLParser):
    """What a page loads, the scripts and styles that stand in it, and its headings."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.inline: list[str] = []
        self.headings = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        self.headings += tag == "h1"
        if address := given.get("src") or (given.get("href") if tag == "link" else None):
            self.addresses.append(address)
        is_data = given.get("type") == "application/json"
        if tag == "style" or (tag == "script" and not given.get("src") and not is_data):
            self.inline.append(tag)
        self.inline += [name for name in given if name == "style" or name.startswith("on")]


@pytest.mark.parametrize(("page", "address"), ADDRESSES, ids=lambda value: value if isinstance(value, str) else "")
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_page_is_whole_in_each_language_and_loads_only_files_that_there_are(
    web: TestClient[Litestar], page: Page, address: str, language: str
) -> None:
    answer = web.get(address, headers={"accept-language": language})
    assert answer.status_code == 200
    assert f'<html lang="{language}"' in answer.text
    loaded = Loaded(answer.text)
    assert loaded.headings == 1
    assert loaded.inline == []  # the policy would refuse it
    assets = load_assets()
    assert [path for path in loaded.addresses if path.removeprefix("/web/") not in assets] == []
    assert "script-src 'self'" in answer.headers["content-security-policy"]


def test_the_theme_and_the_language_that_were_chosen_come_with_the_page(web: TestClient[Litestar]) -> None:
    cookie = {"cookie": "ratchet_theme=dark; ratchet_language=ru", "accept-language": "en"}
    assert '<html lang="ru" data-theme="dark">' in web.get("/console", headers=cookie).text
    assert "data-theme" not in web.get("/console", headers={"cookie": "ratchet_theme=x<y"}).text.split("<head>")[0]


@pytest.mark.parametrize(
    ("cookies", "accepted", "expected"),
    [
        ({}, "", "en"),
        ({}, "ru-RU,ru;q=0.9,en;q=0.8", "ru"),
        ({}, "de, en;q=0.5, ru;q=0.7", "ru"),
        ({}, "ru;q=0, en;q=0.1", "en"),
        ({}, "x;q=y", "en"),
        ({"ratchet_language": "en"}, "ru", "en"),
        ({"ratchet_language": "xx"}, "ru", "ru"),
    ],
)
def test_the_language_is_the_chosen_one_or_the_first_that_is_taken(cookies: dict[str, str], accepted: str, expected: str) -> None:
    assert choose_language(cookies, accepted) == expected


@pytest.mark.parametrize("area", AREAS)
def test_both_languages_say_the_same_things_with_the_same_places(area: str) -> None:
    english, russian = (_by_key(load_messages(area, language)) for language in ("en", "ru"))
    assert english.keys() == russian.keys()
    assert {key: english[key] for key in english if english[key] != russian[key]} == {}


@pytest.mark.parametrize("area", AREAS)
def test_every_message_is_said_somewhere(area: str) -> None:
    files = [file for file in WEB.rglob("*") if file.suffix in (".js", ".html") and "node_modules" not in file.parts]
    sources = "".join(file.read_text() for file in files)
    assert [key for key in _by_key(load_messages(area, "en")) if key not in sources and not _is_made(key, sources)] == []


def _is_made(key: str, sources: str) -> bool:
    """Whether the page puts the key together: "area.thing." and a name that data has."""
    stem = key.rpartition(".")[0] + "."
    return f'"{stem}"' in sources or f"`{stem}${{" in sources


def _by_key(messages: dict[str, str]) -> dict[str, set[str]]:
    """The places in each text; the forms of a number count as one text."""
    found: dict[str, set[str]] = {}
    for key, text in messages.items():
        stem, _, form = key.rpartition(".")
        found.setdefault(stem if form in PLURALS else key, set()).update(PLACE.findall(text))
    return found


def test_messages_that_a_page_carries_cannot_end_its_script_element(web: TestClient[Litestar]) -> None:
    carried = re.search(r'<script type="application/json" id="messages">(.*?)</script>', web.get("/console").text, re.S)
    assert carried is not None
    assert json.loads(carried[1])["console.sign_in"] == "Sign in"
    assert "<" not in carried[1]
