"""Suites of an operator's own files: rows in, a frozen suite in the home out, or every fault of the file and nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from learner.evaluate.forms import FORMS, Form, form_of
from learner.evaluate.suite import Header, Item, Kind, Suite, SuiteError, add_suite

FIRST_ROWS = 10  # that are looked at for the form of all
Line = tuple[int, bytes]  # its number in the file, from 1


class ImportFault(SuiteError):
    """A file cannot become a suite. The message has a line for each fault."""


class About(Struct, frozen=True):
    """What is said of a suite beside its items. A draw of `limit` items is the same for the same items."""

    name: str
    margin: float
    veto: bool = False
    advisory: bool = True
    language: str = "en"
    about: str = ""
    limit: int | None = None

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise ValueError(f"limit is {self.limit}; expected 1 or more")


def import_rows(root: Path, file: Path, about: About, kind: Kind | None = None) -> Suite:
    """A new suite below `root` of a JSONL file whose rows have one of `FORMS`. Raises `ImportFault`, `SuiteError`, `OSError`."""
    lines = [(number, line) for number, line in enumerate(file.read_bytes().splitlines(), 1) if line.strip()]
    form = _form_of_all(file, lines, kind)
    items, faults = [], []
    for number, line in lines:
        try:
            items.append(_item(form, file, number, line))
        except (ValueError, msgspec.DecodeError) as error:
            faults.append(f"{file.name}:{number}: {error} ({form.looks})")
    if faults:
        raise ImportFault("\n".join(faults))
    return keep_items(root, about, form.kind, items, file.name)


def keep_items(root: Path, about: About, kind: Kind, items: Sequence[Item], origin: str) -> Suite:
    """Freezes the items, or as many of them as are wanted, under names of the suite's own; `family` is kept where there is one."""
    if not items:
        raise ImportFault(f"{origin} has no rows; expected some")
    drawn = items if about.limit is None else _draw(items, about.limit)
    told = about.about or f"imported from {origin}"
    try:
        header = Header(told, kind, 1, about.margin, about.veto, about.advisory, about.language)
    except ValueError as error:
        raise ImportFault(f"{about.name}: {error}") from error
    return add_suite(root, about.name, header, _named(about.name, drawn))


def _form_of_all(file: Path, lines: Iterable[Line], kind: Kind | None) -> type[Form]:
    for _, row in zip(range(FIRST_ROWS), _objects(lines), strict=False):
        if form := form_of(row, kind):
            return form
    forms = "\n".join(f"  {form.kind:<7} {form.looks}" for form in FORMS if kind in (None, form.kind))
    of_kind = f" of kind {kind}" if kind else ""
    told = f"{file.name}: no row{of_kind} among the first {FIRST_ROWS}"
    raise ImportFault(f"{told}; expected JSON lines of one of these forms:\n{forms}")


def _objects(lines: Iterable[Line]) -> Iterator[dict[str, Any]]:
    for _, line in lines:
        try:
            yield msgspec.json.decode(line, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue  # told with its number, once the form is known


def _item(form: type[Form], file: Path, number: int, line: bytes) -> Item:
    row = msgspec.json.decode(line, type=form)
    source = f"{file.name}, line {number}" + (f": {row.id}" if row.id != "" else "")
    return row.item(Item(id="", family=row.family or "", source=source, topic=row.subject))


def _draw(items: Sequence[Item], count: int) -> list[Item]:
    """So many of them, in their order, by the hash of what they ask."""
    chosen = sorted(range(len(items)), key=lambda at: _hash(items[at]))[:count]
    return [items[at] for at in sorted(chosen)]


def _hash(item: Item) -> bytes:
    asked = (item.prompt, item.neutral, item.choices, item.rules, item.text)
    return hashlib.sha256(msgspec.json.encode(asked)).digest()


def _named(name: str, items: Iterable[Item]) -> Iterator[Item]:
    for number, item in enumerate(items, 1):
        id = f"{name}-{number:04}"
        yield msgspec.structs.replace(item, id=id, family=item.family or id)
