"""Evaluations that were tampered with, or went wrong: each must be inconclusive, however good the candidate looks."""

from __future__ import annotations

import math
from collections.abc import Callable

from msgspec.structs import replace
from numpy.random import Generator

from learner.gate import Case, SuiteScores
from storage.evaluations import digest


def tamper(case: Case, chance: Generator) -> Case:
    """The case with one thing wrong, drawn at random."""
    ways = list(WAYS.values())
    return ways[chance.integers(len(ways))](case, chance)


def _in_a_suite(change: Callable[[SuiteScores, str, Generator], SuiteScores]) -> Callable[[Case, Generator], Case]:
    def way(case: Case, chance: Generator) -> Case:
        number = int(chance.integers(len(case.suites)))
        suite = case.suites[number]
        item = suite.items[chance.integers(len(suite.items))]
        suites = [*case.suites[:number], change(suite, item, chance), *case.suites[number + 1 :]]
        return replace(case, suites=suites)

    return way


def _without(suite: SuiteScores, item: str, chance: Generator) -> SuiteScores:
    return replace(suite, candidate={name: score for name, score in suite.candidate.items() if name != item})


def _with(score: float) -> Callable[[SuiteScores, str, Generator], SuiteScores]:
    return lambda suite, item, chance: replace(suite, candidate={**suite.candidate, item: score})


def _added(suite: SuiteScores, item: str, chance: Generator) -> SuiteScores:
    return replace(suite, candidate={**suite.candidate, "of another suite": 1.0})


def _raised(suite: SuiteScores, item: str, chance: Generator) -> SuiteScores:
    """The scores a database gives after somebody raised them there: none, as their digest is another."""
    raised = {name: score + 0.1 for name, score in suite.candidate.items()}
    kept = digest("candidate", suite.sha256, suite.candidate)
    return replace(suite, candidate=raised if digest("candidate", suite.sha256, raised) == kept else {})


def _moved(suite: SuiteScores, item: str, chance: Generator) -> SuiteScores:
    """The same of another version's scores under this one's name."""
    kept = digest("base", suite.sha256, suite.base)
    return replace(suite, candidate=suite.base if digest("candidate", suite.sha256, suite.base) == kept else {})


def _spoil_vote(case: Case, chance: Generator) -> Case:
    return replace(case, votes=[*case.votes[1:], replace(case.votes[0], gain=math.nan)])


def _fail(why: str) -> Callable[[Case, Generator], Case]:
    return lambda case, chance: Case([], [], failure=f"it could not be evaluated: {why}")


WAYS: dict[str, Callable[[Case, Generator], Case]] = {
    "an item is missing": _in_a_suite(_without),
    "a score is not a number": _in_a_suite(_with(math.nan)),
    "a score has no end": _in_a_suite(_with(math.inf)),
    "an item is of another suite": _in_a_suite(_added),
    "scores were raised in the database": _in_a_suite(_raised),
    "scores are another version's": _in_a_suite(_moved),
    "no suite was scored": lambda case, chance: replace(case, suites=[]),
    "a vote is not a number": _spoil_vote,
    "the suite changed meanwhile": _fail("facts changed since it was scored"),
    "another adapter was served": _fail("the engine serves another one"),
}
