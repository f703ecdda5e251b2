"""Many canaries at once, made up: people who differ in what they like and in how much they vote, judged after every vote.

Judged as learner/canary.py judges one, on arrays.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray
from scipy import stats

from learner.canary import BROKEN, MIN_BROKEN, Fault, Step, mostly_broken, split_rollback_error
from learner.config import ReleaseSettings
from learner.sequential import Numbers, estimate_difference, radius

KINDS = (None, *Fault)  # what an answer may have: a thumb up, faults
BROKEN_KINDS = [KINDS.index(fault) for fault in BROKEN]

Radius = Callable[[Numbers, float, float], Numbers]


class Crowd(Struct, frozen=True):
    """The people of one trial. Everybody's chance to like an answer is their own (beta), as is that of each fault."""

    people: int = 400
    votes: int = 2000  # by all of them, while the canary lasts
    mean_up: float = 0.7  # of the chances to like an answer
    mean_fault: float = 0.03
    likeness: float = 0.2  # of a person's votes: the correlation of two of them
    activity: float = 1.0  # how much people differ in how many votes they cast: the deviation of its logarithm


class Canaries:
    """Trials side by side. Axes: T trials, P people, V versions (live, canary), K kinds of what an answer may have.

    `open` are the trials that are not at an end; for the others `step_T` says how they ended, and `votes_T` after how many votes.
    """

    def __init__(
        self,
        trials: int,
        change: float,
        crowd: Crowd,
        settings: ReleaseSettings,
        chance: np.random.Generator,
        radius: Radius = radius,
    ) -> None:
        self._change, self._crowd, self._settings, self._chance, self._radius = change, crowd, settings, chance, radius
        self._rate_TPK = _draw_habits(trials, crowd, chance)
        self._place_TP = chance.random((trials, crowd.people))
        activity = np.exp(crowd.activity * stats.norm.ppf((np.arange(crowd.people) + 0.5) / crowd.people))
        self._who_TN = chance.choice(crowd.people, (trials, crowd.votes), p=activity / activity.sum())
        self.counts_TPV = np.zeros((trials, crowd.people, 2), np.int16)
        self.hits_TPVK = np.zeros((trials, crowd.people, 2, len(KINDS)), np.int16)
        self._people_TV, self._answers_TV = np.zeros((trials, 2)), np.zeros((trials, 2))
        self._sum_TVK, self._squares_TVK, self._total_TVK = (np.zeros((trials, 2, len(KINDS))) for _ in range(3))
        self.stage_T, self.stage_began_T = np.zeros(trials, int), np.zeros(trials)
        self.open = np.arange(trials)
        self.step_T: list[Step] = [Step.WAIT] * trials
        self.votes_T = np.full(trials, crowd.votes)

    def age_s(self, number: int) -> float:
        """Of the canary, when that vote is cast."""
        return (number + 1) / self._crowd.votes * self._settings.max_canary_s

    def vote(self, number: int) -> None:
        """One person of each open trial gets an answer and votes on it."""
        t, who = self.open, self._who_TN[self.open, number]
        v = (self._place_TP[t, who] < np.array(self._settings.shares)[self.stage_T[t]]).astype(int)
        rate_TK = self._rate_TPK[t, who]
        rate_TK[:, 0] = np.where(v == 1, _shift(rate_TK[:, 0], self._change, self._crowd.mean_up), rate_TK[:, 0])
        happened_TK = self._chance.random(rate_TK.shape) < rate_TK
        count_T1, hits_TK = self.counts_TPV[t, who, v][:, None], self.hits_TPVK[t, who, v]
        before_TK, after_TK = hits_TK / np.maximum(count_T1, 1), (hits_TK + happened_TK) / (count_T1 + 1)
        self._people_TV[t, v] += count_T1[:, 0] == 0
        self._answers_TV[t, v] += 1
        self._sum_TVK[t, v] += after_TK - before_TK
        self._squares_TVK[t, v] += after_TK**2 - before_TK**2
        self._total_TVK[t, v] += happened_TK
        self.hits_TPVK[t, who, v] += happened_TK
        self.counts_TPV[t, who, v] += 1

    def judge(self, number: int) -> None:
        """Ends the trials that are decided, and moves those on whose stage is through."""
        t, age_s, settings = self.open, self.age_s(number), self._settings
        back_T, proved_T = self._look()
        through_T = (self._people_TV[t, 1] >= settings.min_people) & (age_s - self.stage_began_T[t] >= settings.min_stage_s)
        last_T = self.stage_T[t] == len(settings.shares) - 2
        promoted_T = ~back_T & through_T & last_T & proved_T
        self._end(t[back_T], Step.ROLL_BACK, number)
        self._end(t[promoted_T], Step.PROMOTE, number)
        on = t[~back_T & through_T & ~last_T]
        self.stage_T[on] += 1
        self.stage_began_T[on] = age_s
        self.open = t[~back_T & ~promoted_T]

    def _look(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Of the open trials: which are proved worse, and which are proved not to be."""
        t, settings, (vote_error, fault_error) = self.open, self._settings, split_rollback_error(self._settings)
        live, canary = ((self._people_TV[t, v, None], self._sum_TVK[t, v], self._squares_TVK[t, v]) for v in (0, 1))
        delta_TK, variance_TK = estimate_difference(canary, live)
        delta_T, variance_T, rise_TF = delta_TK[:, 0], variance_TK[:, 0], delta_TK[:, 1:]
        risen_TF = rise_TF - self._radius(variance_TK[:, 1:], fault_error, settings.max_fault_rise) > settings.max_fault_rise
        worse_T = delta_T + self._radius(variance_T, vote_error, settings.tolerated_loss) < 0
        kept_T = delta_T - self._radius(variance_T, settings.promote_error, settings.tolerated_loss) > -settings.tolerated_loss
        both_T = (self._people_TV[t] > 0).all(axis=1)
        back_T = self._breached(t) | both_T & (worse_T | risen_TF.any(axis=1))
        return back_T, both_T & kept_T & (rise_TF <= settings.max_fault_rise).all(axis=1)

    def _breached(self, t: NDArray[np.int64]) -> NDArray[np.bool_]:
        broken_TV, answers_TV = self._total_TVK[t][:, :, BROKEN_KINDS].sum(axis=2), self._answers_TV[t]
        mostly_TV: NDArray[np.bool_] = mostly_broken(broken_TV, answers_TV)
        many_T: NDArray[np.bool_] = broken_TV[:, 1] >= MIN_BROKEN
        return many_T & mostly_TV[:, 1] & ~mostly_TV[:, 0]

    def _end(self, trials: NDArray[np.int64], step: Step, number: int) -> None:
        self.votes_T[trials] = number + 1
        for trial in trials:
            self.step_T[trial] = step


def _draw_habits(trials: int, crowd: Crowd, chance: np.random.Generator) -> NDArray[np.float64]:
    means_K = np.array([crowd.mean_up] + [crowd.mean_fault] * len(Fault))
    weight = 1 / crowd.likeness - 1
    return chance.beta(weight * means_K, weight * (1 - means_K), (trials, crowd.people, len(means_K)))


def _shift(rate_T: NDArray[np.float64], change: float, mean: float) -> NDArray[np.float64]:
    """Chances whose mean is moved by `change`, which stay chances."""
    return rate_T + (1 - rate_T) * change / (1 - mean) if change > 0 else rate_T + rate_T * change / mean
