"""What a caller is told went wrong: one type, one table to HTTP, one form of body (OpenAI's)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from msgspec import Struct

STATUS = {
    "invalid_request": 400,
    "context_length_exceeded": 400,
    "not_authenticated": 401,
    "not_allowed": 403,
    "not_found": 404,
    "model_not_found": 404,
    "request_timeout": 408,
    "conflict": 409,
    "too_large": 413,
    "misdirected": 421,
    "rate_limit_exceeded": 429,
    "internal": 500,
    "engine_failed": 502,
    "not_ready": 503,
    "overloaded": 503,
    "not_kept": 503,
}
TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
TRY_AGAIN = (429, 503)


class Problem(Exception):
    """What is wrong, by a code of `STATUS`, and a message that quotes the value and says what was expected."""

    def __init__(self, code: str, message: str, param: str | None = None, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.param, self.headers = code, message, param, headers or {}
        self.status = STATUS[code]


class ErrorBody(Struct, frozen=True):
    message: str
    type: str
    param: str | None
    code: str | None


class ErrorEnvelope(Struct, frozen=True):
    error: ErrorBody


def envelope(problem: Problem) -> ErrorEnvelope:
    kind = TYPES.get(problem.status, "server_error" if problem.status >= 500 else "invalid_request_error")
    return ErrorEnvelope(ErrorBody(problem.message, kind, problem.param, problem.code))


@contextmanager
def owned(param: str) -> Iterator[None]:
    """Inside, a LookupError of a query says what the asker does not have: it becomes `not_found`."""
    try:
        yield
    except LookupError as error:
        if type(error) is not LookupError:  # a KeyError is a mistake of ours
            raise
        raise Problem("not_found", f"you have {error}", param) from error
