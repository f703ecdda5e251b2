"""What a report says: figures and identifiers of things, never of people or of what they said."""

from __future__ import annotations

from msgspec import Struct

from learner.canary import Judgement
from learner.collect import Collected
from learner.curate.dataset import Curated
from learner.evaluate.versions import Move
from learner.gate import VoteComparison
from learner.train.spec import Step
from learner.transfer import Transfer
from storage.records import Canary, Cycle


class Timing(Struct, frozen=True):
    """How long a stage took; None where it never ended."""

    stage: str
    seconds: float | None


class Origin(Struct, frozen=True):
    """What a candidate came from: the version it continues, whom it was to replace, its data, and what judged it."""

    adapter: str
    parent: str
    against: str  # whom it was judged against
    replaced: str
    sha256: str  # of its files
    base_sha256: str
    dataset_id: str
    suites: dict[str, str]  # name → sha256


class Tried(Struct, frozen=True):
    """One candidate: how its training went, and what the gate said of it."""

    adapter: str
    variant: str  # of the settings; empty for the settings as they are
    seconds: float
    final_loss: float | None
    measures: dict[str, float]
    stopped: str  # why training ended before its last step; empty where it did not
    verdict: str | None
    reasons: tuple[str, ...]
    votes: VoteComparison | None


class Curve(Struct, frozen=True):
    """The steps of one training, thinned out. `run` is the folder below the cycle's that it ran in."""

    run: str
    steps: list[Step]


class SuiteChange(Struct, frozen=True):
    """Mean scores on one frozen suite. The candidate may go live where the bound is not below -margin, or it is advisory.

    `moves` are the items that turned from right to wrong or back, or else moved furthest; the losses first.
    """

    name: str
    sha256: str
    margin: float
    veto: bool
    live: float
    candidate: float
    delta: float
    lower_bound: float
    advisory: bool = False
    won: int = 0  # items that rose above one half
    lost: int = 0  # items that fell below it
    moves: tuple[Move, ...] = ()

    @property
    def room(self) -> float:
        """How far the bound is above what may not be passed; negative where it is below."""
        return self.lower_bound + self.margin


class CanaryMove(Struct, frozen=True):
    """One step of a canary: when, from which stage and share of the people, by whom and why, and what was known by then."""

    at_s: float
    step: str
    stage: int
    share: float
    actor: str
    reason: str
    judgement: Judgement | None  # None where it was an operator's word


class CanaryPath(Struct, frozen=True):
    """A canary and its moves, oldest first. `share` of the people have the version by now, or had it when it ended."""

    canary: Canary
    share: float
    moves: list[CanaryMove]


class Moved(Struct, frozen=True):
    """How far training moved held-out answers with one kind of feedback: the mean change of their log-prob per token.

    `error` is its standard error, people left out one at a time. Groups of too few people are not told.
    """

    kind: str
    votes: int
    people: int
    change: float
    error: float


class Report(Struct, frozen=True):
    """A cycle that has ended, however it did; what it did not come to is None or empty."""

    cycle: Cycle
    made_at_s: float
    timings: list[Timing]
    collected: Collected | None
    curated: Curated | None
    rows: dict[str, dict[str, int]]  # split → kind → rows
    held: dict[str, int]  # reason → answers that wait for review since this cycle
    curves: list[Curve]
    tried: list[Tried]
    origin: Origin | None  # of the candidate that was chosen, or else of the first; and so is the rest
    votes: VoteComparison | None  # the share of thumbs up of held-out votes, and what it would be with the candidate
    moved: list[Moved]
    suites: list[SuiteChange]
    transfer: Transfer  # as it was after this cycle
    summary: str = ""  # why it ended so, in plain English
    path: CanaryPath | None = None  # of the candidate while people tried it
    summaries: dict[str, str] = {}  # the same paragraph in other languages
