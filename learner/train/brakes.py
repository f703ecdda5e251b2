"""What ends a training early: before it has gone too far from the live version, and once it no longer gets better.

Too far: on replayed answers the divergence from the live version passes its budget, or ends of turn have become so much
likelier inside them that answers would go hollow. Both are watched as running means of what the steps measure anyway. No
better: votes of people who do not teach this run, and are not among those whom the gate asks, have proved twice in a row that
something was lost since the best check. They are few, so that a fall which may be chance ends nothing: of the first checks, when
next to nothing is learnt, some are the best so far by chance alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

import torch
from torch import Tensor

from learner.config import TrainSettings
from learner.statistics import estimate_mean
from learner.train.validation import Validation

MOMENTUM = 0.8  # of the running means
RARE_END = 0.005  # chance of an end at a token, below which "so many times as likely" says nothing: that of 200 tokens' answers
PATIENCE = 2  # checks in a row that are worse than the best
BEST = "best."  # in a checkpoint, before a vote's place
CHANCE = 0.1  # one-sided, of a check that is taken for worse where nothing was lost


class Brakes:
    """Keeps the weights of the last check that was good. `measures` are the newest figures, by name."""

    def __init__(
        self, parameters: Sequence[torch.nn.Parameter], settings: TrainSettings, validation: Validation | None = None
    ) -> None:
        self._parameters, self._settings, self._validation = parameters, settings, validation
        self._followed: dict[str, float] = {}
        self._best: list[float] = []  # what each vote gained at the best check
        self._worse = 0  # checks in a row
        self.kept = [parameter.detach().clone() for parameter in parameters]  # the weights of the last check that was good

    @property
    def measures(self) -> dict[str, float]:
        return {f"last_{name}": value for name, value in self._followed.items()}

    def check(self, step: int, steps: int, terms: Mapping[str, float]) -> str:
        """Takes in a step; gives the reason to stop, with the good weights put back, or nothing."""
        for name in ("kl", "ending", "ending_before"):
            if name in terms:
                self._followed[name] = MOMENTUM * self._followed.get(name, terms[name]) + (1 - MOMENTUM) * terms[name]
        if step == steps or step % max(steps // self._settings.checks, 1):
            return ""
        if reason := self._too_far():
            self._put_back()
            return reason
        if self._validation is not None and self._lost(self._validation):
            self._worse += 1
            if self._worse < PATIENCE:
                return ""
            self._put_back()
            margin, best = self._followed["margin_of_others"], fmean(self._best)
            return f"votes that are not learnt from gained less than before: {margin:+.4f} per token, {best:+.4f} at best"
        self._worse = 0
        self.kept = [parameter.detach().clone() for parameter in self._parameters]
        return ""

    def _lost(self, validation: Validation) -> bool:
        gains = validation.gains()
        margin = self._followed["margin_of_others"] = fmean(gains)
        if not self._best or margin >= fmean(self._best):
            self._best = gains
            return False
        change = [now - then for now, then in zip(gains, self._best, strict=True)]
        return estimate_mean(change, validation.people).p_below_zero() < CHANCE

    def state(self) -> dict[str, float]:
        """What a checkpoint keeps of it, beside `kept`."""
        best = {f"{BEST}{place}": gain for place, gain in enumerate(self._best)}
        return {**self._followed, **best, "worse": self._worse}

    def restore(self, state: Mapping[str, float], kept: list[Tensor]) -> None:
        self._best = [value for name, value in state.items() if name.startswith(BEST)]
        self._followed = {name: value for name, value in state.items() if name != "worse" and not name.startswith(BEST)}
        self._worse, self.kept = int(state["worse"]), kept

    def _too_far(self) -> str:
        settings = self._settings
        kl, before = self._followed.get("kl", 0.0), max(self._followed.get("ending_before", 0.0), RARE_END)
        times = self._followed.get("ending", 0.0) / before
        if kl > settings.kl_budget:
            return (
                f"KL to the live version reached {kl:.3f} nats per token on replayed answers, the budget is {settings.kl_budget:g}"
            )
        if times > settings.max_ending:
            return f"inside replayed answers an end is {times:.1f} times as likely as before, the limit is {settings.max_ending:g}"
        return ""

    def _put_back(self) -> None:
        with torch.no_grad():
            for parameter, kept in zip(self._parameters, self.kept, strict=True):
                parameter.copy_(kept)
