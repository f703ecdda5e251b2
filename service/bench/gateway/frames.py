"""The bytes of vLLM 0.32 for a chat, made beforehand as far as they can be; each frame says its number, which is read again."""

from __future__ import annotations

import re
from functools import cache

PACE_MS = 20  # between the frames of an answer
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nserver: uvicorn\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
)
PROMPT_IDS = b"[1,2,3,4,5,6,7,8]"
PROMPT_TOKENS = 8
DONE = b"data: [DONE]\n\n"
CONTENT = re.compile(rb'"content":\s*"([^"]*)"')  # of an event; what it finds is without escapes, as the frames are
NUMBER = re.compile(rb" (\d+) ")
WORDS = (
    b"a ratchet is a wheel with slanted teeth and a small arm that rests on them it turns one way only because the arm slips "
    b"over each tooth that comes and falls behind it so that whatever was gained is never lost again"
).split()  # prose, since what is held against a policy while it is said takes the longer the more it looks like a breach


def text(number: int, first: int = 0) -> bytes:
    """What a frame says: its number and a word, with the space before as tokens have it. `first` is the answer's first word."""
    return b" %d %b" % (number, WORDS[(first + number) % len(WORDS)])


def whole_text(frames: int, first: int = 0) -> bytes:
    return b"".join(text(number, first) for number in range(frames))


@cache
def whole_texts(frames: int) -> frozenset[bytes]:
    """All that an answer of so many frames may say."""
    return frozenset(whole_text(frames, first) for first in range(len(WORDS)))


def count_lost(said: bytes, frames: int) -> int:
    """How many of an answer's frames are not in what was heard of it."""
    return frames - len({int(number) for number in NUMBER.findall(said)} & set(range(frames)))


class Script:
    """One streamed answer of so many frames, as the pieces of bytes that are written for it.

    Answers begin with other words each, as the policy lets some words go at once and holds others until the next.
    """

    def __init__(self, number: int, model: str, frames: int, token_ids: bool) -> None:
        self.frames, self._token_ids, self._first = frames, token_ids, number % len(WORDS)
        self._head = _head("chat.completion.chunk", number, model) + b'"choices":['

    def begin(self) -> bytes:
        """The headers of the response, the frame with the role and, as vLLM sends them together, the first with text."""
        prompt_ids = b',"prompt_token_ids":' + PROMPT_IDS if self._token_ids else b""
        role = b'{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]'
        return STREAM_HEAD + self._chunk(role + prompt_ids + b"}\n\n") + self.frame(0)

    def frame(self, number: int) -> bytes:
        """The frame of that number, counted from 0. After the last comes all that ends an answer."""
        last = number + 1 == self.frames
        said = self._chunk(_said(number, self._first, last, self._token_ids))
        return said + self._end() if last else said

    def _end(self) -> bytes:
        return self._chunk(b'],"usage":' + _usage(self.frames) + b"}\n\n") + b"%x\r\n%b\r\n0\r\n\r\n" % (len(DONE), DONE)

    def _chunk(self, tail: bytes) -> bytes:
        return b"%x\r\ndata: %b%b\r\n" % (len(self._head) + len(tail) + 6, self._head, tail)


@cache
def _said(number: int, first: int, last: bool, token_ids: bool) -> bytes:
    reason = b'"length"' if last else b"null"
    ids = b"[%d]" % (number + 9) if token_ids else b"null"
    delta = b'{"index":0,"delta":{"content":"%b"},"logprobs":null,' % text(number, first)
    return delta + b'"finish_reason":%b,"token_ids":%b}]}\n\n' % (reason, ids)


def plain_answer(number: int, model: str, tokens: int, token_ids: bool) -> bytes:
    """The body of an answer that is not streamed."""
    ids = b"[" + b",".join(b"%d" % (at + 9) for at in range(tokens)) + b"]" if token_ids else b"null"
    said = b'"message":{"role":"assistant","content":"%b"},"logprobs":null' % whole_text(tokens)
    choice = b'"choices":[{"index":0,%b,"finish_reason":"length","token_ids":%b}]' % (said, ids)
    prompt_ids = PROMPT_IDS if token_ids else b"null"
    head = _head("chat.completion", number, model)
    return head + choice + b',"usage":%b,"prompt_token_ids":%b}' % (_usage(tokens), prompt_ids)


def response(status: int, body: bytes, kind: str = "application/json") -> bytes:
    """A whole HTTP response."""
    reason = "OK" if status == 200 else "Not Found"
    head = f"HTTP/1.1 {status} {reason}\r\nserver: uvicorn\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _head(kind: str, number: int, model: str) -> bytes:
    return f'{{"id":"chatcmpl-bench{number}","object":"{kind}","created":1700000000,"model":"{model}",'.encode()


def _usage(tokens: int) -> bytes:
    return b'{"prompt_tokens":%d,"total_tokens":%d,"completion_tokens":%d}' % (PROMPT_TOKENS, PROMPT_TOKENS + tokens, tokens)
