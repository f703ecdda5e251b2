"""Pretrainings, one at a time: documents into a file, a job beside the service, and the model that comes of it in its place.

Nothing that is served changes by it. A pretraining that was cut off, by a stop of the service or a limit, is taken up by the
same request again; its documents are those it began with.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from contextlib import suppress
from pathlib import Path

import msgspec

from learner.context import Context, StageError
from learner.curate.presidio import PresidioMissing
from learner.evaluate.suite import SuiteError
from learner.jobs import LOG, JobError, run_job
from learner.model import model_sha256
from learner.policy import PolicyError
from learner.pretrain.gather import gather
from learner.pretrain.spec import (
    FOLDERS,
    JOB,
    METRICS,
    MODEL,
    MODELS,
    REPORT,
    RESULT,
    RUNNING,
    Job,
    Lineage,
    Origin,
    PretrainError,
    Progress,
    Report,
    Request,
    Result,
    State,
    check,
    read_lineage,
)
from storage import cycles
from storage.artifacts import NAME, ArtifactError
from storage.database import UnavailableError

logger = logging.getLogger(__name__)
MODULE = "learner.pretrain.job"
KEPT = (METRICS, LOG, REPORT)  # of a working folder, once it is no longer worked in
EXPECTED = (
    PretrainError, JobError, StageError, SuiteError, PolicyError, PresidioMissing, ArtifactError, UnavailableError, OSError,
)  # fmt: skip


class Pretrainer:
    """Begins pretrainings and knows how they stand."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._task: asyncio.Task[None] | None = None
        self._now: Report | None = None  # the one that runs, or ran last

    async def begin(self, request: Request) -> Report:
        """Begins a pretraining, or goes on with an unfinished one of the same request; of the running one it tells how it stands.

        Raises `PretrainError`.
        """
        context, request = self._context, check(request)
        if (cycle := await context.database.read(cycles.select_running)) is not None:
            raise PretrainError(f"cycle {cycle.id} is running: expected none, since both would train on the same machine")
        parent_sha256 = None if request.scratch else await asyncio.to_thread(model_sha256, context.model_dir)
        if self._task is not None and not self._task.done():
            if self._running.request == request:
                return self._running
            raise PretrainError(f"pretraining {self._running.name!r} is running: one at a time")
        if self._model_dir(request.name).exists():
            raise PretrainError(f"there is a model {request.name!r} already: expected another name")
        unfinished = self._unfinished(request.name)
        if unfinished is not None and not _is_same(unfinished, request, parent_sha256):
            raise PretrainError(
                f"the unfinished pretraining {request.name!r} was asked for otherwise: expected the same again, or another name, "
                f"or its folder {self._folder(request.name)} removed"
            )
        state = State.TRAINING if unfinished else State.GATHERING
        self._now = Report(request.name, state, request, context.clock())
        self._task = asyncio.create_task(self._run(request, parent_sha256, unfinished), name=f"pretraining {request.name}")
        return self._now

    def show(self, name: str) -> Report | None:
        """How the pretraining of this name stands or went; None where there is none."""
        if not NAME.fullmatch(name):
            return None
        if self._now is not None and self._now.name == name:
            return self._now
        file, model_dir = self._folder(name) / REPORT, self._model_dir(name)
        if file.is_file():
            return msgspec.json.decode(file.read_bytes(), type=Report)
        if (made := read_lineage(model_dir)) is not None:  # the service ended before it could say so
            return Report(name, State.DONE, made.request, made.origin.created_at_s, folder=str(model_dir), lineage=made)
        left = self._unfinished(name)
        return None if left is None else Report(name, State.INTERRUPTED, left.request, left.origin.created_at_s)

    def reports(self) -> list[Report]:
        """All there are, by name."""
        folder = self._context.home / FOLDERS
        names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
        found = map(self.show, sorted(names | ({self._now.name} if self._now else set())))
        return [report for report in found if report is not None]

    async def cancel(self) -> Report | None:
        """Ends the running one for good, with all it has made; None where none runs."""
        if self._task is None or self._task.done():
            return None
        await self.stop()
        if self._running.state not in RUNNING:  # it ended by itself
            return None
        await self._close(State.CANCELLED, "cancelled")
        return self._running

    async def stop(self) -> None:
        """Ends the running one as it is: the same request goes on with it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    @property
    def _running(self) -> Report:
        assert self._now is not None
        return self._now

    async def _run(self, request: Request, parent_sha256: str | None, unfinished: Job | None) -> None:
        """To its end. It never raises for what a pretraining may meet."""
        try:
            job = await self._prepare(request, parent_sha256) if unfinished is None else self._take_up(unfinished, request)
            lineage = await self._train(job)
        except JobError as error:  # with more time or memory, the same request goes on from its checkpoint
            self._note(state=State.FAILED, reason=str(error))
        except Exception as error:  # the edge of the task: whatever broke, there is no model
            if not isinstance(error, EXPECTED):
                logger.exception("pretraining %s met an error that nobody foresaw", request.name)
            await self._close(State.FAILED, str(error) or type(error).__name__)
        else:
            self._note(folder=str(self._model_dir(request.name)), lineage=lineage)
            await self._close(State.DONE, "")

    async def _prepare(self, request: Request, parent_sha256: str | None) -> Job:
        """The job's folder, new. Its `job.json` comes last."""
        context, folder = self._context, self._folder(request.name)
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        folder.mkdir(parents=True)
        gathered = await gather(context, request, folder, lambda count: self._note(gathered=count))
        licences, count, dropped, sha256 = gathered
        origin = Origin(parent_sha256, request.corpus, licences, count, dropped, sha256, context.clock())
        train = context.settings.train
        job = Job(request, origin, str(context.model_dir), train.precision, train.threads)
        (folder / JOB).write_bytes(msgspec.json.encode(job))
        return job

    def _take_up(self, unfinished: Job, request: Request) -> Job:
        """The unfinished job under the limits that it now has."""
        job = msgspec.structs.replace(unfinished, request=request)
        (self._folder(request.name) / JOB).write_bytes(msgspec.json.encode(job))
        return job

    async def _train(self, job: Job) -> Lineage:
        """Runs the job and puts the model in its place. Raises `JobError`, and `PretrainError` where there is none."""
        folder, request = self._folder(job.request.name), job.request
        (folder / RESULT).unlink(missing_ok=True)
        self._note(state=State.TRAINING)
        await run_job(MODULE, folder, folder / METRICS, self._step, request.time_limit_s, request.memory_limit_mb)
        result = msgspec.json.decode((folder / RESULT).read_bytes(), type=Result)
        if result.lineage is None:
            raise PretrainError(result.error or "the job left neither a model nor a reason")
        target = self._model_dir(request.name)
        target.parent.mkdir(exist_ok=True)
        await asyncio.to_thread(self._context.artifacts.publish, folder / MODEL, target)
        return result.lineage

    def _step(self, line: bytes) -> None:
        self._note(progress=msgspec.json.decode(line, type=Progress))

    def _note(self, **changes: object) -> None:
        self._now = msgspec.structs.replace(self._running, **changes)

    async def _close(self, state: State, reason: str) -> None:
        """Keeps how it went; then the documents and what else it worked with go."""
        report = msgspec.structs.replace(self._running, state=state, reason=reason)
        await asyncio.to_thread(_leave_report, self._folder(report.name), report)
        self._now = report

    def _unfinished(self, name: str) -> Job | None:
        with suppress(FileNotFoundError):
            return msgspec.json.decode((self._folder(name) / JOB).read_bytes(), type=Job)
        return None

    def _folder(self, name: str) -> Path:
        return self._context.home / FOLDERS / name

    def _model_dir(self, name: str) -> Path:
        return self._context.home / MODELS / name


def _is_same(unfinished: Job, request: Request, parent_sha256: str | None) -> bool:
    """Whether an unfinished job would make what is asked for. Limits make no difference to that."""
    before = unfinished.request
    limits = {"time_limit_s": before.time_limit_s, "memory_limit_mb": before.memory_limit_mb}
    return before == msgspec.structs.replace(request, **limits) and unfinished.origin.parent_sha256 == parent_sha256


def _leave_report(folder: Path, report: Report) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / REPORT).write_bytes(msgspec.json.encode(report))
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name not in KEPT:
            path.unlink()
