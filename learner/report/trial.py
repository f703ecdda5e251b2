"""The path of a canary, in a page: how many people had the version, what they thought of it, and how it ended."""

from __future__ import annotations

from collections.abc import Iterable

from learner.report.document import CanaryMove, CanaryPath
from learner.report.markup import Row, note, table
from learner.report.trial_plot import draw_path, hours
from learner.sequential import Bounds

STEP_HEAD = ("after", "step", "stage", "share", "answers", "people", "votes", "liked more", "at least", "at most", "by", "why")


def show_trial(path: CanaryPath | None) -> Iterable[str]:
    if path is None:
        return
    canary = path.canary
    yield f"<h2>Tried by people</h2>{draw_path(path)}"
    yield note("Share of thumbs up per person on the candidate's answers, minus on those of the live version, and its bounds.")
    yield table([_move(path, move) for move in path.moves], STEP_HEAD)
    if faults := last_faults(path):
        rows = [(name, *_numbers(bounds)) for name, bounds in faults.items()]
        yield "<h3>Faults of its answers at the last of these</h3>" + table(rows, ("fault", "rise", "at least", "at most"))
    ended = "" if canary.ended_at_s is None else f" after {hours(path, canary.ended_at_s):.1f} h"
    yield table([("compared with", canary.against), (f"{canary.state.value}{ended}", canary.reason)])


def last_faults(path: CanaryPath) -> dict[str, Bounds]:
    """How much more of its answers had each fault, at the newest move that was judged."""
    judged = [move.judgement for move in path.moves if move.judgement is not None]
    return {fault.value: bounds for fault, bounds in judged[-1].faults.items()} if judged else {}


def _move(path: CanaryPath, move: CanaryMove) -> Row:
    where = f"{hours(path, move.at_s):.1f} h", move.step, move.stage + 1, f"{move.share:.0%}"
    known = move.judgement
    counts = ("", "", "") if known is None else (known.answers, known.people, known.thumbs)
    votes = _numbers(known.votes) if known and known.votes else ("", "", "")
    return *where, *counts, *votes, move.actor, move.reason


def _numbers(bounds: Bounds) -> tuple[str, str, str]:
    return f"{bounds.delta:+.3f}", f"{bounds.lower:+.3f}", f"{bounds.upper:+.3f}"
