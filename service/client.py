"""The command line's side of `/api`: `RATCHET_URL` and `RATCHET_KEY`, or what the default home says of its service."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import msgspec

from service.auth import OPERATOR_KEY_FILE
from service.config import default_home

ADDRESS_FILE = "address"
TIMEOUT_S = 120


class ClientError(Exception):
    """The service cannot be reached or refuses; the message says why and what to do."""


class Client:
    """Calls a running service as its operator."""

    def __init__(self, url: str | None = None, key: str | None = None, home: Path | None = None) -> None:
        home = home or default_home()
        self.url = (url or os.environ.get("RATCHET_URL") or _read(home / ADDRESS_FILE) or "").rstrip("/")
        self._key = key or os.environ.get("RATCHET_KEY") or _read(home / OPERATOR_KEY_FILE) or ""

    def __enter__(self) -> Client:
        if not self.url:
            raise ClientError("no service found: start one with `ratchet up`, or set RATCHET_URL and RATCHET_KEY")
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def get(self, path: str) -> Any:
        return self._call("GET", path)

    def post(self, path: str, body: object = None) -> Any:
        return self._call("POST", path, body)

    def delete(self, path: str) -> Any:
        return self._call("DELETE", path)

    def _call(self, method: str, path: str, body: object = None) -> Any:
        data = msgspec.json.encode(body) if body is not None else None
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data=data, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
                return msgspec.json.decode(response.read())
        except urllib.error.HTTPError as error:
            raise ClientError(_message_of(error.read()) or f"{method} {path}: HTTP {error.code}") from error
        except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
            raise ClientError(f"nothing answers at {self.url}: start the service with `ratchet up`") from error


def _message_of(data: bytes) -> str:
    try:
        return str(msgspec.json.decode(data)["error"]["message"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return ""


def _read(file: Path) -> str | None:
    return file.read_text().strip() if file.is_file() else None
