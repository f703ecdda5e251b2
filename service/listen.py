"""The socket that the service listens on, and how it is served there."""

from __future__ import annotations

import socket

import uvicorn
from litestar import Litestar

from service.config import KEEP_ALIVE_S, LAST_STEPS_S, ServerSettings


def listen(server: ServerSettings) -> socket.socket:
    """Bound, and not yet listening. A connection whose other end takes nothing for `stalled_client_s` is dropped by the system.

    Raises `OSError` for an address that cannot be had.
    """
    listening = socket.socket(socket.AF_INET6 if ":" in server.host else socket.AF_INET)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(server.stalled_client_s * 1000)
        )  # connections inherit it
        listening.bind((server.host, server.port))
    except OSError:
        listening.close()
        raise
    return listening


def serving(app: Litestar) -> uvicorn.Config:
    """How uvicorn is to serve the application, in whatever process."""
    return uvicorn.Config(
        app,
        loop="uvloop",
        log_config=None,  # as all that is told here
        log_level="warning",
        access_log=False,
        proxy_headers=False,  # whom a proxy names is believed by the proxy's own address
        timeout_graceful_shutdown=LAST_STEPS_S,
        timeout_keep_alive=KEEP_ALIVE_S,
    )
