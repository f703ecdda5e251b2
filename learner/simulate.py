"""`ratchet simulate`: people made of code, of one taste, use the real HTTP API, vote, and a cycle follows each round."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from msgspec import Struct

from learner.simulated.client import connected, score_baseline
from learner.simulated.home import Say, serve_home, throwaway_service
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


def run_population(
    population: Population, size: Size, say: Say, url: str | None = None, settings: str = "", like: Path | None = None
) -> Outcome:
    """The population's rounds, against `url` with the key in the environment, or against a service of their own.

    That one has these `settings`, in TOML, and begins as a copy of the home `like`. Raises `SimulationError` where the service
    does not start, or refuses what it is asked.
    """

    async def run(url: str, key: str) -> Outcome:
        async with connected(url, key) as client:
            return await Simulation(client, population, size, say).run()

    if url is not None:
        return asyncio.run(run(url, os.environ.get("RATCHET_KEY", "")))
    with throwaway_service(say, settings, like=like) as (own_url, operator_key):
        return asyncio.run(run(own_url, operator_key))


def score_home(home: Path, say: Say, settings: str = "") -> None:
    """Fills a new home, in which base is scored on the frozen suites: what takes long is done for all that begin as copies of it.

    Raises `SimulationError` where its service does not start, or cannot score.
    """

    async def score(url: str, key: str) -> None:
        async with connected(url, key) as client:
            await score_baseline(client, say)

    with serve_home(home, say, settings) as served:
        asyncio.run(score(*served))
