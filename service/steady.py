"""What keeps a process that streams to many from standing still for moments that all of them would see."""

from __future__ import annotations

import gc
import sys

SWITCH_S = 0.0005  # after which a thread that waits for Python's lock has it from one that is busy


def keep_steady() -> None:
    """For a process that is about to answer: everything that is to stay should be in its memory.

    A full collection of garbage looks at all of that, a quarter of a second with the libraries of a model in it, and nothing
    goes on meanwhile: from now on it looks only at what came later. And the database's thread, which takes turns with the
    one that streams, waits a tenth of the usual time for each.
    """
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(SWITCH_S)
