"""How people and operators come in: by key, by browser, through a proxy; and what is refused at the door."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncConnection

from service.auth import Gatekeeper
from service.bench.tiny_model import make_tiny_model
from service.config import AuthSettings, Config, ConfigError, ServerSettings, load_config
from service.cookies import Cookies
from service.home_key import VARIABLE, HomeKeyError, is_new, operator_key
from service.keys import make_key
from service.problem import Problem
from service.up import tell_key
from storage.database import Database, UnavailableError
from storage.keys import insert_key, revoke_key
from storage.people import insert_person
from storage.records import Person
from tests.conftest import Service, run_service
from tests.faults.scripted_chat import ScriptedChat, config_for, scripted_chat
from tests.service.talks import keep_talk
from tests.service.visitor import BROWSER, Heard, visit
from tests.storage.loop import with_database

PERSON, SESSION = "ratchet_person", "ratchet_session"


@pytest.fixture(scope="module")
def engine() -> Iterator[ScriptedChat]:
    with scripted_chat() as running:
        yield running


@pytest.fixture(scope="module")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("model"))


@contextmanager
def serving(folder: Path, engine: ScriptedChat, model_dir: Path, auth: AuthSettings, public_url: str = "") -> Iterator[Service]:
    config = config_for(engine.url, model_dir)
    (home := folder / "home").mkdir()
    with run_service(home, replace(config, auth=auth, server=replace(config.server, public_url=public_url))) as service:
        yield service


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory, engine: ScriptedChat, small_model: Path) -> Iterator[Service]:
    """Anybody may chat."""
    with serving(tmp_path_factory.mktemp("open"), engine, small_model, AuthSettings()) as service:
        yield service


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory, engine: ScriptedChat, small_model: Path) -> Iterator[Service]:
    """Who has a key may chat; people come by https."""
    auth = AuthSettings(mode="keys")
    with serving(tmp_path_factory.mktemp("keys"), engine, small_model, auth, "https://chat.example.org") as service:
        yield service


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory, engine: ScriptedChat, small_model: Path) -> Iterator[Service]:
    """Whom a proxy on this machine names may chat."""
    auth = AuthSettings(mode="proxy", operators=("olga",), admins=("ada",))
    with serving(tmp_path_factory.mktemp("proxy"), engine, small_model, auth) as service:
        yield service


def new_key(service: Service, **wanted: object) -> str:
    status, made = service.request("POST", "/api/keys", {"label": "somebody"} | wanted, service.key)
    assert status == 201
    return str(made["key"])


def sign_in(service: Service, key: str) -> Heard:
    heard = visit(service.url, "POST", "/v1/session", {"key": key}, headers=BROWSER)
    assert heard.status == 201, heard.body
    return heard


def test_a_browser_chats_without_signing_in_where_anybody_may(opened: Service) -> None:
    page = visit(opened.url, "GET", "/")
    cookie = page.cookies
    assert page.status == 200 and b'id="prompt"' in page.body and [*cookie] == [PERSON]
    told = str(page.headers["Set-Cookie"])
    assert "HttpOnly" in told and "SameSite=lax" in told and "Secure" not in told
    first, again = (visit(opened.url, "GET", "/v1/me", cookies=cookie).json() for _ in range(2))
    assert first == again
    assert visit(opened.url, "GET", "/", cookies=cookie).cookies == {}
    question = {"model": "ratchet", "messages": [{"role": "user", "content": "Hello"}]}
    assert visit(opened.url, "POST", "/v1/chat/completions", question, cookies=cookie, headers=BROWSER).status == 200


def test_an_operator_who_signs_in_stays_who_they_are_in_the_chat(opened: Service) -> None:
    cookies = visit(opened.url, "GET", "/").cookies
    before = visit(opened.url, "GET", "/v1/me", cookies=cookies).json()
    cookies |= sign_in(opened, opened.key).cookies
    assert visit(opened.url, "GET", "/v1/me", cookies=cookies).json() == before
    assert visit(opened.url, "GET", "/api/status", cookies=cookies).status == 200
    assert b"data-signed-in" in visit(opened.url, "GET", "/console", cookies=cookies).body
    assert b"data-signed-in" not in visit(opened.url, "GET", "/console").body


def test_a_session_ends_when_its_browser_leaves_when_its_time_is_over_and_with_its_key(opened: Service) -> None:
    status, made = opened.request("POST", "/api/keys", {"label": "on call", "role": "operator"}, opened.key)
    assert status == 201
    first, second, third = (sign_in(opened, made["key"]).cookies for _ in range(3))

    def is_in(cookies: dict[str, str]) -> bool:
        return visit(opened.url, "GET", "/api/status", cookies=cookies).status == 200

    assert is_in(first) and is_in(second) and is_in(third)
    left = visit(opened.url, "DELETE", "/v1/session", cookies=first, headers=BROWSER)
    assert left.status == 200 and left.cookies == {SESSION: '""'}
    assert [is_in(one) for one in (first, second, third)] == [False, True, True]
    opened.request("POST", f"/api/keys/{made['card']['id']}/revoke", None, opened.key)
    assert not is_in(second)
    mine = sign_in(opened, opened.key).cookies
    assert is_in(mine)
    opened.request("POST", "/api/clock", {"seconds": AuthSettings().session_s + 1}, opened.key)
    assert not is_in(mine)


def test_a_session_is_not_opened_with_what_is_no_key_of_this_service(opened: Service) -> None:
    for key in ("any name will do", "rt_" + "x" * 43):
        heard = visit(opened.url, "POST", "/v1/session", {"key": key}, headers=BROWSER)
        assert heard.status == 401 and key not in heard.message


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({}, "needs the header x-requested-with: ratchet"),
        (BROWSER | {"Sec-Fetch-Site": "cross-site"}, "a page of another site asks for this"),
        (BROWSER | {"Sec-Fetch-Site": "same-site"}, "a page of another site asks for this"),
        (BROWSER | {"Origin": "https://evil.example"}, "a page of 'https://evil.example' asks for this"),
        (BROWSER | {"Origin": "null"}, "a page of 'null' asks for this"),
    ],
)
def test_another_sites_page_cannot_have_a_browser_change_anything(opened: Service, headers: dict[str, str], said: str) -> None:
    cookies = visit(opened.url, "GET", "/").cookies | sign_in(opened, opened.key).cookies
    for method, path, body in (
        ("POST", "/v1/me", {"learn": False}),
        ("DELETE", "/v1/me", None),
        ("POST", "/api/people", {"name": "mallory"}),
        ("POST", "/v1/session", {"key": opened.key}),
        ("DELETE", "/v1/session", None),
    ):
        heard = visit(opened.url, method, path, body, cookies=cookies, headers=headers)
        assert (heard.status, said in heard.message) == (403, True), (method, path, heard.body)


def test_our_own_page_and_programs_may(opened: Service) -> None:
    cookies = visit(opened.url, "GET", "/").cookies
    own = BROWSER | {"Sec-Fetch-Site": "same-origin", "Origin": opened.url}
    assert visit(opened.url, "POST", "/v1/me", {"learn": True}, cookies=cookies, headers=own).status == 200
    elsewhere = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}  # nobody's cookie counts beside a key
    assert visit(opened.url, "POST", "/v1/me", {"learn": True}, "a program", cookies, elsewhere).status == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "[", ":80"])
def test_a_name_that_was_led_to_this_machine_reaches_nothing(opened: Service, host: str) -> None:
    for path in ("/", "/v1/me", "/api/status", "/console", "/schema/openapi.json", "/web/icon.svg"):
        heard = visit(opened.url, "GET", path, key=opened.key, headers={"Host": host})
        assert heard.status == 421 and f"'{host}'" in heard.message, path
    assert visit(opened.url, "GET", "/health/live", headers={"Host": host}).status == 200


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1", "[::1]:8000", "LOCALHOST"])
def test_this_machines_own_names_are_served(opened: Service, host: str) -> None:
    assert visit(opened.url, "GET", "/v1/models", headers={"Host": host}).status == 200


def test_where_keys_are_asked_for_nobody_comes_in_without_one(keyed: Service) -> None:
    for path in ("/v1/me", "/v1/models", "/v1/feedback/reasons", "/v1/conversations"):
        assert visit(keyed.url, "GET", path).status == 401
        heard = visit(keyed.url, "GET", path, key="any name will do")
        assert heard.status == 401 and "begin with 'rt_'" in heard.message
        assert visit(keyed.url, "GET", path, cookies={"__Host-ratchet_person": "x", PERSON: "x"}).status == 401
        assert visit(keyed.url, "GET", path, key=new_key(keyed)).status == 200
    page = visit(keyed.url, "GET", "/")
    assert page.status == 200 and b'data-testid="sign-in"' in page.body and b'id="prompt"' not in page.body
    assert page.cookies == {}


def test_behind_https_cookies_are_for_this_host_over_https_alone(keyed: Service) -> None:
    key = new_key(keyed)
    heard = sign_in(keyed, key)
    told = str(heard.headers["Set-Cookie"])
    assert [*heard.cookies] == [f"__Host-{SESSION}"]
    assert "Secure" in told and "Path=/" in told and "HttpOnly" in told and "Domain" not in told
    page = visit(keyed.url, "GET", "/", cookies=heard.cookies)
    assert b'id="prompt"' in page.body and b'id="sign-out"' in page.body
    by_key, by_browser = (visit(keyed.url, "GET", "/v1/me", **way).json() for way in ({"key": key}, {"cookies": heard.cookies}))  # type: ignore[arg-type]
    assert by_key == by_browser
    assert visit(keyed.url, "GET", "/api/status", cookies=heard.cookies).status == 403
    own = BROWSER | {"Origin": "https://chat.example.org", "Host": "chat.example.org"}
    assert visit(keyed.url, "POST", "/v1/me", {"learn": True}, cookies=heard.cookies, headers=own).status == 200


def test_a_person_with_a_key_owns_what_they_do_by_any_of_them(keyed: Service) -> None:
    key = new_key(keyed)
    talk = keep_talk(keyed, key)
    other = new_key(keyed, person_id=talk.person)
    _, page = keyed.request("GET", "/v1/conversations", key=other)
    assert [one["id"] for one in page["data"]] == [talk.conversation]


def test_a_proxy_names_people_operators_and_admins(proxied: Service) -> None:
    def ask(path: str, name: str, method: str = "GET", body: object = None) -> Heard:
        return visit(proxied.url, method, path, body, headers=BROWSER | {"X-Forwarded-User": name})

    told = ask("/v1/session", "ann@example.org").json()
    assert (told["name"], told["role"]) == ("ann@example.org", "person")  # type: ignore[index]
    assert [ask("/api/status", name).status for name in ("ann@example.org", "olga", "ada")] == [403, 200, 200]
    wanted = {"label": "more", "role": "operator"}
    assert [ask("/api/keys", name, "POST", wanted).status for name in ("olga", "ada")] == [403, 201]
    _, audit = proxied.request("GET", "/api/audit?limit=1", key=proxied.key)
    assert audit[0]["actor"] == ask("/v1/session", "ada").json()["person_id"]  # type: ignore[index]
    assert visit(proxied.url, "GET", "/v1/me").status == 401
    assert visit(proxied.url, "POST", "/v1/me", {"learn": True}, headers={"X-Forwarded-User": "ann"}).status == 403, "CSRF"
    assert b'data-testid="sign-in"' in visit(proxied.url, "GET", "/").body
    assert b'id="prompt"' in ask("/", "ann@example.org").body


def test_the_header_counts_from_a_trusted_address_alone(
    tmp_path: Path, engine: ScriptedChat, small_model: Path, opened: Service
) -> None:
    auth = AuthSettings(mode="proxy", admins=("ada",), trusted_proxies=("10.0.0.0/8",))
    with serving(tmp_path, engine, small_model, auth) as service:
        for path in ("/v1/me", "/api/status"):
            assert visit(service.url, "GET", path, headers={"X-Forwarded-User": "ada"}).status == 401
    assert visit(opened.url, "GET", "/api/status", headers={"X-Forwarded-User": "ada"}).status == 401, "nor in another mode"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ('[server]\nhost = "0.0.0.0"', r'server\.host is "0\.0\.0\.0".*mode = "keys".*open_to_network = true'),
        ('[server]\npublic_url = "https://chat.example.org"', r'server\.public_url is "https://chat\.example\.org".*mode = "keys"'),
        ('[server]\npublic_url = "chat.example.org"', "public_url is 'chat.example.org'; expected an address like"),
        ('[auth]\nmode = "proxy"\ntrusted_proxies = ["nowhere"]', "'nowhere' does not appear to be an IPv4 or IPv6"),
        ("[auth]\nsession_s = 0", "session_s is 0"),
        ("[limits.person]\nrequests_per_minute = 0", "requests_per_minute is 0; expected 1 or more"),
    ],
)
def test_settings_that_would_let_in_whom_nobody_meant_are_refused(tmp_path: Path, settings: str, said: str) -> None:
    (tmp_path / "ratchet.toml").write_text(settings)
    with pytest.raises(ConfigError, match=said):
        load_config(tmp_path)


@pytest.mark.parametrize(
    ("auth", "host"),
    [
        (AuthSettings(mode="keys"), "0.0.0.0"),
        (AuthSettings(mode="proxy"), "0.0.0.0"),
        (AuthSettings(open_to_network=True), "0.0.0.0"),
        (AuthSettings(), "127.0.0.1"),
        (AuthSettings(), "::1"),
        (AuthSettings(), "localhost"),
    ],
)
def test_settings_that_say_whom_they_mean_are_taken(auth: AuthSettings, host: str) -> None:
    assert Config(auth=auth, server=ServerSettings(host=host)).server.host == host


class Silent:
    """A database that stops answering."""

    def __init__(self, database: Database) -> None:
        self._database, self.answers = database, True

    async def read(self, look: Callable[[AsyncConnection], Awaitable[object]]) -> object:
        if not self.answers:
            raise UnavailableError("it is gone")
        return await self._database.read(look)


def test_another_services_word_counts_and_a_database_that_is_gone_keeps_nobody_out_who_was_in(tmp_path: Path) -> None:
    async def body(database: Database) -> None:
        silent: Any = Silent(database)
        gatekeeper = Gatekeeper(silent, "rt_home", AuthSettings(), Cookies(""), lambda: 5.0, known_s=0)
        first, second = make_key("ann", 1.0), make_key("ann", 1.0)
        await database.write(lambda c: insert_person(c, Person("ann", "Ann", 1.0)))
        for made, _ in (first, second):
            await database.write(partial(insert_key, key=made))
        assert (await gatekeeper.of_key(first[1])).person.id == "ann"
        silent.answers = False
        assert (await gatekeeper.of_key(first[1])).person.id == "ann"
        assert (await gatekeeper.of_key("rt_home")).actor == "operator"
        with pytest.raises(UnavailableError):
            await gatekeeper.of_key(second[1])
        silent.answers = True
        await database.write(lambda c: revoke_key(c, first[0].id, 5.0))  # by another service
        with pytest.raises(Problem, match="no longer, good"):
            await gatekeeper.of_key(first[1])

    with_database(tmp_path / "db", body)


def test_a_homes_key_is_made_once_for_its_owner_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert is_new(tmp_path)
    key = operator_key(tmp_path)
    assert not is_new(tmp_path) and operator_key(tmp_path) == key
    assert (tmp_path / "operator.key").stat().st_mode & 0o777 == 0o600
    monkeypatch.setenv(VARIABLE, "rt_" + "k" * 40)
    assert operator_key(tmp_path) == "rt_" + "k" * 40
    monkeypatch.setenv(VARIABLE, "rt_short")
    with pytest.raises(HomeKeyError, match=f"{VARIABLE} is no key"):
        operator_key(tmp_path)


def test_a_new_homes_key_is_shown_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    tell_key(tmp_path)
    assert operator_key(tmp_path) in capsys.readouterr().out
    tell_key(tmp_path)
    assert capsys.readouterr().out == ""
