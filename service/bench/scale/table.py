"""The tables of `ratchet bench scale`, and their place in a document."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from service.bench.scale.costs import Costs
from service.bench.scale.needs import LEVELS, Workload, capacities, cycle_of, needs_of, turn_of

BEGIN, END = "<!-- made by `ratchet bench scale` -->", "<!-- until here -->"
PLACE = re.compile(re.escape(BEGIN) + r"\n(.*?)" + re.escape(END), re.DOTALL)
KEPT = re.compile(r"<!-- (\{.*\}) -->")
QUICK = "**These are figures of a moment, by `--quick`: they show the form, and nothing can be told by them.**"


def scale_lines(costs: Costs, work: Workload = Workload()) -> list[str]:  # noqa: B008 (it is frozen)
    """Markdown: what things cost, what one of each part carries, what each level needs."""
    turn, cycle = turn_of(costs, work), cycle_of(costs, work)
    per_gb = 1e9 / (costs.turn_bytes + work.votes_per_turn * costs.vote_bytes)
    lines = [QUICK, ""] if costs.quick else []
    lines += [
        f"Measured on {costs.machine}, at commit {costs.commit or '-'}. Assumed: answers of {work.answer_tokens:g} tokens, "
        f"{work.votes_per_turn:g} votes a turn, a busiest hour {work.peak:g} times the mean, parts at most {work.busy:.0%} full.",
        "",
        *_rows("one", "costs"),
        f"| turn | {turn.service_ms:.3g} ms of one core in the service, {turn.engine_s:.3g} s of the engine's machine, "
        f"{turn.writer_ms:.3g} ms of the writer, {turn.bytes / 1000:.3g} kB |",
        f"| vote | {turn.writer_ms:.3g} ms of the writer, {costs.vote_bytes / 1000:.3g} kB |",
        f"| cycle of {work.cycle_rows} votes, {work.passes} passes | {cycle.curate_s:.3g} s to curate, "
        f"{cycle.learn_s / 3600:.3g} h to learn; its judging does not grow |",
        f"| gigabyte of records | {per_gb / 1000:.3g} thousand turns with votes; {1 / costs.backup_gb_per_s:.3g} s to back up |",
        "",
        *_rows("one", "carries, turns a day"),
        *(f"| {part} | {_count(carried)} |" for part, carried in capacities(costs, work).items()),
        "",
    ]
    return lines + _levels(costs, work)


def _levels(costs: Costs, work: Workload) -> list[str]:
    found = [needs_of(turns, costs, work) for turns in LEVELS.values()]
    table = {
        "turns a second, mean": [_count(one.turns_per_s) for one in found],
        "turns a second, busiest hour": [_count(one.peak_turns_per_s) for one in found],
        "tokens of answers a second then": [_count(one.peak_tokens_per_s) for one in found],
        "engines like this machine": [_count(one.engines) for one in found],
        "service processes, a core each": [_count(one.services) for one in found],
        "of what one writer can do, then": [f"{100 * one.writer_share:.3g} %" for one in found],
        "records a day": [_size(one.gb_per_day) for one in found],
        "records a year": [_size(one.gb_per_year) for one in found],
        "a backup of a year's takes": [_time(one.backup_s) for one in found],
        "cycles a day that learn from every vote": [_count(one.cycles_per_day) for one in found],
        "learners like this machine for them": [_count(one.learners) for one in found],
    }
    head = _rows("turns a day", *LEVELS)
    return [*head, *(f"| {name} | {' | '.join(cells)} |" for name, cells in table.items())]


def _rows(*names: str) -> list[str]:
    return [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]


def _count(number: float) -> str:
    """Three digits, in words where it is large."""
    for size, word in ((1e9, " billion"), (1e6, " million"), (1e3, " thousand")):
        if number >= size:
            return f"{number / size:.3g}{word}"
    return f"{number:.3g}"


def _size(gb: float) -> str:
    for size, unit in ((1e3, "TB"), (1, "GB"), (1e-3, "MB")):
        if gb >= size:
            return f"{gb / size:.3g} {unit}"
    return f"{gb * 1e6:.3g} kB"


def _time(seconds: float) -> str:
    for size, unit in ((24 * 3600, "days"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


def block(costs: Costs) -> str:
    """What stands between the marks of a document: the costs, for programs, and the tables."""
    return "\n".join([f"<!-- {msgspec.json.encode(costs).decode()} -->", "", *scale_lines(costs), ""])


def put_into(document: str, costs: Costs) -> str:
    """The document with new tables. Raises ValueError for one without marks."""
    if not PLACE.search(document):
        raise ValueError(f"it has no {BEGIN} … {END}")
    return PLACE.sub(lambda _: f"{BEGIN}\n{block(costs)}{END}", document)


def costs_in(document: str) -> Costs:
    """The costs that a document's tables were made from. Raises ValueError where there are none."""
    found: Sequence[str] = KEPT.findall(document)
    if len(found) != 1:
        raise ValueError(f"it has costs in {len(found)} places; expected one")
    return msgspec.json.decode(found[0], type=Costs)
