"""A report as one page that needs nothing else: no scripts, no network, plots in it. It reads in the dark and on paper."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from html import escape
from pathlib import Path

from learner.report.document import Report
from learner.report.judged import show_judged
from learner.report.kept import show_kept
from learner.report.language import Words
from learner.report.made import show_made
from learner.report.markup import POLICY, Section
from learner.report.origin import show_origin
from learner.report.trial import show_trial


def page(report: Report, words: Words) -> str:
    """The whole document. Takes seconds, and blocks: plots are drawn."""
    sections = list(_sections(report, words))
    body = [_head(report, words), _contents(sections, words), *(section.html() for section in sections), _foot(report, words)]
    return (
        f'<!doctype html>\n<html lang="{words.language}"><head><meta charset="utf-8">'
        f"<title>{escape(words.t('title', id=report.cycle.id))} · Ratchet</title>"
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}"><meta name="color-scheme" content="light dark">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_style()}</style></head>\n'
        f'<body class="{report.cycle.state}"><main>\n' + "\n".join(body) + "\n</main></body></html>\n"
    )


@cache
def _style() -> str:
    return (Path(__file__).parent / "page.css").read_text()


def _sections(report: Report, words: Words) -> Iterator[Section]:
    yield from show_trial(report.path, words)
    yield from show_judged(report, words)
    yield from show_made(report, words)
    yield from show_kept(report.transfer, words)
    yield from show_origin(report, words)


def _head(report: Report, words: Words) -> str:
    """How it ended and why, before anything else."""
    cycle = report.cycle
    summary = report.summaries.get(words.language, report.summary)
    name = f" <code>{escape(cycle.adapter)}</code>" if cycle.adapter else ""
    state = f'<span class="state">{escape(words.name("state", cycle.state))}</span>'
    began = words.t("began", time=_time(cycle.started_at_s), trigger=words.name("trigger", cycle.trigger), method=cycle.method)
    reasons = "".join(f"<li>{escape(reason)}</li>" for reason in cycle.reasons)
    recorded = f'<p class="note">{escape(words.t("reasons"))}</p><ul lang="en">{reasons}</ul>' if reasons else ""
    return (
        f"<h1>{escape(words.t('title', id=cycle.id))}: {state}{name}</h1>"
        f'<p class="summary">{escape(summary)}</p><p>{escape(began)}</p>{recorded}'
    )


def _contents(sections: Sequence[Section], words: Words) -> str:
    links = "".join(f'<li><a href="#{one.id}">{escape(one.title)}</a></li>' for one in sections)
    return f'<nav aria-label="{escape(words.t("contents"))}"><ul>{links}</ul></nav>'


def _foot(report: Report, words: Words) -> str:
    return f'<p class="note">{escape(words.t("made", time=_time(report.made_at_s)))}</p>'


def _time(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M UTC")
