"""`ratchet pretrain`: next-token learning on an imported corpus, as an adapter, into all weights, or from scratch."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from learner.pretrain.spec import RUNNING, Scratch, State
from service.client import Client
from service.commands.terminal import Commands, Failure, command, show
from service.config import FILE

ABOUT = (
    "next-token learning on an imported corpus: a cycle of method cpt; with --full or --scratch, a new base model. "
    "It goes on if this command is ended: the same command again shows or resumes it"
)
POLL_S = 0.5
NUMBERS: dict[str, tuple[type, str]] = {  # options of a new base model: fields of `Request`
    "passes": (int, "times each document is read (1)"),
    "learning_rate": (float, "at its height (1e-4; from scratch 1e-3)"),
    "window_tokens": (int, "predicted at once (512)"),
    "batch_windows": (int, "windows per step (8)"),
    "heldout_share": (float, "of the documents, which only measure (0.05)"),
    "seed": (int, "of the order, and of new weights (0)"),
    "time_limit_s": (float, "after which it is ended (a day); the same again goes on"),
    "memory_limit_mb": (int, "of the job (four fifths of the machine's)"),
}


def add(commands: Commands) -> None:
    pretrain = command(commands, "pretrain", _pretrain, ABOUT, json=True)
    what = pretrain.add_mutually_exclusive_group(required=True)
    what.add_argument("--corpus", metavar="NAME", help="a domain or source of imported documents of kind corpus")
    what.add_argument("--cancel", action="store_true", help="end the running pretraining for good")
    how = pretrain.add_mutually_exclusive_group()
    how.add_argument("--full", action="store_true", help="all weights of the served model go on learning")
    how.add_argument("--scratch", metavar="CONFIG.toml", type=Path, help="a new model of this shape, with a tokenizer of its own")
    pretrain.add_argument("--name", help="of the new model's folder (made of the corpus's name)")
    for name, (kind, about) in NUMBERS.items():
        pretrain.add_argument(_flag(name), type=kind, metavar="N", help=about)
    pretrain.set_defaults(misuse=pretrain.error)


def _pretrain(arguments: argparse.Namespace) -> None:
    given = {name: value for name in ("name", *NUMBERS) if (value := getattr(arguments, name)) is not None}
    with Client() as client:
        if arguments.cancel:
            return show(arguments, client.delete("/api/pretrain/running"), lambda report: [f"{report['name']} {report['state']}"])
        if arguments.full or arguments.scratch is not None:
            return _make_model(arguments, client, given)
        if given:
            arguments.misuse(
                f"{', '.join(map(_flag, given))}: only with --full or --scratch; cycles go by the settings of learner.train"
            )
        return _run_cycle(arguments, client)


def _run_cycle(arguments: argparse.Namespace, client: Client) -> None:
    from service.watch import watch_cycle

    begun = client.post("/api/cycles", {"method": "cpt", "corpus": arguments.corpus})
    show(arguments, watch_cycle(client, begun["id"], show=not arguments.json), _cycle_lines)


def _cycle_lines(report: dict[str, Any]) -> list[str]:
    cycle = report["cycle"]
    return [f"cycle {cycle['id']} {cycle['state']} {cycle['adapter'] or ''}".rstrip(), *(f"     {why}" for why in cycle["reasons"])]


def _make_model(arguments: argparse.Namespace, client: Client, given: dict[str, Any]) -> None:
    request = {"corpus": arguments.corpus, **given}
    if arguments.scratch is not None:
        request["scratch"] = msgspec.to_builtins(_read_shape(arguments.scratch))
    begun = client.post("/api/pretrain", request)
    report = _watch(client, begun["name"], show=not arguments.json)
    if report["state"] != State.DONE:
        raise Failure(f"pretraining {report['name']} {report['state']}: {report['reason']}")
    show(arguments, report, _model_lines)


def _read_shape(file: Path) -> Scratch:
    try:
        return msgspec.toml.decode(file.read_bytes(), type=Scratch)
    except OSError as error:
        raise Failure(f"{file} cannot be read ({error.strerror}): expected the shape of a model in TOML") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Failure(f"{file}: {error}; expected any of {', '.join(Scratch.__struct_fields__)}") from error


def _watch(client: Client, name: str, show: bool) -> dict[str, Any]:
    """The report once it has ended."""
    columns = (
        TextColumn("{task.description:<9}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[detail]}"),
    )
    with Progress(*columns, console=Console(stderr=True), disable=not show) as bars:
        task = bars.add_task("gathering", total=None, detail="")
        while True:
            report: dict[str, Any] = client.get(f"/api/pretrain/{name}")
            if (at := report["progress"]) is not None:
                detail = f"loss {at['loss']:.3f}, {at['tokens_per_s']:.0f} tokens/s, {at['seconds_left'] / 60:.1f} min left"
                bars.update(task, description="training", total=at["steps"], completed=at["step"], detail=detail)
            else:
                bars.update(task, completed=report["gathered"], detail="documents")
            if report["state"] not in RUNNING:
                return report
            time.sleep(POLL_S)


def _model_lines(report: dict[str, Any]) -> list[str]:
    made = report["lineage"]
    before, after = made["perplexity_before"], made["perplexity_after"]
    judged = f"held-out perplexity {before:.1f} before, {after:.1f} after" if before and after else "no document was held out"
    origin = made["origin"]
    lines = [f"{report['name']}: {made['parameters'] / 1e6:.1f} million parameters, {made['sha256'][:12]}, in {report['folder']}"]
    lines.append(f"     {made['tokens_seen']} tokens of {origin['documents']} documents ({', '.join(origin['licences'])})")
    lines.append(f"     loss {made['final_loss']:.3f}, {judged}")
    lines += [f"     left out: {count} {reason}" for reason, count in origin["dropped"].items()]
    return [*lines, f'To serve it: model = "{report["folder"]}" in the {FILE} of a new home, since adapters belong to their base']


def _flag(field: str) -> str:
    return f"--{field.replace('_', '-')}"
