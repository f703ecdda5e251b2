"""A report as one page that needs nothing else: no scripts, no network, plots in it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from html import escape

from learner.report.document import Origin, Report, Tried
from learner.report.judged import show_judged
from learner.report.markup import Row, table
from learner.report.plots import draw_curve, draw_transfer
from learner.report.trial import show_trial
from learner.transfer import Mean, Transfer

# What a browser may load for it: nothing. The styles are those below and those of the plots.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #222; background: #fff }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2.2rem }
table { border-collapse: collapse } td, th { padding: .15rem .8rem .15rem 0; text-align: left; vertical-align: top }
td.number { text-align: right; font-variant-numeric: tabular-nums } th { font-weight: 600 } th + th { text-align: right }
svg { max-width: 100%; height: auto } .state { font-weight: 600 } code { font-size: .85em } p.note { color: #666 }
p.summary { font-size: 1.1rem } details { margin: .4rem 0 } summary { cursor: pointer } h3 { font-size: 1rem }
"""


def page(report: Report) -> str:
    """The whole document. Takes seconds, and blocks: plots are drawn."""
    parts = [_head(report), *show_trial(report.path), _learnt_from(report), *_trained(report), *show_judged(report)]
    parts += [*_kept(report.transfer), _came_from(report)]
    title = f"Cycle {report.cycle.id}"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head>\n<body>\n'
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def _head(report: Report) -> str:
    cycle = report.cycle
    began = datetime.fromtimestamp(cycle.started_at_s, UTC).strftime("%Y-%m-%d %H:%M UTC")
    said = f"began {began} by {cycle.trigger}, method {cycle.method}"
    reasons = "".join(f"<li>{escape(reason)}</li>" for reason in cycle.reasons)
    name = f" <code>{escape(cycle.adapter)}</code>" if cycle.adapter else ""
    state = f'<span class="state">{cycle.state.value}</span>'
    summary = f'<p class="summary">{escape(report.summary)}</p>'
    return f"<h1>Cycle {cycle.id}: {state}{name}</h1>{summary}<p>{escape(said)}</p><ul>{reasons}</ul>"


def _learnt_from(report: Report) -> str:
    rows: list[Row] = []
    if report.collected:
        rows.append(("collected", f"{report.collected.answers} answers by {report.collected.people} people"))
    if report.curated:
        rows.append(("worth", f"{report.curated.effective:g} independent votes"))
    rows += [
        (f"{kind} rows to {'learn from' if split == 'train' else 'judge by'}", count)
        for split, kinds in report.rows.items()
        if split != "dropped"
        for kind, count in kinds.items()
    ]
    dropped = report.curated.dropped if report.curated else {}
    rows += [(f"left out: {reason}", count) for reason, count in dropped.items()]
    rows += [(f"waits for review: {reason}", count) for reason, count in report.held.items()]
    return f"<h2>What was learnt from</h2>{table(rows)}" if rows else "<p>Nothing was collected.</p>"


def _trained(report: Report) -> Iterable[str]:
    for curve in report.curves:
        yield f"<h2>Training ({escape(curve.run)})</h2>{draw_curve(curve)}"
    if report.tried:
        yield "<h2>Candidates</h2>" + table(map(_tried, report.tried), ("version", "settings", "loss", "took", "verdict", "why"))


def _tried(tried: Tried) -> Row:
    loss = "" if tried.final_loss is None else f"{tried.final_loss:.4f}"
    measures = [f"{name} {value:.4g}" for name, value in tried.measures.items()]
    why = "; ".join([*([tried.stopped] if tried.stopped else []), *tried.reasons, *measures])
    return tried.adapter, tried.variant or "as they are", loss, f"{tried.seconds:.0f} s", tried.verdict or "not judged", why


def _kept(transfer: Transfer) -> Iterable[str]:
    if not transfer.slices:
        return
    yield f"<h2>What is kept of earlier cycles</h2>{draw_transfer(transfer)}"
    told: list[Row] = [
        ("average margin of the newest version", _mean(transfer.average)),
        ("learnt: gain of each cycle on its own votes", _mean(transfer.learnt)),
        ("backward transfer: what later cycles added to earlier votes", _mean(transfer.backward)),
        ("forward transfer: gain on votes not met yet, over base", _mean(transfer.forward)),
        ("kept of what was learnt before", "not known" if transfer.kept is None else f"{transfer.kept:.0%}"),
    ]
    yield table(told)


def _came_from(report: Report) -> str:
    timings: list[Row] = [(one.stage, "did not end" if one.seconds is None else f"{one.seconds:.1f} s") for one in report.timings]
    return f"<h2>Where it came from</h2>{table(_origin(report.origin))}<h2>How long it took</h2>{table(timings)}"


def _origin(origin: Origin | None) -> list[Row]:
    if origin is None:
        return [("candidate", "there is none")]
    hashes = [(origin.adapter, origin.sha256), ("base", origin.base_sha256), ("dataset", origin.dataset_id)]
    hashes += [(f"suite {name}", sha256) for name, sha256 in origin.suites.items()]
    kin = [("continues", origin.parent), ("judged against", origin.against), ("to replace", origin.replaced)]
    return [*kin, *((name, sha256[:16]) for name, sha256 in hashes)]


def _mean(mean: Mean) -> str:
    missing = f" ({mean.missing} of {mean.terms + mean.missing} were not scored)" if mean.missing else ""
    return ("not known" if mean.value is None else f"{mean.value:+.4f}") + missing
