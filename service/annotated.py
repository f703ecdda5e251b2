"""The settings as a file that explains itself: every field with its value, and what the code says of it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct, structs
from msgspec import inspect as types

FIELD = re.compile(r"^ {4}(\w+): .*?(?:  # (.*))?$", re.MULTILINE)
OFF = "# "  # before what is not set


def annotate(settings: Struct) -> str:
    """TOML that reads as these settings. What is not set stands there too, as a comment."""
    return "\n".join(_table("", settings)).lstrip("\n") + "\n"


def explanations(table: type[Struct]) -> dict[str, str]:
    """What the code says of each field of a table; "" where it says nothing."""
    return dict(FIELD.findall(inspect.getsource(table)))


def _table(path: str, table: Struct) -> Iterator[str]:
    """A table, and those within it."""
    yield from _head(type(table), f"[{path}]" if path else "")
    within = {name: inner for name, kind in _kinds(type(table)) if (inner := _structs(kind))}
    told = explanations(type(table))
    for name, value in structs.asdict(table).items():
        if name not in within:
            yield _line(name, value, told[name])
    for name, (kind, brackets) in within.items():
        value, place = getattr(table, name), f"{path}.{name}".lstrip(".")
        if isinstance(value, Struct):
            yield from _table(place, value)
        else:
            yield from _optional(brackets[0] + place + brackets[1], kind, value or (), told[name])


def _optional(header: str, kind: type[Struct], rows: tuple[Struct, ...], told: str) -> Iterator[str]:
    """Tables of which there may be none; how one would look then."""
    for row in rows:
        yield from _head(kind, header)
        yield from (_line(name, value, explanations(kind)[name]) for name, value in structs.asdict(row).items())
    if rows:
        return
    yield from (*_head(kind, OFF + header)[:-1], f"{OFF}{header}  # {told}")
    for field in structs.fields(kind):
        value = "" if field.required else field.default
        yield OFF + _line(field.name, value, explanations(kind)[field.name]).removeprefix(OFF)


def _head(table: type[Struct], header: str) -> list[str]:
    words = [f"# {line}" for line in inspect.cleandoc(vars(table).get("__doc__") or "").splitlines() if line]
    return ["", *words, *([header] if header else [])]


def _line(name: str, value: Any, told: str) -> str:
    setting = f"{OFF}{name} =" if value is None else f"{name} = {_toml(value)}"
    return f"{setting}  # {told}" if told else setting


def _toml(value: Any) -> str:
    """JSON is TOML but for tables."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_toml(key)} = {_toml(one)}" for key, one in value.items()) + "}"
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, float) and value.is_integer():  # 3600 and 3600.0 are the same setting
        value = int(value)
    return msgspec.json.encode(value).decode()


def _kinds(table: type[Struct]) -> list[tuple[str, types.Type]]:
    info = types.type_info(table)
    assert isinstance(info, types.StructType)
    return [(field.name, field.type) for field in info.fields]


def _structs(kind: types.Type) -> tuple[type[Struct], tuple[str, str]] | None:
    """The table that a field is, or may be, with the brackets around its name: two of each where it may be many."""
    match kind:
        case types.StructType():
            return kind.cls, ("[", "]")
        case types.VarTupleType(item_type=types.StructType() as item):
            return item.cls, ("[[", "]]")
        case types.UnionType():
            return next((found for one in kind.types if (found := _structs(one))), None)
    return None
