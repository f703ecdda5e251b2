"""Chats as their clients see them: heard to the end, or on a connection that the test holds in its hand."""

from __future__ import annotations

import json
import socket
import time
from dataclasses import dataclass
from http.client import HTTPResponse
from typing import Any
from urllib.parse import urlsplit

PATIENCE_S = 60


@dataclass
class Heard:
    """An answer to its end. `events` are a stream's, decoded, with "[DONE]" as it is; else the body alone."""

    status: int
    headers: dict[str, str]
    events: list[Any]
    took_s: float

    @property
    def text(self) -> str:
        """What a stream said."""
        choices = [choice for event in self.events if event != "[DONE]" for choice in event.get("choices", [])]
        return "".join(choice["delta"].get("content") or "" for choice in choices)

    @property
    def id(self) -> str:
        return str(self.headers["x-request-id"])

    @property
    def error(self) -> dict[str, Any]:
        """What was wrong, in OpenAI's form: the whole body, or the last event of a stream."""
        last = self.events[-1]
        assert isinstance(last, dict) and set(last) == {"error"}, f"ended with {last!r}"
        assert set(last["error"]) == {"message", "type", "param", "code"} and last["error"]["message"]
        return dict(last["error"])


def ask(url: str, key: str = "tester", stream: bool = True, receive_bytes: int | None = None, **options: object) -> socket.socket:
    """A connection on which an answer was asked for, and of which nothing was read. The caller closes it."""
    body = {"messages": [{"role": "user", "content": "How big is a whale?"}], "stream": stream, **options}
    address, data = urlsplit(url), json.dumps(body).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: {address.netloc}\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\nConnection: close\r\n\r\n"
    )
    connection = socket.socket()
    if receive_bytes is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    connection.settimeout(PATIENCE_S)
    connection.connect((address.hostname, address.port))
    connection.sendall(head.encode() + data)
    return connection


def hear(url: str, key: str = "tester", stream: bool = True, **options: Any) -> Heard:
    """Asks, and reads to the end."""
    began = time.monotonic()
    with ask(url, key, stream, **options) as connection, HTTPResponse(connection) as response:
        response.begin()
        data = response.read()
    events = [json.loads(data)] if not stream or response.status != 200 else list(map(_decode, data.decode().split("\n\n")[:-1]))
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Heard(response.status, headers, events, time.monotonic() - began)


def _decode(event: str) -> Any:
    data = event.removeprefix("data: ")
    return data if data == "[DONE]" else json.loads(data)
