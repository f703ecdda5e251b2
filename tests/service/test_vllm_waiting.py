"""vLLM's processes wait for each other without taking a core, and hear at once what there is to hear."""

from __future__ import annotations

import threading
import time

import pytest

from service.vllm_waiting import calm

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")  # as vLLM is imported
WAIT_S = 0.5


def test_a_reader_sleeps_until_there_is_something_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    from vllm.distributed.device_communicators import shm_broadcast

    monkeypatch.setattr(shm_broadcast, "sched_yield", shm_broadcast.sched_yield)  # to be put back
    calm(shm_broadcast)
    writer = shm_broadcast.MessageQueue(1, 1)
    reader = shm_broadcast.MessageQueue.create_from_handle(writer.export_handle(), 0)
    threading.Thread(target=lambda: (writer.wait_until_ready(), writer.enqueue("first"))).start()
    reader.wait_until_ready()
    assert reader.dequeue(timeout=5) == "first"
    later = threading.Timer(WAIT_S, lambda: writer.enqueue("second"))
    later.start()
    busy_s = time.thread_time()
    assert reader.dequeue(timeout=5) == "second"
    assert time.thread_time() - busy_s < WAIT_S / 2  # all of it where it spins
    later.join()
