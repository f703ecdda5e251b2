"""`ratchet model`: the base model."""

from __future__ import annotations

import argparse

from learner.model import BUILTIN, ensure_model
from service.commands.terminal import Commands, command, group
from service.config import models_dir


def add(commands: Commands) -> None:
    model = group(commands, "model", "the base model")
    get = command(model, "get", _model_get, "fetch and convert the built-in model, once")
    get.add_argument("name", nargs="?", default=BUILTIN)


def _model_get(arguments: argparse.Namespace) -> None:
    print(ensure_model(arguments.name, models_dir(), print))
