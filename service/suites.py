"""`/api/suites`: the frozen suites that judge here, and how versions do on them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Annotated

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromQuery, JSONBody
from msgspec import Meta, Struct

from learner.context import Context
from learner.evaluate.calibrate import calibrate
from learner.evaluate.cards import SuiteCard, suite_cards
from learner.evaluate.judge import JudgeError
from learner.evaluate.judged import Calibration, read_calibration
from learner.evaluate.suite import SuiteError
from learner.evaluate.versions import SuiteMean, VersionsCompared, compare_versions, mean_scores, score_versions, select_suites
from learner.jobs import JobError
from learner.release import live_release
from service.data import note
from service.lineage import known_adapter
from service.problem import Problem


class SuitesRun(Struct, frozen=True, forbid_unknown_fields=True):
    """Which version; the live one where it is not said; on which suites, all where empty."""

    adapter: str | None = None
    suites: list[str] = []


class Scored(Struct, frozen=True):
    """`unjudged` are the judged suites that their judge did not score, and why."""

    adapter: str
    suites: list[SuiteMean]
    unjudged: dict[str, str] = {}


class Pairs(Struct, frozen=True, forbid_unknown_fields=True):
    """How many pairs of answers a judge is asked about at most."""

    limit: Annotated[int, Meta(ge=1)] = 200


@get("/suites")
async def list_suites(context: NamedDependency[Context]) -> list[SuiteCard]:
    """The shipped suites and the operator's own, proved unchanged, by name."""
    with _told():
        calibration = read_calibration(context.home)
        return await asyncio.to_thread(suite_cards, context.suites_dirs, context.settings.judge, calibration)


@post("/suites/run", status_code=200)
async def run_suites(
    context: NamedDependency[Context],
    actor: NamedDependency[str],
    clock: NamedDependency[Callable[[], float]],
    data: JSONBody[SuitesRun | None] = None,
) -> Scored:
    """Returns once a version is scored on whatever it was not scored on before: at once, or after some minutes."""
    wanted = data or SuitesRun()
    adapter = wanted.adapter or (await live_release(context)).adapter
    await context.database.read(lambda connection: known_adapter(connection, adapter))
    with _told():
        select_suites(context, wanted.suites)
        unjudged = await score_versions(context, [adapter], wanted.suites)
        scored = Scored(adapter, await mean_scores(context, adapter, wanted.suites), unjudged)
    await note(context.database, actor, clock(), "suites.run", adapter, f"{len(scored.suites)} suites")
    return scored


@get("/suites/compare")
async def compare(
    a: FromQuery[str], b: FromQuery[str], context: NamedDependency[Context], suite: FromQuery[list[str] | None] = None
) -> VersionsCompared:
    """Version `b` against version `a`, by the scores that there are; what was not scored is inconclusive."""
    for name in (a, b):
        await context.database.read(partial(known_adapter, name=name))
    with _told():
        return await compare_versions(context, a, b, suite or [])


@post("/suites/calibrate", status_code=200)
async def calibrate_judge(
    context: NamedDependency[Context],
    actor: NamedDependency[str],
    clock: NamedDependency[Callable[[], float]],
    data: JSONBody[Pairs | None] = None,
) -> Calibration:
    """Returns once the judge was asked about answers of which people preferred one: it may take minutes."""
    with _told():
        found = await calibrate(context, (data or Pairs()).limit)
    detail = f"{found.agreed} of {found.pairs} pairs, {found.ties} ties, bound {found.bound:.3f}"
    await note(context.database, actor, clock(), "suites.calibrate", found.model, detail)
    return found


@contextmanager
def _told() -> Iterator[None]:
    """Inside, what is wrong with suites or with scoring becomes the caller's problem."""
    try:
        yield
    except LookupError as error:
        if type(error) is not LookupError:  # a KeyError is a mistake of ours
            raise
        raise Problem("not_found", f"there is {error}", "suites") from error
    except (SuiteError, JudgeError) as error:
        raise Problem("conflict", str(error)) from error
    except JobError as error:
        raise Problem("engine_failed", f"the suites could not be scored: {error}") from error


HANDLERS = [list_suites, run_suites, compare, calibrate_judge]
