"""Where a candidate came from and how long its cycle took, in a page."""

from __future__ import annotations

from collections.abc import Iterator

from learner.report.document import Origin, Report, Timing
from learner.report.language import Words
from learner.report.markup import Row, Section, note, table

SHOWN_HASH = 16


def show_origin(report: Report, words: Words) -> Iterator[Section]:
    origin = report.origin
    told = table(words.t("origin.caption"), _origin(origin, words)) if origin else note(words.t("origin.none"))
    yield Section("origin", words.t("origin.title"), told)
    if report.timings:
        stages = table(words.t("time.caption"), [_timing(one, words) for one in report.timings])
        yield Section("time", words.t("time.title"), stages)


def _origin(origin: Origin, words: Words) -> list[Row]:
    kin: list[Row] = [
        (words.t("origin.continues"), origin.parent),
        (words.t("origin.against"), origin.against),
        (words.t("origin.replaces"), origin.replaced),
    ]
    hashes = [(origin.adapter, origin.sha256), (words.t("origin.base"), origin.base_sha256)]
    hashes += [(words.t("origin.dataset"), origin.dataset_id)]
    hashes += [(words.t("origin.suite", name=name), sha256) for name, sha256 in origin.suites.items()]
    return [*kin, *((name, sha256[:SHOWN_HASH]) for name, sha256 in hashes)]


def _timing(one: Timing, words: Words) -> Row:
    seconds = None if one.seconds is None else words.t("time.seconds", seconds=words.number(one.seconds, ".1f"))
    return words.name("stage", one.stage), seconds or words.t("time.not_ended")
