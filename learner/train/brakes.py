"""What ends a training early: before it has gone too far from the live version, and once it no longer gets better.

Too far: on replayed answers the divergence from the live version passes its budget, or ends of turn have become so much
likelier inside them that answers would go hollow. Both are watched as running means of what the steps measure anyway. No
better: votes of people who do not teach this run, and are not among those whom the gate asks, have fallen twice in a row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from learner.config import TrainSettings

MOMENTUM = 0.8  # of the running means
RARE_END = 0.005  # chance of an end at a token, below which "so many times as likely" says nothing: that of 200 tokens' answers
PATIENCE = 2  # checks in a row that are worse than the best


class Brakes:
    """Keeps the weights of the best check. `measures` are the newest figures, by name."""

    def __init__(
        self, parameters: Sequence[torch.nn.Parameter], settings: TrainSettings, margin: Callable[[], float] | None = None
    ) -> None:
        self._parameters, self._settings, self._margin = parameters, settings, margin
        self._followed: dict[str, float] = {}
        self._best: float | None = None
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
        if self._margin is None:
            self._keep()
            return ""
        margin = self._followed["margin_of_others"] = self._margin()
        if self._best is None or margin >= self._best:
            self._best, self._worse = margin, 0
            self._keep()
            return ""
        self._worse += 1
        if self._worse < PATIENCE:
            return ""
        self._put_back()
        return f"votes that are not learnt from gained less than before: {margin:+.4f} per token, {self._best:+.4f} at best"

    def state(self) -> dict[str, float]:
        """What a checkpoint keeps of it, beside `kept`."""
        best = {} if self._best is None else {"best": self._best}
        return {**self._followed, **best, "worse": self._worse}

    def restore(self, state: Mapping[str, float], kept: list[Tensor]) -> None:
        self._followed = {name: value for name, value in state.items() if name not in ("best", "worse")}
        self._best, self._worse, self.kept = state.get("best"), int(state["worse"]), kept

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

    def _keep(self) -> None:
        self.kept = [parameter.detach().clone() for parameter in self._parameters]

    def _put_back(self) -> None:
        with torch.no_grad():
            for parameter, kept in zip(self._parameters, self.kept, strict=True):
                parameter.copy_(kept)
