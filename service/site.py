"""The pages: the chat for people, the console for operators. Each is a template filled in the reader's language.

What pages show of data their modules ask `/v1` and `/api` for, as any program may.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import MediaType, Request, Response, get
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from markupsafe import Markup
from msgspec import Struct

from service.assets import Asset
from service.auth import ASKER, Asker
from service.config import Config
from service.cookies import PERSON, Cookies
from service.languages import LANGUAGES, choose_language, messages_of
from service.problem import Problem
from storage.records import KeyRole

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}
THEMES = ("light", "dark")
THEME_COOKIE = "ratchet_theme"  # set by the page where its reader chose one

TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "web" / "pages"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


class Page(Struct, frozen=True):
    """`areas` name the messages that it shows."""

    path: str
    template: str
    areas: tuple[str, ...]


def _console(path: str, name: str, *areas: str) -> Page:
    return Page(f"/console{path}", f"console/{name}.html", ("base", "console", *(areas or (name,))))


CHAT = Page("/", "chat.html", ("base", "chat"))
SIGN_IN = Page("/", "sign_in.html", ("base", "sign_in"))  # in place of the chat, to who has to be somebody
CONSOLE = (
    _console("", "overview", "overview", "cycles", "traffic"),
    _console("/cycles", "cycles"),
    _console("/cycles/{id:int}", "cycle", "cycles"),
    _console("/adapters", "adapters", "adapters", "compare", "cycles"),
    _console("/adapters/{id:str}", "adapter", "adapters", "compare", "traffic", "overview", "cycles"),
    _console("/data", "data"),
    _console("/suites", "suites", "suites", "compare"),
    _console("/policy", "policy"),
    _console("/people", "people", "people", "keys"),
    _console("/audit", "audit"),
    _console("/engine", "engine"),
)


def render(page: Page, request: Request, *, signed_in: bool) -> str:  # type: ignore[type-arg]
    """The page as HTML, in the language and the theme of the one who asks, with a way out where they are `signed_in`."""
    language = choose_language(request.cookies, request.headers.get("accept-language", ""))
    messages = messages_of(page.areas, language)
    theme = request.cookies.get(THEME_COOKIE, "")

    def t(key: str, **places: object) -> str:
        return messages[key].format(**places)

    return TEMPLATES.get_template(page.template).render(
        t=t,
        path=page.path,
        language=language,
        languages=LANGUAGES,
        theme=theme if theme in THEMES else "",
        signed_in=signed_in,
        id=str(request.path_params.get("id", "")),
        messages=Markup(msgspec.json.encode(messages).decode().replace("<", "\\u003c")),  # it stands within a script element
    )


def _handler(page: Page) -> HTTPRouteHandler:
    @get(page.path, media_type=MediaType.HTML, include_in_schema=False, name=page.template)
    async def show(
        request: Request,  # type: ignore[type-arg]
        config: NamedDependency[Config],
        jar: NamedDependency[Cookies],
    ) -> Response[str]:
        asker: Asker | None = request.scope["state"].get(ASKER)
        shown, given, signed_in = page, [], asker is not None and asker.may(KeyRole.OPERATOR)
        if page is CHAT and config.auth.mode == "open":
            given = [] if jar.read(request.cookies, PERSON) else [jar.person()]  # that names its person from now on
            signed_in = False  # as far as chatting goes
        elif page is CHAT:
            shown, signed_in = (CHAT, asker.is_session) if asker is not None else (SIGN_IN, False)
        html = render(shown, request, signed_in=signed_in)
        return Response(html, headers=HEADERS, media_type=MediaType.HTML, cookies=given)

    return show


@get("/web/{path:path}", opt={"exclude_from_auth": True}, include_in_schema=False)
async def show_asset(path: FromPath[str], request: Request, assets: NamedDependency[dict[str, Asset]]) -> Response[bytes]:  # type: ignore[type-arg]
    """One file, or 304 where the browser has it already."""
    asset = assets.get(path.lstrip("/"))
    if asset is None:
        raise Problem("not_found", f"no file {path!r}")
    headers = {"etag": asset.etag, "cache-control": "no-cache", "x-content-type-options": "nosniff", "vary": "accept-encoding"}
    if asset.etag in request.headers.get("if-none-match", ""):
        return Response(b"", status_code=304, media_type=asset.media_type, headers=headers)
    if asset.compressed is not None and "gzip" in request.headers.get("accept-encoding", ""):
        return Response(asset.compressed, media_type=asset.media_type, headers=headers | {"content-encoding": "gzip"})
    return Response(asset.content, media_type=asset.media_type, headers=headers)


HANDLERS: list[Any] = [*map(_handler, (CHAT, *CONSOLE)), show_asset]
