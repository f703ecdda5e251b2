"""Files that come as the body of a request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path


async def save(chunks: AsyncIterator[bytes], file: Path) -> None:
    """Writes the body to a file as it comes."""
    with file.open("wb") as stream:
        async for chunk in chunks:
            await asyncio.to_thread(stream.write, chunk)
