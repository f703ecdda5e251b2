"""A vLLM plugin that has vLLM's processes sleep while they wait for each other.

The process that plans a step looks for its result again and again until the one that computes it is done. With a core to spare
that saves some microseconds; on a machine whose cores all compute it takes one of them away, and each of the many products of a
step waits for the thread that has lost its core. Here it sleeps between two looks.

After a second in which nothing came, a step with many long prompts for one, it waits to be notified. A notification can get
lost, for which vLLM looks after 5 s all the same, and no stream goes on until then; here it looks after 20 ms. vLLM loads the
plugin by its entry point `vllm.general_plugins` in every process.
"""

from __future__ import annotations

import time
from types import ModuleType

from service.vllm_plugins import is_known

NAP_S = 0.0002  # between two looks: a step takes a hundred times that
UNNOTIFIED_MS = 20  # after which one that waits to be notified looks all the same


def register() -> None:
    """Take the spinning out of vLLM's shared-memory queues; do nothing on a version not known to fit."""
    import vllm

    if not is_known(vllm.__version__, "its processes spin while they wait for each other"):
        return
    from vllm.distributed.device_communicators import shm_broadcast

    calm(shm_broadcast)


def calm(queues: ModuleType) -> None:
    """The module gives its core up to whoever wants it between two looks, and wants it back at once; now it naps.

    And no lost notification costs more than `UNNOTIFIED_MS`.
    """
    queues.__dict__["sched_yield"] = lambda: time.sleep(NAP_S)
    queues.__dict__["SHM_READER_RECHECK_INTERVAL_MS"] = UNNOTIFIED_MS
