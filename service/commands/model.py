"""`ratchet model`: the base model."""

from __future__ import annotations

import argparse
import sys
from functools import partial

from learner.model import BUILTIN, ensure_model
from service.commands.terminal import Commands, command, group, show
from service.config import models_dir


def add(commands: Commands) -> None:
    model = group(commands, "model", "the base model")
    get = command(model, "get", _model_get, "fetch and convert the built-in model, once", json=True)
    get.add_argument("name", metavar="MODEL", nargs="?", default=BUILTIN, help="%(default)s, or a folder")


def _model_get(arguments: argparse.Namespace) -> None:
    folder = ensure_model(arguments.name, models_dir(), partial(print, file=sys.stderr))
    show(arguments, {"model": arguments.name, "folder": str(folder)}, lambda made: [made["folder"]])
