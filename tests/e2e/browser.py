"""A real browser for tests: Debian's Chromium, or whatever Chromium is on the path."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Page, expect, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
PATIENCE_MS = 30_000  # no test is about speed
NETWORK_NOISE = "Failed to load resource"  # Chromium's own line for every answer that is not 2xx

expect.set_options(timeout=PATIENCE_MS)


def chromium() -> str:
    """The browser's path; skips the test where there is none."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no Chromium on this machine: `./deploy/test` installs it where it may")
    return found


@contextmanager
def page_at(url: str, path: str = "", **options: object) -> Iterator[Page]:
    """A fresh browser with the page open, or another one of its site. Afterwards: it said nothing bad and asked nobody else."""
    complaints: list[str] = []
    elsewhere: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        _serve_first()
        page = browser.new_page(**options)
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "request",
            lambda request: elsewhere.append(request.url) if not request.url.startswith((url, "data:", f"blob:{url}")) else None,
        )
        page.goto(url + path)
        yield page
        browser.close()
    assert [line for line in complaints if NETWORK_NOISE not in line] == []
    assert elsewhere == []


def _serve_first() -> None:
    """The browser has a session of its own, and Linux shares processors out by session first: beside an engine and other tests
    it would show an answer when it is over. A person's browser has their own machine. Left out where it is not allowed."""
    for process in psutil.Process().children(recursive=True):
        if "chrom" in process.name():
            with suppress(OSError):
                Path(f"/proc/{process.pid}/autogroup").write_text("-10")
