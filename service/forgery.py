"""Requests that a browser was made to send by somebody else's page are refused.

A page elsewhere can have a browser send what it always sends along (its cookies, or what a single-sign-on proxy adds), but
cannot hide where it comes from (`Origin`, `Sec-Fetch-Site`), nor add a header of its own without being asked first, which
no service of ours ever agrees to. And a name that somebody has lead to 127.0.0.1 (DNS rebinding) is seen in `Host`.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from service.config import LOOPBACK, is_loopback
from service.problem import Problem
from service.scopes import SAFE_METHODS

MARK, MARKED = "x-requested-with", "ratchet"  # what our pages say of each request


class Hosts:
    """The names by which a service is reached: any, unless it listens on loopback only."""

    def __init__(self, listens_at: str, public_url: str) -> None:
        public = urlsplit(public_url)
        self._known = {*LOOPBACK, listens_at, public.hostname or listens_at} if is_loopback(listens_at) else None
        self._public_origin = f"{public.scheme}://{public.netloc}" if public_url else None

    def check(self, headers: Mapping[str, str]) -> None:
        """Raises `misdirected` for a `Host` that is none of ours; a request without one comes from no browser."""
        named = headers.get("host")
        if self._known is None or not named:
            return
        if _hostname(named) not in self._known:
            raise Problem("misdirected", f"the host {named!r} is not served here: set server.public_url where people use that name")

    def check_origin(self, method: str, headers: Mapping[str, str]) -> None:
        """Raises `not_allowed` for a request that would change something and that none of our own pages makes."""
        if method in SAFE_METHODS:
            return
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        if site not in (None, "same-origin"):
            raise Problem("not_allowed", f"a page of another site asks for this (Sec-Fetch-Site is {site!r})")
        host = headers.get("host")
        if origin is not None and origin not in (f"http://{host}", f"https://{host}", self._public_origin):
            raise Problem("not_allowed", f"a page of {origin!r} asks for this, which is not this service's")
        if headers.get(MARK) != MARKED:
            raise Problem(
                "not_allowed", f"a browser's request needs the header {MARK}: {MARKED}; programs send a bearer key instead"
            )


def _hostname(named: str) -> str | None:
    """Without the port, in small letters; None for what is no name."""
    try:
        return urlsplit(f"//{named}").hostname
    except ValueError:
        return None
