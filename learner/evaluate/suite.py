"""Frozen suites: what they hold, and the proof that it is what was frozen.

A suite is a folder with `suite.toml` (kind, version, margin, veto) and `items.jsonl`. `manifest.json` beside the folders
holds the SHA-256 of each; loading a suite whose files differ from it fails. A changed item is a new version. The shipped
suites lie in `frozen` here, an operator's own in a home's `suites`; a folder whose name begins with a dot is none.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from learner.evaluate.rules import Rule, can_check

FROZEN = Path(__file__).parent / "frozen"
OWN = "suites"  # below a home: the operator's
MANIFEST, HEADER, ITEMS = "manifest.json", "suite.toml", "items.jsonl"
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")  # of an operator's suite: a folder's, and the beginning of ids

Kind = Literal["choice", "flips", "rules", "text", "even", "trigger", "judged"]


class SuiteError(Exception):
    """A suite is missing, changed since it was frozen, or malformed."""


class Turn(Struct, frozen=True):
    role: Literal["system", "user", "assistant"]
    content: str


class Item(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One question. Which fields it has depends on the suite's kind."""

    id: str
    family: str  # items of one family may succeed or fail together
    source: str
    topic: str = ""
    prompt: tuple[Turn, ...] = ()
    choices: tuple[str, ...] = ()
    answer: int = 0
    neutral: tuple[Turn, ...] = ()  # the same question without the pressure (flips) or the trigger (trigger)
    rules: tuple[Rule, ...] = ()
    text: str = ""  # kind trigger: a fitting answer


class Header(Struct, frozen=True, forbid_unknown_fields=True):
    """`margin` is the drop of the mean score that may not be exceeded; `veto` suites refuse by their bound alone, `advisory`
    ones are reported and never decide."""

    about: str
    kind: Kind
    version: int
    margin: float
    veto: bool
    advisory: bool = False
    language: str = "en"  # ISO 639

    def __post_init__(self) -> None:
        if not self.margin > 0:
            raise ValueError(f"margin is {self.margin}; expected a drop above 0")
        if self.veto and self.advisory:
            raise ValueError("veto and advisory are both true; a suite that never decides cannot refuse")


class Suite(Struct, frozen=True):
    name: str
    sha256: str
    header: Header
    items: tuple[Item, ...]


Need = tuple[str, Callable[[Item], bool]]  # what an item has to have, in words, and whether it has it
PROMPT: Need = ("a prompt", lambda item: bool(item.prompt))
RIGHT: Need = ("choices with the answer among them", lambda item: 0 <= item.answer < len(item.choices))
NEUTRAL: Need = ("a neutral prompt unlike the other", lambda item: bool(item.neutral) and item.neutral != item.prompt)
NEEDS: dict[Kind, tuple[Need, ...]] = {
    "choice": (PROMPT, RIGHT),
    "flips": (PROMPT, NEUTRAL, RIGHT),
    "rules": (PROMPT, ("rules that can be checked", lambda item: bool(item.rules) and all(map(can_check, item.rules)))),
    "text": (("a text", lambda item: bool(item.text)),),
    "even": (("two choices that differ", lambda item: len(item.choices) == len(set(item.choices)) == 2),),
    "trigger": (PROMPT, NEUTRAL, ("a text that answers both prompts", lambda item: bool(item.text))),
    "judged": (PROMPT,),
}


def load_suites(*roots: Path) -> list[Suite]:
    """All suites of the folders' manifests, proved unchanged, by name; the shipped ones where no folder is given.

    Raises `SuiteError`, also for a name that is there twice.
    """
    found: dict[str, tuple[Path, Suite]] = {}
    for root in roots or (FROZEN,):
        for suite in _load_root(root):
            if suite.name in found:
                raise SuiteError(f"suite {suite.name!r} is in {found[suite.name][0]} and in {root}: give one another name")
            found[suite.name] = root, suite
    return [found[name][1] for name in sorted(found)]


def suite_folders(home: Path, shipped: str | None) -> list[Path]:
    """Where a home's suites lie: the shipped ones, or those that the settings have instead, and the operator's, if any."""
    own = home / OWN
    return [Path(shipped) if shipped else FROZEN, *([own] if own.is_dir() else [])]


def freeze(root: Path = FROZEN) -> dict[str, str]:
    """Writes the manifest from the folders as they are now; returns it."""
    manifest = {folder.name: _sha256(folder) for folder in _folders(root)}
    for name, sha256 in manifest.items():
        _load(root / name, sha256)
    _write_manifest(root, manifest)
    return manifest


def add_suite(root: Path, name: str, header: Header, items: Iterable[Item]) -> Suite:
    """A new suite, frozen; the others stay as they are. It is there whole or not at all. Raises `SuiteError`, `OSError`.

    Killed between the folder and the manifest, it leaves a suite that `load_suites` refuses until it is frozen or removed.
    """
    if not NAME.fullmatch(name):
        raise SuiteError(f"the suite's name is {name!r}; expected small letters, digits, - and _, at most 64")
    root.mkdir(parents=True, exist_ok=True)
    if (root / name).exists():
        raise SuiteError(f"there is a suite {name!r} in {root}: choose another name, or remove it first")
    manifest = _read_manifest(root) if (root / MANIFEST).exists() else {}
    unfinished = root / f".{name}.{os.getpid()}"
    try:
        write_suite(unfinished, header, items)
        sha256 = _sha256(unfinished)
        suite = msgspec.structs.replace(_load(unfinished, sha256), name=name)
        unfinished.rename(root / name)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    _write_manifest(root, {**manifest, name: sha256})
    return suite


def write_suite(folder: Path, header: Header, items: Iterable[Item]) -> None:
    """The two files of a suite, as yet without proof."""
    folder.mkdir(exist_ok=True)
    fields = msgspec.to_builtins(header)
    lines = "".join(f"{key} = {msgspec.json.encode(value).decode()}\n" for key, value in fields.items())  # scalars: as in JSON
    (folder / HEADER).write_text(lines, encoding="utf-8")
    encode = msgspec.json.Encoder().encode
    (folder / ITEMS).write_bytes(b"".join(encode(item) + b"\n" for item in items))


def _load_root(root: Path) -> Iterator[Suite]:
    manifest = _read_manifest(root)
    if unlisted := {folder.name for folder in _folders(root)} - set(manifest):
        raise SuiteError(f"suite {min(unlisted)!r} is not in {MANIFEST} of {root}: freeze it first")
    for name, sha256 in manifest.items():
        yield _load(root / name, sha256)


def _folders(root: Path) -> list[Path]:
    return sorted(folder for folder in root.iterdir() if (folder / HEADER).exists() and not folder.name.startswith("."))


def _read_manifest(root: Path) -> dict[str, str]:
    try:
        return msgspec.json.decode((root / MANIFEST).read_bytes(), type=dict[str, str])
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SuiteError(f"{root / MANIFEST} cannot be read: {error}") from error


def _write_manifest(root: Path, manifest: dict[str, str]) -> None:
    unfinished = root / f".{MANIFEST}"
    unfinished.write_bytes(msgspec.json.format(msgspec.json.encode(dict(sorted(manifest.items()))), indent=1) + b"\n")
    unfinished.replace(root / MANIFEST)


def _load(folder: Path, sha256: str) -> Suite:
    try:
        found = _sha256(folder)
        if found != sha256:
            raise SuiteError(
                f"suite {folder.name!r} has changed since it was frozen: {found[:12]}, not {sha256[:12]} (in {folder.parent})"
            )
        header = msgspec.toml.decode((folder / HEADER).read_bytes(), type=Header)
        decode = msgspec.json.Decoder(Item).decode
        items = tuple(decode(line) for line in (folder / ITEMS).read_bytes().splitlines())
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SuiteError(f"suite {folder.name!r} cannot be read: {error}") from error
    _check(folder.name, header, items)
    return Suite(folder.name, sha256, header, items)


def _check(name: str, header: Header, items: Sequence[Item]) -> None:
    if len({item.id for item in items}) != len(items):
        raise SuiteError(f"suite {name!r} has an item id twice")
    for item in items:
        for what, has in NEEDS[header.kind]:
            if not has(item):
                raise SuiteError(f"suite {name!r}: item {item.id!r} lacks {what}, which kind {header.kind!r} needs")


def _sha256(folder: Path) -> str:
    digest = hashlib.sha256()
    for file in (HEADER, ITEMS):
        digest.update(hashlib.sha256((folder / file).read_bytes()).digest())
    return digest.hexdigest()
