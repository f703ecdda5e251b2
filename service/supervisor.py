"""Keeps one vLLM server running: starts it, has it load the adapters, notices death and hangs, starts it again.

The process lives under `service/warden.py`, so that nothing of it outlives the service. An engine whose address is given is
somebody else's: it is watched and given its adapters, and never started or ended. Either is in the pool of `Engines` only
while it is known to be there with all its adapters. All times are by clocks that do not follow the time of day.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

from learner.adapter import TARGETS
from learner.admission import Adapters
from learner.engine import Engine, EngineError, Progress
from learner.engines import Engines
from learner.machine import fast_threads, resolve
from service.settings import EngineSettings
from service.starting import Stages
from service.vllm_blocks import block_tokens
from service.vllm_forks import SERVER
from service.vllm_plugins import PLUGINS
from service.warden import kill_group, read_pid

logger = logging.getLogger(__name__)

NOBODY = "none"  # what the bare model is called; asked for by nobody, since "base" is an adapter of zeros
STARTING_POLL_S = 0.1
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 10.0  # before the next start; doubles with every start that fails
FAILURES_UNTIL_FAILED = 3
WARDEN_SLACK_S = 3.0  # the warden's own time after its grace
LOG_TAIL_LINES, LOG_TAIL_BYTES = 20, 4000
LOG_SIZE_BYTES = 10 * 2**20  # a start finding a longer log sets it aside as engine.log.1
PROCESS, WEIGHTS, ELSEWHERE = "engine process", "weights", "engine elsewhere"  # stages; the others are told by `Engines.admit`
LOADS_WEIGHTS = b"Starting to load model"  # in vLLM's log, where the second of them begins


class EngineState(StrEnum):
    STARTING = "starting"
    READY = "ready"
    STOPPED = "stopped"
    FAILED = "failed"  # three starts in a row came to nothing; it is still being tried


class Supervisor:
    """One engine, kept ready from `start` to `stop`, inside one event loop.

    `adapters` gives the names and folders to load, in order, and is asked at each start. Who loads another one later
    records it first, where the callback finds it. `url` can change when the engine is started again: read it each time.
    `run_dir` gets engine.log and engine.pid, and belongs to one supervisor at a time. Tests replace `command`, which
    gives the engine's command line for a port. `at` is the address of an engine that somebody else runs; `engines` has the
    pool that this one is to be in.
    """

    def __init__(
        self,
        settings: EngineSettings,
        model_dir: Path,
        run_dir: Path,
        adapters: Adapters,
        command: Callable[[int], list[str]] | None = None,
        *,
        at: str | None = None,
        engines: Engines | None = None,
    ) -> None:
        self.settings = settings
        self.url = at or ""
        self.stages = Stages()
        self.state = EngineState.STOPPED
        self.restarts = 0  # starts after the first
        self.problem = ""  # why the last start or run ended, with the end of the log
        self._since = time.monotonic()  # when it came to its state
        self._command = command or (lambda port: engine_command(settings, model_dir.resolve(), port))
        self._adapters = adapters
        self._is_ours = at is None
        self._engines = engines or Engines()
        self._member = self._engines.add(lambda: self.url)
        self._log = run_dir.resolve() / "engine.log"
        self._log_start = 0  # where this start's part of the log begins, in bytes
        self._pid_file = run_dir.resolve() / "engine.pid"
        self._port = 0
        self._warden: subprocess.Popen[bytes] | None = None
        self._task: asyncio.Task[None] | None = None
        self._decided = asyncio.Event()  # ready or failed

    @property
    def in_state_s(self) -> float:
        """How long it has been in the state that it is in."""
        return time.monotonic() - self._since

    async def progress(self) -> Progress | None:
        """What the engine is doing; None where it does not say."""
        try:
            return await self._member.engine.progress()
        except EngineError:
            return None

    @property
    def pid(self) -> int | None:
        """The engine's process and process group, if it is ours and there is one."""
        return read_pid(self._pid_file)

    async def start(self) -> None:
        """Returns at once; `wait_ready` waits. Ends what a former service may have left behind in `run_dir`."""
        assert self._task is None, "the supervisor is already started"
        self._become(EngineState.STARTING)
        self._task = asyncio.create_task(self._keep_running(), name="engine supervisor")

    async def wait_ready(self, timeout_s: float) -> None:
        """Raises `EngineError` (503), with the end of the log, once starting has failed or after `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._decided.wait()
        except TimeoutError:
            raise EngineError(503, f"not ready within {timeout_s:g} s; {self.problem or self._log_tail()}") from None
        if self.state != EngineState.READY:
            raise EngineError(503, self.problem or f"the engine is {self.state}")

    async def stop(self) -> None:
        """Returns when the engine is gone: politely within `shutdown_timeout_s`, killed after that."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.wait([self._task])
        self._task = None
        await self._end_process()
        self._become(EngineState.STOPPED)

    async def _keep_running(self) -> None:
        await self._kill_leftovers()
        failures = 0
        while True:
            try:
                self._launch()
                async with Engine(self.url, self.settings.timeouts) as engine:
                    async with asyncio.timeout(self.settings.start_timeout_s):
                        await self._make_ready(engine)
                    failures = 0
                    self._become(EngineState.READY)
                    reason = await self._watch(engine)
            except TimeoutError:
                failures, reason = failures + 1, f"the engine was not ready within {self.settings.start_timeout_s:g} s"
            except Exception as error:  # whatever went wrong here or in the callback, another start may get it right
                failures, reason = failures + 1, str(error) or repr(error)
                logger.info("the engine's start failed", exc_info=error)
            self.problem = f"{reason}{self._log_tail()}"
            self._become(EngineState.FAILED if failures >= FAILURES_UNTIL_FAILED else EngineState.STARTING)
            logger.warning("%s", self.problem)
            await self._kill_leftovers()  # it is dead or hangs: no politeness
            await self._end_process()
            await asyncio.sleep(min(FIRST_PAUSE_S * 2 ** max(failures - 1, 0), LONGEST_PAUSE_S))
            self.restarts += 1

    def _launch(self) -> None:
        self.stages.begin(PROCESS if self._is_ours else ELSEWHERE)
        if not self._is_ours:
            return
        self._port = _free_port(self._port)
        self.url = f"http://127.0.0.1:{self._port}"
        self._log.parent.mkdir(parents=True, exist_ok=True)
        if self._log.exists() and self._log.stat().st_size > LOG_SIZE_BYTES:
            self._log.replace(self._log.with_suffix(".log.1"))
        warden = [sys.executable, "-m", "service.warden", str(self._pid_file), f"{self.settings.shutdown_timeout_s:g}"]
        with self._log.open("ab") as log:
            self._log_start = log.tell()
            self._warden = subprocess.Popen(
                [*warden, "--", *self._command(self._port)],
                stdin=subprocess.PIPE,  # held by this process alone: the warden reads its end, and acts on it
                stdout=log,
                stderr=log,
                process_group=0,
                env=os.environ | engine_env(self.settings),
            )

    async def _make_ready(self, engine: Engine) -> None:
        """Returns when the engine has answered by each of its adapters, and is in the pool."""
        while not await engine.healthy():
            self._check_process()
            if self.stages.current == PROCESS and LOADS_WEIGHTS in self._read_log():
                self.stages.begin(WEIGHTS)
            await asyncio.sleep(STARTING_POLL_S)
        await self._engines.admit(self._member, engine, self._adapters, self.stages.begin)
        self._check_process()

    async def _watch(self, engine: Engine) -> str:
        """Returns when the engine is lost, with the reason."""
        pulse = Pulse(time.monotonic())
        while True:
            await asyncio.sleep(self.settings.watch_interval_s)
            if (ended := self._how_ended()) is not None:
                return ended
            if not self._member.in_pool:
                return "the engine did not do what others did"
            progress = await _progress(engine, self.settings.hang_timeout_s)
            if not self._is_ours and pulse.is_another(progress):
                return "the engine went away or was started again"
            if pulse.silent_s(progress, time.monotonic()) > self.settings.hang_timeout_s:
                return f"the engine did nothing for {self.settings.hang_timeout_s:g} s ({progress or 'no answer'})"

    def _check_process(self) -> None:
        if (ended := self._how_ended()) is not None:
            raise EngineError(503, ended)

    def _how_ended(self) -> str | None:
        if self._warden is None or (status := self._warden.poll()) is None:
            return None
        return f"the engine ended with status {status}"

    async def _end_process(self) -> None:
        """Has the warden end the engine, and does so itself where the warden cannot. Returns when both are gone."""
        if self._warden is None or self._warden.stdin is None:
            return
        self._warden.stdin.close()
        deadline = time.monotonic() + self.settings.shutdown_timeout_s + WARDEN_SLACK_S
        while self._warden.poll() is None and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        if self._warden.poll() is None:
            self._warden.kill()
            self._warden.wait()
        await self._kill_leftovers()
        self._warden = None

    async def _kill_leftovers(self) -> None:
        """Returns when no process of the group is left, however it came to be there."""
        if not self._is_ours:
            return
        deadline = time.monotonic() + WARDEN_SLACK_S
        while kill_group(self._pid_file):
            if time.monotonic() > deadline:
                logger.error("the processes of group %s do not end", self.pid)
                return
            await asyncio.sleep(0.02)

    def _become(self, state: EngineState) -> None:
        logger.info("the engine at %s is %s", self.url, state)
        if state != self.state:
            self._since = time.monotonic()
        self.state = state
        if state == EngineState.READY:
            self.stages.done()
        else:
            self._member.in_pool = False
        if state == EngineState.STARTING:
            self._decided.clear()
        else:
            self._decided.set()

    def _log_tail(self) -> str:
        """The last lines since the last start, for people; empty where the engine is not ours."""
        if not self._is_ours:
            return ""
        lines = self._read_log(LOG_TAIL_BYTES).decode(errors="replace").strip().splitlines()
        return "\n".join(["; its log ends:", *lines[-LOG_TAIL_LINES:]]) if lines else ""

    def _read_log(self, last_bytes: int = LOG_SIZE_BYTES) -> bytes:
        """The end of what is in the log since the last start; nothing where there is no log."""
        try:
            with self._log.open("rb") as log:
                log.seek(max(self._log_start, log.seek(0, os.SEEK_END) - last_bytes))
                return log.read()
        except OSError:
            return b""


class Pulse:
    """When an engine last gave a sign of life: an answer while idle, or a model step."""

    def __init__(self, now: float) -> None:
        self._alive_at = now
        self._steps = -1

    def silent_s(self, progress: Progress | None, now: float) -> float:
        """Seconds since the last sign of life, given what was seen now; None is no answer."""
        if progress is not None and (progress.running == 0 or progress.steps != self._steps):
            self._alive_at, self._steps = now, progress.steps
        return now - self._alive_at

    def is_another(self, progress: Progress | None) -> bool:
        """Whether this is no longer the engine seen before: no answer, or steps counted from 0 again."""
        return progress is None or progress.steps < self._steps


async def _progress(engine: Engine, timeout_s: float) -> Progress | None:
    """None where the engine does not answer, or says that it is dead."""
    with contextlib.suppress(EngineError, TimeoutError):
        async with asyncio.timeout(timeout_s):
            return await engine.progress() if await engine.healthy() else None
    return None


def _free_port(wanted: int) -> int:
    """`wanted` if it is free, else one from the system."""
    for port in (wanted, 0):
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", port))
            return int(listener.getsockname()[1])
    raise OSError("the system has no free port on 127.0.0.1")


def engine_command(settings: EngineSettings, model_dir: Path, port: int, host: str = "127.0.0.1") -> list[str]:
    """The command line of vLLM 0.32 for one base model and adapters of the seven linear layers; on loopback by default."""
    flags: dict[str, object] = {
        "--model": model_dir,
        "--served-model-name": NOBODY,
        "--host": host,
        "--port": port,
        "--max-loras": settings.max_loras,
        "--max-cpu-loras": settings.max_cpu_loras,
        "--max-lora-rank": settings.lora_rank,
        "--generation-config": "vllm",  # the service decides how to sample
        "--max-model-len": settings.max_model_len,
        "--max-num-seqs": settings.max_num_seqs,
        "--scheduling-policy": "priority",  # people before evaluation
    }
    if _on_cpu(settings):
        flags["--kv-cache-memory-bytes"] = settings.kv_cache_bytes
        flags["--block-size"] = block_tokens()  # of 128 by default, so that prompts under 128 tokens never met the prefix cache
        flags["--dtype"] = resolve(settings.precision)
        flags["--max-num-batched-tokens"] = settings.max_model_len
    command = [sys.executable, "-m", "service.vllm_forks" if _on_cpu(settings) else SERVER, "--enable-lora"]
    command += [str(word) for pair in flags.items() for word in pair]
    if _on_cpu(settings):
        # A prompt worked off in parts ends vLLM 0.32 on the CPU when its request has a seed: "CPU Generator does not
        # use offset". So each prompt runs whole, which the batch must have room for.
        command.append("--no-enable-chunked-prefill")
    return [*command, "--disable-uvicorn-access-log", "--lora-target-modules", *TARGETS]


def engine_env(settings: EngineSettings) -> dict[str, str]:
    """What vLLM's environment has beside the service's: adapters at run time, nothing from or to the network."""
    env = {
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True",
        "VLLM_SERVER_DEV_MODE": "0",
        "VLLM_LOG_STATS_INTERVAL": "60",  # seconds between lines in the log
    }
    if _on_cpu(settings):
        env["VLLM_PLUGINS"] = ",".join(PLUGINS)
        env["VLLM_CPU_OMP_THREADS_BIND"] = settings.threads or ",".join(map(str, sorted(os.sched_getaffinity(0))))
        env |= fast_threads()
    return env


def _on_cpu(settings: EngineSettings) -> bool:
    if settings.device != "auto":
        return settings.device == "cpu"
    built_for_cpu = bool(list(importlib.metadata.distributions(name="vllm-cpu")))
    return built_for_cpu or not Path("/dev/nvidiactl").exists()
