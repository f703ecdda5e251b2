"""Files that go out as the body of a response."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import BinaryIO

CHUNK_BYTES = 1 << 18
TAR = "application/x-tar"


async def read_out(stream: BinaryIO) -> AsyncIterator[bytes]:
    """The file piece by piece; it is closed at the end, or when the client leaves."""
    with stream:
        while chunk := await asyncio.to_thread(stream.read, CHUNK_BYTES):
            yield chunk
