"""What can be set about watching the service."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

EventName = Literal["verdict", "rollback", "failure"]


class MetricsSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """`/metrics`, for Prometheus."""

    enabled: bool = True  # off, there is no such page
    loopback: bool = True  # whether programs on this machine may read it without the operator's key
    refresh_s: float = 5.0  # how often the database is asked for it at most


class HealthSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """What `/health/ready` asks for, beside an engine."""

    check_every_s: float = 1.0  # how often the database and the disk are looked at
    timeout_s: float = 5.0  # for the database to answer
    min_free_bytes: int = 100_000_000  # on the home's disk; with less, no more requests are taken


class LogSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """What goes to standard error. Never what people or versions say, and no keys."""

    format: Literal["text", "json"] = "text"  # json is an object a line
    level: Literal["debug", "info", "warning", "error"] = "info"  # what is less than this is left out
    requests: bool = False  # a line for each request: its route, status and time


class TracingSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """OpenTelemetry, with GenAI's names. It needs the extra `otel`; what else can be set are the `OTEL_` variables."""

    enabled: bool = False  # off, it costs nothing
    endpoint: str = "http://127.0.0.1:4318/v1/traces"  # where spans go, in OTLP by HTTP
    share: float = 1.0  # of requests that are traced, unless whoever asks says otherwise
    content: bool = False  # whether spans hold what people and versions say

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError(f"tracing.share is {self.share}; expected a share from 0 to 1")


class WebhookSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """A program that is told of what happens, as Standard Webhooks have it: signed, and again until it has taken it."""

    url: str  # that is posted to
    events: tuple[EventName, ...] = ("verdict", "rollback", "failure")  # that it is told of
    secret_env: str = "RATCHET_WEBHOOK_SECRET"  # the environment variable with the secret that signs

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise ValueError(f"webhooks.url begins with {self.url[:8]!r}; expected http:// or https://")
