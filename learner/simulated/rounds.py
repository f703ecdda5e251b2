"""Rounds of a population: people ask and vote by their taste for a day, and a cycle follows.

Held-out prompts, chosen by hash, are only ever asked, never voted on: the share of their answers that a taste likes, before
and after a cycle, says whether the loop helps. It is measured for each of a population's tastes, so that it shows what becomes of
one when another is learnt.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from learner.engine import gather_limited
from learner.gate import SuiteComparison
from learner.simulated.client import Client, ask, give, pass_time, score_baseline
from learner.simulated.home import Say
from learner.simulated.poison import Attack, Poisoned
from learner.simulated.populations import Population
from learner.simulated.user import User, split_prompts
from learner.transfer import Transfer

DAY_S = 24 * 3600.0
CONCURRENCY = 64  # questions at once: as many as an engine answers, by its default
POLL_S = 0.5


class Size(Struct, frozen=True):
    """How much happens: `turns` a round, spread over so many `people` of each taste; `heldout` prompts that nobody votes on."""

    rounds: int
    turns: int
    heldout: int
    people: int


class Style(Struct, frozen=True):
    """How answers are, whatever they say: a hollow policy gives itself away by short ones or by repeating itself."""

    words: float  # mean length
    distinct_2: float  # mean over answers: different pairs of neighbouring words, as a share of all (arXiv 1510.03055)


class Kept(Struct, frozen=True):
    """What the forgetting matrix sums up to after a round (`learner.transfer`), in nats per token; None: not told yet."""

    average: float | None
    learnt: float | None
    backward: float | None
    forward: float | None
    kept: float | None  # a share


class Round(Struct, frozen=True):
    """One round of turns and the cycle after it. Shares are of held-out prompts that got a clear judgement.

    `heldout_before` and `heldout_after` are by the taste of the people who voted; `satisfaction` after the cycle by each taste.
    """

    round: int
    taste: str
    votes: int
    up: int
    adapter: str | None
    verdict: str
    reasons: list[str]
    heldout_before: float
    heldout_after: float
    satisfaction: dict[str, float]
    suites: dict[str, SuiteComparison]
    cycle_s: float
    vote_to_live_s: float | None
    style: Style  # of the held-out answers after the cycle
    stages_s: dict[str, float]
    transfer: Kept
    poison: Poisoned | None
    round_s: float


class Turn(NamedTuple):
    """An answer, whether it pleases whoever asked, and what was voted."""

    answer: str
    pleases: bool | None
    vote: bool | None


class Outcome(Struct, frozen=True):
    """What the rounds did. `before` and `after` are satisfaction by taste, also where there was no round between.

    `liked` is the style of the answers that pleased before the first cycle: what the first taste asks.
    """

    before: dict[str, float]
    rounds: list[Round]
    after: dict[str, float]
    liked: Style | None
    transfer: Transfer


def style(answers: Sequence[str]) -> Style:
    """Of one answer or more."""
    words = [answer.lower().split() for answer in answers]
    pairs = [list(pairwise(said)) for said in words]
    distinct = [len(set(pair)) / len(pair) if pair else 1.0 for pair in pairs]
    return Style(round(sum(map(len, words)) / len(words), 1), round(sum(distinct) / len(distinct), 3))


class Simulation:
    """One population's rounds against one service."""

    def __init__(self, client: Client, population: Population, size: Size, say: Say) -> None:
        self._client, self._population, self._size, self._say = client, population, size, say
        self._prompts = {taste.name: split_prompts(taste.prompts(), size.heldout) for taste in population.tastes}
        self._people: dict[str, list[str]] = {}  # taste → keys
        self._heldout: dict[tuple[str, tuple[str, ...]], list[str]] = {}  # live version, prompts → its answers
        self._attack = Attack(client, population.poisoner) if population.poisoner else None
        self._shuffled = random.Random(0)

    async def run(self) -> Outcome:
        """All rounds. Raises `SimulationError` for a service that refuses what it is asked."""
        await score_baseline(self._client, self._say)
        if self._attack:
            await self._attack.begin()
        before, rounds, liked = await self._satisfaction(), [], list[str]()
        for number in range(1, self._size.rounds + 1):
            done, pleasing = await self._round(number)
            rounds.append(done)
            if number == 1:
                liked = pleasing
        after = await self._satisfaction()
        return Outcome(before, rounds, after, style(liked) if liked else None, await self._transfer())

    async def _round(self, number: int) -> tuple[Round, list[str]]:
        """What the round did, and the answers in it that pleased before its cycle."""
        started_s = time.monotonic()
        taste = self._population.taste(number, self._size.rounds)
        before, said_before = await self._satisfaction(), await self._said()
        pleasing = [answer for prompt, answer in await self._heldout_answers(taste) if taste.judge(prompt, answer)]
        shown = f"{before[taste.name]:.0%} of held-out answers please {taste.name}"
        self._say(f"round {number}: {shown}; asking {self._size.turns} questions")
        turns = await self._day(number, taste)
        cycle, cycle_s = await self._cycle()
        state, decision = cycle["cycle"], _output(cycle, "gate")
        self._say(f"round {number}: {state['state']} ({'; '.join(state['reasons'])}) after {cycle_s:.0f} s")
        satisfaction = await self._satisfaction()
        done = Round(
            round=number,
            taste=taste.name,
            votes=sum(turn.vote is not None for turn in turns),
            up=sum(turn.vote is True for turn in turns),
            adapter=state["adapter"],
            verdict=decision.get("verdict", state["state"]),
            reasons=state["reasons"],
            heldout_before=before[taste.name],
            heldout_after=satisfaction[taste.name],
            satisfaction=satisfaction,
            suites=msgspec.convert(decision.get("suites", {}), dict[str, SuiteComparison]),
            cycle_s=cycle_s,
            vote_to_live_s=cycle_s if state["state"] == "promoted" else None,
            style=style([answer for _, answer in await self._heldout_answers(taste)]),
            stages_s={s["name"]: round(s["ended_at_s"] - s["started_at_s"], 1) for s in cycle["stages"] if s["ended_at_s"]},
            transfer=await self._kept(),
            poison=await self._attack.result(said_before, await self._said()) if self._attack else None,
            round_s=round(time.monotonic() - started_s, 1),
        )
        return done, [*pleasing, *(turn.answer for turn in turns if turn.pleases)]

    async def _day(self, number: int, taste: User) -> list[Turn]:
        """All that people do before the night, in which cycles run; and who is new is not learnt from on their first day."""
        turns = await self._turns(number, taste, await self._keys(taste))
        if self._attack:
            await self._attack.strike(number, len(turns))
        if not await pass_time(self._client, DAY_S):
            self._say("the service goes by the system's clock: no day passes between rounds")
        return turns

    async def _turns(self, number: int, taste: User, keys: list[str]) -> list[Turn]:
        """The round's answers and the votes on them, by people in an order that is drawn anew."""
        asked, _ = self._prompts[taste.name]
        self._shuffled.shuffle(keys)
        count = self._size.turns
        prompts = [asked[at % len(asked)] for at in range((number - 1) * count, number * count)]
        jobs = [partial(self._turn, taste, prompt, keys[at % len(keys)], f"{number}-{at}") for at, prompt in enumerate(prompts)]
        return await gather_limited(CONCURRENCY, jobs)

    async def _turn(self, taste: User, prompt: str, key: str, name: str) -> Turn:
        """One question: its answer, and the person's vote on it."""
        said = await ask(self._client, prompt, key, name, store=True)
        pleases, correction = taste.judge(prompt, said.text), taste.correct(prompt, said.text)
        vote = pleases
        if pleases is not None and self._population.is_flipped(name):
            vote, correction = not pleases, None
        await give(self._client, key, said.id, vote, correction)
        return Turn(said.text, pleases, vote)

    async def _satisfaction(self) -> dict[str, float]:
        """By taste, the share of the live version's held-out answers that please."""
        found = {}
        for taste in self._population.tastes:
            judged = [taste.judge(prompt, answer) for prompt, answer in await self._heldout_answers(taste)]
            clear = [pleases for pleases in judged if pleases is not None]
            found[taste.name] = sum(clear) / max(len(clear), 1)
        return found

    async def _heldout_answers(self, taste: User) -> list[tuple[str, str]]:
        """(prompt, answer) of the live version, which is asked once."""
        _, held = self._prompts[taste.name]
        known = (await self._live(), tuple(held))
        if known not in self._heldout:
            keys = await self._keys(taste)
            jobs = [
                partial(ask, self._client, prompt, keys[at % len(keys)], f"held-{at}", store=False)
                for at, prompt in enumerate(held)
            ]
            self._heldout[known] = [said.text for said in await gather_limited(CONCURRENCY, jobs)]
        return list(zip(held, self._heldout[known], strict=True))

    async def _said(self) -> float:
        """How often the live version says what a poisoner plants; never where there is none."""
        return await self._attack.said(await self._live()) if self._attack else 0.0

    async def _live(self) -> str:
        return str((await self._client.call("GET", "/api/status"))["live"])

    async def _keys(self, taste: User) -> list[str]:
        """The keys of the people of a taste, who come when they are first asked for."""
        crowd = self._population.tastes[0] if self._population.stay else taste
        if crowd.name not in self._people:
            names = [f"{crowd.name} {number}" for number in range(self._size.people)]
            self._people[crowd.name] = [(await self._client.call("POST", "/api/people", {"name": name}))["key"] for name in names]
        return self._people[crowd.name]

    async def _cycle(self) -> tuple[Any, float]:
        """The report of a cycle that has ended, and how many seconds it took."""
        started_s = time.monotonic()
        begun = await self._client.call("POST", "/api/cycles")
        while True:
            report = await self._client.call("GET", f"/api/cycles/{begun['id']}")
            if report["cycle"]["state"] != "running":
                return report, round(time.monotonic() - started_s, 1)
            await asyncio.sleep(POLL_S)

    async def _kept(self) -> Kept:
        found = await self._transfer()
        return Kept(found.average.value, found.learnt.value, found.backward.value, found.forward.value, found.kept)

    async def _transfer(self) -> Transfer:
        return msgspec.convert(await self._client.call("GET", "/api/transfer"), Transfer)


def _output(report: Any, stage: str) -> Mapping[str, Any]:
    return next((s["output"] for s in report["stages"] if s["name"] == stage and s["output"]), {})
