"""How soon the chat page works for somebody who has never been there: `python -m tests.e2e.first_load URL`.

Prints one JSON object: milliseconds from the request to the first text on the screen and to where typing and clicking work, and
the bytes that were sent for it, over several browsers that have nothing of it yet.
"""

from __future__ import annotations

import statistics
import sys

import msgspec
from msgspec import Struct

from tests.e2e.browser import page_at

LOADS = 7
MEASURE = """() => {
  const kept = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")];
  return {
    first_text_ms: performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? null,
    interactive_ms: performance.getEntriesByName("interactive")[0].startTime,
    sent_bytes: kept.reduce((sum, entry) => sum + entry.encodedBodySize, 0),
  };
}"""


class Load(Struct, frozen=True):
    first_text_ms: float | None  # None where the browser drew nothing
    interactive_ms: float
    sent_bytes: int


class FirstLoad(Struct, frozen=True):
    """Medians, and the worst of the loads."""

    loads: int
    first_text_ms: float
    interactive_ms: float
    longest_interactive_ms: float
    sent_bytes: int


def main(url: str) -> None:
    loads = [_load(url) for _ in range(LOADS)]
    found = FirstLoad(
        LOADS,
        statistics.median(load.first_text_ms for load in loads if load.first_text_ms is not None),
        statistics.median(load.interactive_ms for load in loads),
        max(load.interactive_ms for load in loads),
        max(load.sent_bytes for load in loads),
    )
    print(msgspec.json.encode(found).decode())


def _load(url: str) -> Load:
    with page_at(url) as page:
        page.wait_for_function("performance.getEntriesByName('interactive').length > 0")
        page.wait_for_timeout(300)  # the first text may be drawn a moment later
        return msgspec.convert(page.evaluate(MEASURE), Load)


if __name__ == "__main__":
    main(sys.argv[1])
