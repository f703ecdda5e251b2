"""The picture of a canary's path."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from learner.drawing import BLUE, GREEN, GREY, VERMILION
from learner.report.document import CanaryPath
from learner.report.language import Words
from learner.report.markup import picture
from learner.report.plots import WIDTH, to_svg
from storage.records import CanaryState

HOUR_S = 3600
COLOURS = {"promote": GREEN, "roll_back": VERMILION}  # of the moves that end it


def draw_path(path: CanaryPath, words: Words) -> str:
    """The share of people over time, and below it what was known of the votes at each move."""

    def make() -> Figure:
        figure = Figure(figsize=(WIDTH, 4.4), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True)
        _shares(above, path, words)
        _votes(below, path, words)
        below.set_xlabel(words.t("plot.hours"))
        return figure

    return picture(to_svg(make), words.t("trial.alt"))


def hours(path: CanaryPath, at_s: float) -> float:
    """Since the canary began."""
    return (at_s - path.canary.started_at_s) / HOUR_S


def _shares(axes: Axes, path: CanaryPath, words: Words) -> None:
    times = [0.0, *(hours(path, move.at_s) for move in path.moves)]
    shares = [*(move.share for move in path.moves), path.share]
    if path.canary.ended_at_s is not None:
        times.append(hours(path, path.canary.ended_at_s))
        shares.append(float(path.canary.state is CanaryState.PROMOTED))  # then everybody has it, or else nobody
    axes.step(times, [100 * share for share in shares], where="post", color=BLUE, marker="o", markersize=4)
    axes.set_ylim(-4, 104)
    axes.set_ylabel(words.t("plot.people"))
    for move in path.moves:
        at = hours(path, move.at_s), 100 * move.share
        axes.annotate(words.name("step", move.step), at, (4, 6), textcoords="offset points", fontsize=8)


def _votes(axes: Axes, path: CanaryPath, words: Words) -> None:
    axes.axhline(0, color=GREY, linewidth=1)
    axes.set_ylabel(words.t("plot.liked"))
    for move in path.moves:
        if move.judgement is None or (votes := move.judgement.votes) is None:
            continue
        at, colour = hours(path, move.at_s), COLOURS.get(move.step, BLUE)
        axes.plot([at, at], [votes.lower, votes.upper], "-_", color=colour, linewidth=2)
        axes.plot([at], [votes.delta], "o", color=colour)
    if not any(move.judgement and move.judgement.votes for move in path.moves):
        axes.text(0.5, 0.5, words.t("plot.no_votes"), transform=axes.transAxes, ha="center", va="bottom", color=GREY)
