"""The log: lines for people or objects for programs, each with the id of the request that it comes from.

What people and versions say is nobody's to log, and what looks like a key is crossed out wherever it would come in.
"""

from __future__ import annotations

import logging
import re
import sys
from contextvars import ContextVar
from datetime import UTC, datetime

import msgspec

from service.telemetry.settings import LogSettings
from storage.records import new_id

KEY = re.compile(r"\brt_[A-Za-z0-9_-]{8,}|(?i:\bbearer )[^\s\"']+")
CROSSED_OUT = "[key]"
QUIET = ("alembic", "apscheduler", "httpx", "opentelemetry")  # libraries of which only warnings are told
STANDARD = frozenset(vars(logging.makeLogRecord({})))


class RequestName:
    """What a request is called in the log and to the one who asks. Tasks that a request begins share it."""

    def __init__(self, id: str) -> None:
        self.id = id


_request: ContextVar[RequestName | None] = ContextVar("request", default=None)


def name_request() -> RequestName:
    """Names the request whose task this is."""
    name = RequestName(new_id("req"))
    _request.set(name)
    return name


def rename_request(id: str) -> None:
    """Calls the request whose task this is, if it is one's, by the answer that it brings forth."""
    if (name := _request.get()) is not None:
        name.id = id


class TextFormatter(logging.Formatter):
    """A line for people; tracebacks follow it."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s%(request)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        name = _request.get()
        vars(record)["request"] = f" [{name.id}]" if name else ""
        return without_keys(super().format(record))


class JsonFormatter(logging.Formatter):
    """An object a line: `at`, `level`, `logger`, `message`, `request_id`, `traceback`, and what the line has `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        name = _request.get()
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": name.id if name else None,
            "traceback": self.formatException(record.exc_info) if record.exc_info else None,
            **{key: value for key, value in vars(record).items() if key not in STANDARD and key != "request"},
        }
        told = {key: value for key, value in line.items() if value is not None}
        return without_keys(msgspec.json.encode(told, enc_hook=str).decode())


def without_keys(text: str) -> str:
    """The text with what looks like a key crossed out."""
    return KEY.sub(CROSSED_OUT, text)


def start_log(settings: LogSettings) -> None:
    """From now on this process logs so, to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if settings.format == "json" else TextFormatter())
    logging.basicConfig(level=settings.level.upper(), handlers=[handler], force=True)
    for library in QUIET:
        logging.getLogger(library).setLevel(logging.WARNING)
