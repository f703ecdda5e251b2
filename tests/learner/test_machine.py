"""Numbers are computed in what the CPU has instructions for."""

from __future__ import annotations

from pathlib import Path

import pytest

from learner.machine import resolve


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("flags\t\t: fpu avx2 avx512f avx512_bf16 sse", "bfloat16"),
        ("flags\t\t: amx_bf16 amx_tile", "bfloat16"),
        ("Features\t: fp asimd i8mm bf16", "bfloat16"),
        ("flags\t\t: fpu fma avx avx2", "float32"),
    ],
)
def test_auto_is_what_the_cpu_multiplies_fastest(tmp_path: Path, line: str, expected: str) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\n{line}\n")
    assert resolve("auto", tmp_path / "cpuinfo") == expected


def test_what_is_asked_for_is_taken(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("flags\t\t: avx2\n")
    assert resolve("bfloat16", tmp_path / "cpuinfo") == "bfloat16"
