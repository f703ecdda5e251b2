"""A process that is forked off one with vLLM in it is as one that was begun by its parent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import service.vllm_forks as forks
from learner.machine import fast_threads

# The modules that are imported beforehand are of the standard library here: what they are does not matter.
PARENT = """
import json, os, sys
from multiprocessing import forkserver
from service.vllm_forks import Imported

def child(pipe):
    import setproctitle
    before = "tabnanny" in sys.modules
    setproctitle.setproctitle("named anew")
    title = open("/proc/self/cmdline").read().split("\\0")[0]
    pipe.send((before, title, sorted(os.sched_getaffinity(0)), os.environ.get("SET_LATE"), os.environ.get("TAKEN")))

if __name__ == "__main__":
    os.environ["TAKEN"] = "1"
    forkserver.set_forkserver_preload(["tabnanny", "torch"])
    forkserver.ensure_running()
    os.environ["SET_LATE"] = "1"
    del os.environ["TAKEN"]
    context = Imported()
    reader, writer = context.Pipe(duplex=False)
    process = context.Process(target=child, args=(writer,))
    process.start()
    print(json.dumps(reader.recv()))
    process.join()
"""


def test_it_has_its_parents_environment_cores_and_a_name(tmp_path: Path) -> None:
    (tmp_path / "parent.py").write_text(PARENT)
    command = [sys.executable, str(tmp_path / "parent.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=os.environ | fast_threads())
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [True, "named anew", sorted(os.sched_getaffinity(0)), "1", None]


@pytest.mark.parametrize(
    ("preloaded", "plugins", "forked"),
    [
        (f"{forks.OPENMP}:/lib/other.so", "ratchet_blocks,ratchet_forks", True),
        ("/lib/libgomp.so", "ratchet_blocks,ratchet_forks", False),
        (str(forks.OPENMP), "ratchet_blocks", False),
    ],
)
def test_only_what_can_be_forked_is(preloaded: str, plugins: str, forked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_PRELOAD", preloaded)
    monkeypatch.setenv("VLLM_PLUGINS", plugins)
    begun: list[str] = []
    monkeypatch.setattr(forks.forkserver, "set_forkserver_preload", lambda names: begun.extend(names))
    monkeypatch.setattr(forks.forkserver, "ensure_running", lambda: begun.append("running"))
    monkeypatch.setattr(forks.runpy, "run_module", lambda name, run_name: begun.append(name))
    forks.main()
    assert begun == [*([*forks.IMPORTED, "running"] if forked else []), forks.SERVER]
