"""axe-core in a page: what of it people with a screen reader, a keyboard or weak eyes would trip over."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from service.assets import MODULES

SOURCE = MODULES / "axe-core" / "axe.min.js"
BLOCKING = ("serious", "critical")


def serious(page: Page) -> list[str]:
    """A line for each violation that matters, with the element that has it; skips the test where axe is not installed."""
    if not SOURCE.is_file():
        pytest.skip("axe-core is not installed: `./deploy/test` installs it")
    page.evaluate(SOURCE.read_text())  # not as a script element: the page's own policy refuses those
    violations = page.evaluate("async () => (await axe.run(document, {resultTypes: ['violations']})).violations")
    return [
        f"{found['id']}: {node['target']} {node['failureSummary']}"
        for found in violations
        if found["impact"] in BLOCKING
        for node in found["nodes"]
    ]
