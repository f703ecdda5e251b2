"""`ratchet gate`: how often the gate, and the trial of a version on a share of the people, are wrong; and by which scores."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from service.client import Client
from service.commands.terminal import Commands, Failure, command, group, show, writing
from service.config import default_home, load_config

if TYPE_CHECKING:
    from learner.canary_simulation import CanaryErrors, Ending, Rate
    from learner.selftest.measured import Pair
    from service.bench.selftest import SelfTestFigures


def add(commands: Commands) -> None:
    gate = group(commands, "gate", "how often decisions are wrong")
    selftest = command(gate, "selftest", _selftest, "judge candidates of which the truth is known", json=True)
    selftest.add_argument("--trials", type=int, default=500, metavar="N", help="of each kind of candidate (%(default)s)")
    selftest.add_argument("--measured", type=Path, metavar="FILE", help="scores to draw from (default: those that are shipped)")
    measure = command(gate, "measure", _measure, "take scores to draw from out of cycles of the running service", json=True)
    measure.add_argument("file", metavar="FILE", type=Path, help="to write, for `gate selftest --measured`")
    measure.add_argument("--cycle", type=int, action="append", default=[], metavar="N", help="whose candidate's suites were scored")
    about = "one whose candidate was made to please its voters whatever it costs"
    measure.add_argument("--hollow", type=int, action="append", default=[], metavar="N", help=about)
    measure.set_defaults(misuse=measure.error)
    canary = command(gate, "canary", _canary, "try many versions on simulated people, looking after every vote", json=True)
    canary.add_argument("--trials", type=int, default=10_000, metavar="N", help="of each kind of version (%(default)s)")
    for asked in (selftest, canary):
        asked.add_argument("--seed", type=int, default=0, help="the same gives the same figures (%(default)s)")


def _selftest(arguments: argparse.Namespace) -> None:
    from learner.selftest.measured import NothingMeasured, load_measured
    from service.bench.selftest import measure_selftest

    try:
        measured = load_measured(arguments.measured)
    except NothingMeasured as error:
        raise Failure(str(error)) from error
    settings, trials = load_config(default_home()).learner.gate, _positive(arguments.trials)
    found = measure_selftest(measured, settings, trials, arguments.seed, _tell)
    show(arguments, found, _selftest_lines)


def _measure(arguments: argparse.Namespace) -> None:
    from learner.selftest.measured import Measured, Pair

    if not arguments.cycle:
        arguments.misuse("expected --cycle N, one or more")
    wanted = [*((number, False) for number in arguments.cycle), *((number, True) for number in arguments.hollow)]
    with Client() as client:
        taken = [client.get(f"/api/cycles/{number}/measured?hollow={str(hollow).lower()}") for number, hollow in wanted]
    measured = Measured([msgspec.convert(pair, Pair) for pair in taken])
    with writing(arguments.file):
        arguments.file.write_bytes(msgspec.json.encode(measured))
    lines = [_pair_line(number, pair) for (number, _), pair in zip(wanted, measured.pairs, strict=True)]
    show(arguments, {"file": str(arguments.file.resolve()), "pairs": len(lines)}, lambda _: lines)


def _pair_line(number: int, pair: Pair) -> str:
    items = sum(len(suite.live) for suite in pair.suites)
    return f"cycle {number}: {len(pair.suites)} suites, {items} items, {len(pair.votes)} votes{', hollow' if pair.hollow else ''}"


def _tell(done: int, of: int) -> None:
    print(f"{done} of {of} kinds of candidates are judged", file=sys.stderr, flush=True)


def _selftest_lines(found: SelfTestFigures) -> list[str]:
    lines = [f"{'':10}  {'gate':>7}  {'95 % interval':>15}  {'mean beats mean':>15}   of {found.trials} trials"]
    for said, own, plain in (
        ("promoted", found.false_promote, found.greedy.false_promote),
        ("refused", found.false_reject, found.greedy.false_reject),
    ):
        for kind, rate in own.items():
            low, high = found.intervals[kind]
            lines.append(f"{kind:10}  {rate:7.2%}  {low:6.2%} … {high:6.2%}  {plain[kind]:15.2%}   wrongly {said}")
    low, high = found.null_over_cycles_interval
    told = f"{found.null_over_cycles:.2%} ({low:.2%} … {high:.2%})"
    lines.append(f"Of rows of {found.cycles} cycles with nothing to find, {told} put anything live.")
    return [*lines, f"{found.machine}; commit {found.commit or '-'}; {found.seconds:.0f} s"]


def _canary(arguments: argparse.Namespace) -> None:
    from learner.canary_simulation import CROWD, simulate

    found = simulate(_positive(arguments.trials), arguments.seed, CROWD, load_config(default_home()).learner.release)
    show(arguments, found, _canary_lines)


def _canary_lines(found: CanaryErrors) -> list[str]:
    def rate(told: Rate) -> str:
        return f"{told.share:7.2%} ({told.low:.2%} … {told.high:.2%})"

    def ending(name: str, told: Ending) -> str:
        ended = f"promoted {told.promoted:7.2%}, rolled back {told.rolled_back:7.2%}, undecided {told.undecided:7.2%}"
        return f"{name:24} {told.change:+.2f}: {ended}, after {told.votes:.0f} votes"

    return [
        f"an equal version rolled back              {rate(found.false_rollback)}",
        f"  by a test made for one look             {rate(found.plain_false_rollback)}",
        f"one worse by the tolerated loss promoted  {rate(found.false_promote)}",
        f"  by a test made for one look             {rate(found.plain_false_promote)}",
        *(ending(name, told) for name, told in found.endings.items()),
    ]


def _positive(trials: int) -> int:
    if trials < 1:
        raise Failure(f"--trials is {trials}; expected 1 or more")
    return trials
