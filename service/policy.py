"""`/api/policy`: the rules in force, and what they say of a text."""

from __future__ import annotations

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Struct

from learner.engines import Engines
from learner.policy import Breach, Policy, Rule
from learner.policy.judge import Judge
from service.problem import Problem
from service.router import Router


class PolicyCard(Struct, frozen=True):
    """The policy as it was read when the service started."""

    sha256: str
    rules: list[Rule]


class Trial(Struct, frozen=True, forbid_unknown_fields=True):
    """A prompt, an answer, or an exchange of both."""

    prompt: str = ""
    answer: str = ""


class Tried(Struct, frozen=True):
    """Every rule that is broken, where, and the one that counts: an answer that declines keeps its prompt's rules."""

    breaches: list[Breach]
    verdict: Breach | None


@get("/policy")
async def show_policy(policy: NamedDependency[Policy]) -> PolicyCard:
    return PolicyCard(policy.sha256, list(policy.rules))


@post("/policy/try", status_code=200)
async def try_policy(
    data: JSONBody[Trial], policy: NamedDependency[Policy], engine: NamedDependency[Engines], router: NamedDependency[Router]
) -> Tried:
    """Holds a text against all rules; those that a model decides are asked of the live version."""
    if not data.prompt and not data.answer:
        raise Problem("invalid_request", "there is no text: expected a prompt, an answer or both")
    judge = Judge(engine, lambda: router.live)
    breaches = policy.breaches(data.prompt, "prompt") + policy.breaches(data.answer, "answer")
    breaches += await judge.breaches(policy, data.prompt, "prompt") if data.prompt else []
    breaches += await judge.breaches(policy, data.answer, "answer") if data.answer else []
    return Tried(breaches, policy.judge(data.prompt, data.answer))


HANDLERS = [show_policy, try_policy]
