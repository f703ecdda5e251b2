"""Which adapter answers whom: names people ask for, the live version, and what is in flight on each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from learner.adapter import BASE
from service.problem import Problem

ALIAS = "ratchet"


def model_name(version: str | None) -> str:
    """How an answer names the version that wrote it; one that no version wrote names the alias alone."""
    return ALIAS if version is None else f"{ALIAS}@{version}"


class Router:
    """Knows the live version from memory, so that a flip costs new requests nothing."""

    def __init__(self, live: str, previous: str | None) -> None:
        self.live = live
        self.previous = previous
        self._in_flight: Counter[str] = Counter()

    def went_live(self, name: str, previous: str | None) -> None:
        """From now on new requests go to `name`; `previous`, which a rollback returns to, stays askable."""
        self.live, self.previous = name, previous

    @property
    def names(self) -> list[str]:
        """What can be asked for: the alias first, then each version that is loaded."""
        versions = dict.fromkeys(name for name in (self.live, self.previous, BASE) if name)
        return [ALIAS, *(f"{ALIAS}@{name}" for name in versions)]

    def resolve(self, model: str) -> str:
        """The adapter behind a model name. Raises `model_not_found`."""
        if model == ALIAS:
            return self.live
        if model in self.names:
            return model.removeprefix(f"{ALIAS}@")
        raise Problem("model_not_found", f"there is no model {model!r} here; expected one of {', '.join(self.names)}", "model")

    @contextmanager
    def flight(self, name: str) -> Iterator[None]:
        """Counts an answer as being written by `name` while inside."""
        self._in_flight[name] += 1
        try:
            yield
        finally:
            self._in_flight[name] -= 1

    def in_flight(self, name: str) -> int:
        return self._in_flight[name]
