"""The reading job: a process of its own that parses what a stranger may have written, into records as they will be kept.

Run as `python -m learner.corpora.job FOLDER`. The folder has `job.json` and `file`; `records.jsonl` has a line for each record,
`progress.jsonl` says how far it is, and `result.json` comes last.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import msgspec

from learner.corpora.files import unpack
from learner.corpora.read import Reading
from learner.corpora.spec import FILE, JOB, MAX_MEMORY_BYTES, PROGRESS, RECORDS, RESULT, Job, Progress, Result, Unreadable
from learner.jobs import leave_result, settle_in

UNPACKED = "unpacked"
REPORT_EVERY = 500  # records


def run(folder: Path) -> Result:
    """Reads all of the file. What is wrong with it as a whole is a result too."""
    job = msgspec.json.decode((folder / JOB).read_bytes(), type=Job)
    try:
        result = _read(folder, job)
    except Unreadable as error:
        result = Result(str(error))
    except MemoryError:
        result = Result(f"the file takes more than {MAX_MEMORY_BYTES} bytes of memory to read: expected a smaller one")
    except RecursionError:
        result = Result("the file is nested too deeply: expected what people write")
    leave_result(folder / RESULT, result)
    return result


def _read(folder: Path, job: Job) -> Result:
    reading = Reading(unpack(folder / FILE, folder / UNPACKED), job.layout, job.kind)
    records = skipped = 0
    encode = msgspec.json.Encoder().encode
    with (folder / RECORDS).open("wb") as out, (folder / PROGRESS).open("wb", buffering=0) as progress:
        for line in reading:
            out.write(encode(line) + b"\n")
            records, skipped = records + 1, skipped + (not line.contents)
            if records % REPORT_EVERY == 0:
                progress.write(encode(Progress("reading", records, skipped)) + b"\n")
    return Result(None, records, skipped) if reading.kind is None else Result(None, records, skipped, reading.kind)


if __name__ == "__main__":
    settle_in()
    resource.setrlimit(resource.RLIMIT_DATA, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    run(Path(sys.argv[1]))
