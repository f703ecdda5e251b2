"""Which adapter answers whom: names people ask for, the live version, those that are tried, and what is in flight on each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from learner.adapter import BASE
from learner.assignment import Standing, assign
from service.problem import Problem

ALIAS = "ratchet"


def model_name(version: str | None) -> str:
    """How an answer names the version that wrote it; one that no version wrote names the alias alone."""
    return ALIAS if version is None else f"{ALIAS}@{version}"


class Router:
    """Knows who answers from memory, so that a flip costs new requests nothing."""

    def __init__(self, standing: Standing) -> None:
        self.standing = standing
        self._in_flight: Counter[str] = Counter()

    def follow(self, standing: Standing) -> None:
        """From now on new requests go by this."""
        self.standing = standing

    @property
    def live(self) -> str:
        return self.standing.live

    @property
    def previous(self) -> str | None:
        """What a rollback returns to; it stays askable."""
        return self.standing.previous

    @property
    def names(self) -> list[str]:
        """What can be asked for: the alias first, then each version that is loaded."""
        tried = [one.adapter for one in self.standing.tried]
        versions = dict.fromkeys(name for name in (self.live, *tried, self.previous, BASE) if name)
        return [ALIAS, *(f"{ALIAS}@{name}" for name in versions)]

    @property
    def tries(self) -> bool:
        """Whether the alias is not the same version for everybody."""
        return any(one.share for one in self.standing.tried)

    def resolve(self, model: str, person_id: str | None = None, continued: str | None = None) -> str:
        """The adapter behind a model name, for a person where one asks. Raises `model_not_found`.

        A conversation that is `continued` stays with the version that answered in it while that still answers people.
        """
        if model == ALIAS:
            return self._stay(continued) or self._try(person_id) or self.live
        if model in self.names:
            return model.removeprefix(f"{ALIAS}@")
        raise Problem("model_not_found", f"there is no model {model!r} here; expected one of {', '.join(self.names)}", "model")

    def _stay(self, version: str | None) -> str | None:
        answering = {self.live, *(one.adapter for one in self.standing.tried if one.share)}
        return version if version in answering else None

    def _try(self, person_id: str | None) -> str | None:
        return None if person_id is None else assign(person_id, self.standing.tried)

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
