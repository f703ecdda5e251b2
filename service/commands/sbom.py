"""`ratchet sbom`: what this installation is made of; works without a service."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.table import Table

from service.commands.tables import table
from service.commands.terminal import Commands, command, show

if TYPE_CHECKING:
    from service.sbom import Bill, Component


def add(commands: Commands) -> None:
    about = "what this installation is made of: packages, page libraries and the model, with licences; CycloneDX with --json"
    command(commands, "sbom", _sbom, about, json=True)


def _sbom(arguments: argparse.Namespace) -> None:
    from service.sbom import bill_of_materials

    show(arguments, bill_of_materials(), _lines)


def _lines(bill: Bill) -> Iterable[str | Table]:
    from service.sbom import without_hashes

    rows = [(one.name, one.version, _licence(one), f"{len(one.hashes)}") for one in bill.components]
    yield table(("component", "version", "licence", "hashes"), rows)
    unvouched = without_hashes(bill.components)
    yield f"{len(bill.components)} components; {len(unvouched)} in no lock{': ' if unvouched else ''}{', '.join(unvouched)}"


def _licence(component: Component) -> str:
    said = [choice.expression or (choice.license and (choice.license.id or choice.license.name)) for choice in component.licenses]
    return ", ".join(one for one in said if one) or "-"
