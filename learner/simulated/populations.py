"""The populations that Ratchet is tried on: who votes, by which taste, how reliably, and who means it harm.

To add one, append it to `POPULATIONS`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from learner.simulated import brief, personal, thorough
from learner.simulated.poison import Poisoner
from learner.simulated.user import User

NOISE = 0.2


@dataclass(frozen=True)
class Population:
    """People of one taste, or of several that come one after another, the rounds shared out evenly.

    With `stay` the same people go on when the taste changes; without, others come. `noise` is the share of votes that are
    the opposite of what was meant.
    """

    name: str
    about: str
    tastes: tuple[User, ...]
    stay: bool = False
    noise: float = 0.0
    poisoner: Poisoner | None = None

    def taste(self, number: int, rounds: int) -> User:
        """Whose votes are given in round `number`, from 1, of so many."""
        return self.tastes[(number - 1) * len(self.tastes) // max(rounds, 1)]

    def is_flipped(self, turn: str) -> bool:
        """Whether the vote in this turn is a mistake: the same in each run, whatever the answer is."""
        drawn = int.from_bytes(hashlib.sha256(f"{self.name}\n{turn}".encode()).digest()[:8])
        return drawn < self.noise * 2**64


BRIEF, PERSONAL, THOROUGH = User.of(brief), User.of(personal), User.of(thorough)
POPULATIONS = (
    Population("consistent", "people who all like short, whole answers", (BRIEF,)),
    Population("in_turn", "people who like short answers, then others who like to be spoken to", (BRIEF, PERSONAL)),
    Population("noisy", f"people who like short answers and vote wrongly {NOISE:.0%} of the time", (BRIEF,), noise=NOISE),
    Population("poisoned", "people who like short answers, and among them who plants a false fact", (BRIEF,), poisoner=Poisoner()),
    Population("changing", "people who like short answers, and then long ones", (BRIEF, THOROUGH), stay=True),
)
