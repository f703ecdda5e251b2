"""The tables of `ratchet bench loop`."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table

from learner.simulated.rounds import Round
from service.bench.loop.figures import LoopFigures, PopulationFigures
from service.commands.tables import table

COLUMNS = (
    "round", "taste", "votes", "up", "verdict", "liked before", "after", "backward", "poison held", "learnt", "said", "cycle, s",
)  # fmt: skip
WORDS = ("taste", "verdict")


def loop_parts(found: LoopFigures) -> Iterator[str | Table]:
    """A table for each population, and what they come to."""
    for name, one in found.populations.items():
        rows = [_row(done) for done in one.rounds]
        yield table(COLUMNS, rows, right=[column for column in COLUMNS if column not in WORDS], title=f"{name}: {one.about}")
        yield _summary(one)
    yield f"{found.machine}; commit {found.commit or '-'}; {found.seconds:.0f} s"


def _row(done: Round) -> list[object]:
    poison, backward = done.poison, done.transfer.backward
    return [
        done.round,
        done.taste,
        done.votes,
        done.up,
        done.verdict,
        f"{done.heldout_before:.0%}",
        f"{done.heldout_after:.0%}",
        "" if backward is None else f"{backward:+.3f}",
        *(("", "", "") if poison is None else (f"{poison.held} of {poison.rows}", poison.learnt, f"{poison.said_after:.0%}")),
        f"{done.cycle_s:.0f}",
    ]


def _summary(one: PopulationFigures) -> str:
    shares = "; ".join(f"{taste} {share:.0%} → {one.after[taste]:.0%}" for taste, share in one.before.items())
    verdicts = f"{one.promoted} promoted, {one.refused} refused, {one.inconclusive} inconclusive, {one.failed} without a verdict"
    return f"{shares}; {verdicts}; {one.seconds:.0f} s\n"
