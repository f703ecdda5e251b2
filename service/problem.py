"""Everything that can go wrong for a caller: one type, one table to HTTP, one form of body (OpenAI's)."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from litestar import MediaType, Request, Response
from litestar.exceptions import HTTPException
from msgspec import Struct
from sqlalchemy.exc import DataError

from learner.adapter import AdapterError
from learner.context import StageError
from learner.engine import EngineError
from learner.schedule import Busy
from service.headers import SECURITY
from storage.database import UnavailableError

logger = logging.getLogger(__name__)
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
RETRY_AFTER_S = "2"
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


def of_engine(error: EngineError) -> Problem:
    """An engine's refusal as the caller's problem where it is one."""
    if error.status == 400 and ("context length" in error.message or "max_model_len" in error.message):
        return Problem("context_length_exceeded", error.message, "messages")
    if error.status in (400, 422):
        return Problem("invalid_request", error.message)
    return Problem("not_ready" if error.status == 503 else "engine_failed", error.message)


@contextmanager
def owned(param: str) -> Iterator[None]:
    """Inside, a LookupError of a query says what the asker does not have: it becomes `not_found`."""
    try:
        yield
    except LookupError as error:
        if type(error) is not LookupError:  # a KeyError is a mistake of ours
            raise
        raise Problem("not_found", f"you have {error}", param) from error


def respond(_: Request, error: Exception) -> Response[ErrorEnvelope]:  # type: ignore[type-arg]
    """The answer to any exception of a handler."""
    problem = problem_of(error)
    again = {"Retry-After": RETRY_AFTER_S} if problem.status in TRY_AGAIN else {}
    headers = SECURITY | again | problem.headers
    return Response(envelope(problem), status_code=problem.status, media_type=MediaType.JSON, headers=headers)


def problem_of(error: Exception) -> Problem:
    """Any error as what a caller is told of it; what nobody foresaw goes to the log."""
    match error:
        case Problem():
            return error
        case EngineError():
            return of_engine(error)
        case Busy() | StageError() | AdapterError():
            return Problem("conflict", str(error))
        case UnavailableError():
            return Problem("not_kept", f"this cannot be kept now ({error}): try again in a moment")
        case DataError():  # a NUL in a query, for one, which PostgreSQL knows in no text
            return Problem("invalid_request", f"the database cannot take a value of this request: {error.orig}")
        case RecursionError():  # JSON within JSON within JSON
            return Problem("invalid_request", "the request is nested too deeply")
        case HTTPException(status_code=status):
            return _problem_of_http(error, status)
        case _:
            logger.error("a request met an error that nobody foresaw", exc_info=error)
            return Problem("internal", f"something is broken here ({type(error).__name__}); the log says more")


def _problem_of_http(error: HTTPException, status: int) -> Problem:
    codes = {401: "not_authenticated", 403: "not_allowed", 404: "not_found", 405: "not_found", 413: "too_large"}
    problem = Problem(codes.get(status, "invalid_request"), _words(error))
    problem.status = status
    return problem


def _words(error: HTTPException) -> str:
    """Litestar's detail with the fields it complains about."""
    extra = error.extra if isinstance(error.extra, list) else []
    fields = "; ".join(f"{item.get('key', 'body')}: {item.get('message')}" for item in extra if isinstance(item, dict))
    return f"{error.detail} ({fields})" if fields else str(error.detail)
