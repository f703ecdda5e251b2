"""How vLLM is begun on the CPU so that its processes import it once and not three times, and the plugin for it.

An engine is a process that serves HTTP, one that plans steps and one that computes them. vLLM begins each anew, and each imports
PyTorch and vLLM before the next is begun: nearly all of the time until an engine on a few cores answers. Here one more process
imports them while the first does; from it the second is forked, and from that the third, and they share its memory.

Only where Intel's OpenMP is preloaded, which begins anew in a fork and reads there which cores it is given: GNU's has read that
when it was loaded. vLLM loads the plugin by its entry point `vllm.general_plugins` in every process.

Usage: python -m service.vllm_forks ARGUMENTS OF VLLM'S SERVER
"""

from __future__ import annotations

import os
import runpy
from multiprocessing import forkserver, get_context
from multiprocessing.context import ForkServerContext, ForkServerProcess

from learner.machine import OPENMP
from service.vllm_plugins import KNOWN_VERSIONS, installed_version, is_known

SERVER = "vllm.entrypoints.openai.api_server"
IMPORTED = ("vllm.v1.engine.core", "vllm.v1.executor.multiproc_executor", "vllm.v1.worker.cpu_worker")


def main() -> None:
    """Becomes vLLM's server."""
    if installed_version().startswith(KNOWN_VERSIONS) and _forks_well():
        forkserver.set_forkserver_preload(list(IMPORTED))
        forkserver.ensure_running()
    runpy.run_module(SERVER, run_name="__main__")


def register() -> None:
    """Have vLLM fork what it would begin anew; do nothing on a version not known to fit."""
    import vllm

    if not is_known(vllm.__version__, "each of its processes imports all of it") or not _forks_well():
        return
    from vllm.v1.engine import utils
    from vllm.v1.executor import multiproc_executor

    utils.__dict__["get_mp_context"] = Imported
    multiproc_executor.__dict__["get_mp_context"] = lambda: get_context("fork")


class ImportedProcess(ForkServerProcess):
    """A process forked from the one that has imported vLLM, with the environment and the cores of its parent.

    As one has that is begun anew; Intel's OpenMP leaves one core to a process that is forked.
    """

    def start(self) -> None:
        self._environment, self._cores = dict(os.environ), os.sched_getaffinity(0)
        super().start()

    def run(self) -> None:
        for name in os.environ.keys() - self._environment.keys():
            del os.environ[name]
        # And only what differs: what names a process after what it does looks for where the environment was.
        os.environ.update(self._environment.items() - os.environ.items())
        os.sched_setaffinity(0, self._cores)
        super().run()


class Imported(ForkServerContext):
    """The context of such processes."""

    Process = ImportedProcess


def _forks_well() -> bool:
    """Whether this plugin is asked for, and OpenMP is one that can be forked."""
    asked, preloaded = os.environ.get("VLLM_PLUGINS", ""), os.environ.get("LD_PRELOAD", "")
    return "ratchet_forks" in asked.split(",") and str(OPENMP) in preloaded.split(":")


if __name__ == "__main__":
    main()
