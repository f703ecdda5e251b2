"""Who is answered by which version while some are tried."""

from __future__ import annotations

import pytest

from learner.assignment import Standing, Tried, assign
from service.problem import Problem
from service.router import Router

TRIED = (Tried("r2", 0, 0.25), Tried("r3", 1, 0.0))
IN, OUT = (next(f"person-{n}" for n in range(99) if (assign(f"person-{n}", TRIED) == "r2") is tries) for tries in (True, False))


@pytest.fixture
def router() -> Router:
    return Router(Standing("r1", "base", TRIED))


def test_the_alias_is_what_is_tried_for_those_who_try_it_and_live_for_all_others(router: Router) -> None:
    assert (router.resolve("ratchet", IN), router.resolve("ratchet", OUT), router.resolve("ratchet")) == ("r2", "r1", "r1")
    assert router.tries


def test_a_conversation_keeps_its_version_while_that_answers_people(router: Router) -> None:
    assert router.resolve("ratchet", IN, continued="r1") == "r1"
    assert router.resolve("ratchet", OUT, continued="r2") == "r2"
    for gone in ("r0", "r3", "base", None):  # r3 answers nobody yet
        assert (router.resolve("ratchet", IN, continued=gone), router.resolve("ratchet", OUT, continued=gone)) == ("r2", "r1")
    router.follow(Standing("r1", "base"))
    assert router.resolve("ratchet", OUT, continued="r2") == "r1" and not router.tries


def test_every_version_that_is_loaded_can_be_asked_for_by_name(router: Router) -> None:
    assert router.names == ["ratchet", "ratchet@r1", "ratchet@r2", "ratchet@r3", "ratchet@base"]
    assert router.resolve("ratchet@r3", IN) == "r3"
    with pytest.raises(Problem, match="there is no model 'ratchet@r9' here"):
        router.resolve("ratchet@r9", IN)


def test_what_waits_for_approval_makes_nobody_look_anything_up() -> None:
    assert not Router(Standing("r1", "base", TRIED[1:])).tries
