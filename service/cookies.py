"""The cookies of browsers: who chats without a key, and who came in with one.

Where people come by https (`server.public_url`), both have the `__Host-` prefix: a browser takes such a cookie over https
only, for the whole host, and from nobody else's subdomain. They come along when somebody follows a link from elsewhere, or they
would be somebody else then; that no page elsewhere can use them is `forgery`'s to see to.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from litestar.datastructures import Cookie

HOST_PREFIX = "__Host-"
PERSON, SESSION = "ratchet_person", "ratchet_session"
PERSON_AGE_S = 400 * 24 * 3600  # as long as browsers keep any


class Cookies:
    """The cookies as one service sets and reads them."""

    def __init__(self, public_url: str) -> None:
        self._secure = public_url.startswith("https://")

    def name(self, kind: str) -> str:
        return (HOST_PREFIX if self._secure else "") + kind

    def read(self, cookies: Mapping[str, str], kind: str) -> str | None:
        """The secret in a request's cookie of this kind."""
        return cookies.get(self.name(kind)) or None

    def person(self) -> Cookie:
        """A new browser's secret, which names its person."""
        return self._cookie(PERSON, new_secret(), PERSON_AGE_S)

    def session(self, secret: str, age_s: float) -> Cookie:
        return self._cookie(SESSION, secret, int(age_s))

    def gone(self, kind: str) -> Cookie:
        """What makes a browser drop a cookie."""
        return self._cookie(kind, "", 0)

    def _cookie(self, kind: str, value: str, age_s: int) -> Cookie:
        return Cookie(key=self.name(kind), value=value, max_age=age_s, secure=self._secure, httponly=True, samesite="lax", path="/")


def new_secret() -> str:
    """256 random bits."""
    return secrets.token_urlsafe(32)
