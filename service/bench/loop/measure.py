"""`ratchet bench loop`: the whole loop on simulated populations, each with a service, an engine and a home of its own.

It takes hours, so what is found out about a population is kept as soon as its rounds are over, and a run that was cut off goes
on with the next one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from learner.simulate import run_population, score_home
from learner.simulated.home import Say
from learner.simulated.populations import Population
from learner.simulated.rounds import Outcome, Size
from learner.simulated.user import split_prompts
from service import bench
from service.bench.loop.figures import REPORT, LoopFigures, join, keep, read_kept, summarize

Run = Callable[[Population, Size, Say], Outcome]


class Runs:
    """Runs populations one after another, each with a service of its own. Base is scored once for all, before the first.

    `folder` is for that; `settings` are the services' own, in TOML.
    """

    def __init__(self, folder: Path, settings: str = "") -> None:
        self._scored, self._settings = folder / "scored", settings

    def __call__(self, population: Population, size: Size, say: Say) -> Outcome:
        if not self._scored.exists():
            self._scored.mkdir()
            score_home(self._scored, say, self._settings)
        return run_population(population, size, say, settings=self._settings, like=self._scored)


def measure_loop(populations: Sequence[Population], size: Size, out: Path, say: Say, run: Run) -> LoopFigures:
    """The figures of these populations, with those that `out` has already; all are kept there, and the report of them.

    Raises `LoopError` where the folder has figures of another size, and `SimulationError` where a service does not start, or
    refuses what it is asked.
    """
    kept = {one.name: read_kept(out, one.name, size) for one in populations}
    for taste in {taste.name: taste for one in populations for taste in one.tastes}.values():
        split_prompts(taste.prompts(), size.heldout)  # that there are enough of them is known before hours have gone
    found = {}
    for population in populations:
        figures = kept[population.name]
        if figures is None:
            _tell(say, population.name, population.about)
            began, commit = time.monotonic(), bench.commit()
            outcome = run(population, size, partial(_tell, say, population.name))
            figures = summarize(population, size, outcome, commit, time.monotonic() - began)
            keep(out, f"{population.name}.json", figures)
        else:
            _tell(say, population.name, f"known from {out}")
        found[population.name] = figures
    report = join(found)
    keep(out, REPORT, report)
    return report


def _tell(say: Say, name: str, line: str) -> None:
    say(f"{name}: {line}")
