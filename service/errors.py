"""The answer to whatever goes wrong while a request is handled: any exception becomes a `Problem`."""

from __future__ import annotations

import logging

from litestar import MediaType, Request, Response
from litestar.exceptions import HTTPException
from sqlalchemy.exc import DataError

from learner.adapter import AdapterError
from learner.context import StageError
from learner.engine import EngineError
from learner.schedule import Busy
from service.headers import SECURITY
from service.problem import TRY_AGAIN, ErrorEnvelope, Problem, envelope
from storage.database import UnavailableError

logger = logging.getLogger(__name__)
RETRY_AFTER_S = "2"


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


def of_engine(error: EngineError) -> Problem:
    """An engine's refusal as the caller's problem where it is one."""
    if error.status == 400 and ("context length" in error.message or "max_model_len" in error.message):
        return Problem("context_length_exceeded", error.message, "messages")
    if error.status in (400, 422):
        return Problem("invalid_request", error.message)
    return Problem("not_ready" if error.status == 503 else "engine_failed", error.message)
