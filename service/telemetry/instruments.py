"""What tells of the service's work as it is done, in one place: made with the application, before anything runs."""

from __future__ import annotations

from dataclasses import dataclass, field

from service.telemetry.metrics import Metrics
from service.telemetry.traces import OFF, Tracing


@dataclass(frozen=True)
class Instruments:
    metrics: Metrics = field(default_factory=Metrics)
    tracing: Tracing = OFF
