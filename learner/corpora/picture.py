"""`Stats` as a picture: how large, how long, how repetitive and how varied, in four panels. The same figures, the same bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from learner.corpora.stats import Stats
from learner.corpora.tally import Group
from learner.drawing import BLUE, COLOURS, GREEN, GREY, ORANGE, SKY, VERMILION, PictureFormat, render

MAX_BARS = 16  # domains or groups in a panel, the largest ones
MAX_LABEL = 32  # characters


def draw(stats: Stats, format: PictureFormat) -> bytes:
    """The picture's file. Takes a second or so, and blocks."""
    return render(lambda: _figure(stats), format)


def _figure(stats: Stats) -> Figure:
    groups = stats.groups[:MAX_BARS]
    rows = max(len(groups), len({group.domain for group in groups}), 3)
    figure = Figure(figsize=(13, 3 + 0.7 * rows), layout="constrained")
    more = f", the {MAX_BARS} largest of {len(stats.groups)} groups" if len(stats.groups) > MAX_BARS else ""
    figure.suptitle(f"{stats.total.texts:,} texts, about {_thousands(stats.total.tokens)} tokens{more}", fontsize=13)
    if not groups:
        figure.text(0.5, 0.5, "no documents and no answers yet", ha="center")
        return figure
    panels = figure.subplots(2, 2).flat
    for panel, fill in zip(panels, (_sizes, _lengths, _duplicates, _diversity), strict=True):
        fill(panel, groups)
    return figure


def _sizes(axes: Axes, groups: Sequence[Group]) -> None:
    axes.set_title("Size by domain and language")
    axes.set_xlabel("tokens, estimated")
    domains = list(dict.fromkeys(group.domain for group in groups))
    sizes = Counter[str]()
    for group in groups:
        sizes[group.language] += group.tokens
    languages = sorted(sizes, key=lambda language: (-sizes[language], language))
    done, named = Counter[str](), dict[str, Any]()
    for number, language in enumerate(languages):
        here = {domain: sum(one.tokens for one in groups if (one.domain, one.language) == (domain, language)) for domain in domains}
        colour = COLOURS[number] if number < len(COLOURS) else GREY
        left = [done[domain] for domain in domains]
        bars = axes.barh(range(len(domains)), list(here.values()), left=left, color=colour, edgecolor="white", linewidth=0.6)
        if number < len(COLOURS):
            named[_short(language or "none")] = bars
        done.update(here)
    _name(axes, domains)
    axes.xaxis.set_major_formatter(FuncFormatter(_thousands))
    axes.legend(list(named.values()), list(named), title="stated language", frameon=False)


def _lengths(axes: Axes, groups: Sequence[Group]) -> None:
    axes.set_title("Length of texts")
    axes.set_xlabel("words: 5 % to 95 % of texts (line), 25 % to 75 % (bar), median (dot)")
    for row, group in enumerate(groups):
        p5, p25, p50, p75, p95 = group.length_words
        axes.plot([p5, p95], [row, row], color=BLUE, linewidth=1.5)
        axes.barh(row, p75 - p25, left=p25, height=0.5, color=SKY)
        axes.plot([p50], [row], "o", color=VERMILION)
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter(FuncFormatter(_thousands))
    _name(axes, _names(groups))


def _duplicates(axes: Axes, groups: Sequence[Group]) -> None:
    axes.set_title("Duplicates")
    axes.set_xlabel("share of texts; near ones on a sample")
    rows = range(len(groups))
    axes.barh([row - 0.2 for row in rows], [one.exact_duplicates for one in groups], height=0.38, color=BLUE, label="exact")
    near = [one.near_duplicates for one in groups]
    axes.barh([row + 0.2 for row in rows], near, height=0.38, color=ORANGE, hatch="//", edgecolor="white", label="near or exact")
    axes.set_xlim(0, max(0.05, *near, *(one.exact_duplicates for one in groups)) * 1.05)
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.legend(frameon=False)
    _name(axes, _names(groups))


def _diversity(axes: Axes, groups: Sequence[Group]) -> None:
    axes.set_title("Diversity: different n-grams")
    axes.set_xlabel("share of all n-grams of a sample")
    for order, (marker, colour) in enumerate((("o", BLUE), ("s", ORANGE), ("^", GREEN))):
        label = f"{order + 1} word{'s' if order else ''}"
        axes.plot([one.spread.distinct[order] for one in groups], range(len(groups)), marker, color=colour, label=label)
    axes.set_xlim(0, 1.03)
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.legend(frameon=False)
    _name(axes, _names(groups))


def _name(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), [_short(name) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)  # the first on top


def _names(groups: Sequence[Group]) -> list[str]:
    return [" · ".join(part for part in (group.domain, group.kind, group.language) if part) for group in groups]


def _short(name: str) -> str:
    return name if len(name) <= MAX_LABEL else f"{name[: MAX_LABEL - 1]}…"


def _thousands(value: float, _: Any = None) -> str:
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:g}"
