"""vLLM's processes wait for each other without taking a core, and hear at once what there is to hear."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from service.vllm_waiting import calm

if TYPE_CHECKING:
    from vllm.distributed.device_communicators.shm_broadcast import MessageQueue

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")  # as vLLM is imported
WAIT_S = 0.5


def test_a_reader_sleeps_until_there_is_something_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    writer, reader = _calm_queue(monkeypatch)
    later = threading.Timer(WAIT_S, lambda: writer.enqueue("second"))
    later.start()
    busy_s = time.thread_time()
    assert reader.dequeue(timeout=5) == "second"
    assert time.thread_time() - busy_s < WAIT_S / 2  # all of it where it spins
    later.join()


def test_a_lost_notification_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    writer, reader = _calm_queue(monkeypatch)
    monkeypatch.setattr(writer._spin_condition, "notify", lambda: None)
    reader._spin_condition.last_read -= 60  # it has long waited
    read = threading.Thread(target=lambda: reader.dequeue(indefinite=True))
    read.start()
    time.sleep(WAIT_S)
    writer.enqueue("second")
    read.join(2)  # of the 5 s that it would take
    assert not read.is_alive()


def _calm_queue(monkeypatch: pytest.MonkeyPatch) -> tuple[MessageQueue, MessageQueue]:
    """A writer and its reader, which has read once."""
    from vllm.distributed.device_communicators import shm_broadcast

    for name in ("sched_yield", "SHM_READER_RECHECK_INTERVAL_MS"):
        monkeypatch.setattr(shm_broadcast, name, getattr(shm_broadcast, name))  # to be put back
    calm(shm_broadcast)
    writer = shm_broadcast.MessageQueue(1, 1)
    reader = shm_broadcast.MessageQueue.create_from_handle(writer.export_handle(), 0)
    threading.Thread(target=lambda: (writer.wait_until_ready(), writer.enqueue("first"))).start()
    reader.wait_until_ready()
    assert reader.dequeue(timeout=5) == "first"
    return writer, reader
