"""One process of a training job on a cluster, seen from the machine that it runs on. Knows nothing of who sends it.

Where file systems are shared the job runs in its own folder. Otherwise its files are sent, with the parent adapter, and what
came out is sent back; they lie below the machine's folder for temporary files, and are removed at the end, or, when this
was killed, by the next job that comes here. The base model is never sent: it must be at the same path everywhere.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from pathlib import Path

import msgspec

from learner.jobs import JobError
from learner.runners.ranks import find_port, run_rank
from learner.train.spec import CHECKPOINTS, JOB, METRICS, RESULT, Job

PARENT = "parent"  # in a folder that was sent: the adapter that is continued
SENT = "ratchet-job-"  # and the process that it is for

Files = dict[str, bytes]  # by path below a folder


def read_files(folder: Path) -> Files:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def write_files(folder: Path, files: Files) -> None:
    for name, content in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


class Worker:
    def __init__(self) -> None:
        self._folder = Path()
        self._sent: set[str] = set()

    def find_port(self) -> int:
        """A port that rank 0 can listen at, should this be it."""
        return find_port()

    def check_model(self, model_dir: str) -> None:
        """Raises `JobError` where the base model is not on this machine."""
        if not (Path(model_dir) / "config.json").is_file():
            raise JobError(f"the base model is not on worker {socket.gethostname()}; expected it there in {model_dir}, as here")

    def enter(self, folder: str) -> None:
        """The job will run in this very folder. Raises `JobError` where this machine does not have it."""
        self._folder = Path(folder)
        if not (self._folder / JOB).is_file():
            raise JobError(
                f"worker {socket.gethostname()} does not see {folder}; expected it there with learner.jobs.ray_shared = true"
            )

    def take(self, files: Files) -> None:
        """Puts the job's files, the parent adapter's below `PARENT`, into a folder of this machine, where it will run."""
        _clear_left()
        self._folder = Path(tempfile.mkdtemp(prefix=f"{SENT}{os.getpid()}-"))
        self._sent = set(files)
        write_files(self._folder, files)
        job = msgspec.json.decode(files[JOB], type=Job)
        here = msgspec.structs.replace(job, parent_dir=str(self._folder / PARENT))
        (self._folder / JOB).write_bytes(msgspec.json.encode(here))

    async def run(self, variables: dict[str, str]) -> None:
        """Runs this rank to its end. Raises `JobError`."""
        await run_rank(self._folder, variables)

    async def metrics(self) -> bytes:
        """What the job has reported."""
        return (self._folder / METRICS).read_bytes()

    def give(self) -> Files:
        """The files that have come of the job, once it has ended, its result the last of them."""
        files = read_files(self._folder)
        stay = {METRICS, *self._sent, *(name for name in files if name.startswith(f"{CHECKPOINTS}/"))}
        return {name: files[name] for name in sorted(files.keys() - stay, key=lambda name: name == RESULT)}

    def clear(self) -> None:
        shutil.rmtree(self._folder)


def _clear_left() -> None:
    """Removes what was sent for processes that are no more."""
    for folder in Path(tempfile.gettempdir()).glob(f"{SENT}*"):
        if not Path("/proc", folder.name.removeprefix(SENT).partition("-")[0]).exists():
            shutil.rmtree(folder, ignore_errors=True)
