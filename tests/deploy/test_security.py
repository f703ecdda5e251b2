"""What the security page names as proof is there to be run, and each risk has some."""

from __future__ import annotations

import ast
import re
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
PAGE = CHECKOUT / "deploy" / "SECURITY.md"
RISKS = [
    "Prompt injection", "Sensitive information disclosure", "Excessive agency", "Supply chain", "Data and model poisoning",
    "Unbounded consumption", "Misinformation", "Hidden context exposure", "Vector and embedding weaknesses",
    "Improper output handling",
]  # fmt: skip


def rows() -> list[list[str]]:
    """The cells of every row but the heads of tables."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if not line.endswith("| Tests |")]


def known_tests() -> set[str]:
    trees = (ast.parse(file.read_text()) for file in (CHECKOUT / "tests").rglob("test_*.py"))
    return {node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_every_risk_has_a_row() -> None:
    named = [row[0] for row in rows()]
    assert named[: len(RISKS)] == [f"LLM{number:02} {risk}" for number, risk in enumerate(RISKS, 1)]


def test_every_row_names_tests_that_there_are() -> None:
    known = known_tests()
    for _, _, proof in rows():
        named = re.findall(r"`(\w+)`", proof)
        assert named, "a row without a test"
        assert [name for name in named if name not in known] == []


def test_every_command_that_it_names_is_there() -> None:
    assert "`deploy/audit`" in PAGE.read_text() and (CHECKOUT / "deploy" / "audit").stat().st_mode & 0o111
