"""What is in memory when a service begins to answer costs no collection of garbage; what comes later is still collected."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import gc, sys, weakref
from service.steady import SWITCH_S, keep_steady

class Cycle:
    def __init__(self):
        self.me = self

early, before = weakref.ref(Cycle()), len(gc.get_objects())
keep_steady()
assert early() is None  # garbage is not kept for good
assert gc.get_freeze_count() > before / 2 and len(gc.get_objects()) < before / 10
late = weakref.ref(Cycle())
gc.collect()
assert late() is None
assert abs(sys.getswitchinterval() - SWITCH_S) < 1e-9
"""


def test_only_what_came_later_is_looked_at() -> None:
    subprocess.run([sys.executable, "-c", PROGRAM], check=True, timeout=120)
