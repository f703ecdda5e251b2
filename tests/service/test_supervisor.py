"""Of the supervisor: an engine is there while the service is, with its adapters, and never without it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil  # type: ignore[import-untyped, unused-ignore]
import pytest
from safetensors.numpy import save_file

from learner.adapter import BASE
from learner.engine import Engine, EngineError, Progress
from learner.engines import Engines
from service.supervisor import (
    EngineSettings,
    EngineState,
    Pulse,
    Supervisor,
    _free_port,
    engine_command,
    engine_env,
)

MODEL = Path(__file__).parents[2] / ".ratchet" / "models" / "smollm2-135m"
ADAPTERS = [(BASE, Path("/adapters/base")), ("r1", Path("/adapters/r1"))]
QUICK = EngineSettings(hang_timeout_s=1, watch_interval_s=0.05, start_timeout_s=10, shutdown_timeout_s=0.2)

STAND_IN = '''
"""Answers like vLLM. Its child, and the engine itself where asked to, do not listen to SIGTERM."""
import http.server, json, signal, subprocess, sys, time

models, steps, frozen, deaf = {"none": None}, 0, False, False
stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)"
child = subprocess.Popen([sys.executable, "-S", "-c", stubborn], stdout=subprocess.PIPE)
child.stdout.readline()

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        global steps
        steps += not frozen
        if deaf:
            time.sleep(600)
        metrics = f"vllm:num_requests_running{{a=\\"b\\"}} {float(frozen)}\\n"
        metrics += f"vllm:iteration_tokens_total_count {steps}\\n"
        listing = {"data": [{"id": name, "root": root} for name, root in models.items()]}
        self.answer({"/metrics": metrics, "/v1/models": json.dumps(listing)}.get(self.path, ""))

    def do_POST(self):
        global frozen, deaf
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/v1/load_lora_adapter":
            models[body["lora_name"]] = body["lora_path"]
        frozen, deaf = frozen or self.path == "/freeze", deaf or self.path == "/deafen"
        if body.get("model", "none") not in models:
            return self.answer("no such model", 404)
        scores = [None] + [{str(token): {"logprob": -1.0}} for token in body.get("prompt", [])[1:]]
        self.answer(json.dumps({"model": body.get("model"), "choices": [{"prompt_logprobs": scores}]}))

    def answer(self, text, status=200):
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass

http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
'''

SERVICE = """
import asyncio, pathlib, sys
from service.settings import EngineSettings
from service.supervisor import Supervisor

async def adapters():
    return []

async def main():
    command = lambda port: [sys.executable, sys.argv[1], str(port)]
    settings, run_dir = EngineSettings(shutdown_timeout_s=1), pathlib.Path(sys.argv[2])
    supervisor = Supervisor(settings, pathlib.Path("."), run_dir, adapters, command)
    await supervisor.start()
    await supervisor.wait_ready(10)
    print(supervisor.pid, supervisor.url, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.fixture
def stand_in(tmp_path: Path) -> Path:
    script = tmp_path / "stand_in.py"
    script.write_text(STAND_IN)
    return script


async def two_adapters() -> Sequence[tuple[str, Path]]:
    return ADAPTERS


def supervised(stand_in: Path, run_dir: Path, at: str | None = None, engines: Engines | None = None) -> Supervisor:
    command = lambda port: [sys.executable, str(stand_in), str(port)]  # noqa: E731
    return Supervisor(QUICK, Path(), run_dir, two_adapters, command, at=at, engines=engines)


def with_ready(supervisor: Supervisor, then: Callable[[], Awaitable[None]], timeout_s: float = 10) -> None:
    """Starts, runs `then` once the engine is ready, and stops whatever happens."""

    async def run() -> None:
        await supervisor.start()
        try:
            await supervisor.wait_ready(timeout_s)
            await then()
        finally:
            await supervisor.stop()

    asyncio.run(run())


async def until(condition: Callable[[], bool], timeout_s: float = 5) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.02)


def processes_of(supervisor: Supervisor) -> list[psutil.Process]:
    """The warden, the engine, and its children."""
    engine = psutil.Process(supervisor.pid)
    return [psutil.Process(engine.ppid()), engine, *engine.children(recursive=True)]


def alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def none_alive(processes: list[psutil.Process]) -> bool:
    return not any(alive(process) for process in processes)


def tell(url: str, path: str) -> None:
    urllib.request.urlopen(urllib.request.Request(url + path, b"{}", method="POST"), timeout=5).close()


async def names_in(url: str) -> dict[str, str | None]:
    async with Engine(url) as engine:
        return await engine.models()


async def is_whole_again(supervisor: Supervisor, restarts: int = 1, timeout_s: float = 10) -> None:
    """Asserts that the engine comes back and has its adapters."""
    await until(lambda: supervisor.restarts >= restarts, timeout_s)
    await supervisor.wait_ready(timeout_s)
    models = await names_in(supervisor.url)
    assert [models.get(name) for name, _ in ADAPTERS] == [str(folder) for _, folder in ADAPTERS]
    assert supervisor.restarts == restarts


@contextmanager
def running(command: list[str], **options: object) -> Iterator[subprocess.Popen[str]]:
    """A process of the test's own, which it ends."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options)  # type: ignore[call-overload]
    with process:
        try:
            yield process
        finally:
            process.kill()


def test_a_ready_engine_has_its_adapters_and_stop_leaves_nothing(stand_in: Path, tmp_path: Path) -> None:
    supervisor = supervised(stand_in, tmp_path / "run")
    processes: list[psutil.Process] = []

    async def check() -> None:
        processes.extend(processes_of(supervisor))
        assert supervisor.state == EngineState.READY
        assert list(await names_in(supervisor.url)) == ["none", BASE, "r1"]

    with_ready(supervisor, check)
    assert len(processes) == 3 and none_alive(processes)
    assert supervisor.state == EngineState.STOPPED and supervisor.pid is None and supervisor.restarts == 0


@pytest.mark.parametrize("victim", ["warden", "engine"])
def test_a_killed_engine_is_replaced_with_its_adapters(stand_in: Path, tmp_path: Path, victim: str) -> None:
    engines = Engines()
    supervisor = supervised(stand_in, tmp_path, engines=engines)

    async def kill() -> None:
        before = processes_of(supervisor)
        assert engines.urls == [supervisor.url]
        before[["warden", "engine"].index(victim)].kill()
        await until(lambda: not engines.urls)
        await is_whole_again(supervisor)
        assert none_alive(before) and engines.urls == [supervisor.url]

    with_ready(supervisor, kill)


@pytest.mark.parametrize("disease", ["/freeze", "/deafen"])
def test_an_engine_that_hangs_is_replaced(stand_in: Path, tmp_path: Path, disease: str) -> None:
    supervisor = supervised(stand_in, tmp_path)

    async def hang() -> None:
        before = processes_of(supervisor)
        await asyncio.to_thread(tell, supervisor.url, disease)
        await is_whole_again(supervisor)
        assert none_alive(before)

    with_ready(supervisor, hang)


def test_stop_while_starting_leaves_nothing(stand_in: Path, tmp_path: Path) -> None:
    supervisor = supervised(stand_in, tmp_path)

    async def run() -> None:
        await supervisor.start()
        await until(lambda: supervisor.pid is not None)
        processes = processes_of(supervisor)
        await supervisor.stop()
        assert none_alive(processes)

    asyncio.run(run())


def test_the_engine_is_a_group_of_its_own_in_the_session_of_the_service(stand_in: Path, tmp_path: Path) -> None:
    supervisor = supervised(stand_in, tmp_path)

    async def check() -> None:
        for process in processes_of(supervisor):
            assert os.getsid(process.pid) == os.getsid(0)  # between sessions niceness says nothing
            assert os.getpgid(process.pid) != os.getpgid(0)  # Ctrl-C is for the service, which ends the others in turn

    with_ready(supervisor, check)


def test_nothing_outlives_a_killed_service(stand_in: Path, tmp_path: Path) -> None:
    with running([sys.executable, "-c", SERVICE, str(stand_in), str(tmp_path)]) as service:
        assert service.stdout is not None
        pid, _ = service.stdout.readline().split()
        engine = psutil.Process(int(pid))
        processes = [psutil.Process(engine.ppid()), engine, *engine.children()]
        assert len(processes) == 3 and all(map(alive, processes))
        service.kill()
    asyncio.run(until(lambda: none_alive(processes), timeout_s=5))


def test_an_engine_of_a_former_run_is_ended_at_start(stand_in: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(stand_in), str(_free_port(0))]
    with running(command, cwd=tmp_path, start_new_session=True) as former:
        (tmp_path / "engine.pid").write_text(str(former.pid))
        supervisor = supervised(stand_in, tmp_path)

        async def check() -> None:
            assert former.poll() == -signal.SIGKILL
            assert supervisor.pid != former.pid

        with_ready(supervisor, check)


def test_a_process_which_got_the_pid_of_a_former_engine_is_left_alone(stand_in: Path, tmp_path: Path) -> None:
    with running(["sleep", "600"], start_new_session=True) as stranger:
        (tmp_path / "engine.pid").write_text(str(stranger.pid))

        async def check() -> None:
            assert stranger.poll() is None

        with_ready(supervised(stand_in, tmp_path), check)
        assert stranger.poll() is None


def test_a_start_that_keeps_failing_says_why_and_is_tried_on(stand_in: Path, tmp_path: Path) -> None:
    broken = [sys.executable, "-S", "-c", "import sys; sys.exit('no such weights')"]
    commands = iter([broken, broken, broken])
    supervisor = Supervisor(
        QUICK, Path(), tmp_path, two_adapters, lambda port: next(commands, [sys.executable, str(stand_in), str(port)])
    )

    async def run() -> None:
        await supervisor.start()
        with pytest.raises(EngineError, match=r"status 1; its log ends:\nno such weights$") as raised:
            await supervisor.wait_ready(10)
        assert raised.value.status == 503
        assert supervisor.state == EngineState.FAILED and supervisor.restarts == 2
        await until(lambda: supervisor.state == EngineState.READY, timeout_s=10)
        await is_whole_again(supervisor, restarts=3)
        await supervisor.stop()

    asyncio.run(run())


def test_somebody_elses_engine_gets_its_adapters_and_is_left_running(stand_in: Path, tmp_path: Path) -> None:
    port = _free_port(0)
    url, command = f"http://127.0.0.1:{port}", [sys.executable, str(stand_in), str(port)]
    supervisor = supervised(stand_in, tmp_path, at=url)

    async def check() -> None:
        with_child = psutil.Process(first.pid).children()
        first.kill()
        with_child[0].kill()
        await until(lambda: supervisor.state == EngineState.STARTING)
        with running(command) as second:
            await is_whole_again(supervisor)
            await supervisor.stop()
            assert second.poll() is None
            psutil.Process(second.pid).children()[0].kill()

    with running(command) as first:
        with_ready(supervisor, check)


def test_an_engine_that_left_the_pool_is_given_its_adapters_and_comes_back(stand_in: Path, tmp_path: Path) -> None:
    port = _free_port(0)
    url, engines = f"http://127.0.0.1:{port}", Engines()
    supervisor = supervised(stand_in, tmp_path, url, engines)

    async def check() -> None:
        engines.members[0].in_pool = False
        await until(lambda: supervisor.state == EngineState.STARTING)
        await is_whole_again(supervisor)
        assert engines.urls == [url]

    with running([sys.executable, str(stand_in), str(port)]) as engine:
        child = psutil.Process(engine.pid).children
        with_ready(supervisor, check)
        child()[0].kill()


def test_a_start_tells_its_stages(stand_in: Path, tmp_path: Path) -> None:
    told = stand_in.with_name("told.py")
    told.write_text("print('Starting to load model m...', flush=True)\nimport time; time.sleep(0.3)\n" + stand_in.read_text())
    supervisor = supervised(told, tmp_path / "run")
    assert supervisor.stages.current is None

    async def check() -> None:
        assert supervisor.stages.current is None
        assert list(supervisor.stages.took_s) == ["engine process", "weights", "adapters", "first answer"]

    with_ready(supervisor, check)


def test_silence_is_counted_from_the_last_sign_of_life() -> None:
    pulse = Pulse(now=100)
    assert pulse.silent_s(None, 101) == 1
    assert pulse.silent_s(Progress(running=1, steps=7), 102) == 0  # a step
    assert pulse.silent_s(Progress(running=1, steps=7), 105) == 3
    assert pulse.silent_s(None, 106) == 4
    assert pulse.silent_s(Progress(running=0, steps=7), 107) == 0  # idle
    assert pulse.is_another(Progress(running=0, steps=6)) and not pulse.is_another(Progress(running=0, steps=7))


def test_vllm_is_on_loopback_and_cpu_matters_stay_on_the_cpu() -> None:
    cpu, cuda = EngineSettings(device="cpu", threads="0-1"), EngineSettings(device="cuda")
    assert "--host 127.0.0.1 --port 81" in " ".join(engine_command(cpu, MODEL, 81))
    assert "--host 10.0.0.7 --port 81" in " ".join(engine_command(cpu, MODEL, 81, "10.0.0.7"))
    assert engine_env(cpu)["VLLM_CPU_OMP_THREADS_BIND"] == "0-1"
    assert not {"LD_PRELOAD", "VLLM_PLUGINS", "VLLM_CPU_OMP_THREADS_BIND"} & engine_env(cuda).keys()
    assert not {"--dtype", "--block-size", "--kv-cache-memory-bytes"} & set(engine_command(cuda, MODEL, 81))


@pytest.mark.engine
@pytest.mark.long  # the same is seen through pages by tests/e2e/test_up.py, with adapters by tests/faults/test_soak.py
@pytest.mark.timeout(400)
def test_vllm_itself_is_kept_running(tmp_path: Path) -> None:
    folders = [(name, zero_adapter(tmp_path / name)) for name in (BASE, "r1")]
    settings = EngineSettings(kv_cache_bytes=2**28, max_model_len=1024)
    processes: list[psutil.Process] = []

    async def adapters() -> Sequence[tuple[str, Path]]:
        return folders

    supervisor = Supervisor(settings, MODEL, tmp_path / "run", adapters)

    async def check() -> None:
        async with Engine(supervisor.url) as engine:
            assert await engine.score("r1", [1, 2, 3]) == pytest.approx(await engine.score("none", [1, 2, 3]), abs=0.05)
        before = processes_of(supervisor)
        core = next(process for process in before if process.name().startswith("VLLM::EngineCor"))
        core.kill()
        await until(lambda: supervisor.restarts == 1, timeout_s=60)
        assert none_alive(before)
        await supervisor.wait_ready(180)
        models = await names_in(supervisor.url)
        assert [models[name] for name, _ in folders] == [str(folder) for _, folder in folders]
        processes.extend(processes_of(supervisor))

    with_ready(supervisor, check, timeout_s=180)
    assert len(processes) >= 3 and none_alive(processes)


def zero_adapter(folder: Path, rank: int = 16) -> Path:
    """A PEFT folder whose adapter changes nothing."""
    model = json.loads((MODEL / "config.json").read_text())
    hidden, inner = model["hidden_size"], model["intermediate_size"]
    keys = model["num_key_value_heads"] * model["head_dim"]
    shapes = {
        "self_attn.q_proj": (hidden, hidden),
        "self_attn.k_proj": (keys, hidden),
        "self_attn.v_proj": (keys, hidden),
        "self_attn.o_proj": (hidden, hidden),
        "mlp.gate_proj": (inner, hidden),
        "mlp.up_proj": (inner, hidden),
        "mlp.down_proj": (hidden, inner),
    }
    tensors = {}
    for layer in range(model["num_hidden_layers"]):
        for name, (outputs, inputs) in shapes.items():
            prefix = f"base_model.model.model.layers.{layer}.{name}"
            tensors[f"{prefix}.lora_A.weight"] = np.zeros((rank, inputs), np.float32)
            tensors[f"{prefix}.lora_B.weight"] = np.zeros((outputs, rank), np.float32)
    folder.mkdir()
    save_file(tensors, folder / "adapter_model.safetensors")
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": rank,
        "lora_alpha": 2 * rank,
        "target_modules": [name.split(".")[1] for name in shapes],
        "base_model_name_or_path": str(MODEL),
    }
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder
