"""The command line's side of `/api`: `RATCHET_URL` and `RATCHET_KEY`, or what the default home says of its service."""

from __future__ import annotations

import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from service.config import ADDRESS_FILE, OPERATOR_KEY_FILE, default_home
from service.home_key import VARIABLE

TIMEOUT_S = 120
TRANSFER_TIMEOUT_S = 3600  # an upload is answered once all of it is in, an evaluation once it is done
CHUNK_BYTES = 1 << 16


class ClientError(Exception):
    """The service cannot be reached or refuses; the message says why and what to do."""


class Client:
    """Calls a running service as its operator."""

    def __init__(self, url: str | None = None, key: str | None = None, home: Path | None = None) -> None:
        home = home or default_home()
        self.url = (url or os.environ.get("RATCHET_URL") or _read(home / ADDRESS_FILE) or "").rstrip("/")
        self._key = key or key_for(home)

    def __enter__(self) -> Client:
        if not self.url:
            raise ClientError("no service found: start one with `ratchet up`, or set RATCHET_URL and RATCHET_KEY")
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def get(self, path: str) -> Any:
        return self._call("GET", path)

    def post(self, path: str, body: object = None, timeout_s: float = TIMEOUT_S) -> Any:
        return self._call("POST", path, body, timeout_s)

    def delete(self, path: str) -> Any:
        return self._call("DELETE", path)

    def download(self, path: str) -> Iterator[bytes]:
        """The answer's bytes as they come; an answer that breaks off raises at its end."""
        with self._ask(urllib.request.Request(self.url + path), TRANSFER_TIMEOUT_S) as response:
            while chunk := response.read(CHUNK_BYTES):
                yield chunk

    def upload(self, path: str, file: Path) -> Any:
        """The answer to a POST of the file's bytes; OSError if it cannot be read."""
        with file.open("rb") as stream:
            headers = {"Content-Length": str(file.stat().st_size), "Content-Type": "application/octet-stream"}
            with self._ask(urllib.request.Request(self.url + path, stream, headers, method="POST"), TRANSFER_TIMEOUT_S) as response:
                return msgspec.json.decode(response.read())

    def upload_lines(self, path: str, file: Path, sent: Callable[[int], None]) -> Iterator[Any]:
        """The lines of JSON that answer a POST of the file's bytes, as they come; `sent` is told of bytes as they go."""
        with file.open("rb") as stream:
            headers = {"Content-Length": str(file.stat().st_size), "Content-Type": "application/octet-stream"}
            request = urllib.request.Request(self.url + path, _chunks(stream, sent), headers, method="POST")
            with self._ask(request, TRANSFER_TIMEOUT_S) as response:
                for line in response:
                    yield msgspec.json.decode(line)

    def _call(self, method: str, path: str, body: object = None, timeout_s: float = TIMEOUT_S) -> Any:
        data = msgspec.json.encode(body) if body is not None else None
        headers = {"Content-Type": "application/json"}
        with self._ask(urllib.request.Request(self.url + path, data, headers, method=method), timeout_s) as response:
            return msgspec.json.decode(response.read())

    @contextmanager
    def _ask(self, request: urllib.request.Request, timeout_s: float) -> Iterator[BinaryIO]:
        request.add_header("Authorization", f"Bearer {self._key}")
        try:
            with urllib.request.urlopen(request, timeout=timeout_s) as response:
                yield response
        except urllib.error.HTTPError as error:
            with error:
                raise ClientError(_message_of(error.read()) or f"{request.selector}: HTTP {error.code}") from error
        except (urllib.error.URLError, TimeoutError, ConnectionError, http.client.HTTPException) as error:
            raise ClientError(f"nothing answers at {self.url}, or it broke off: start the service with `ratchet up`") from error


def key_for(home: Path) -> str:
    """What to call a service as: `RATCHET_KEY`, or what its home says of its admin; "" where nothing does."""
    return os.environ.get("RATCHET_KEY") or os.environ.get(VARIABLE) or _read(home / OPERATOR_KEY_FILE) or ""


def _chunks(stream: BinaryIO, sent: Callable[[int], None]) -> Iterator[bytes]:
    while chunk := stream.read(CHUNK_BYTES):
        yield chunk
        sent(len(chunk))


def _message_of(data: bytes) -> str:
    try:
        return str(msgspec.json.decode(data)["error"]["message"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return ""


def _read(file: Path) -> str | None:
    return file.read_text().strip() if file.is_file() else None
