"""`ratchet config`: what is set in a home, as a file that explains itself; works without a service."""

from __future__ import annotations

import argparse
from pathlib import Path
from urllib.parse import urlsplit

from msgspec.structs import replace
from sqlalchemy.engine import make_url

from service.commands.terminal import Commands, command, show
from service.config import Config, default_home, load_config


def add(commands: Commands) -> None:
    about = "every setting with its value and what it does: what is in force in a home, as a file to begin from"
    config = command(commands, "config", _config, about, json=True)
    config.add_argument("--home", type=Path, default=default_home(), help="whose settings (default: %(default)s)")


def _config(arguments: argparse.Namespace) -> None:
    from service.annotated import annotate

    config = _without_secrets(load_config(arguments.home.resolve()))
    show(arguments, config, lambda _: [annotate(config).rstrip("\n")])


def _without_secrets(config: Config) -> Config:
    """What is printed may be shown to others: no password, and of a webhook only the host."""
    hidden = tuple(replace(hook, url="{0.scheme}://{0.hostname}/***".format(urlsplit(hook.url))) for hook in config.webhooks)
    config = replace(config, webhooks=hidden)
    if not config.storage.url:
        return config
    shown = make_url(config.storage.url).render_as_string(hide_password=True)
    return replace(config, storage=replace(config.storage, url=shown))
