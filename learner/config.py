"""What can be set about learning. Imported without torch; every field says what it does, with its unit."""

from __future__ import annotations

from typing import Literal

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


class TrustSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """How much one person, or many who are one, can move the model."""

    new_person_wait_s: float = 24 * 3600  # an account younger than this when a cycle curates is not learnt from yet
    claim_people: int = 3  # independent people who must make a new claim before it is learnt
    prior_votes: float = 8.0  # of a rater's record, how many votes' worth is taken to be like everybody's
    operator_votes: float = 3.0  # what one agreement with an operator counts for
    least_weight: float = 0.1  # of a rater who agrees with nobody
    crowd_people: int = 3  # accounts that are alike from which they can be a crowd
    crowd_share: float = 0.6  # of two accounts' votes that must be on the same for them to look alike
    crowd_window_s: float = 3600  # within which accounts were made together
    step_window_s: float = 600  # within which votes on the same are in step
    votes_per_minute: float = 6.0  # of a person who reads what they vote on
    burst_chance: float = 1e-6  # that votes at such a rate come so quickly, below which they are a burst


class CurateSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Which rows may teach."""

    heldout_share: float = 0.25  # of people, whose votes are only ever used to judge candidates
    max_rows_per_person: int = 20  # per cycle
    replay_share: float = 0.25  # rows of earlier cycles, as a share of the new ones
    anchors: int = 40  # everyday requests with base's own answers, replayed in every cycle beside those
    row_budget: int = 4000  # rows of feedback one cycle takes in; the rest waits for the next
    max_near_duplicates: int = 12  # rows of nearly the same words in a cycle, whoever they are from
    trust: TrustSettings = TrustSettings()
    breaches: Literal["negative", "drop"] = "negative"  # what becomes of a liked answer that breaks a rule of the policy
    demonstrations: int = 32  # imported ones that each cycle learns from beside the votes, drawn by the mixture of their domains
    mixing: dict[str, float] = {}  # by domain of documents: its share of the mixture; what is left goes by size
    mixing_temperature: float = 3.0  # shares by size: 1 keeps the sizes, more is flatter (mT5 has 3.3)
    pii: Literal["patterns", "presidio"] = "patterns"  # what finds personal data; presidio also finds names and places
    languages: tuple[str, ...] = ()  # ISO 639 codes ("en", "de") of the questions that may teach; any where empty
    half_life_s: float = 90 * 24 * 3600  # after which a vote weighs half; 0 is never
    max_class_ratio: float = 4.0  # how much more a vote of the rarer kind, up or down, may weigh; 1 balances nothing
    likeness: float = 0.1  # of one person's votes, from 0 (none) to 1 (a person counts once), where evidence is counted


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
    min_effective_votes: float = 100  # independent votes that start a cycle before its interval: one person's count less together
    min_minority_votes: int = 30  # of the rarer kind, up or down, among them
    min_people: int = 5  # distinct people among them


class LearnerSettings(Struct, frozen=True, forbid_unknown_fields=True):
    train: TrainSettings = TrainSettings()
    curate: CurateSettings = CurateSettings()
    gate: GateSettings = GateSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    policy: str | None = None  # file of the rules and restrictions; the shipped one where unset
    suites: str | None = None  # folder of frozen suites with their manifest; the shipped ones where unset
    evaluation_concurrency: int = 32  # requests the evaluation has in the engine at once
    drain_s: float = 120  # how long answers of an older version may take before its adapter leaves the engine
