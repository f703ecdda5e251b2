"""What can be set about learning. Imported without torch; every field says what it does, with its unit."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from learner.machine import Precision


class Variant(Struct, frozen=True, forbid_unknown_fields=True):
    """Another way to set the training, tried beside the settings' own. What is unset is as there."""

    name: str  # in reports and reasons
    learning_rate: float | None = None  # of AdamW
    passes: int | None = None  # times each row is seen
    beta: float | None = None  # sharpness of the preference terms
    nll_weight: float | None = None  # of corrections and demonstrations
    kl_weight: float | None = None  # of staying near the live model on replayed answers
    voted_kl_weight: float | None = None  # the same on answers with a thumb
    lead_tokens: int | None = None  # of a disliked or replayed answer that are looked at


class TrainSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """How a dataset becomes an adapter."""

    method: str = "mixed"  # the name of a method in learner/train/methods.py
    rank: int = 16  # of the adapter's matrices; the engine is started for the same rank
    learning_rate: float = 8e-4  # of AdamW
    passes: int = 2  # times each row is seen
    batch_rows: int = 16  # rows per optimiser step
    max_row_tokens: int = 1024  # longer rows are dropped by curation, with that reason
    lead_tokens: int = 64  # of a disliked or replayed answer that are looked at: the rest costs much and adds little
    beta: float = 3.0  # sharpness of the preference terms, on log-probs averaged over tokens
    nll_weight: float = 1.0  # of corrections and demonstrations
    kl_weight: float = 3.0  # of staying near the live model on replayed answers
    voted_kl_weight: float = 0.1  # of staying near it on answers with a thumb: what tells nothing of the vote is left as it is
    max_grad_norm: float = 1.0  # of a step; a longer gradient is shortened to it
    seed: int = 0  # of all that training draws: the same rows and seed give the same adapter on the same machine
    precision: Precision = "auto"  # what products run in; auto is bfloat16 where the CPU has instructions for it
    threads: int | None = None  # CPU threads of the training process; all cores where unset
    time_limit_s: float = 3600  # a training job that takes longer is ended and the cycle fails
    learn_share: float = 0.5  # of the layers, from the top, that learn; what is below stays as it is, and is computed once
    keep_states_mb: float = 1024  # of states below the layers that learn; what is beyond is computed in each pass
    form: Literal["mean", "sum"] = "mean"  # of log-probs over an answer: "sum" as KTO, DPO and SFT are defined, where length earns
    flip_rate: float = 0.1  # of preferences and corrections that are taken to be the wrong way round
    preferred_nll_weight: float = 0.2  # of liked and preferred answers, which nobody wrote: more of it learns them by heart
    chunk_tokens: int = 1024  # that are run together: what training takes in memory grows by it
    checkpoint_steps: int = 10  # after which a killed run can go on
    checks: int = 8  # in a run, on whether it should end early
    kl_budget: float = 0.3  # nats per token on replayed answers that a candidate may be from the live version
    max_ending: float = 4.0  # how much likelier an end of turn may become inside replayed answers
    validation_share: float = 0.125  # of people whose votes end a run instead of teaching it, where there are votes enough
    validation_votes: int = 200  # votes to learn from, below which all of them teach
    spread: bool = False  # the base model over all processes that train together, where one GPU cannot hold it
    summed_beta: float = 0.1  # sharpness of dpo and kto, where log-probs are summed over an answer; as TRL has it
    rounds: int = 2  # of rloo and grpo: in each the newest version gives answers and learns from their rewards
    prompts_per_round: int = 64  # that are answered in a round, out of those in the dataset
    answers_each: int = 4  # to each of these prompts, to be compared with each other
    sample_tokens: int = 160  # of a sampled answer at most; one that is cut off there is not learnt from
    ratio_clip: float = 0.2  # by how much a sampled token's chance may change, as a share of it, before its reward stops counting
    grpo_by_std: bool = False  # divide by the spread of rewards, as GRPO first had it
    length_control: float = 1.0  # of what a reward gains by length alone, the share that is taken off
    repetition_floor: float = 0.8  # distinct trigrams, as a share of all, below which an answer repeats itself
    repetition_penalty: float = 3.0  # what the reward loses, in log-odds of a thumb up, of an answer that says one thing only
    memory_limit_mb: float | None = None  # resident, of a training job: over it, it is ended; unset is 80 % of the machine's
    candidates: tuple[Variant, ...] = ()  # trained and judged beside the settings' own: each has a place in the engine meanwhile
    candidates_time_s: float = 1800  # that these may add to a cycle, trained and judged; one that would take longer is left out
    max_change: float = 1.0  # of a layer by an adapter, as a share of the layer's own norm: beyond it the adapter is refused
    rebuild_every: int = 10  # accepted cycles after which a candidate is learnt anew, from base; 0 is never
    kl_base_budget: float = 1.0  # nats per token that the live version may be from base, beyond which one is learnt anew, too
    rebuild_rows: int = 8000  # of earlier datasets, the newest of each kind, that are then learnt once more
    trackers: tuple[Literal["tensorboard", "trackio"], ...] = ()  # other programs that steps are written for, as extras


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
    anchors: int = 96  # everyday requests with base's own answers, replayed in every cycle beside those
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
    preferences: int = 32  # imported pairs that each `mixed` cycle learns from beside the votes, drawn as demonstrations are
    documents: int = 4000  # of each kind that a cycle of another method draws at most
    text_heldout_share: float = 0.05  # of a corpus's documents, which are never learnt but tell how likely such text has become
    improper_weight: float = 2.0  # what a vote counts for that calls an answer improper
    refused_weight: float = 1.5  # what a vote counts for that calls a refusal needless
    comments: int = 100  # commented answers that the parent model gives again in each cycle with the comment in view
    comment_weight: float = 0.5  # of such an answer as a correction: nobody wrote it


class GateSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """When a candidate is better for people and not worse anywhere."""

    suite_alpha: float = 0.05  # one-sided error of each suite's bound; all must hold, so together they err no more often
    promote_error: float = 0.05  # of all that goes live, the share that is no better; and the chance of any while nothing is
    base_margins: float = 2.0  # against base, to which small losses of many cycles add up, a suite may lose this many margins
    min_gain: float = 0.02  # smallest gain that counts: rise of the share of thumbs up, as held-out votes have it
    min_heldout_votes: int = 40  # on the live version's answers; fewer, or fewer than 4 of a kind, decide and cost nothing
    always_score_suites: bool = False  # also of candidates that the held-out votes refuse: takes longer, tells more


class ReleaseSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """How a candidate that passed the gate goes live."""

    mode: Literal["direct", "staged", "approve"] = "direct"  # at once, tried by ever more people, or when an operator says so
    shares: tuple[float, ...] = (0.05, 0.25, 1.0)  # of people, by stage; a third at most before all, so that three fit at once
    min_people: int = 10  # who voted on the canary's answers, before the next stage
    min_stage_s: float = 3600  # that each stage takes at least
    max_canary_s: float = 7 * 24 * 3600  # after which a canary without proof is held, for an operator to decide
    promote_error: float = 0.05  # chance that a canary that is worse by `tolerated_loss` is promoted, however often one looks
    rollback_error: float = 0.05  # chance that one that is no worse is rolled back, by its votes or by a guardrail
    tolerated_loss: float = 0.05  # of the share of thumbs up, which a promoted canary is proved not to have lost
    max_fault_rise: float = 0.05  # of the share of answers with a fault, of each kind, beyond which a canary is rolled back
    slow_first_token_ms: float = 10_000  # after which an answer counts as slow
    check_every_s: float = 30  # how often a canary is judged

    def __post_init__(self) -> None:
        *early, last = self.shares or (0.0,)
        if last != 1 or not early or early != sorted(set(early)) or min(early) <= 0 or max(early) > 1 / 3:
            raise ValueError(f"shares are {self.shares}; expected ascending shares up to a third, and then 1.0")
        for name in ("promote_error", "rollback_error", "tolerated_loss", "max_fault_rise"):
            if not 0 < (value := getattr(self, name)) < 0.5:
                raise ValueError(f"{name} is {value}; expected more than 0 and less than 0.5")
        if self.min_people < 1:
            raise ValueError(f"min_people is {self.min_people}; expected 1 or more")


class JudgeSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """A model that compares answers, behind any endpoint with OpenAI's API. It is shown the prompts of judged suites and their
    answers, and when it is calibrated also what people asked and preferred."""

    url: str  # what OpenAI's clients call the base URL: "https://api.openai.com/v1"
    model: str  # exactly as the endpoint names it in its answers
    key_env: str = ""  # the environment variable that holds the key; no key is sent where empty
    answer_tokens: int = 256  # of each of the two answers at most
    verdict_tokens: int = 8  # of what the judge says: a letter, and more for a model that thinks before it
    timeout_s: float = 120  # of one request

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")) or not self.model:
            raise ValueError(f"url is {self.url!r} and model {self.model!r}; expected an address with http, and a model there")
        for name in ("answer_tokens", "verdict_tokens", "timeout_s"):
            if not (value := getattr(self, name)) > 0:
                raise ValueError(f"{name} is {value}; expected more than 0")


class ScheduleSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """When a cycle starts by itself."""

    enabled: bool = True  # off, cycles run only when somebody asks
    interval_s: float = 24 * 3600  # at least this often, when there is anything new
    check_every_s: float = 60  # how often new evidence is counted
    min_effective_votes: float = 100  # independent votes that start a cycle before its interval: one person's count less together
    min_minority_votes: int = 30  # of the rarer kind, up or down, among them
    min_people: int = 5  # distinct people among them


class JobSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Where training runs, and as how many processes. Each has the whole model and a share of every batch."""

    runner: Literal["local", "ray"] = "local"  # "local" is beside the service, "ray" a Ray cluster
    workers: int = 1  # processes that train together: on GPUs one for each
    ray_address: str = "auto"  # HOST:PORT of the cluster's head, "ray://HOST:10001" from outside; "auto" is this machine's own
    ray_cpus: int = 1  # of a worker
    ray_gpus: int = 0  # of a worker: 1, or 0 to train on CPUs
    ray_shared: bool = False  # whether all its machines have the service's home at the same path; otherwise files are sent
    ray_wait_s: float = 600  # until the cluster has room for all workers

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise ValueError(f"workers is {self.workers}; expected 1 or more")


class LearnerSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """How feedback becomes a better version."""

    train: TrainSettings = TrainSettings()
    curate: CurateSettings = CurateSettings()
    gate: GateSettings = GateSettings()
    release: ReleaseSettings = ReleaseSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    jobs: JobSettings = JobSettings()
    judge: JudgeSettings | None = None  # of judged suites, which are left out where unset
    policy: str | None = None  # file of the rules and restrictions; the shipped one where unset
    suites: str | None = None  # folder of frozen suites with their manifest; the shipped ones where unset
    evaluation_concurrency: int = 64  # requests the evaluation has in the engine at once
    evaluation_time_limit_s: float = 3600  # after which it is ended, and inconclusive
    drain_s: float = 120  # how long answers of an older version may take before its adapter leaves the engine
