"""`ratchet simulate`: people made of code, of one taste, use the real HTTP API, vote, and a cycle follows each round."""

from __future__ import annotations

import asyncio
import os
from contextlib import ExitStack
from pathlib import Path

from msgspec import Struct

from learner.simulated.client import connected
from learner.simulated.home import Say, throwaway_service
from learner.simulated.populations import Population
from learner.simulated.rounds import Outcome, Round, Simulation, Size, Style
from learner.simulated.user import User


class Report(Struct, frozen=True):
    """What the rounds did. `liked` is the style of the answers that pleased before the first cycle: what the taste asks."""

    user: str
    rounds: list[Round]
    heldout: float  # share at the end; also without a round, to see what is left of what was learnt
    liked: Style | None


def simulate(user_file: Path, rounds: int, turns: int, heldout: int, people: int, url: str | None, say: Say) -> Report:
    """Runs the rounds against `url`, or against a service of its own in a throw-away home."""
    user = User.load(user_file)
    population = Population(user.name, "from a file", (user,))
    outcome = run_population(population, Size(rounds, turns, heldout, people), say, url)
    return Report(user.name, outcome.rounds, outcome.after[user.name], outcome.liked)


def run_population(population: Population, size: Size, say: Say, url: str | None = None) -> Outcome:
    """The population's rounds, against `url` with the key in the environment, or a service of their own.

    Raises `SimulationError` where the service does not start, or refuses what it is asked.
    """

    async def run(url: str, key: str) -> Outcome:
        async with connected(url, key) as client:
            return await Simulation(client, population, size, say).run()

    with ExitStack() as stack:
        if url is not None:
            return asyncio.run(run(url, os.environ.get("RATCHET_KEY", "")))
        return asyncio.run(run(*stack.enter_context(throwaway_service(say))))
