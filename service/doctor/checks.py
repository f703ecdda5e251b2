"""All checks, in the order in which one thing needs the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from msgspec import Struct

from service.client import Client, key_for
from service.config import Config, ConfigError, load_config, models_dir
from service.doctor import install, machine, model, records, running
from service.doctor.subject import Finding, Level, Subject

Check = Callable[[Subject], Finding]

CHECKS: Mapping[str, Check] = {
    "cpu": machine.check_cpu,
    "cores": machine.check_cores,
    "memory": machine.check_memory,
    "disk at home": machine.check_home_disk,
    "disk at the model": machine.check_model_disk,
    "time": machine.check_time,
    "python": install.check_python,
    "packages": install.check_packages,
    "vllm": install.check_engine_package,
    "browser libraries": install.check_browser_libraries,
    "settings": records.check_settings,
    "home": records.check_home,
    "model": model.check_model,
    "model hash": model.check_model_hash,
    "database": records.check_schema,
    "integrity": records.check_integrity,
    "write-ahead log": records.check_log,
    "free pages": records.check_free_pages,
    "live adapter": model.check_live_adapter,
    "port": running.check_port,
    "service": running.check_service,
    "ready": running.check_ready,
    "engine": running.check_engines,
    "clocks": running.check_skew,
}


class Checked(Struct, frozen=True):
    """One line of the examination."""

    name: str
    level: Level
    found: str
    todo: str


class Examination(Struct, frozen=True):
    """All lines, and how many of them are not ok."""

    checks: list[Checked]
    problems: int
    warnings: int


def subject_of(home: Path) -> Subject:
    """A home, by its own settings where they can be read, and the service that belongs to it."""
    try:
        config, fault = load_config(home), ""
    except ConfigError as error:
        config, fault = Config(), " ".join(str(error).split())
    return Subject(home, config, fault, models_dir(), Client(home=home).url, key_for(home))


def examine(subject: Subject, told: Callable[[str], None] = lambda name: None) -> Examination:
    """Makes all checks; `told` hears of each as it begins."""
    checks = []
    for name, check in CHECKS.items():
        told(name)
        found = _make(check, subject)
        checks.append(Checked(name, found.level, found.found, found.todo))
    levels = [one.level for one in checks]
    return Examination(checks, levels.count("problem"), levels.count("warning"))


def _make(check: Check, subject: Subject) -> Finding:
    """One check that cannot be made must not keep the others from being made."""
    try:
        return check(subject)
    except Exception as error:  # whatever it is, it is what was looked for
        return Finding("problem", f"cannot be checked: {type(error).__name__}: {error}", "see to what it names")
