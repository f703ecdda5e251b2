"""Somebody who asks a service as a program or a browser would, with whatever they send along."""

from __future__ import annotations

import http.client
from http.client import HTTPMessage
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

BROWSER = {"X-Requested-With": "ratchet"}  # what the pages say of their requests
LIMIT_S = 60


class Heard(Struct, frozen=True):
    """An answer; of one that never ends, its head."""

    status: int
    body: bytes
    headers: HTTPMessage

    def json(self) -> object:
        return msgspec.json.decode(self.body)

    @property
    def message(self) -> str:
        """Of an error."""
        return str(msgspec.json.decode(self.body)["error"]["message"])

    @property
    def cookies(self) -> dict[str, str]:
        """Name → value, of those that are set."""
        pairs = [line.split(";")[0].partition("=") for line in self.headers.get_all("Set-Cookie") or []]
        return {name: value for name, _, value in pairs}


def visit(
    url: str,
    method: str,
    path: str,
    body: object = None,
    key: str | None = None,
    cookies: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
) -> Heard:
    """One request."""
    sent = {"Content-Type": "application/json"} if body is not None else {}
    if key is not None:
        sent["Authorization"] = f"Bearer {key}"
    if cookies:
        sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
    address = urlsplit(url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port or 80, timeout=LIMIT_S)
    try:
        connection.request(method, path, None if body is None else msgspec.json.encode(body), sent | (headers or {}))
        response = connection.getresponse()
        endless = path.startswith("/api/events") and response.status == 200
        return Heard(response.status, b"" if endless else response.read(), response.msg)
    finally:
        connection.close()
