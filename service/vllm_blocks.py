"""A vLLM plugin that lets the CPU keep its cache in blocks of 16 tokens, which its kernel for them is as quick with.

Only whole blocks of a prompt that was met before are not computed again, and vLLM allows the CPU no less than 32 tokens. The
choices of a question share a beginning that ends anywhere: half a block of each is computed once more, a quarter of all that
an evaluation computes. vLLM loads the plugin by its entry point `vllm.general_plugins` in every process.
"""

from __future__ import annotations

import platform

from learner.machine import CPU_INFO, cpu_words
from service.vllm_plugins import KNOWN_VERSIONS, installed_version, is_known

SMALL_TOKENS, USUAL_TOKENS = 16, 32


def register() -> None:
    """Have vLLM take blocks of 16 tokens on this CPU, if they suit it; do nothing on a version not known to fit."""
    import vllm

    if not is_known(vllm.__version__, f"its blocks have {USUAL_TOKENS} tokens") or not _suits_small():
        return
    from vllm.v1.attention.backends import cpu_attn

    backend, multiple_of = vars(cpu_attn)["CPUAttentionBackend"], vars(cpu_attn)["MultipleOf"]
    backend.get_supported_kernel_block_sizes = staticmethod(lambda kv_cache_spec=None: [multiple_of(SMALL_TOKENS)])


def block_tokens() -> int:
    """Of a block in an engine that is started here with this plugin."""
    return SMALL_TOKENS if installed_version().startswith(KNOWN_VERSIONS) and _suits_small() else USUAL_TOKENS


def _suits_small() -> bool:
    """Other processors, and those with AMX, have kernels of their own, for larger blocks."""
    words = cpu_words(CPU_INFO)
    return platform.machine() in ("x86_64", "AMD64") and bool(words) and "amx_tile" not in words
