"""How often canaries end wrongly: many simulated, and judged after every single vote."""

from __future__ import annotations

import numpy as np
from msgspec import Struct
from scipy import stats

from learner.canary import Step
from learner.canary_trials import Canaries, Crowd, Radius
from learner.config import ReleaseSettings
from learner.sequential import Numbers, radius
from learner.statistics import share_interval

AT_ONCE = 500  # trials, which bounds the memory
BETTER, MUCH_WORSE = 0.10, -0.20  # of the share of thumbs up, for which power is told
CROWD, SETTINGS = Crowd(), ReleaseSettings()


class Ending(Struct, frozen=True):
    """How canaries ended whose answers are liked more by `change`: shares of the trials, and the votes it took (median)."""

    change: float
    promoted: float
    rolled_back: float
    undecided: float
    votes: float


class Rate(Struct, frozen=True):
    """A share of trials, with its 95 % interval (Clopper and Pearson 1934)."""

    share: float
    low: float
    high: float


class CanaryErrors(Struct, frozen=True):
    """How often canaries end wrongly, and rightly. `plain_…` is the same judged at every vote by a test made for one look."""

    trials: int
    seed: int
    false_rollback: Rate  # of a canary that is equal
    false_promote: Rate  # of one that is worse by the tolerated loss
    plain_false_rollback: Rate
    plain_false_promote: Rate
    endings: dict[str, Ending]


def simulate(trials: int, seed: int, crowd: Crowd = CROWD, settings: ReleaseSettings = SETTINGS) -> CanaryErrors:
    """Runs that many canaries of each kind. The same seed gives the same figures."""
    changes = {"equal": 0.0, "worse_by_tolerated_loss": -settings.tolerated_loss, "better": BETTER, "much_worse": MUCH_WORSE}
    endings = {name: end(trials, change, seed, crowd, settings) for name, change in changes.items()}
    equal, worse = endings["equal"], endings["worse_by_tolerated_loss"]
    plain_equal, plain_worse = (end(trials, one.change, seed, crowd, settings, plain_radius) for one in (equal, worse))
    return CanaryErrors(
        trials,
        seed,
        _rate(equal.rolled_back, trials),
        _rate(worse.promoted, trials),
        _rate(plain_equal.rolled_back, trials),
        _rate(plain_worse.promoted, trials),
        endings,
    )


def end(trials: int, change: float, seed: int, crowd: Crowd, settings: ReleaseSettings, radius: Radius = radius) -> Ending:
    """Runs canaries whose answers are liked more by `change` until they end or their votes do."""
    chance = np.random.default_rng(seed)
    steps: list[Step] = []
    votes: list[int] = []
    for begin in range(0, trials, AT_ONCE):
        canaries = Canaries(min(AT_ONCE, trials - begin), change, crowd, settings, chance, radius)
        for number in range(crowd.votes):
            canaries.vote(number)
            canaries.judge(number)
        steps.extend(canaries.step_T)
        votes.extend(canaries.votes_T)
    promoted, rolled_back = (steps.count(step) / trials for step in (Step.PROMOTE, Step.ROLL_BACK))
    return Ending(change, promoted, rolled_back, 1 - promoted - rolled_back, float(np.median(votes)))


def plain_radius(variance: Numbers, error: float, precision: float) -> Numbers:
    """That of a z-test, which is right at one look chosen beforehand."""
    return np.sqrt(variance) * stats.norm.isf(error)


def _rate(share: float, trials: int) -> Rate:
    return Rate(share, *share_interval(round(share * trials), trials))
