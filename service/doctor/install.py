"""The install: Python, the packages of the lock, what the engine is to load, and what pages load."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import Distribution
from pathlib import Path

import msgspec
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from service.doctor.subject import Finding, Subject, plain
from service.vllm_plugins import ENGINES, PLUGINS

SET_UP = "run `./deploy/up --setup-only`"
PYTHONS = SpecifierSet(">=3.11,<3.14")
LOCKS = ("deploy/torch.lock", "deploy/requirements.lock")
PLUGIN_GROUP = "vllm.general_plugins"
NAMED = 3  # of many, that are told by name


class _Package(msgspec.Struct):
    """What this needs of an entry of package-lock.json, and of a package.json."""

    version: str = ""
    dev: bool = False
    optional: bool = False


class _WebLock(msgspec.Struct):
    packages: dict[str, _Package]


def check_python(subject: Subject) -> Finding:
    version = ".".join(map(str, subject.python))
    if version not in PYTHONS:
        return Finding("problem", f"Python {version}, expected {PYTHONS}", f"set RATCHET_PYTHON to one of these, then {SET_UP}")
    return Finding("ok", f"Python {version} at {sys.prefix}")


def check_packages(subject: Subject) -> Finding:
    """Every package of the lock is there, in its version."""
    wanted = [one for name in LOCKS for one in _locked(subject.checkout / name)]
    if not wanted:
        return Finding(
            "warning", f"no lock in {subject.checkout / 'deploy'}", "run it from a checkout: other versions are not tested"
        )
    installed = subject.packages
    wrong = [told for one in wanted if (told := _differs(one, installed.get(plain(one.name))))]
    if wrong:
        return Finding("problem", _named(wrong, f"of {len(wanted)} packages differ from the lock"), SET_UP)
    return Finding("ok", f"{len(wanted)} packages as the lock has them")


def check_engine_package(subject: Subject) -> Finding:
    """vLLM is there, and finds what makes it right on a CPU."""
    if subject.config.engine.urls:
        return Finding("ok", f"the engines of engine.urls are somebody else's ({len(subject.config.engine.urls)})")
    installed = subject.packages
    engine = next((installed[name] for name in ENGINES if name in installed), None)
    if engine is None:
        return Finding("problem", f"no vLLM ({' or '.join(ENGINES)}) is installed", f"{SET_UP}, or set engine.urls")
    entries = {point.name for one in installed.values() for point in one.entry_points.select(group=PLUGIN_GROUP)}
    if missing := [name for name in PLUGINS if name not in entries]:
        found = f"vLLM {engine.version} does not find the plugins {', '.join(missing)}"
        return Finding("problem", f"{found}: adapters would be slow, and base wrong", SET_UP)
    return Finding("ok", f"vLLM {engine.version} with {', '.join(PLUGINS)}")


def check_browser_libraries(subject: Subject) -> Finding:
    """What pages load beside their own modules, as the package lock has it."""
    lock = subject.web / "package-lock.json"
    if not lock.is_file():
        return Finding("problem", f"{lock} is not there", "take the whole checkout")
    wanted = msgspec.json.decode(lock.read_bytes(), type=_WebLock).packages
    needed = {name: one.version for name, one in wanted.items() if name and not (one.dev or one.optional)}
    wrong = [told for name, version in needed.items() if (told := _differs_here(subject.web / name, version))]
    if wrong:
        return Finding("problem", _named(wrong, f"of {len(needed)} browser libraries differ from the lock"), SET_UP)
    return Finding("ok", f"{len(needed)} browser libraries as the lock has them")


def _locked(file: Path) -> Iterator[Requirement]:
    """What the lock wants on this machine."""
    lines = file.read_text().splitlines() if file.is_file() else []
    for line in lines:
        if "==" in line and not line.startswith((" ", "#")):
            one = Requirement(line.removesuffix("\\").strip())
            if one.marker is None or one.marker.evaluate():
                yield one


def _differs(wanted: Requirement, found: Distribution | None) -> str:
    if found is None:
        return f"{wanted.name} is missing"
    fits = wanted.specifier.contains(found.version, prereleases=True)
    return "" if fits else f"{wanted.name} is {found.version}, expected {wanted.specifier}"


def _differs_here(folder: Path, version: str) -> str:
    file = folder / "package.json"
    if not file.is_file():
        return f"{folder.name} is missing"
    found = msgspec.json.decode(file.read_bytes(), type=_Package).version
    return "" if found == version else f"{folder.name} is {found}, expected {version}"


def _named(wrong: list[str], told: str) -> str:
    more = f" and {len(wrong) - NAMED} more" if len(wrong) > NAMED else ""
    return f"{len(wrong)} {told}: {'; '.join(wrong[:NAMED])}{more}"
