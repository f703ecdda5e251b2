"""The path of a canary, in a page: how many people had the version, what they thought of it, and how it ended."""

from __future__ import annotations

from collections.abc import Iterator

from learner.report.document import CanaryMove, CanaryPath
from learner.report.language import Words
from learner.report.markup import Row, Section, note, table
from learner.report.trial_plot import draw_path, hours
from learner.sequential import Bounds

STEP_HEAD = ("after", "step", "stage", "share", "answers", "people", "votes", "liked", "least", "most", "by", "why")
FAULT_HEAD = ("fault", "rise", "least", "most")


def show_trial(path: CanaryPath | None, words: Words) -> Iterator[Section]:
    if path is None:
        return
    head = [words.t(f"trial.{name}") for name in STEP_HEAD]
    parts = [draw_path(path, words), note(words.t("trial.note"))]
    parts.append(table(words.t("trial.caption"), [_move(path, move, words) for move in path.moves], head))
    if faults := last_faults(path):
        rows: list[Row] = [(words.name("fault", name), *_numbers(bounds, words)) for name, bounds in faults.items()]
        parts.append(table(words.t("trial.faults"), rows, [words.t(f"trial.{name}") for name in FAULT_HEAD]))
    parts.append(table(words.t("trial.end"), _end(path, words)))
    yield Section("trial", words.t("trial.title"), "".join(parts))


def last_faults(path: CanaryPath) -> dict[str, Bounds]:
    """How much more of its answers had each fault, at the newest move that was judged."""
    judged = [move.judgement for move in path.moves if move.judgement is not None]
    return {fault.value: bounds for fault, bounds in judged[-1].faults.items()} if judged else {}


def _end(path: CanaryPath, words: Words) -> list[Row]:
    canary = path.canary
    state = words.name("trial_state", canary.state)
    if canary.ended_at_s is not None:
        state = words.t("trial.ended", state=state, hours=words.number(hours(path, canary.ended_at_s), ".1f"))
    return [(words.t("trial.compared"), canary.against), (state, canary.reason)]


def _move(path: CanaryPath, move: CanaryMove, words: Words) -> Row:
    after = words.t("trial.hours", hours=words.number(hours(path, move.at_s), ".1f"))
    where = after, words.name("step", move.step), move.stage + 1, words.number(move.share, ".0%")
    known = move.judgement
    counts = ("", "", "") if known is None else (known.answers, known.people, known.thumbs)
    votes = _numbers(known.votes, words) if known and known.votes else ("", "", "")
    return *where, *counts, *votes, words.name("actor", move.actor), move.reason


def _numbers(bounds: Bounds, words: Words) -> tuple[str, str, str]:
    delta, lower, upper = (words.number(value, "+.3f") for value in (bounds.delta, bounds.lower, bounds.upper))
    return delta, lower, upper
