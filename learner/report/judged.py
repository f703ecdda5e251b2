"""What the gate went by, in a page: held-out votes and frozen suites."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from learner.gate import Comparison
from learner.report.document import Moved, Report, SuiteChange
from learner.report.language import Words
from learner.report.markup import Row, Section, folded, note, table
from learner.report.plots import draw_moved, draw_suites, kind_of, suite_of

SUITE_HEAD = ("suite", "live", "candidate", "change", "bound", "least", "won", "lost")
ITEM_HEAD = ("item", "topic", "before", "after", "change")
MOVED_HEAD = ("kind", "votes", "people", "change", "error")


def show_judged(report: Report, words: Words) -> Iterator[Section]:
    if report.votes:
        yield Section("votes", words.t("votes.title"), _votes(report.votes, words))
    if report.moved:
        yield Section("moved", words.t("moved.title"), draw_moved(report.moved, words) + _moved(report.moved, words))
    if report.suites:
        yield Section("suites", words.t("suites.title"), _suites(report, words))


def _votes(votes: Comparison, words: Words) -> str:
    gain, least = (words.number(value, "+.3f") for value in (votes.delta, votes.lower_bound))
    rows: list[Row] = [
        (words.t("votes.before"), words.number(votes.live, ".3f")),
        (words.t("votes.candidate"), words.number(votes.candidate, ".3f")),
        (words.t("votes.gain"), words.t("votes.gained", gain=gain, least=least)),
    ]
    return table(words.t("votes.caption"), rows) + note(words.t("votes.note"))


def _moved(groups: Sequence[Moved], words: Words) -> str:
    rows: list[Row] = [
        (kind_of(one, words), one.votes, one.people, words.number(one.change, "+.4f"), words.number(one.error)) for one in groups
    ]
    return table(words.t("moved.caption"), rows, [words.t(f"moved.{name}") for name in MOVED_HEAD])


def _suites(report: Report, words: Words) -> str:
    head = [words.t(f"suites.{name}") for name in SUITE_HEAD]
    parts = [draw_suites(report.suites, words)]
    parts.append(table(words.t("suites.caption"), [_suite(one, words) for one in report.suites], head))
    parts.append(note(words.t("suites.note")))
    parts += [_items(one, words) for one in report.suites if one.moves]
    if report.origin:
        parts.append(note(words.t("suites.more", against=report.origin.against, adapter=report.origin.adapter)))
    return "".join(parts)


def _suite(one: SuiteChange, words: Words) -> Row:
    scores = (words.number(score) for score in (one.live, one.candidate))
    changes = (words.number(change, "+.4f") for change in (one.delta, one.lower_bound, -one.margin))
    return suite_of(one, words), *scores, *changes, one.won, one.lost


def _items(one: SuiteChange, words: Words) -> str:
    """The items of one suite that moved most."""
    rows: list[Row] = [
        (
            move.item,
            move.topic,
            *(words.number(score, ".3f") for score in (move.before, move.after)),
            words.number(move.after - move.before, "+.3f"),
        )
        for move in one.moves
    ]
    title = words.t("suites.moved", name=one.name, count=len(rows))
    return folded(title, table(title, rows, [words.t(f"suites.{name}") for name in ITEM_HEAD]))
