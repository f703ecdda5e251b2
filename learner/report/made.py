"""What a candidate was made of and how its training went, in a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from learner.report.document import Curve, Report, Tried
from learner.report.language import Words
from learner.report.markup import Row, Section, heading, note, table
from learner.report.plots import draw_curve
from learner.train.spec import Step

SHOWN_ID = 12
HEAD = ("version", "settings", "loss", "took", "verdict", "why")


def show_made(report: Report, words: Words) -> Iterator[Section]:
    yield Section("learnt", words.t("learnt.title"), _learnt_from(report, words))
    if report.curves:
        several = len(report.curves) > 1
        plots = "".join(_curve(curve, words, several) for curve in report.curves)
        yield Section("training", words.t("training.title"), plots)
    if report.tried:
        head = [words.t(f"candidates.{name}") for name in HEAD]
        rows = [_tried(one, words) for one in report.tried]
        yield Section("candidates", words.t("candidates.title"), table(words.t("candidates.caption"), rows, head))


def _learnt_from(report: Report, words: Words) -> str:
    rows: list[Row] = []
    if collected := report.collected:
        told = words.t("learnt.answers", answers=collected.answers, people=collected.people)
        rows.append((words.t("learnt.collected"), told))
    if report.curated:
        rows.append((words.t("learnt.worth"), words.t("learnt.votes", votes=words.number(report.curated.effective, "g"))))
    rows += [
        (words.t(f"learnt.{split}", kind=words.name("kind", kind)), count)
        for split, kinds in report.rows.items()
        if split != "dropped"
        for kind, count in kinds.items()
    ]
    dropped = report.curated.dropped if report.curated else {}
    for key, counts in (("learnt.dropped", dropped), ("learnt.held", report.held)):
        rows += [(words.t(key, reason=words.name("dropped", reason)), count) for reason, count in counts.items()]
    if not rows:
        return note(words.t("learnt.none"))
    more = note(words.t("learnt.more", dataset=report.curated.dataset_id[:SHOWN_ID])) if report.curated else ""
    return table(words.t("learnt.caption"), rows, (words.t("what"), words.t("how_many"))) + more


def _curve(curve: Curve, words: Words, several: bool) -> str:
    """The plot, and its ends as a table."""
    head = [words.t(f"training.{name}") for name in ("quantity", "first", "last")]
    ends = table(words.t("training.caption", run=curve.run), _ends(curve.steps[0], curve.steps[-1], words), head)
    above = heading(words.t("training.run", run=curve.run)) if several else ""
    return above + draw_curve(curve, words) + ends


def _ends(first: Step, last: Step, words: Words) -> Sequence[Row]:
    values = [{"loss": step.loss, **step.terms} for step in (first, last)]
    return [
        (name.replace("_", " "), *(words.number(one[name], ".4g") if name in one else "" for one in values))
        for name in dict.fromkeys([*values[0], *values[1]])
    ]


def _tried(tried: Tried, words: Words) -> Row:
    measures = [f"{name} {words.number(value, '.4g')}" for name, value in tried.measures.items()]
    return (
        tried.adapter,
        tried.variant or words.t("candidates.as_they_are"),
        "" if tried.final_loss is None else words.number(tried.final_loss),
        words.t("time.seconds", seconds=words.number(tried.seconds, ".0f")),
        words.name("verdict", tried.verdict) if tried.verdict else words.t("candidates.not_judged"),
        "; ".join([*([tried.stopped] if tried.stopped else []), *tried.reasons, *measures]),
    )
