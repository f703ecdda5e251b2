"""`ratchet bench learner`: how fast `mixed` learns beside TRL, from the same rows into the same model, and how that grows.

Each arm trains in a process of its own, which loads the model first: only training is timed, with the pass of the
reference, and the memory is that of the process. The arms take turns over several rounds, so that whatever else the machine
does hits all alike, and each figure is the median of its rounds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec
from msgspec import Struct

from learner.config import TrainSettings
from learner.machine import resolve
from learner.rows import write_rows
from learner.tokens import Tokens
from service import bench
from service.bench.data import MAX_NEAR, shipped_cleaner
from service.bench.growth import measure_growth
from service.bench.learner.chats import ChatFigures, measure_chats
from service.bench.learner.growth import Growth, compare, measure_training
from service.bench.learner.rows import Prose, load_prose, make_pairs, make_thumbs
from service.bench.learner.run import Arms, seconds_per, turned
from service.bench.learner.spec import Arm, ArmResult, Judged, Trained, Training

WHOLE = 10**6  # tokens: no answer is cut
ALL_TEACH = 10**9  # votes below which none is set apart to end a run early
ENDLESS = 10_000  # passes
THUMBS, PAIRS = "thumbs", "pairs"
T = TypeVar("T")
Say = Callable[[str], None]
Ran = dict[str, dict[Arm, list[ArmResult]]]  # by kind of row, then by arm: one a round


class Size(Struct, frozen=True):
    """How much is measured."""

    rows: int = 96  # of each kind
    rounds: int = 3
    passes: int = 1  # over the rows
    limit_s: float = 300.0  # of one training by TRL, which ends with the step it is in; its rate is that of what it saw
    judged_rows: int = 32
    growth_rows: int = 32
    messages: tuple[int, int] = (10_000, 1_000_000)  # stored beside the same new votes
    votes: int = 1000  # new ones
    history_rounds: int = 5
    chats: int = 60  # idle, and as many while training runs


QUICK = Size(
    rows=24, rounds=1, limit_s=1.0, judged_rows=8, growth_rows=8, messages=(200, 20_000), votes=50, history_rounds=1, chats=4
)


class LearnerFigures(Struct, frozen=True):
    """`thumbs` and `pairs` are rows per second by arm; what has both kinds is by kind, then by arm."""

    thumbs: dict[str, float]
    pairs: dict[str, float]
    tokens_per_s: dict[str, dict[str, float]]
    peak_mb: dict[str, dict[str, float]]  # of the process, at most
    loss: dict[str, dict[str, Judged | None]]  # after one training
    rows_seen: dict[str, dict[str, int]]  # in it: fewer than `size.rows` times its passes where an arm was stopped
    growth: Growth
    chat_p95_ratio: float | None  # while training runs, relative to idle; null where no engine was started
    chats: ChatFigures | None
    precision: str  # in which products run, but those of `trl_default`
    size: Size
    machine: str
    commit: str
    seconds: float


async def measure_learner(arms: Arms, size: Size, engine: bool, say: Say = lambda line: None) -> LearnerFigures:
    """All figures, from files in the arms' folder. With `engine` one is started, and asked while training runs.

    Raises `JobError` where an arm fails, and `EngineError` where the engine does not start.
    """
    began = time.monotonic()
    folder, prose, tokens = arms.folder, load_prose(), Tokens(arms.model_dir)
    write_rows(folder / f"{THUMBS}.jsonl", make_thumbs(size.rows, prose, tokens))
    write_rows(folder / f"{PAIRS}.jsonl", make_pairs(size.rows, prose, tokens))
    daily = TrainSettings(passes=size.passes, validation_votes=ALL_TEACH)
    whole = msgspec.structs.replace(daily, lead_tokens=WHOLE, learn_share=1.0)
    ran = await _take_turns(arms, daily, whole, size, say)
    say("growth with rows, length and rank")
    trained = await measure_training(arms, whole, prose, tokens, size.growth_rows, size.rounds)
    say("growth with history")
    history = await measure_growth(folder, size.messages, size.votes, size.history_rounds, shipped_cleaner(), MAX_NEAR)
    chats = await _chats(arms, daily, prose, size.chats, say) if engine else None
    rows_per_s = _by_arm(ran, lambda results: 1 / seconds_per("rows", _trained(results)))
    return LearnerFigures(
        thumbs=rows_per_s[THUMBS],
        pairs=rows_per_s[PAIRS],
        tokens_per_s=_by_arm(ran, lambda results: 1 / seconds_per("tokens", _trained(results))),
        peak_mb=_by_arm(ran, lambda results: max(one.peak_mb for one in results)),
        loss=_by_arm(ran, lambda results: results[0].judged),
        rows_seen=_by_arm(ran, lambda results: _trained(results)[0].rows),
        growth=compare(trained, history, train_s=size.votes / rows_per_s[THUMBS][Arm.MIXED_DAILY]),
        chat_p95_ratio=chats.ratio if chats else None,
        chats=chats,
        precision=resolve(daily.precision),
        size=size,
        machine=bench.machine(),
        commit=bench.commit(),
        seconds=time.monotonic() - began,
    )


async def _take_turns(arms: Arms, daily: TrainSettings, whole: TrainSettings, size: Size, say: Say) -> Ran:
    """Every arm on every kind of row, once a round; each round begins with another arm, and the first is judged."""
    ran: Ran = {kind: {arm: [] for arm in Arm} for kind in (THUMBS, PAIRS)}
    for number in range(size.rounds):
        for kind, results in ran.items():
            for arm in turned([*Arm], number):
                say(f"round {number + 1} of {size.rounds}: {arm} on {kind}")
                settings = daily if arm is Arm.MIXED_DAILY else whole
                training = Training(str(arms.folder / f"{kind}.jsonl"), settings)
                results[arm].append(await arms.run(arm, [training], judged_rows=0 if number else size.judged_rows))
    return ran


async def _chats(arms: Arms, daily: TrainSettings, prose: Prose, count: int, say: Say) -> ChatFigures:
    say("chats, idle and while training runs")
    training = Training(str(arms.folder / f"{THUMBS}.jsonl"), msgspec.structs.replace(daily, passes=ENDLESS))

    async def train(on_step: Callable[[], None]) -> None:
        await arms.run(Arm.MIXED_DAILY, [training], on_step=on_step)

    return await measure_chats(arms.model_dir, arms.folder / "chats", daily.rank, prose.prompts, count, train)


def _by_arm(ran: Ran, figure: Callable[[Sequence[ArmResult]], T]) -> dict[str, dict[str, T]]:
    return {kind: {arm.value: figure(results) for arm, results in by_arm.items()} for kind, by_arm in ran.items()}


def _trained(results: Sequence[ArmResult]) -> list[Trained]:
    return [one.trained[-1] for one in results]
