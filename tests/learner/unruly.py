"""Jobs that misbehave, each in its own way: `python -m tests.learner.unruly FOLDER`, where a file names the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

WAY, LINES, CHILD = "way", "lines", "child"
MEMORY_MB = 256


def eat() -> None:
    """Holds more than is allowed, page by page touched, until somebody ends it."""
    hoard = bytearray(MEMORY_MB * 2**20)
    hoard[:: os.sysconf("SC_PAGESIZE")] = b"x" * len(hoard[:: os.sysconf("SC_PAGESIZE")])
    time.sleep(60)


def main(folder: Path) -> None:
    match (folder / WAY).read_text():
        case "eats":
            eat()
        case "has a child that eats":
            code = "from tests.learner.unruly import eat; eat()"
            with subprocess.Popen([sys.executable, "-c", code]) as child:
                (folder / CHILD).write_text(str(child.pid))
        case "dawdles":
            time.sleep(60)
        case "is killed":
            print("last words", flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        case "fails":
            sys.exit("it broke")
        case "behaves":
            (folder / LINES).write_bytes(b"one\ntwo\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
