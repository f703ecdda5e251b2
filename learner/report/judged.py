"""What the gate went by, in a page: held-out votes and frozen suites."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from learner.gate import Comparison
from learner.report.document import Report, SuiteChange
from learner.report.markup import Row, folded, note, table
from learner.report.plots import draw_moved, draw_suites

SUITE_HEAD = ("suite", "live", "candidate", "change", "bound", "may not be below", "won", "lost")


def show_judged(report: Report) -> Iterable[str]:
    if report.votes:
        yield from _votes(report.votes)
    if report.moved:
        yield f"<h2>Which kinds of feedback moved what</h2>{draw_moved(report.moved)}"
    if report.suites:
        yield from _suites(report.suites)


def _votes(votes: Comparison) -> Iterable[str]:
    yield "<h2>Held-out votes</h2>" + table(
        [
            ("margin of the version before", f"{votes.live:+.4f}"),
            ("margin of the candidate", f"{votes.candidate:+.4f}"),
            ("gain", f"{votes.delta:+.4f}, at least {votes.lower_bound:+.4f}"),
        ]
    )
    yield note("Liked minus disliked answers, log-prob per token; the bound is the one the gate goes by.")


def _suites(suites: Sequence[SuiteChange]) -> Iterable[str]:
    yield f"<h2>Frozen suites</h2>{draw_suites(suites)}"
    yield table(map(_suite, suites), SUITE_HEAD)
    yield note("Won and lost are the items whose score rose above one half, or fell below it.")
    for one in suites:
        if one.moves:
            moves = [(move.item, move.topic, f"{move.before:.3f}", f"{move.after:.3f}") for move in one.moves]
            yield folded(f"{one.name}: {len(moves)} items that moved most", table(moves, ("item", "topic", "before", "after")))


def _suite(one: SuiteChange) -> Row:
    scores = (f"{score:.4f}" for score in (one.live, one.candidate))
    changes = (f"{change:+.4f}" for change in (one.delta, one.lower_bound, -one.margin))
    return f"{one.name} (advisory)" if one.advisory else one.name, *scores, *changes, one.won, one.lost
