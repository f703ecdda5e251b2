"""Named places where a test can have the process killed, as a power cut would: `RATCHET_FAILPOINT=name`."""

from __future__ import annotations

import os
import signal

VARIABLE = "RATCHET_FAILPOINT"


def failpoint(name: str) -> None:
    """Ends the whole process with SIGKILL when the environment names this place; otherwise nothing."""
    if os.environ.get(VARIABLE) == name:
        os.kill(os.getpid(), signal.SIGKILL)
