"""What is kept of earlier cycles, in a page: the forgetting matrix, and what it comes to."""

from __future__ import annotations

from collections.abc import Iterator

from learner.report.language import Words
from learner.report.markup import Row, Section, table
from learner.report.plots import draw_transfer, version
from learner.transfer import Mean, Transfer

MEANS = ("average", "learnt", "backward", "forward")


def show_kept(transfer: Transfer, words: Words) -> Iterator[Section]:
    if not transfer.slices:
        return
    content = draw_transfer(transfer, words) + _matrix(transfer, words) + _means(transfer, words)
    yield Section("kept", words.t("kept.title"), content)


def _matrix(transfer: Transfer, words: Words) -> str:
    rows: list[Row] = [
        (
            version(line.cycle, line.adapter, words),
            *("" if cell is None else words.number(cell.margin, "+.3f") for cell in line.cells),
        )
        for line in transfer.lines
    ]
    head = [words.t("kept.version"), *(words.t("kept.cycle", number=number) for number in transfer.slices)]
    return table(words.t("kept.caption"), rows, head)


def _means(transfer: Transfer, words: Words) -> str:
    means = (transfer.average, transfer.learnt, transfer.backward, transfer.forward)
    rows: list[Row] = [(words.t(f"kept.{name}"), _mean(mean, words)) for name, mean in zip(MEANS, means, strict=True)]
    kept = words.t("kept.not_known") if transfer.kept is None else words.number(transfer.kept, ".0%")
    return table(words.t("kept.means"), [*rows, (words.t("kept.kept"), kept)])


def _mean(mean: Mean, words: Words) -> str:
    value = words.t("kept.not_known") if mean.value is None else words.number(mean.value, "+.4f")
    return words.t("kept.missing", value=value, missing=mean.missing, all=mean.terms + mean.missing) if mean.missing else value
