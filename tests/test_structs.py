"""No Struct has a field that msgspec 0.22 crashes on.

Where a union has a string with a pattern beside a type with parts (a list, a dict), msgspec's garbage collector support takes
the compiled pattern for the description of the parts, and reads its reference count and whatever comes after it. It mostly
goes well until the pattern is freed: then the process ends with a segmentation fault, usually at its very end.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

import msgspec
from msgspec import Struct, inspect

import learner
import service
import storage

PLAIN = (
    inspect.AnyType, inspect.NoneType, inspect.BoolType, inspect.IntType, inspect.FloatType, inspect.StrType, inspect.BytesType,
    inspect.DateTimeType, inspect.EnumType, inspect.LiteralType, inspect.RawType,
)  # fmt: skip


def structs(kind: type[Struct] = Struct) -> Iterator[type[Struct]]:
    for below in kind.__subclasses__():
        if below.__module__.partition(".")[0] in ("learner", "service", "storage"):
            yield below
        yield from structs(below)


def unions(found: inspect.Type) -> Iterator[inspect.UnionType]:
    if isinstance(found, inspect.UnionType):
        yield found
        for one in found.types:
            yield from unions(one)
    for name in ("item_type", "key_type", "value_type", "type"):
        if isinstance(inner := getattr(found, name, None), inspect.Type):
            yield from unions(inner)


def is_fatal(union: inspect.UnionType) -> bool:
    patterned = any(isinstance(one, inspect.StrType) and one.pattern for one in union.types)
    return patterned and not all(isinstance(one, PLAIN) for one in union.types)


def test_no_field_is_a_pattern_or_something_with_parts() -> None:
    for package in (learner, service, storage):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.startswith(("service.vllm_", "storage.migrations")) and not module.name.endswith(".__main__"):
                importlib.import_module(module.name)
    found = [kind for kind in structs() if not getattr(kind, "__parameters__", ())]
    assert len(found) > 100
    fatal = []
    for kind in found:
        info = msgspec.inspect.type_info(kind)
        assert isinstance(info, inspect.StructType)
        fatal += [f"{kind.__module__}.{kind.__name__}.{f.name}" for f in info.fields if any(map(is_fatal, unions(f.type)))]
    assert fatal == []
