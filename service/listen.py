"""The socket that the service listens on."""

from __future__ import annotations

import socket

from service.config import ServerSettings


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
