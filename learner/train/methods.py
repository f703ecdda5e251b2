"""The ways of learning. To add one: a module with `train(work: Work) -> Outcome`, and a line in each table here.

Modules are imported when they are used: TRL takes seconds to import, and the service needs the names alone.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from learner.rows import RowKind
from learner.train.spec import Outcome, Work

METHODS = {
    "mixed": "learner.train.mixed",
    "cpt": "learner.train.cpt",
    "sft": "learner.train.sft",
    "dpo": "learner.train.dpo",
    "kto": "learner.train.kto",
    "reward": "learner.train.reward",
    "rloo": "learner.train.rloo",
    "grpo": "learner.train.grpo",
}
READS = {  # which rows of a dataset each method learns from
    "mixed": frozenset(RowKind) - {RowKind.TEXT},
    "sft": frozenset({RowKind.THUMB, RowKind.CORRECTION, RowKind.DEMONSTRATION}),
    "dpo": frozenset({RowKind.CORRECTION, RowKind.PREFERENCE}),
    "kto": frozenset({RowKind.THUMB}),
    "cpt": frozenset({RowKind.TEXT}),
    "reward": frozenset({RowKind.THUMB, RowKind.CORRECTION, RowKind.PREFERENCE}),
    "rloo": frozenset({RowKind.THUMB, RowKind.REPLAY}),
    "grpo": frozenset({RowKind.THUMB, RowKind.REPLAY}),
}
MAKES_NO_ADAPTER = frozenset({"reward"})  # but what its own docstring says
PARALLEL = frozenset({"mixed"})  # whose lessons several processes share; the others train as one


def check_method(name: str) -> None:
    """Raises ValueError, with what there is, for a name that is no method's."""
    if name not in METHODS:
        raise ValueError(f"there is no method {name!r}; expected one of {', '.join(sorted(METHODS))}")


def load_method(name: str) -> Callable[[Work], Outcome]:
    """The method of this name. Raises `KeyError` for an unknown one: who takes names from people checks them first."""
    train: Callable[[Work], Outcome] = import_module(METHODS[name]).train
    return train
