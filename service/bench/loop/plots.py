"""The pictures of `ratchet bench loop`: the same figures, the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter

from learner.drawing import BLUE, COLOURS, GREEN, GREY, ORANGE, VERMILION, render
from learner.gate import SuiteComparison, Verdict
from learner.simulated.rounds import Round
from service.bench.loop.figures import LoopFigures, PopulationFigures

PANEL_WIDTH, PANEL_HEIGHT, MOST_ACROSS = 3.6, 3.0, 3  # inches, panels
TASTES = (BLUE, ORANGE)
MARKS = {Verdict.PROMOTE.value: "o", Verdict.REJECT.value: "X", Verdict.INCONCLUSIVE.value: "D"}
NO_VERDICT = "s"
FAR = 4.0  # margins beyond which a suite's change is drawn at the edge
Panel = Callable[[Axes, PopulationFigures], None]


def draw_plots(found: LoopFigures, folder: Path) -> list[Path]:
    """Writes the pictures into the folder, which is made where it is missing; gives their files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, (title, panel, handles) in PLOTS.items():
        file = folder / f"{name}.png"
        file.write_bytes(render(partial(_draw, found, title, panel, handles), "png"))
        files.append(file)
    return files


def _draw(found: LoopFigures, title: str, panel: Panel, handles: Sequence[Line2D]) -> Figure:
    """A panel for each population, and one legend below all."""
    count = len(found.populations)
    across = min(count, MOST_ACROSS)
    down = -(-count // across)
    figure = Figure(figsize=(PANEL_WIDTH * across, PANEL_HEIGHT * down + 0.8), layout="constrained")
    figure.suptitle(title)
    panels = [*figure.subplots(down, across, squeeze=False).flat]
    for axes, (name, one) in zip(panels, found.populations.items(), strict=False):
        axes.set_title(name.replace("_", " "))
        panel(axes, one)
    for axes in panels[count:]:
        axes.set_visible(False)
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False)
    return figure


def _satisfaction(axes: Axes, one: PopulationFigures) -> None:
    """Shares of held-out answers that please each taste, before the first round and after each; and how often a poison is said."""
    _rounds(axes, one, first=0)
    shares = [one.before, *(done.satisfaction for done in one.rounds)]
    for taste, colour in zip(one.before, TASTES, strict=False):
        values = [share[taste] for share in shares]
        axes.plot(range(len(values)), values, color=colour, linewidth=1.8, label=taste)
        for done, value in zip(one.rounds, values[1:], strict=True):
            if done.taste == taste:  # the taste that was voted by
                axes.plot([done.round], [value], MARKS.get(done.verdict, NO_VERDICT), color=colour)
    if poisoned := [done.poison for done in one.rounds if done.poison]:
        said = [poisoned[0].said_before, *(poison.said_after for poison in poisoned)]
        axes.plot(range(len(said)), said, ":", color=VERMILION, linewidth=1.8)
    for earlier, later in zip(one.rounds, one.rounds[1:], strict=False):
        if earlier.taste != later.taste:
            axes.axvline(earlier.round, color=GREY, linestyle="--", linewidth=1)
    axes.set_ylim(-0.03, 1.03)
    axes.grid(visible=True, axis="both")
    axes.legend(fontsize=8, edgecolor="none", framealpha=0.8)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))


def _suites(axes: Axes, one: PopulationFigures) -> None:
    """Each judged candidate's change on each suite, from its bound, in units of the margin that it may not lose."""
    names = sorted({name for done in one.rounds for name in done.suites})
    if not names:
        return _say(axes, "no candidate came to the suites")
    for row, name in enumerate(names):
        judged = [(done, done.suites[name]) for done in one.rounds if name in done.suites]
        for number, (done, suite) in enumerate(judged):
            y = row + 0.6 * ((number + 1) / (len(judged) + 1) - 0.5)
            bound, change = _margins(suite)
            colour = GREY if suite.advisory else BLUE if bound >= -1 else VERMILION
            axes.plot([bound, change], [y, y], color=colour, linewidth=1.5)
            axes.plot([change], [y], MARKS.get(done.verdict, NO_VERDICT), color=colour, markersize=4)
    axes.axvline(0, color=GREY, linewidth=1)
    axes.axvline(-1, color=VERMILION, linewidth=1.5)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)  # the first on top
    axes.set_xlim(-FAR - 0.2, FAR + 0.2)
    axes.set_xlabel("change, in margins")
    return None


def _transfer(axes: Axes, one: PopulationFigures) -> None:
    """Backward transfer after each round, and what cycles gained on their own held-out votes."""
    axes.axhline(0, color=GREY, linewidth=1)
    _rounds(axes, one, first=1)
    lines = {
        GREEN: [(done.round, done.transfer.learnt) for done in one.rounds],
        BLUE: [(done.round, done.transfer.backward) for done in one.rounds],
    }
    for colour, points in lines.items():
        there = [(number, value) for number, value in points if value is not None]
        if there:
            axes.plot(*zip(*there, strict=True), "o-", color=colour, markersize=4)
    if all(value is None for points in lines.values() for _, value in points):
        _say(axes, "nothing was learnt yet")
    axes.set_ylabel("nats per token")


def _times(axes: Axes, one: PopulationFigures) -> None:
    """Minutes of each round: the stages of its cycle, and all else, which is people's questions and held-out ones."""
    _rounds(axes, one, first=1)
    numbers, below = [done.round for done in one.rounds], [0.0] * len(one.rounds)
    for colour, part in zip(COLOURS, STAGES, strict=False):
        minutes = [_minutes(done, part) for done in one.rounds]
        axes.bar(numbers, minutes, bottom=below, color=colour, width=0.6)
        below = [under + more for under, more in zip(below, minutes, strict=True)]
    axes.set_ylabel("minutes")


STAGES = ("curate", "train", "evaluate", "the rest")


def _minutes(done: Round, part: str) -> float:
    if part != STAGES[-1]:
        return done.stages_s.get(part, 0.0) / 60
    return max(done.round_s - sum(done.stages_s.get(stage, 0.0) for stage in STAGES), 0.0) / 60


def _margins(suite: SuiteComparison) -> tuple[float, float]:
    """A suite's bound and change in its margins, no farther than the edges."""
    bound, change = (max(min(value / suite.margin, FAR), -FAR) for value in (suite.lower_bound, suite.delta))
    return bound, change


def _rounds(axes: Axes, one: PopulationFigures, first: int) -> None:
    axes.set_xlim(first - 0.5, len(one.rounds) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("round")


def _say(axes: Axes, words: str) -> None:
    axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center", color=GREY)


def _verdicts(colour: str) -> Iterator[Line2D]:
    for verdict, said in (("promote", "promoted"), ("reject", "refused"), ("inconclusive", "inconclusive")):
        yield Line2D([], [], color=colour, marker=MARKS[verdict], linestyle="", label=said)
    yield Line2D([], [], color=colour, marker=NO_VERDICT, linestyle="", label="no verdict")


PLOTS: dict[str, tuple[str, Panel, Sequence[Line2D]]] = {
    "satisfaction": (
        "Held-out answers that please",
        _satisfaction,
        [
            *_verdicts("black"),
            Line2D([], [], color=GREY, linestyle="--", label="the taste changes here"),
            Line2D([], [], color=VERMILION, linestyle=":", label="says the planted fact"),
        ],
    ),
    "suites": (
        "Frozen suites: change of each candidate, and its lower bound",
        _suites,
        [
            *_verdicts("black"),
            Line2D([], [], color=VERMILION, label="what may not be passed"),
            Line2D([], [], color=GREY, label="advisory"),
        ],
    ),
    "transfer": (
        "What cycles gained on their own held-out votes, and what later ones added to it or took",
        _transfer,
        [
            Line2D([], [], color=GREEN, marker="o", label="learnt"),
            Line2D([], [], color=BLUE, marker="o", label="backward transfer"),
        ],
    ),
    "times": (
        "Where the time of a round goes",
        _times,
        [Line2D([], [], color=colour, linewidth=6, label=part) for colour, part in zip(COLOURS, STAGES, strict=False)],
    ),
}
