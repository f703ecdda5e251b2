"""Which blocks the engine's cache has on which processor, and that vLLM takes them."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from service import vllm_blocks
from service.settings import EngineSettings
from service.supervisor import engine_command

PLAIN, AMX = "flags\t: fpu avx512f avx512_bf16\n", "flags\t: fpu avx512f amx_bf16 amx_tile amx_int8\n"


@pytest.mark.parametrize(
    ("machine", "flags", "version", "tokens"),
    [
        ("x86_64", PLAIN, "0.32.0", 16),
        ("x86_64", AMX, "0.32.0", 32),
        ("aarch64", PLAIN, "0.32.0", 32),
        ("x86_64", PLAIN, "0.33.0", 32),
        ("x86_64", None, "0.32.0", 32),
    ],
)
def test_blocks_are_small_where_the_kernel_for_them_is_the_usual_one(
    machine: str, flags: str | None, version: str, tokens: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if flags is not None:
        (tmp_path / "cpuinfo").write_text(flags)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(importlib.metadata, "version", lambda name: version)
    monkeypatch.setattr(vllm_blocks, "CPU_INFO", tmp_path / "cpuinfo")
    assert vllm_blocks.block_tokens() == tokens
    command = engine_command(EngineSettings(device="cpu"), tmp_path, 1)
    assert command[command.index("--block-size") + 1] == str(tokens)


def test_vllm_takes_the_blocks_it_is_started_with() -> None:
    program = """
from service import vllm_blocks
vllm_blocks.register()
from vllm.v1.attention.backends.cpu_attn import CPUAttentionBackend
assert CPUAttentionBackend.supports_block_size(vllm_blocks.block_tokens())
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=300)
