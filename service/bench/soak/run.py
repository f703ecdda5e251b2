"""`ratchet bench soak`: a service left alone with people, swaps and a killer of its engine; what it acknowledged must be true.

`ratchet up` runs in a process of its own, with an engine of its own. People ask and vote, versions go live in turn, and the
engine is killed now and then. At the end every acknowledged answer and vote is looked for in the database, no stream may have
hung, and the service may not have grown.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

import aiohttp
from msgspec import Struct

from learner.adapter import BASE
from service import bench
from service.bench.heard import ask_body, hear
from service.bench.served import ServedError, make_home, measure_restart, serve_apart, wait_ready
from service.bench.soak.ledger import Ledger, audit
from service.bench.soak.people import Talker
from service.bench.soak.watch import Growth, Look, fit_growth, watching
from service.bench.spread import Spread, spread
from service.config import FILE
from service.home_key import operator_key

VERSIONS = 2  # beside base
RANK = 16
MEMORY_SHARE, MEMORY_LEAST_MB = 0.05, 16.0  # what is no growth: of the level, and in any case
OPEN_FILES_LEAST = 4.0
SHOWN = 20  # problems


class Plan(Struct, frozen=True):
    """What happens to the service."""

    minutes: float = 60.0
    talkers: int = 12  # a quarter each: plain answers, streams, clients that leave, slow readers
    answer_tokens: int = 96
    bound_s: float = 180.0  # within which every answer ends, an engine's restart included
    swap_every_s: float = 20.0
    kill_every_s: float = 300.0  # the engine
    look_every_s: float = 5.0  # at the memory and open files
    max_model_len: int = 2048


SHORT = Plan(minutes=0.8, talkers=8, answer_tokens=64, swap_every_s=3.0, kill_every_s=20.0, look_every_s=0.5)


class SoakFigures(Struct, frozen=True):
    """`problems` is empty where every promise was kept; at most 20 are shown of `problem_count`."""

    minutes: float
    problem_count: int
    problems: list[str]
    acknowledged: int  # answers
    votes: int
    counts: dict[str, int]  # answers by kind of client; left, broken off, turned away
    swaps: int
    swaps_refused: int  # while no engine was there
    kills: int
    back_s: Spread | None  # from a kill to the next answer; null where nothing was killed
    memory_mb: Growth
    open_files: Growth
    live: str
    plan: Plan
    machine: str
    commit: str
    seconds: float


async def soak(folder: Path, model_dir: Path, plan: Plan, engine: str = "") -> SoakFigures:
    """Runs the plan in a new home in the folder. `engine` is more of the settings' [engine] table, in TOML.

    Raises `ServedError` where the service does not start, goes away or does not end, or its engine does not come back.
    """
    began = time.monotonic()
    home = folder / "home"
    home.mkdir()
    versions = [BASE, *await make_home(home, model_dir, VERSIONS, RANK, were_live=True)]
    settings = f'model = "{model_dir.resolve()}"\n[learner.schedule]\nenabled = false\n[engine]\n{engine}\n'
    (home / FILE).write_text(f"{settings}max_model_len = {plan.max_model_len}\n")
    ledger = Ledger()
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http,
        serve_apart(home) as (url, pid),
        watching(pid, plan.look_every_s) as looks,
    ):
        unrest = _Unrest(http, url, home, plan, versions)
        await unrest.last(ledger)
        await wait_ready(url)
        live = await unrest.check_live(ledger)
    problems = [*ledger.problems(), *await audit(home, ledger)]
    return _summarize(plan, ledger, looks, unrest, live, problems, time.monotonic() - began)


class _Unrest:
    """All that happens to one service, and counts of it."""

    def __init__(self, http: aiohttp.ClientSession, url: str, home: Path, plan: Plan, versions: Sequence[str]) -> None:
        self._http, self._url, self._home, self._plan, self._versions = http, url, home, plan, versions
        self._headers = {"Authorization": f"Bearer {operator_key(home)}"}
        self.moves = Counter[str]()  # done, refused
        self.back_s: list[float] = []

    async def last(self, ledger: Ledger) -> None:
        """Lets it all happen for as long as the plan says, and waits until the last answer has ended.

        Raises `ServedError` where the service goes away, or its engine does not come back.
        """
        plan, until = self._plan, time.monotonic() + self._plan.minutes * 60
        talkers = [
            Talker(self._http, self._url, number, ledger, plan.answer_tokens, plan.bound_s) for number in range(plan.talkers)
        ]
        happens: list[Coroutine[Any, Any, None]] = [talker.talk(until) for talker in talkers]
        tasks = [asyncio.create_task(what) for what in (*happens, self._swap(until), self._kill(until))]
        try:
            await asyncio.gather(*tasks)
        except aiohttp.ClientError as error:
            raise ServedError(f"the service is gone: {error}") from error
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def check_live(self, ledger: Ledger) -> str:
        """The live version, which must be what answers; a failure goes into the ledger."""
        live: str = (await self._status())["live"]
        heard = await hear(self._http, self._url, "last-guest", ask_body("Who is there?", 4, store=False))
        if not heard.whole or heard.models != {f"ratchet@{live}"}:
            found = ", ".join(sorted(heard.models)) or heard.error
            ledger.failures.append(f"{live} is live, but {found} answered")
        return live

    async def _swap(self, until: float) -> None:
        """Puts one version after another live."""
        while time.monotonic() + self._plan.swap_every_s < until:
            await asyncio.sleep(self._plan.swap_every_s)
            live = self._versions.index((await self._status())["live"])
            to = self._versions[(live + 1) % len(self._versions)]
            request = self._http.post(f"{self._url}/api/adapters/rollback", json={"to": to}, headers=self._headers)
            async with request as response:
                self.moves["done" if response.status == 200 else "refused"] += 1

    async def _kill(self, until: float) -> None:
        """Kills the engine, while there is time for another to come and be asked."""
        while time.monotonic() + 1.5 * self._plan.kill_every_s < until:
            await asyncio.sleep(self._plan.kill_every_s)
            self.back_s.append(await measure_restart(self._http, self._url, self._home))

    async def _status(self) -> dict[str, Any]:
        async with self._http.get(f"{self._url}/api/status", headers=self._headers) as response:
            if response.status != 200:
                raise ServedError(f"/api/status answered with {response.status}, expected 200")
            found: dict[str, Any] = await response.json()
            return found


def _summarize(
    plan: Plan, ledger: Ledger, looks: Sequence[Look], unrest: _Unrest, live: str, problems: list[str], seconds: float
) -> SoakFigures:
    at_s = [look.at_s for look in looks]
    memory_mb = fit_growth(at_s, [look.memory_mb for look in looks], MEMORY_SHARE, MEMORY_LEAST_MB)
    open_files = fit_growth(at_s, [look.open_files for look in looks], 0.0, OPEN_FILES_LEAST)
    for what, growth in (("memory (MB)", memory_mb), ("open files", open_files)):
        if not growth.is_none:
            problems.append(f"{what} grew from {growth.began:.1f} to {growth.ended:.1f}, tolerated is {growth.tolerance:.1f} more")
    return SoakFigures(
        minutes=plan.minutes,
        problem_count=len(problems),
        problems=problems[:SHOWN],
        acknowledged=len(ledger.answers),
        votes=len(ledger.votes),
        counts=dict(ledger.counts),
        swaps=unrest.moves["done"],
        swaps_refused=unrest.moves["refused"],
        kills=len(unrest.back_s),
        back_s=spread(unrest.back_s) if unrest.back_s else None,
        memory_mb=memory_mb,
        open_files=open_files,
        live=live,
        plan=plan,
        machine=bench.machine(),
        commit=bench.commit(),
        seconds=seconds,
    )
