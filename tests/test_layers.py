"""Imports point down, and what only needs the vocabulary does not wait for torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ABOVE = {"storage": {"learner", "service", "tests"}, "learner": {"service", "tests"}, "service": {"tests"}}
HEAVY = ("torch",)  # takes seconds to import
LIGHT = {
    "learner.config": HEAVY,
    "learner.train.spec": HEAVY,
    "learner.rows": HEAVY,
    "learner.gate": HEAVY,
    "learner.canary": HEAVY,
    "service.config": HEAVY,
    "service.app": ("torch", "transformers", "scipy.stats"),  # each restart waits for it
    "service.cli": (*HEAVY, "litestar", "scipy", "transformers"),  # people wait for it at each command
}


def imported(file: Path) -> Iterator[str]:
    """The packages a file imports, wherever in it, relative imports resolved."""
    package = file.relative_to(ROOT).parts[:-1]
    for node in ast.walk(ast.parse(file.read_text(), file.name)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield package[0] if node.level else str(node.module).partition(".")[0]


@pytest.mark.parametrize("package", ABOVE)
def test_imports_point_down(package: str) -> None:
    files = [*(ROOT / package).rglob("*.py")]
    assert len(files) > 10
    upward = {str(file.relative_to(ROOT)): found for file in files if (found := ABOVE[package] & set(imported(file)))}
    assert upward == {}


@pytest.mark.parametrize("module", LIGHT)
def test_a_light_module_is_imported_without_what_is_heavy(module: str) -> None:
    program = f"import {module}, sys; print(*sorted({set(LIGHT[module])} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr
