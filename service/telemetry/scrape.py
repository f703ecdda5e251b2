"""`/metrics`: the service and its loop as figures, for Prometheus."""

from __future__ import annotations

from ipaddress import ip_address

from litestar import Request, Response, get
from litestar.connection import ASGIConnection
from litestar.di import NamedDependency
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from prometheus_client.exposition import choose_encoder

from service.auth import operators_only
from service.telemetry.instruments import Instruments
from service.telemetry.settings import MetricsSettings
from service.telemetry.vitals import VitalsCollector, Watcher

FORWARDED = ("forwarded", "x-forwarded-for", "via")  # headers of proxies


def metrics_route(settings: MetricsSettings, instruments: Instruments) -> HTTPRouteHandler:
    """The route, for the operator's key, and for programs on this machine where the settings let them."""
    metrics, collector = instruments.metrics, VitalsCollector()
    metrics.registry.register(collector)

    def may_read(connection: ASGIConnection, handler: BaseRouteHandler) -> None:  # type: ignore[type-arg]
        if not (settings.loopback and is_here(connection)):
            operators_only(connection, handler)

    @get("/metrics", guards=[may_read], include_in_schema=False)
    async def show_metrics(request: Request, watcher: NamedDependency[Watcher]) -> Response[bytes]:  # type: ignore[type-arg]
        """What was counted, and how things stand."""
        collector.vitals = await watcher.look()
        metrics.name_only(collector.vitals.shares)
        encode, form = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(metrics.registry), media_type=form)

    return show_metrics


def is_here(connection: ASGIConnection) -> bool:  # type: ignore[type-arg]
    """Whether a program of this machine asks for itself: a proxy asks for others, and says so."""
    if connection.client is None or any(name in connection.headers for name in FORWARDED):
        return False
    try:
        return ip_address(connection.client.host.removeprefix("::ffff:")).is_loopback
    except ValueError:
        return False
