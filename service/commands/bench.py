"""`ratchet bench`: figures of this machine."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from learner.engine import EngineError
from learner.jobs import JobError
from learner.model import BUILTIN, ensure_model
from service.commands.terminal import Commands, Failure, command, group, show, writing
from service.config import default_home, models_dir

if TYPE_CHECKING:
    from service.bench.data import DataFigures
    from service.bench.guard import GuardFigures
    from service.bench.learner.measure import LearnerFigures
    from service.bench.learner.spec import Judged
    from service.bench.loop.figures import LoopFigures
    from service.bench.storage import StorageFigures

LITELLM_HELP = (
    "measure LiteLLM's proxy too, in the virtual environment DIR, which is made by "
    "`python -m venv DIR && DIR/bin/pip install 'litellm[proxy]'`"
)


def add(commands: Commands) -> None:
    bench = group(commands, "bench", "figures of this machine")
    storage = command(bench, "storage", _storage, "acknowledged turns and votes per second, and pages", json=True)
    data = command(bench, "data", _data, "rows curated per second and in how much memory; what history costs a cycle", json=True)
    learner = command(bench, "learner", _learner, "rows learnt per second beside TRL, in how much memory, how it grows", json=True)
    learner.add_argument("--model", metavar="DIR", help=f"the model that learns (default: {BUILTIN}, or a tiny one with --quick)")
    learner.add_argument("--rows", type=int, metavar="N", help="votes, and as many pairs")
    learner.add_argument("--engine", action="store_true", help="start the engine too, and time chats while training runs")
    swap = command(bench, "swap", _swap, "what streams notice of another version going live, and of a restart", json=True)
    soak = command(
        bench, "soak", _soak, "chats, votes, swaps and engine kills for an hour: whether every promise was kept", json=True
    )
    soak.add_argument("--minutes", type=float, metavar="N", help="how long (default: 60, or 2 with --quick)")
    engine = command(bench, "engine", _engine, "what adapters cost the engine, and whether their answers are right", json=True)
    engine.add_argument("--stock", action="store_true", help="measure vLLM's own LoRA too, in another engine")
    for served in (swap, soak, engine):
        served.add_argument(
            "--model", metavar="DIR", help=f"the model that answers (default: {BUILTIN}, or a tiny one with --quick)"
        )
    gateway = command(bench, "gateway", _gateway, "what Ratchet adds to an engine's answers, in time and in memory", json=True)
    gateway.add_argument("--litellm", type=Path, metavar="DIR", help=LITELLM_HELP)
    guard = command(bench, "guard", _guard, "what the policy adds to a prompt and to each frame of an answer", json=True)
    scale = command(bench, "scale", _scale, "what a turn, vote, cycle and gigabyte cost, and what more turns a day need", json=True)
    scale.add_argument(
        "reports",
        type=Path,
        metavar="REPORTS",
        help="folder of NAME.json by `ratchet bench NAME --json`; what is missing is measured and put there",
    )
    scale.add_argument(
        "--document", type=Path, metavar="FILE", help="put the tables into this Markdown file, such as deploy/SCALING.md"
    )
    for measured in (storage, data, learner, engine, gateway, swap, soak, guard, scale):
        measured.add_argument("--quick", action="store_true", help="a few rows for a moment: to see that it works")
        measured.add_argument("--dir", type=Path, help="on the disk to measure (default: the disk of the home)")
    _add_loop(bench)


def _add_loop(bench: Commands) -> None:
    loop = command(bench, "loop", _loop, "the whole loop on simulated populations, in hours, with plots", json=True)
    loop.add_argument("--population", action="append", metavar="NAME", help="one of them, or several by several of these")
    loop.add_argument("--rounds", type=int, default=2, metavar="N", help="a day of votes and a cycle each (default: %(default)s)")
    loop.add_argument("--turns", type=int, default=150, metavar="N", help="questions of a round (default: %(default)s)")
    loop.add_argument("--people", type=int, default=60, metavar="N", help="of each taste (default: %(default)s)")
    loop.add_argument("--heldout", type=int, default=60, metavar="N", help="prompts never voted on (default: %(default)s)")
    kept = "keeps each finished population there, from which a new run goes on (default: bench-loop in the home)"
    loop.add_argument("--out", type=Path, metavar="DIR", help=kept)
    loop.add_argument("--plots", type=Path, metavar="DIR", help="draws the plots into this folder")
    loop.add_argument("--from", type=Path, metavar="FILE", dest="report", help="a report that is there already, instead of a run")


def _storage(arguments: argparse.Namespace) -> None:
    from service.bench.storage import QUICK, Size, measure_storage

    with _folder(arguments) as folder:
        figures = measure_storage(Path(folder), QUICK if arguments.quick else Size())
    show(arguments, figures, _storage_lines)


def _data(arguments: argparse.Namespace) -> None:
    from service.bench.data import QUICK, Size, measure_data

    with _folder(arguments) as folder:
        figures = measure_data(Path(folder), QUICK if arguments.quick else Size())
    show(arguments, figures, _data_lines)


def _learner(arguments: argparse.Namespace) -> None:
    from service.bench.learner.measure import QUICK, Size, measure_learner
    from service.bench.learner.run import Arms
    from service.bench.tiny_model import make_tiny_model

    size = QUICK if arguments.quick else Size()
    if arguments.rows is not None:
        if arguments.rows < 2:
            raise Failure(f"--rows is {arguments.rows}, expected 2 or more: votes are up and down in turn")
        size = msgspec.structs.replace(size, rows=arguments.rows)
    say = partial(print, file=sys.stderr)
    with _folder(arguments) as name:
        folder = Path(name)
        if arguments.quick and arguments.model is None:
            model_dir = make_tiny_model(folder / "model")
        else:
            model_dir = ensure_model(arguments.model or BUILTIN, models_dir(), say)
        try:
            figures = asyncio.run(measure_learner(Arms(folder, model_dir, size.limit_s), size, arguments.engine, say))
        except (JobError, EngineError) as error:
            raise Failure(str(error)) from error
    show(arguments, figures, _learner_lines)


def _swap(arguments: argparse.Namespace) -> None:
    import uvloop

    from service.bench.served import ServedError
    from service.bench.swap.figures import QUICK, Size
    from service.bench.swap.measure import measure_swap, swap_config
    from service.bench.swap.table import swap_lines

    size = QUICK if arguments.quick else Size()
    with _folder(arguments) as name:
        folder = Path(name)
        try:
            config = swap_config(_served_model(arguments, folder), size)
            figures = uvloop.run(measure_swap(folder, config, size))
        except (ServedError, EngineError) as error:
            raise Failure(str(error)) from error
    show(arguments, figures, swap_lines)


def _soak(arguments: argparse.Namespace) -> None:
    from service.bench.served import ServedError
    from service.bench.soak.run import SHORT, Plan, soak
    from service.bench.soak.table import soak_lines

    plan = SHORT if arguments.quick else Plan()
    if arguments.minutes is not None:
        if arguments.minutes <= 0:
            raise Failure(f"--minutes is {arguments.minutes:g}, expected more than 0")
        plan = msgspec.structs.replace(plan, minutes=arguments.minutes)
    with _folder(arguments) as name:
        folder = Path(name)
        try:
            figures = asyncio.run(soak(folder, _served_model(arguments, folder), plan))
        except ServedError as error:
            raise Failure(str(error)) from error
    show(arguments, figures, soak_lines)
    if figures.problem_count:
        raise Failure(f"{figures.problem_count} promises were not kept, expected none; first: {figures.problems[0]}")


def _engine(arguments: argparse.Namespace) -> None:
    from service.bench.engine.measure import QUICK, Size, measure_engine
    from service.bench.engine.table import engine_lines

    size, say = QUICK if arguments.quick else Size(), partial(print, file=sys.stderr)
    with _folder(arguments) as name:
        folder = Path(name)
        try:
            figures = asyncio.run(measure_engine(folder, _served_model(arguments, folder), size, arguments.stock, say))
        except EngineError as error:
            raise Failure(str(error)) from error
    show(arguments, figures, engine_lines)


def _loop(arguments: argparse.Namespace) -> None:
    from learner.simulated.user import SimulationError
    from service.bench.loop.figures import LoopError, read_report
    from service.bench.loop.table import loop_parts

    try:
        figures = read_report(arguments.report) if arguments.report else _run_loop(arguments)
    except (LoopError, SimulationError) as error:
        raise Failure(str(error)) from error
    if arguments.plots:
        from service.bench.loop.plots import draw_plots  # matplotlib takes a while to import

        with writing(arguments.plots):
            draw_plots(figures, arguments.plots)
    show(arguments, figures, loop_parts)


def _run_loop(arguments: argparse.Namespace) -> LoopFigures:
    from learner.simulated.populations import POPULATIONS
    from learner.simulated.rounds import Size
    from service.bench.loop.measure import Runs, measure_loop

    size = Size(arguments.rounds, arguments.turns, arguments.heldout, arguments.people)
    for name, value in msgspec.structs.asdict(size).items():
        if value < 1:
            raise Failure(f"--{name} is {value}, expected 1 or more")
    known = {population.name: population for population in POPULATIONS}
    wanted = arguments.population or [*known]
    if missing := [name for name in wanted if name not in known]:
        raise Failure(f"there is no population {missing[0]!r}: expected one of {', '.join(known)}")
    populations = [population for name, population in known.items() if name in wanted]
    out, say = arguments.out or default_home() / "bench-loop", partial(print, file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(prefix="ratchet-loop-") as folder:
        return measure_loop(populations, size, out, say, Runs(Path(folder)))


def _served_model(arguments: argparse.Namespace, folder: Path) -> Path:
    from service.bench.tiny_model import make_tiny_model

    if arguments.quick and arguments.model is None:
        return make_tiny_model(folder / "model")
    return ensure_model(arguments.model or BUILTIN, models_dir(), partial(print, file=sys.stderr))


def _gateway(arguments: argparse.Namespace) -> None:
    from service.bench.gateway.measure import measure_gateway
    from service.bench.gateway.processes import GatewayError
    from service.bench.gateway.size import QUICK, Size
    from service.bench.gateway.table import gateway_lines

    with _folder(arguments) as folder:
        try:
            figures = measure_gateway(
                Path(folder), QUICK if arguments.quick else Size(), arguments.litellm, partial(print, file=sys.stderr)
            )
        except GatewayError as error:
            raise Failure(str(error)) from error
    show(arguments, figures, gateway_lines)


def _guard(arguments: argparse.Namespace) -> None:
    from learner.policy import load_policy
    from service.bench.guard import QUICK, Size, measure_guard

    show(arguments, measure_guard(load_policy(), QUICK if arguments.quick else Size()), _guard_lines)


def _scale(arguments: argparse.Namespace) -> None:
    from service.bench.scale.costs import ScaleError, measure_costs
    from service.bench.scale.table import put_into, scale_lines

    document: Path | None = arguments.document
    with _folder(arguments) as folder:
        try:
            costs = measure_costs(arguments.reports, Path(folder), arguments.quick, partial(print, file=sys.stderr))
            if document is not None:
                document.write_text(put_into(document.read_text(), costs))
        except (ScaleError, OSError, ValueError) as error:
            raise Failure(f"{document or arguments.reports}: {error}") from error
    show(arguments, costs, scale_lines)


def _folder(arguments: argparse.Namespace) -> tempfile.TemporaryDirectory[str]:
    """A new one on the disk to measure, gone in the end."""
    parent: Path = arguments.dir or default_home()
    parent.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(prefix="bench-", dir=parent)


def _storage_lines(found: StorageFigures) -> list[str]:
    wait, page = found.commit_wait_ms, found.page_ms
    return [
        f"turns and votes, acknowledged      {found.acked_per_s:10.0f} /s   {found.acked_per_commit:.0f} a commit",
        f"bare sqlite3, as many commits      {found.bare_sqlite_per_s:10.0f} /s   ratio {found.ratio:.2f}",
        f"bare sqlite3, a commit for each    {found.bare_singly_per_s:10.0f} /s   ratio {found.ratio_singly:.2f}",
        f"wait for a commit, {found.size.writers} writers      p50 {wait['p50']:6.1f} ms   p99 {wait['p99']:.1f} ms",
        f"newest 50 conversations            10k {page['10k']:6.2f} ms   1m {page['1m']:.2f} ms   ratio {found.page_ratio:.2f}",
        f"{found.machine}; commit {found.commit or '-'}; {found.seconds:.0f} s",
    ]


def _guard_lines(found: GuardFigures) -> list[str]:
    on, off, prompt = found.frame_us["on"], found.frame_us["off"], found.prompt_us
    return [
        f"a frame, with the policy     p50 {on.p50:7.1f} us   p99 {on.p99:7.1f} us   {found.rules} rules",
        f"a frame, without one         p50 {off.p50:7.1f} us   p99 {off.p99:7.1f} us",
        f"a prompt                     p50 {prompt.p50:7.1f} us   p99 {prompt.p99:7.1f} us",
        f"frames held back at most     {found.held_frames:11}",
        f"{found.machine}; commit {found.commit or '-'}; {found.seconds:.0f} s",
    ]


def _data_lines(found: DataFigures) -> list[str]:
    passed, growth, small, large = found.passed, found.growth, *found.size.messages
    return [
        f"rows curated in one pass   {found.rows_per_s:9.0f} /s  {passed.kept} of {passed.rows} kept, CPU {passed.cpu_s:.0f} s",
        f"memory of its processes    {found.peak_mb:9.0f} MB at most, {found.size.processes} helpers",
        *(f"  {count:10} {reason}" for reason, count in sorted(passed.dropped.items(), key=lambda one: -one[1])),
        f"a cycle's collect and curate, {found.size.votes} new votes: {growth.cycle_ms['10k']:.0f} ms beside {small} messages, "
        f"{growth.cycle_ms['1m']:.0f} ms beside {large}   ratio {found.cycle_growth:.2f}",
        f"{found.machine}; commit {found.commit or '-'}; {found.seconds:.0f} s",
    ]


def _learner_lines(found: LearnerFigures) -> list[str]:
    measured = f"{'rows/s':>9}{'tokens/s':>10}{'x careful':>11}{'x default':>11}{'peak MB':>9}"
    lines = [f"{'':13}{measured}{'margin':>9}{'right':>7}{'loss':>8}"]
    for kind, rates in (("thumbs", found.thumbs), ("pairs", found.pairs)):
        lines.append(f"{kind}, {found.size.rows} rows")
        for arm, rate in rates.items():
            speed = f"{rate:9.2f}{found.tokens_per_s[kind][arm]:10.0f}"
            ratios = f"{rate / rates['trl_careful']:11.2f}{rate / rates['trl_default']:11.2f}"
            lines.append(f"  {arm:11}{speed}{ratios}{found.peak_mb[kind][arm]:9.0f}{_judged(found.loss[kind][arm])}")
    growth = found.growth
    lines += [
        f"a row's time       {growth.rows_4x:.2f} with 4x the rows, {growth.rank_4x:.2f} with 4x the rank",
        f"a token's time     {growth.length_2x:.2f} with answers 2x as long, {growth.length_4x:.2f} with 4x",
        f"a cycle's time     {growth.history_100x:.2f} with 100x the history; {growth.curate_100x:.2f} without its training",
    ]
    if chats := found.chats:
        idle, training = chats.idle_ms["p95"], chats.training_ms["p95"]
        lines.append(f"a chat's first token, p95   {training:.0f} ms while training, {idle:.0f} ms idle   ratio {chats.ratio:.2f}")
    return [*lines, f"{found.machine}, {found.precision}; commit {found.commit or '-'}; {found.seconds:.0f} s"]


def _judged(judged: Judged | None) -> str:
    return f"{judged.margin:+9.3f}{judged.accuracy:7.0%}{judged.loss:8.4f}" if judged else ""
