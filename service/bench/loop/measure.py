"""`ratchet bench loop`: the whole loop on simulated populations, each with a service, an engine and a home of its own.

It takes hours, so what is found out about a population is kept as soon as its rounds are over, and a run that was cut off goes
on with the next one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from learner.simulate import run_population
from learner.simulated.home import Say
from learner.simulated.populations import Population
from learner.simulated.rounds import Outcome, Size
from learner.simulated.user import split_prompts
from service import bench
from service.bench.loop.figures import REPORT, LoopFigures, join, keep, read_kept, summarize

Run = Callable[[Population, Size, Say], Outcome]


def measure_loop(populations: Sequence[Population], size: Size, out: Path, say: Say, run: Run = run_population) -> LoopFigures:
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
            say(f"{population.name}: {population.about}")
            began, commit = time.monotonic(), bench.commit()
            outcome = run(population, size, lambda line, name=population.name: say(f"{name}: {line}"))  # type: ignore[misc]
            figures = summarize(population, size, outcome, commit, time.monotonic() - began)
            keep(out, f"{population.name}.json", figures)
        else:
            say(f"{population.name}: known from {out}")
        found[population.name] = figures
    report = join(found)
    keep(out, REPORT, report)
    return report
