"""How the service is served: what a client may count on between two requests."""

from __future__ import annotations

import http.client
import time

from litestar import Litestar, get

from tests.service.command_line import serve

IDLE_S = 6.0  # a connection that closes after 5 s, as uvicorn's do, may do so just as a client asks


@get("/here")
async def here() -> str:
    return "here"


def test_a_connection_outlives_a_pause() -> None:
    with serve(Litestar([here])) as served:
        connection = http.client.HTTPConnection(served.url.removeprefix("http://"), timeout=5)
        try:
            for pause_s in (0.0, IDLE_S):
                time.sleep(pause_s)
                connection.request("GET", "/here")  # on the same connection, which is opened once
                assert connection.getresponse().read() == b"here"
        finally:
            connection.close()
