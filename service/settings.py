"""What can be set about the engine. Imported by whoever reads the configuration, so it imports nothing heavy."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from learner.machine import Precision
from learner.timeouts import DEFAULT_TIMEOUTS, Timeouts


class EngineSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """How the engine is run."""

    urls: tuple[str, ...] = ()  # of engines that somebody else runs; nothing is started or ended then, else one of our own is
    router: str | None = None  # address of a router before `urls`, like vllm-router's, that chats go through
    max_model_len: int = 4096  # tokens of a prompt and its answer together
    max_num_seqs: int = 96  # requests answered at once; more wait
    max_loras: int = 6  # adapters in one batch: live, canary, candidates, base
    max_cpu_loras: int = 8  # adapters held in memory; at least max_loras
    lora_rank: int = 16  # of the adapters; 1, 8, 16, 32, 64, 128, 256, 320 or 512
    kv_cache_bytes: int = 2 * 2**30  # CPU only; a GPU's free memory decides there
    threads: str | None = None  # CPU only: cores to run on, like "0-1" or "0,2"; all this process may use where unset
    precision: Precision = "auto"  # CPU only: what it computes in; auto is bfloat16 where the CPU has instructions for it
    device: Literal["auto", "cpu", "cuda"] = "auto"  # auto is the GPU where there is one
    start_timeout_s: float = 300.0  # from the start of the process to the answer to a warm-up request
    hang_timeout_s: float = 30.0  # without an answer, or without a model step while requests wait, it is started again
    watch_interval_s: float = 1.0  # how often it is looked at
    shutdown_timeout_s: float = 2.0  # from asking the engine to end to killing it
    timeouts: Timeouts = DEFAULT_TIMEOUTS  # of requests to it

    def __post_init__(self) -> None:
        urls = [url.rstrip("/") for url in self.urls]
        if len(set(urls)) < len(urls):
            raise ValueError(f"engine.urls is {list(self.urls)}; expected each engine once")
        if self.router is not None and not urls:
            raise ValueError(f"engine.router is {self.router!r} and engine.urls is empty; expected the engines behind the router")
