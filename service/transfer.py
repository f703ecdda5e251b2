"""The command line's way to move files that need not fit in memory to and from a running service."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from service.client import Client, ClientError
from service.problem import ErrorEnvelope

TIMEOUT_S = 3600  # the service answers an upload only once all of it is in
CHUNK_BYTES = 1 << 16


class Transfer(Client):
    """A client for long answers and long questions. Raises ClientError as the others do."""

    def __enter__(self) -> Transfer:
        super().__enter__()
        return self

    def download(self, path: str) -> Iterator[bytes]:
        """The answer's bytes as they come; an answer that breaks off raises at its end."""
        with self._ask(urllib.request.Request(self.url + path)) as response:
            while chunk := response.read(CHUNK_BYTES):
                yield chunk

    def upload(self, path: str, file: Path) -> Any:
        """The answer to a POST of the file's bytes; OSError if it cannot be read."""
        with file.open("rb") as stream:
            headers = {"Content-Length": str(file.stat().st_size), "Content-Type": "application/octet-stream"}
            with self._ask(urllib.request.Request(self.url + path, stream, headers)) as response:
                return msgspec.json.decode(response.read())

    @contextmanager
    def _ask(self, request: urllib.request.Request) -> Iterator[BinaryIO]:
        request.add_header("Authorization", f"Bearer {self._key}")
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
                yield response
        except urllib.error.HTTPError as error:
            with error:
                raise ClientError(_message_of(error) or f"{request.selector}: HTTP {error.code}") from error
        except (urllib.error.URLError, TimeoutError, ConnectionError, http.client.HTTPException) as error:
            raise ClientError(f"{self.url} does not answer or broke off ({error}): see whether it runs, and try again") from error


def _message_of(error: urllib.error.HTTPError) -> str:
    try:
        return msgspec.json.decode(error.read(), type=ErrorEnvelope).error.message
    except (msgspec.DecodeError, ConnectionError):
        return ""
