"""The plots of a report, as figures of a page, in the page's own colours of ink and paper."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from learner.drawing import BLUE, COLOURS, GREY, SKY, VERMILION, render
from learner.report.document import Curve, Moved, SuiteChange
from learner.report.language import Words
from learner.report.markup import picture
from learner.train.spec import Step
from learner.transfer import BASE_CYCLE, Transfer

WIDTH = 10.0  # inches
UNPLOTTED = {"grad_norm"}
PALE = 0.35
DARK, LIGHT = "#111111", "#fefefe"  # ink on coloured cells: black would become the page's ink, white its paper
NUMBERED = re.compile(r' id="[A-Za-z0-9]+_\d+"')  # the names of the parts, which are the same in each plot


def draw_curve(curve: Curve, words: Words) -> str:
    """Loss with its parts, divergence, margin and speed over the steps of a training."""

    def make() -> Figure:
        figure = Figure(figsize=(WIDTH, 5.6), layout="constrained")
        names = sorted({name for step in curve.steps for name in step.terms} - UNPLOTTED - {"loss"})
        far = [name for name in names if "kl" in name or "ending" in name]
        gains = [name for name in names if "margin" in name or "reward" in name]
        panels = figure.subplots(2, 2, sharex=True).flat
        for panel, (title, shown) in zip(
            panels,
            (
                (words.t("plot.loss"), ["loss", *(name for name in names if name not in {*far, *gains})]),
                (words.t("plot.distance"), far),
                (words.t("plot.rewards"), gains),
                (words.t("plot.speed"), ["rows_per_s"]),
            ),
            strict=True,
        ):
            _lines(panel, title, curve.steps, shown)
            if not shown:
                panel.text(0.5, 0.5, words.t("plot.not_measured"), transform=panel.transAxes, ha="center", color=GREY)
        return figure

    first, last = (words.number(curve.steps[at].loss) for at in (0, -1))
    return picture(to_svg(make), words.t("training.alt", steps=curve.steps[-1].step, first=first, last=last))


def draw_suites(suites: Sequence[SuiteChange], words: Words) -> str:
    """A forest plot: each suite's change and its lower bound, in units of the margin that it may not lose.

    Suites that never decide are pale.
    """

    def make() -> Figure:
        figure = Figure(figsize=(WIDTH, 1.2 + 0.4 * len(suites)), layout="constrained")
        axes = figure.subplots()
        for row, suite in enumerate(suites):
            delta, bound = suite.delta / suite.margin, suite.lower_bound / suite.margin
            colour, alpha = BLUE if suite.room >= 0 else VERMILION, PALE if suite.advisory else 1.0
            axes.plot([bound, delta], [row, row], color=colour, alpha=alpha, linewidth=2)
            axes.plot([bound], [row], "|", color=colour, alpha=alpha, markersize=9)
            axes.plot([delta], [row], "o", color=colour, alpha=alpha)
            axes.plot([-1], [row], "|", color=VERMILION, alpha=alpha, markersize=16, markeredgewidth=2)
        axes.axvline(0, color=GREY, linewidth=1)
        axes.set_xlabel(words.t("plot.suites"))
        _name(axes, [suite_of(suite, words) for suite in suites])
        return figure

    said = "; ".join(f"{suite.name} {words.number(suite.delta, '+.4f')}" for suite in suites)
    return picture(to_svg(make), words.t("suites.alt", said=said))


def draw_moved(groups: Sequence[Moved], words: Words) -> str:
    """How far held-out answers moved, by what people had said of them."""

    def make() -> Figure:
        figure = Figure(figsize=(WIDTH, 1.2 + 0.32 * len(groups)), layout="constrained")
        axes = figure.subplots()
        axes.barh(
            range(len(groups)),
            [group.change for group in groups],
            xerr=[group.error for group in groups],
            color=[SKY if group.change >= 0 else VERMILION for group in groups],
            ecolor=GREY,
            height=0.6,
        )
        axes.axvline(0, color=GREY, linewidth=1)
        axes.set_xlabel(words.t("plot.moved"))
        _name(axes, [f"{kind_of(group, words)} ({group.votes})" for group in groups])
        return figure

    said = "; ".join(f"{kind_of(group, words)} {words.number(group.change, '+.4f')}" for group in groups)
    return picture(to_svg(make), words.t("moved.alt", said=said))


def draw_transfer(transfer: Transfer, words: Words) -> str:
    """The matrix as a heat map: a version in each row, a cycle's held-out votes in each column."""

    def make() -> Figure:
        rows, columns = len(transfer.lines), len(transfer.slices)
        figure = Figure(figsize=(min(WIDTH, 2.5 + 0.8 * columns), 1.4 + 0.36 * rows), layout="constrained")
        axes = figure.subplots()
        margins = [[cell.margin if cell else float("nan") for cell in line.cells] for line in transfer.lines]
        far = max((abs(cell.margin) for line in transfer.lines for cell in line.cells if cell), default=1.0) or 1.0
        axes.pcolormesh(margins, cmap="RdBu", vmin=-far, vmax=far, edgecolors="white", linewidth=1)
        for row, line in enumerate(transfer.lines):
            for column, cell in enumerate(line.cells):
                said, ink = ("", DARK) if cell is None else (words.number(cell.margin, "+.2f"), _ink(cell.margin, far))
                axes.text(column + 0.5, row + 0.5, said, ha="center", va="center", color=ink, fontsize=8)
        axes.grid(visible=False)
        cycles = [words.t("kept.cycle", number=number) for number in transfer.slices]
        axes.set_xticks([column + 0.5 for column in range(columns)], cycles, rotation=45)
        axes.set_yticks([row + 0.5 for row in range(rows)], [version(line.cycle, line.adapter, words) for line in transfer.lines])
        axes.invert_yaxis()
        axes.set_xlabel(words.t("plot.used"))
        return figure

    return picture(to_svg(make), words.t("kept.alt"))


def _lines(axes: Axes, title: str, steps: Sequence[Step], names: Sequence[str]) -> None:
    axes.set_title(title)
    axes.grid(visible=True, axis="both")
    for number, name in enumerate(names):
        there = [(step.step, value) for step in steps if (value := _value(step, name)) is not None]
        label = name.replace("_", " ")
        width = 1.8 if name == "loss" else 1.0
        axes.plot(*zip(*there, strict=True), color=COLOURS[number % len(COLOURS)], linewidth=width, label=label)
    if len(names) > 1:
        axes.legend(frameon=False, fontsize=7)


def _value(step: Step, name: str) -> float | None:
    return {"loss": step.loss, "rows_per_s": step.rows_per_s}.get(name, step.terms.get(name))


def _name(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)  # the first on top


def suite_of(suite: SuiteChange, words: Words) -> str:
    """Its name, and what it has to say in the verdict."""
    said = "veto" if suite.veto else "advisory" if suite.advisory else ""
    return words.t(f"suites.{said}", name=suite.name) if said else suite.name


def kind_of(group: Moved, words: Words) -> str:
    """What the people of a group had said of the answers."""
    because, _, reason = group.kind.rpartition(": ")
    return words.t("moved.because", reason=words.name("reason", reason)) if because else words.name("kind", group.kind)


def _ink(margin: float, far: float) -> str:
    return LIGHT if abs(margin) > 0.6 * far else DARK


def version(cycle: int, adapter: str, words: Words) -> str:
    """A row of the matrix."""
    return adapter if cycle == BASE_CYCLE else words.t("kept.after", cycle=cycle, adapter=adapter)


def to_svg(make: Callable[[], Figure]) -> str:
    """The picture alone, without what a file of its own begins with. Its ink is the page's, and its paper shows through."""
    file = render(make, "svg").decode()
    svg = NUMBERED.sub("", file[file.index("<svg") :])
    return svg.replace("fill: #ffffff", "fill: none").replace("stroke: #000000", "stroke: currentColor")
