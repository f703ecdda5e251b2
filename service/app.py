"""The wiring, all of it: what a running Ratchet is made of, in the order in which it starts and ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from litestar import Litestar
from litestar.di import Provide
from litestar.openapi.plugins import JsonRenderPlugin

from learner import forget, setup
from learner.context import Context
from learner.engine import EngineError
from learner.engines import Engines
from learner.model import ensure_model
from learner.policy import Policy, load_policy
from learner.policy.judge import PEOPLE_PRIORITY, Judge
from learner.pretrain.pretrainer import Pretrainer
from learner.release import standing
from learner.schedule import Scheduler
from learner.tokens import Tokens
from service import chat, completions, conversations, feedback, health, me, people, report_link, site
from service.api import api_routes
from service.assets import load_assets
from service.auth import Gatekeeper, operator_key
from service.canary_keeper import CanaryKeeper
from service.chat import Chat
from service.clock import Clock
from service.config import Config, models_dir, streams_s
from service.document import Document, Structs
from service.fleet import Fleet
from service.follow import follow
from service.guard import Guard
from service.headers import SECURITY
from service.keep import keep_house
from service.limits import Limits
from service.patience import BodyTimeout
from service.problem import respond
from service.router import Router
from storage.archive import DATABASE
from storage.artifacts import Artifacts
from storage.database import Database


@dataclass
class Parts:
    """Everything a handler can ask for by name."""

    database: Database
    engine: Engines
    fleet: Fleet
    router: Router
    chat: Chat
    gatekeeper: Gatekeeper
    policy: Policy
    context: Context
    scheduler: Scheduler
    keeper: CanaryKeeper
    pretrainer: Pretrainer
    clock: Clock
    started_at_s: float


@asynccontextmanager
async def running(home: Path, config: Config) -> AsyncIterator[Parts]:
    """A working service without its HTTP: storage, engine, router, learner. The engine may still be starting."""
    policy = load_policy(config.learner.policy)
    model_dir = await asyncio.to_thread(ensure_model, config.model, models_dir())
    clock = Clock(injected=config.clock == "injected")
    database = await Database.open(config.storage.url or home / DATABASE, config.storage)
    artifacts = Artifacts(home, config.storage.artifacts)
    artifacts.clear_temporary()
    await setup.ensure_live(database, artifacts, model_dir, config.learner.train.rank, clock)
    router = Router(await standing(database, config.learner.release))
    engine = Engines(config.engine.router, config.engine.timeouts)
    fleet = Fleet(config.engine, model_dir, home / "engine", lambda: setup.adapters_to_serve(context), engine)
    tokens = Tokens(model_dir)
    async with engine:
        context = Context(
            home,
            database,
            artifacts,
            engine,
            tokens,
            model_dir,
            config.learner,
            clock,
            router.follow,
            router.in_flight,
        )
        guard = Guard(policy if config.guard.enabled else None, Judge(engine, lambda: router.live, PEOPLE_PRIORITY))
        limits = Limits(config.server, tokens)
        talk = Chat(database, engine, router, guard, limits, clock, config.server)
        scheduler = Scheduler(context, config.storage.lease_s)
        pretrainer = Pretrainer(context)
        keeper = CanaryKeeper(context, lambda: scheduler.leads)
        await fleet.start()
        tasks = [
            asyncio.create_task(_learn_once_ready(context, fleet, scheduler, config.engine.start_timeout_s)),
            asyncio.create_task(keep_house(database, artifacts, config.storage, clock)),
            asyncio.create_task(keeper.keep()),
        ]
        if database.is_shared:
            tasks.append(asyncio.create_task(follow(context, router)))
        try:
            gatekeeper = Gatekeeper(database, operator_key(home))
            work = (context, scheduler, keeper, pretrainer)
            yield Parts(database, engine, fleet, router, talk, gatekeeper, policy, *work, clock, clock())
        finally:
            for task in tasks:
                task.cancel()
            await scheduler.stop()
            await pretrainer.stop()
            await talk.drain(streams_s(config))
            await fleet.stop()
            await database.close()


async def _learn_once_ready(context: Context, fleet: Fleet, scheduler: Scheduler, timeout_s: float) -> None:
    while True:
        with suppress(EngineError):
            await fleet.wait_ready(timeout_s)
            await forget.resume(context)
            return await scheduler.start()
        await asyncio.sleep(1)


def create_app(home: Path, config: Config) -> Litestar:
    """The service as an ASGI application; its parts live as long as it runs. Raises `AssetsError`."""
    assets = load_assets()

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        async with running(home, config) as app.state.parts:
            yield

    def part(name: str) -> Provide:
        return Provide(lambda: getattr(app.state.parts, name), sync_to_thread=False)

    app = Litestar(
        route_handlers=[
            *chat.HANDLERS,
            *feedback.HANDLERS,
            *completions.HANDLERS,
            *conversations.HANDLERS,
            *me.HANDLERS,
            *people.HANDLERS,
            *health.HANDLERS,
            *site.HANDLERS,
            *report_link.PAGES,
            api_routes(lambda: app.state.parts.gatekeeper),
        ],
        dependencies={name: part(name) for name in Parts.__dataclass_fields__}
        | {"assets": Provide(lambda: assets, sync_to_thread=False)},
        middleware=[BodyTimeout(config.server.body_timeout_s)],
        lifespan=[lifespan],
        exception_handlers={Exception: respond},
        request_max_body_size=config.server.max_body_bytes,
        openapi_config=Document(title="Ratchet", version="1", path="/schema", render_plugins=[JsonRenderPlugin()]),
        plugins=[Structs()],
        response_headers=SECURITY,
    )
    return app
