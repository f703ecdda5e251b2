"""`ratchet engine`: the engine alone, in a container or on a machine of its own, for services that name it in `engine.urls`."""

from __future__ import annotations

import argparse
import asyncio
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from service.commands.terminal import Commands, Failure, command
from service.config import default_home, load_config, models_dir

if TYPE_CHECKING:
    from service.settings import EngineSettings

PORT = 8001
FIRST = -1  # a priority before that of people: a check does not wait behind them


def add(commands: Commands) -> None:
    engine = command(commands, "engine", _engine, "run the engine alone, for services that name it in engine.urls")
    engine.add_argument("--home", type=Path, default=default_home(), help="whose ratchet.toml counts (default: %(default)s)")
    engine.add_argument("--port", type=int, default=PORT, help="where it listens (default: %(default)s)")
    engine.add_argument(
        "--host",
        default="127.0.0.1",
        help="an address that only services reach: who reaches it may load adapters, and needs no key (default: %(default)s)",
    )
    engine.add_argument("--check", action="store_true", help="ask the one that runs at --port of this machine whether it works")


def _engine(arguments: argparse.Namespace) -> None:
    config = load_config(arguments.home.resolve())
    if arguments.check:
        asyncio.run(_check(arguments.port, config.engine))
        return
    from learner.model import ensure_model
    from service.supervisor import engine_command, engine_env

    model_dir = ensure_model(config.model, models_dir(), partial(print, flush=True))
    command = engine_command(config.engine, model_dir.resolve(), arguments.port, arguments.host)
    os.execve(command[0], command, {**os.environ, **engine_env(config.engine)})  # so that signals reach vLLM itself


async def _check(port: int, settings: EngineSettings) -> None:
    """Returns once the engine has made a step. Its own /health says that all is well while its core hangs."""
    from learner.admission import TEXT
    from learner.engine import Engine, EngineError
    from service.supervisor import NOBODY

    url = f"http://127.0.0.1:{port}"
    try:
        async with asyncio.timeout(settings.hang_timeout_s), Engine(url, settings.timeouts) as engine:
            await engine.score(NOBODY, TEXT, priority=FIRST)
    except EngineError as error:
        raise Failure(f"the engine at {url} does not work: {error}") from error
    except TimeoutError:
        raise Failure(f"the engine at {url} made no step in {settings.hang_timeout_s:g} s (engine.hang_timeout_s)") from None
