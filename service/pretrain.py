"""`/api/pretrain`: new base models of imported corpora. What is served does not change by them."""

from __future__ import annotations

from collections.abc import Callable

from litestar import delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from learner.pretrain.pretrainer import Pretrainer
from learner.pretrain.spec import PretrainError, Report, Request
from service.data import note
from service.problem import Problem
from storage.database import Database


@post("/pretrain", status_code=202)
async def start_pretraining(
    data: JSONBody[Request],
    pretrainer: NamedDependency[Pretrainer],
    database: NamedDependency[Database],
    actor: NamedDependency[str],
    clock: NamedDependency[Callable[[], float]],
) -> Report:
    """Begins a pretraining with all weights, or goes on with one that was cut off."""
    try:
        begun = await pretrainer.begin(data)
    except PretrainError as error:
        raise Problem("conflict", str(error)) from error
    how = "all weights of the served model" if data.scratch is None else "a new model"
    await note(database, actor, clock(), "pretrain.begin", begun.name, f"{how} on corpus {data.corpus}")
    return begun


@get("/pretrain")
async def list_pretrainings(pretrainer: NamedDependency[Pretrainer]) -> list[Report]:
    """By name."""
    return pretrainer.reports()


@get("/pretrain/{name:str}")
async def show_pretraining(name: FromPath[str], pretrainer: NamedDependency[Pretrainer]) -> Report:
    """How one stands, or how it went."""
    found = pretrainer.show(name)
    if found is None:
        raise Problem("not_found", f"there is no pretraining {name!r}")
    return found


@delete("/pretrain/running", status_code=200)
async def cancel_pretraining(
    pretrainer: NamedDependency[Pretrainer],
    database: NamedDependency[Database],
    actor: NamedDependency[str],
    clock: NamedDependency[Callable[[], float]],
) -> Report:
    """Ends the running one for good; nothing is left of it but its figures."""
    cancelled = await pretrainer.cancel()
    if cancelled is None:
        raise Problem("not_found", "no pretraining is running")
    await note(database, actor, clock(), "pretrain.cancel", cancelled.name, "")
    return cancelled


HANDLERS = [start_pretraining, list_pretrainings, show_pretraining, cancel_pretraining]
