"""The wiring, all of it: what a running Ratchet is made of, in the order in which it starts and ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
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
from service import chat, completions, conversations, feedback, health, me, people, report_link, session, site
from service.admission import Admission
from service.api import api_routes
from service.assets import load_assets
from service.auth import Gatekeeper
from service.canary_keeper import CanaryKeeper
from service.chat import Chat
from service.clock import Clock
from service.config import Config, models_dir, streams_s
from service.cookies import Cookies
from service.document import Document, Structs
from service.errors import respond
from service.fleet import Fleet
from service.follow import follow
from service.forgery import Hosts
from service.guard import Guard
from service.headers import SECURITY
from service.health import Health
from service.home_key import operator_key
from service.keep import keep_house, keep_uses
from service.limits import Limits
from service.patience import BodyTimeout
from service.rates import Rates
from service.router import Router
from service.supervisor import EngineState
from service.telemetry.instruments import Instruments
from service.telemetry.requests import WatchedRequests
from service.telemetry.scrape import metrics_route
from service.telemetry.traces import start_tracing
from service.telemetry.vitals import Watcher
from service.telemetry.webhooks import Hook, Webhooks, read_hooks
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
    rates: Rates
    policy: Policy
    context: Context
    scheduler: Scheduler
    keeper: CanaryKeeper
    pretrainer: Pretrainer
    clock: Clock
    started_at_s: float
    instruments: Instruments
    health: Health
    watcher: Watcher


@asynccontextmanager
async def running(
    home: Path, config: Config, jar: Cookies, instruments: Instruments, hooks: Sequence[Hook] = ()
) -> AsyncIterator[Parts]:
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
            instruments.metrics.swapped,
        )
        guard = Guard(policy if config.guard.enabled else None, Judge(engine, lambda: router.live, PEOPLE_PRIORITY))
        limits = Limits(config.server, tokens)
        talk = Chat(database, engine, router, guard, limits, clock, config.server, instruments)
        scheduler = Scheduler(context, config.storage.lease_s)
        pretrainer = Pretrainer(context)
        keeper = CanaryKeeper(context, lambda: scheduler.leads)
        gatekeeper = Gatekeeper(database, operator_key(home), config.auth, jar, clock)
        health = Health(database, fleet, home, config.health, lambda: talk.closing)
        waited, refresh_s = instruments.metrics.waited, config.metrics.refresh_s
        watcher = Watcher(database, scheduler, fleet, router, health, clock, waited, refresh_s)
        await fleet.start()
        starting = asyncio.create_task(_learn_once_ready(context, fleet, scheduler, config.engine.start_timeout_s))
        health.tasks += [
            asyncio.create_task(keep_house(database, artifacts, config.storage, clock), name="housekeeping"),
            asyncio.create_task(keep_uses(gatekeeper), name="noting which keys are used"),
            asyncio.create_task(keeper.keep(), name="the watch over trials"),
            asyncio.create_task(health.keep(), name="the watch over health"),
        ]
        if hooks:
            webhooks = Webhooks(database, hooks, clock, lambda: scheduler.leads, lambda: _why_down(fleet))
            health.tasks.append(asyncio.create_task(webhooks.keep(), name="webhooks"))
        if database.is_shared:
            health.tasks.append(asyncio.create_task(follow(context, router), name="following the live version"))
        try:
            rates = Rates(config.limits, clock)
            work = (context, scheduler, keeper, pretrainer)
            watch = (instruments, health, watcher)
            yield Parts(database, engine, fleet, router, talk, gatekeeper, rates, policy, *work, clock, clock(), *watch)
        finally:
            for task in (starting, *health.tasks):
                task.cancel()
            await health.stop()
            await scheduler.stop()
            await pretrainer.stop()
            await talk.drain(streams_s(config))
            await fleet.stop()
            await gatekeeper.keep_uses()
            await database.close()
            await asyncio.to_thread(instruments.tracing.stop)


def _why_down(fleet: Fleet) -> str:
    """Why no engine comes up; empty while one may."""
    return fleet.problem if fleet.state is EngineState.FAILED else ""


async def _learn_once_ready(context: Context, fleet: Fleet, scheduler: Scheduler, timeout_s: float) -> None:
    while True:
        with suppress(EngineError):
            await fleet.wait_ready(timeout_s)
            await forget.resume(context)
            return await scheduler.start()
        await asyncio.sleep(1)


def create_app(home: Path, config: Config) -> Litestar:
    """The service as an ASGI application; its parts live as long as it runs.

    Raises `AssetsError`, and `ConfigError` for settings that need what is not there.
    """
    assets, jar = load_assets(), Cookies(config.server.public_url)
    hosts = Hosts(config.server.host, config.server.public_url)
    instruments = Instruments(tracing=start_tracing(config.tracing))
    hooks = read_hooks(config.webhooks)

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        async with running(home, config, jar, instruments, hooks) as app.state.parts:
            yield

    def part(name: str) -> Provide:
        return Provide(lambda: getattr(app.state.parts, name), sync_to_thread=False)

    def fixed(value: object) -> Provide:
        return Provide(lambda: value, sync_to_thread=False)

    app = Litestar(
        route_handlers=[
            *chat.HANDLERS,
            *feedback.HANDLERS,
            *completions.HANDLERS,
            *conversations.HANDLERS,
            *me.HANDLERS,
            *session.HANDLERS,
            *people.HANDLERS,
            *health.HANDLERS,
            *site.HANDLERS,
            *report_link.PAGES,
            api_routes(),
            *([metrics_route(config.metrics, instruments)] if config.metrics.enabled else []),
        ],
        dependencies={name: part(name) for name in Parts.__dataclass_fields__}
        | {"assets": fixed(assets), "jar": fixed(jar), "config": fixed(config)},
        middleware=[Admission(lambda: app.state.parts.gatekeeper, hosts, config.auth), BodyTimeout(config.server.body_timeout_s)],
        lifespan=[lifespan],
        exception_handlers={Exception: respond},
        request_max_body_size=config.server.max_body_bytes,
        logging_config=None,  # it would put a form of its own in the place of `start_log`'s
        openapi_config=Document(title="Ratchet", version="1", path="/schema", render_plugins=[JsonRenderPlugin()]),
        plugins=[Structs()],
        response_headers=SECURITY,
    )
    app.asgi_handler = WatchedRequests(app.asgi_handler, instruments, config.log.requests)  # whatever routing makes of a request
    return app
