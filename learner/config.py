"""What can be set about learning. Imported without torch; every field says what it does, with its unit."""

from __future__ import annotations

from msgspec import Struct

from learner.machine import Precision


class TrainSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """How a dataset becomes an adapter."""

    method: str = "mixed"  # the name of a method in learner/train/methods.py
    rank: int = 16  # of the adapter's matrices; the engine is started for the same rank
    learning_rate: float = 2e-4
    passes: int = 3  # times each row is seen
    batch_rows: int = 16  # rows per optimiser step
    max_row_tokens: int = 1024  # longer rows are dropped by curation, with that reason
    lead_tokens: int = 64  # of a disliked or replayed answer that are looked at: the rest costs much and adds little
    beta: float = 3.0  # sharpness of the preference terms, on log-probs averaged over tokens
    nll_weight: float = 1.0  # of liked answers and corrections
    kl_weight: float = 3.0  # of staying near the live model on replayed answers
    max_grad_norm: float = 1.0
    seed: int = 0
    precision: Precision = "auto"  # what products run in; auto is bfloat16 where the CPU has instructions for it
    threads: int | None = None  # CPU threads of the training process; all cores where unset
    time_limit_s: float = 3600  # a training job that takes longer is ended and the cycle fails


class CurateSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Which rows may teach."""

    heldout_share: float = 0.25  # of people, whose votes are only ever used to judge candidates
    max_rows_per_person: int = 20  # per cycle
    replay_share: float = 0.25  # rows of earlier cycles, as a share of the new ones
    anchors: int = 40  # everyday requests with base's own answers, replayed in every cycle beside those
    row_budget: int = 4000  # rows of feedback one cycle takes in; the rest waits for the next


class GateSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """When a candidate is better for people and not worse anywhere."""

    suite_alpha: float = 0.05  # one-sided error of each suite's bound; all must hold, so together they err no more often
    vote_alpha: float = 0.01  # one-sided error per cycle that the votes' improvement is chance
    base_margins: float = 2.0  # against base, to which small losses of many cycles add up, a suite may lose this many margins
    min_margin_gain: float = 0.02  # smallest gain that counts: log-prob per token, liked minus disliked
    min_heldout_votes: int = 16  # fewer votes, or fewer than 4 of a kind, give no verdict


class ScheduleSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """When a cycle starts by itself."""

    enabled: bool = True
    interval_s: float = 24 * 3600  # at least this often, when there is anything new
    check_every_s: float = 60  # how often new evidence is counted
    min_new_votes: int = 200  # new votes that start a cycle before its interval
    min_minority_votes: int = 30  # of the rarer kind, up or down, among them
    min_people: int = 5  # distinct people among them


class LearnerSettings(Struct, frozen=True, forbid_unknown_fields=True):
    train: TrainSettings = TrainSettings()
    curate: CurateSettings = CurateSettings()
    gate: GateSettings = GateSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    suites: str | None = None  # folder of frozen suites with their manifest; the shipped ones where unset
    evaluation_concurrency: int = 32  # requests the evaluation has in the engine at once
    drain_s: float = 120  # how long answers of an older version may take before its adapter leaves the engine
