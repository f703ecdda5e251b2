"""Frozen suites: what they hold, and the proof that it is what was frozen.

A suite is a folder with `suite.toml` (kind, version, margin, veto) and `items.jsonl`. `manifest.json` beside the folders
holds the SHA-256 of each; loading a suite whose files differ from it fails. A changed item is a new version.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from learner.evaluate.rules import Rule

FROZEN = Path(__file__).parent / "frozen"
MANIFEST = "manifest.json"


class SuiteError(Exception):
    """A suite is missing, changed since it was frozen, or malformed."""


class Turn(Struct, frozen=True):
    role: Literal["system", "user", "assistant"]
    content: str


class Item(Struct, frozen=True, forbid_unknown_fields=True):
    """One question. Which fields it has depends on the suite's kind."""

    id: str
    family: str  # items of one family may succeed or fail together
    source: str
    prompt: tuple[Turn, ...] = ()
    choices: tuple[str, ...] = ()
    answer: int = 0
    neutral: tuple[Turn, ...] = ()  # kind flips: the same question without the pressure
    rules: tuple[Rule, ...] = ()
    text: str = ""


class Header(Struct, frozen=True, forbid_unknown_fields=True):
    """`margin` is the drop of the mean score that may not be exceeded; `veto` suites refuse by their bound alone."""

    about: str
    kind: Literal["choice", "flips", "rules", "text"]
    version: int
    margin: float
    veto: bool


class Suite(Struct, frozen=True):
    name: str
    sha256: str
    header: Header
    items: tuple[Item, ...]


def load_suites(root: Path = FROZEN) -> list[Suite]:
    """All suites of the manifest, proved unchanged, by name. Raises `SuiteError`."""
    try:
        manifest = msgspec.json.decode((root / MANIFEST).read_bytes(), type=dict[str, str])
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SuiteError(f"{root / MANIFEST} cannot be read: {error}") from error
    if unlisted := {folder.name for folder in root.iterdir() if (folder / "suite.toml").exists()} - set(manifest):
        raise SuiteError(f"suite {min(unlisted)!r} is not in {MANIFEST}: freeze it first")
    return [_load(root / name, sha256) for name, sha256 in sorted(manifest.items())]


def freeze(root: Path = FROZEN) -> dict[str, str]:
    """Writes the manifest from the folders as they are now; returns it."""
    manifest = {folder.name: _sha256(folder) for folder in sorted(root.iterdir()) if (folder / "suite.toml").exists()}
    for name, sha256 in manifest.items():
        _load(root / name, sha256)
    (root / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n")
    return manifest


def _load(folder: Path, sha256: str) -> Suite:
    try:
        found = _sha256(folder)
        if found != sha256:
            raise SuiteError(f"suite {folder.name!r} has changed since it was frozen: {found[:12]}, not {sha256[:12]}")
        header = msgspec.toml.decode((folder / "suite.toml").read_bytes(), type=Header)
        decode = msgspec.json.Decoder(Item).decode
        items = tuple(decode(line) for line in (folder / "items.jsonl").read_bytes().splitlines())
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SuiteError(f"suite {folder.name!r} cannot be read: {error}") from error
    _check(folder.name, header, items)
    return Suite(folder.name, sha256, header, items)


def _check(name: str, header: Header, items: Sequence[Item]) -> None:
    if len({item.id for item in items}) != len(items):
        raise SuiteError(f"suite {name!r} has an item id twice")
    for item in items:
        complete = {
            "choice": item.prompt and 0 <= item.answer < len(item.choices),
            "flips": item.prompt and item.neutral and 0 <= item.answer < len(item.choices),
            "rules": item.prompt and item.rules,
            "text": item.text,
        }[header.kind]
        if not complete:
            raise SuiteError(f"suite {name!r}: item {item.id!r} lacks what kind {header.kind!r} needs")


def _sha256(folder: Path) -> str:
    digest = hashlib.sha256()
    for file in ("suite.toml", "items.jsonl"):
        digest.update(hashlib.sha256((folder / file).read_bytes()).digest())
    return digest.hexdigest()
