"""`ratchet simulate`: people made of code use the real HTTP API, vote by their taste, and a cycle follows each round.

Held-out prompts, chosen by hash, are only ever asked, never voted on: the share of their answers that the person likes,
before and after a cycle, says whether the loop helps.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import runpy
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from msgspec import Struct

DAY_S = 24 * 3600.0
ANSWER_TOKENS = 256
TEMPERATURE = 0.7
CONCURRENCY = 32
ANSWERS_EACH = 4  # that a person waits for at once: a service refuses too many
START_LIMIT_S = 600.0
POLL_S = 0.5

Say = Callable[[str], None]


class SimulationError(Exception):
    """The simulation cannot go on; the message says why."""


@dataclass(frozen=True)
class User:
    """A person made of code: what they ask, whether an answer pleases, and perhaps what they would rather have read."""

    name: str
    prompts: Callable[[], Iterable[str]]
    judge: Callable[[str, str], bool | None]
    correct: Callable[[str, str], str | None] = lambda prompt, answer: None


class Style(Struct):
    """How answers are, whatever they say: a hollow policy gives itself away by short ones or by repeating itself."""

    words: float  # mean length
    distinct_2: float  # mean over answers: different pairs of neighbouring words, as a share of all (arXiv 1510.03055)


class Round(Struct):
    """One round of turns and the cycle after it. Shares are of held-out prompts that got a clear judgement."""

    round: int
    votes: int
    up: int
    adapter: str | None
    verdict: str
    reasons: list[str]
    heldout_before: float
    heldout_after: float
    suites: dict[str, dict[str, float]]
    cycle_s: float
    vote_to_live_s: float | None
    round_s: float
    style: Style  # of the held-out answers after the cycle
    stages_s: dict[str, float]


class Report(Struct):
    """What the rounds did. `liked` is the style of the answers that pleased before the first cycle: what the taste asks."""

    user: str
    rounds: list[Round]
    heldout: float  # share at the end; also without a round, to see what is left of what was learnt
    liked: Style | None


def simulate(user_file: Path, rounds: int, turns: int, heldout: int, people: int, url: str | None, say: Say) -> Report:
    """Runs the rounds against `url`, or against a service of its own in a throw-away home."""
    user = load_user(user_file)
    if url is not None:
        return asyncio.run(_Simulation(url, os.environ.get("RATCHET_KEY", ""), user, say).run(rounds, turns, heldout, people))
    with throwaway_service(say) as (own_url, key):
        return asyncio.run(_Simulation(own_url, key, user, say).run(rounds, turns, heldout, people))


def load_user(file: Path) -> User:
    """The person a file defines. Raises `SimulationError` for a file that defines none."""
    if not file.is_file():
        raise SimulationError(f"there is no user file {str(file)!r}")
    names = runpy.run_path(str(file))
    if missing := {"NAME", "prompts", "judge"} - set(names):
        raise SimulationError(f"{file} lacks {', '.join(sorted(missing))}")
    optional = {"correct": names["correct"]} if "correct" in names else {}
    return User(names["NAME"], names["prompts"], names["judge"], **optional)


def split_prompts(prompts: Iterable[str], heldout: int) -> tuple[list[str], list[str]]:
    """(to ask and vote on, held out): always the same, as a hash decides."""
    ordered = sorted(dict.fromkeys(prompts), key=lambda prompt: hashlib.sha256(prompt.encode()).digest())
    if len(ordered) <= heldout:
        raise SimulationError(f"the user has {len(ordered)} different prompts, expected more than the {heldout} held out")
    return ordered[heldout:], ordered[:heldout]


def style(answers: Sequence[str]) -> Style:
    """Of one answer or more."""
    words = [answer.lower().split() for answer in answers]
    pairs = [list(pairwise(said)) for said in words]
    distinct = [len(set(pair)) / len(pair) if pair else 1.0 for pair in pairs]
    return Style(round(sum(map(len, words)) / len(words), 1), round(sum(distinct) / len(distinct), 3))


@contextmanager
def throwaway_service(say: Say, settings: str = "", environment: dict[str, str] | None = None) -> Iterator[tuple[str, str]]:
    """A service with default trust settings and an injected clock in a home that goes away: (url, operator key)."""
    with tempfile.TemporaryDirectory(prefix="ratchet-simulate-") as name:
        home = Path(name)
        (home / "ratchet.toml").write_text(f'clock = "injected"\n{settings}[learner.schedule]\nenabled = false\n')
        log = (home / "service.log").open("wb")
        command = [sys.executable, "-m", "service.cli", "up", "--home", str(home), "--port", "0"]
        surroundings = {**os.environ, "RATCHET_ADMIN_KEY": "", **(environment or {})}  # the home makes its own key
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=surroundings)
        try:
            url = _wait_ready(process, home, say)
            yield url, (home / "operator.key").read_text().strip()
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            log.close()


def _wait_ready(process: subprocess.Popen[bytes], home: Path, say: Say) -> str:
    say("starting the service and its engine")
    import urllib.error
    import urllib.request

    started_s = time.monotonic()
    while time.monotonic() - started_s < START_LIMIT_S:
        if process.poll() is not None:
            lines = (home / "service.log").read_text(errors="replace").strip().splitlines()
            raise SimulationError(f"the service ended at its start: {lines[-1] if lines else 'without a word'}")
        address = home / "address"
        if address.is_file():
            try:
                with urllib.request.urlopen(f"{address.read_text().strip()}/health/ready", timeout=5):
                    return address.read_text().strip()
            except (urllib.error.URLError, OSError):
                pass
        time.sleep(POLL_S)
    raise SimulationError(f"the service was not ready within {START_LIMIT_S:g} s")


class _Simulation:
    """One user's rounds against one service."""

    def __init__(self, url: str, key: str, user: User, say: Say) -> None:
        self._url, self._key, self._user, self._say = url.rstrip("/"), key, user, say
        self._heldout_of: dict[str, tuple[float, Style]] = {}  # live adapter → share and style
        self._liked: list[str] = []  # before the first cycle
        self._patience = defaultdict[str, asyncio.Semaphore](lambda: asyncio.Semaphore(ANSWERS_EACH))  # of each person

    async def run(self, rounds: int, turns: int, heldout: int, people: int) -> Report:
        asked, held = split_prompts(self._user.prompts(), heldout)
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(timeout=timeout) as self._http:
            self._say("scoring base on the frozen suites, once per home")
            await self._call("POST", "/api/baseline", self._key)
            keys = [await self._new_person(f"{self._user.name} {number}") for number in range(people)]
            shuffled = random.Random(0)
            done: list[Round] = []
            for number in range(1, rounds + 1):
                prompts = [asked[at % len(asked)] for at in range((number - 1) * turns, number * turns)]
                shuffled.shuffle(keys)
                done.append(await self._round(number, prompts, held, keys))
            share, _ = await self._heldout(held, keys)
            return Report(self._user.name, done, share, style(self._liked) if self._liked else None)

    async def _round(self, number: int, prompts: Sequence[str], held: Sequence[str], keys: Sequence[str]) -> Round:
        started_s = time.monotonic()
        before, _ = await self._heldout(held, keys, first=number == 1)
        self._say(f"round {number}: {before:.0%} of held-out answers please; asking {len(prompts)} questions")
        turns = [self._turn(prompt, keys[at % len(keys)], f"{number}-{at}") for at, prompt in enumerate(prompts)]
        answers, votes = zip(*await self._each(turns), strict=True)
        if number == 1:
            self._liked += [answer for answer, vote in zip(answers, votes, strict=True) if vote]
        await self._next_day()  # cycles run at night; and who is new is not learnt from on their first day
        voted_s = time.monotonic()
        cycle = await self._cycle()
        cycle_s = time.monotonic() - voted_s
        state, decision = cycle["cycle"], _output(cycle, "gate")
        promoted = state["state"] == "promoted"
        self._say(f"round {number}: {state['state']} ({'; '.join(state['reasons'])}) after {cycle_s:.0f} s")
        after, heldout_style = await self._heldout(held, keys)
        return Round(
            round=number,
            votes=sum(vote is not None for vote in votes),
            up=sum(vote is True for vote in votes),
            adapter=state["adapter"],
            verdict=decision.get("verdict", state["state"]),
            reasons=state["reasons"],
            heldout_before=before,
            heldout_after=after,
            suites=decision.get("suites", {}),
            cycle_s=round(cycle_s, 1),
            vote_to_live_s=round(cycle_s, 1) if promoted else None,
            round_s=round(time.monotonic() - started_s, 1),
            style=heldout_style,
            stages_s={s["name"]: round(s["ended_at_s"] - s["started_at_s"], 1) for s in cycle["stages"] if s["ended_at_s"]},
        )

    async def _turn(self, prompt: str, key: str, seed: str) -> tuple[str, bool | None]:
        """One question: its answer, and the person's vote on it."""
        completion = await self._ask(prompt, key, seed, store=True)
        answer = completion["choices"][0]["message"]["content"]
        vote, correction = self._user.judge(prompt, answer), self._user.correct(prompt, answer)
        said: dict[str, object] = {"completion_id": completion["id"]}
        if vote is not None:
            said["thumb"] = "up" if vote else "down"
        if correction is not None:
            said["correction"] = correction
        if len(said) > 1:
            await self._call("POST", "/v1/feedback", key, said)
        return answer, vote

    async def _heldout(self, held: Sequence[str], keys: Sequence[str], first: bool = False) -> tuple[float, Style]:
        """Share of the held-out answers that please, and the style of all; measured once per live version."""
        live = (await self._call("GET", "/api/status", self._key))["live"]
        if live not in self._heldout_of:
            asked = [self._ask(prompt, keys[at % len(keys)], f"held-{at}", store=False) for at, prompt in enumerate(held)]
            answers = [completion["choices"][0]["message"]["content"] for completion in await self._each(asked)]
            judged = [self._user.judge(prompt, answer) for prompt, answer in zip(held, answers, strict=True)]
            if first:
                self._liked += [answer for answer, pleases in zip(answers, judged, strict=True) if pleases]
            clear = [pleases for pleases in judged if pleases is not None]
            self._heldout_of[live] = sum(clear) / max(len(clear), 1), style(answers)
        return self._heldout_of[live]

    async def _ask(self, prompt: str, key: str, seed: str, store: bool) -> Any:
        body = {
            "model": "ratchet",
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": ANSWER_TOKENS,
            "temperature": TEMPERATURE,
            "seed": int.from_bytes(hashlib.sha256(seed.encode()).digest()[:4]),
            "store": store,
        }
        async with self._patience[key]:
            return await self._call("POST", "/v1/chat/completions", key, body)

    async def _cycle(self) -> Any:
        begun = await self._call("POST", "/api/cycles", self._key)
        while True:
            report = await self._call("GET", f"/api/cycles/{begun['id']}", self._key)
            if report["cycle"]["state"] != "running":
                return report
            await asyncio.sleep(POLL_S)

    async def _new_person(self, name: str) -> str:
        return str((await self._call("POST", "/api/people", self._key, {"name": name}))["key"])

    async def _next_day(self) -> None:
        """A day passes, where the service has a clock that can be moved."""
        try:
            await self._call("POST", "/api/clock", self._key, {"seconds": DAY_S})
        except SimulationError:
            self._say("the service goes by the system's clock: no day passes between rounds")

    async def _call(self, method: str, path: str, key: str, body: object = None) -> Any:
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        data = msgspec.json.encode(body) if body is not None else None
        async with self._http.request(method, self._url + path, data=data, headers=headers) as response:
            answer = await response.read()
            if response.status >= 400:
                raise SimulationError(f"{method} {path}: {response.status} {answer[:300].decode(errors='replace')}")
            return msgspec.json.decode(answer)

    async def _each(self, jobs: Sequence[Any]) -> list[Any]:
        """Awaits all, at most `CONCURRENCY` at once."""
        gate = asyncio.Semaphore(CONCURRENCY)

        async def run(job: Any) -> Any:
            async with gate:
                return await job

        return list(await asyncio.gather(*[run(job) for job in jobs]))


def _output(report: Any, stage: str) -> dict[str, Any]:
    return next((s["output"] for s in report["stages"] if s["name"] == stage and s["output"]), {})
