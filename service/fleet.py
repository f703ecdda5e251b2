"""The engines that a service has, each under a supervisor of its own, as one: it is ready while any of them is."""

from __future__ import annotations

import asyncio
from pathlib import Path

from learner.admission import Adapters
from learner.engine import EngineError
from learner.engines import Engines
from service.settings import EngineSettings
from service.starting import Stages
from service.supervisor import EngineState, Supervisor

BEST_FIRST = (EngineState.READY, EngineState.STARTING, EngineState.FAILED, EngineState.STOPPED)


class Fleet:
    """The engines of `settings.urls`, or one of the service's own, kept ready from `start` to `stop`, in the pool of `engines`."""

    def __init__(self, settings: EngineSettings, model_dir: Path, run_dir: Path, adapters: Adapters, engines: Engines) -> None:
        self.supervisors = [
            Supervisor(settings, model_dir, run_dir, adapters, at=at, engines=engines) for at in settings.urls or (None,)
        ]

    @property
    def state(self) -> EngineState:
        """That of the engine that is best off."""
        return self._best.state

    @property
    def problem(self) -> str:
        """Why that engine's last start or run ended."""
        return self._best.problem

    @property
    def stages(self) -> Stages:
        """Of that engine's start."""
        return self._best.stages

    @property
    def restarts(self) -> int:
        """Of all of them."""
        return sum(supervisor.restarts for supervisor in self.supervisors)

    @property
    def urls(self) -> list[str]:
        """The addresses of all, whatever state they are in."""
        return [supervisor.url for supervisor in self.supervisors]

    async def start(self) -> None:
        """Returns at once; `wait_ready` waits."""
        for supervisor in self.supervisors:
            await supervisor.start()

    async def wait_ready(self, timeout_s: float) -> None:
        """Returns once one engine is ready. Raises `EngineError` (503) once starting has failed for all, or after `timeout_s`."""
        waiting = [asyncio.create_task(supervisor.wait_ready(timeout_s)) for supervisor in self.supervisors]
        error: BaseException | None = None
        try:
            for done in asyncio.as_completed(waiting):
                try:
                    return await done
                except EngineError as failed:
                    error = failed
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        assert error is not None, "there is always an engine"
        raise error

    async def stop(self) -> None:
        """Returns when all that are the service's own are gone."""
        await asyncio.gather(*(supervisor.stop() for supervisor in self.supervisors))

    @property
    def _best(self) -> Supervisor:
        return min(self.supervisors, key=lambda supervisor: BEST_FIRST.index(supervisor.state))
