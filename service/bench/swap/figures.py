"""What `ratchet bench swap` measures, and how it is summed up from what streams heard."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from msgspec import Struct

from service import bench
from service.bench.heard import Heard
from service.bench.spread import Spread, spread

REASONS = 5  # why answers failed, that are told
LEAST_INTERRUPTION_MS = 1.0  # a stall of less is not told from the machine's own unrest


class Size(Struct, frozen=True):
    """How much is measured."""

    swaps: int = 20  # each to another version, and back
    streams: int = 32
    answer_tokens: int = 64  # of each stream's answers, at most
    rank: int = 16
    after: int = 10  # short answers one after another, once a version is live
    around_s: float = 0.5  # after a move, in which what running streams notice is the move's
    restarts: int = 3  # of the engine; 0 for one that is not ours to kill
    max_model_len: int = 2048


QUICK = Size(swaps=2, streams=4, answer_tokens=128, restarts=1)


class Move(Struct, frozen=True):
    """One version live and back again. Times in milliseconds; spans are [begin, end] by `time.perf_counter`, in seconds."""

    version: str
    load_ms: float  # the engine reads the adapter
    flip_ms: float  # from the call that puts it live until every new request is its
    commit_ms: float  # of that, the commit, and reading and telling who answers
    rollback_ms: float  # the whole way back: files proved, loaded, committed, told
    after: list[Heard]  # first answers of the version, one after another
    swapped: tuple[float, float]
    returned: tuple[float, float]
    quiet: tuple[float, float]  # as long as a swap, before it: what running streams notice of nothing at all


class SwapFigures(Struct, frozen=True):
    """Counts are of streams. `interruption_ratio` is a restart's seconds by the longest stall that any stream saw of a move."""

    failed: int  # ended otherwise than whole
    reasons: list[str]  # of those, each once, at most `REASONS`
    mixed: int  # named two versions
    misrouted: int  # begun when a version was live, and answered by another
    answers: int
    flip_ms: Spread
    commit_ms: Spread
    load_ms: Spread
    rollback_ms: Spread
    stall_ms: Spread
    quiet_stall_ms: Spread  # the same measure when nothing moves
    first_answer_ms: Spread  # to the first frame
    tenth_answer_ms: Spread
    restart_s: float | None  # without answers; null where there was none
    interruption_ratio: float | None
    size: Size
    machine: str
    commit: str
    seconds: float


def summarize(
    heard: Sequence[Heard], moves: Sequence[Move], restarts_s: Sequence[float], size: Size, seconds: float
) -> SwapFigures:
    """The figures of what was heard, of one move or more."""
    everything = [*heard, *(one for move in moves for one in move.after)]
    stalls = _stalls_ms(heard, [span for move in moves for span in (move.swapped, move.returned)])
    begun = [(move.version, one) for move in moves for one in move.after]
    restart_s = median(restarts_s) if restarts_s else None
    return SwapFigures(
        failed=sum(not one.whole for one in everything),
        reasons=sorted({one.error for one in everything if not one.whole})[:REASONS],
        mixed=sum(len(one.models) > 1 for one in everything),
        misrouted=sum(one.whole and one.models != {f"ratchet@{version}"} for version, one in begun),
        answers=len(everything),
        flip_ms=spread(move.flip_ms for move in moves),
        commit_ms=spread(move.commit_ms for move in moves),
        load_ms=spread(move.load_ms for move in moves),
        rollback_ms=spread(move.rollback_ms for move in moves),
        stall_ms=spread(stalls),
        quiet_stall_ms=spread(_stalls_ms(heard, [move.quiet for move in moves])),
        first_answer_ms=spread(move.after[0].first_ms for move in moves if move.after[0].frames_at),
        tenth_answer_ms=spread(move.after[-1].first_ms for move in moves if move.after[-1].frames_at),
        restart_s=restart_s,
        interruption_ratio=None if restart_s is None else restart_s * 1000 / max(*stalls, LEAST_INTERRUPTION_MS),
        size=size,
        machine=bench.machine(),
        commit=bench.commit(),
        seconds=seconds,
    )


def _stalls_ms(heard: Sequence[Heard], spans: Sequence[tuple[float, float]]) -> list[float]:
    """One for each stream that ran when a span began."""
    found = (one.stall_ms(*span) for span in spans for one in heard)
    return [stall for stall in found if stall is not None]
