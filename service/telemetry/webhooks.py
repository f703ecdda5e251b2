"""Webhooks: programs that are told of verdicts, rollbacks and failures, signed and retried as Standard Webhooks have it.

Events are found in the database and noted there for each hook before anything is sent, so that a restart loses none; one may
come twice, with the same `webhook-id`. A hook that is new is told `ping` at once, and then of what happens from there on.
<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import aiohttp
import msgspec
from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from learner.gate import Decision
from service.config import ConfigError
from service.telemetry.settings import WebhookSettings
from storage import deliveries
from storage.database import Database, UnavailableError
from storage.happenings import Happenings, select_happenings
from storage.records import Delivery

logger = logging.getLogger(__name__)
PING = "ping"
POLL_S = 2.0
TIMEOUT_S = 15.0
AT_ONCE = 20  # deliveries in one round
FIRST_WAIT_S, LONGEST_WAIT_S = 5.0, 3600.0  # before the next attempt; doubles with every one
GIVE_UP_S = 3 * 86_400.0  # after which nobody wants to hear of it any more
KEPT_S = 30 * 86_400.0  # what was delivered
SECRET_PREFIX = "whsec_"  # of a secret in base64


class WebhookError(ConfigError):
    """A webhook cannot be told anything; the message says what is missing."""


class Happening(Struct, frozen=True):
    """Something to tell. Its `id` says what it is, so that it is found once only."""

    id: str
    event: str
    at_s: float
    data: dict[str, Any]


class Body(Struct, frozen=True):
    """What is posted."""

    type: str
    timestamp: str  # of the event, ISO 8601
    data: dict[str, Any]


class Hook:
    """One webhook, with its secret. Raises `WebhookError` where there is none in the environment."""

    def __init__(self, settings: WebhookSettings, environment: Mapping[str, str]) -> None:
        self.settings, self.id = settings, hashlib.sha256(settings.url.encode()).hexdigest()
        secret = environment.get(settings.secret_env, "")
        if not secret:
            raise WebhookError(f"webhooks.secret_env is {settings.secret_env!r}, and there is no such environment variable")
        try:
            encoded = secret.removeprefix(SECRET_PREFIX)
            self._secret = base64.b64decode(encoded, validate=True) if secret.startswith(SECRET_PREFIX) else secret.encode()
        except binascii.Error as error:
            raise WebhookError(f"{settings.secret_env} begins with {SECRET_PREFIX}, but what follows is no base64") from error

    def headers(self, id: str, now_s: float, body: bytes) -> dict[str, str]:
        """By which the receiver knows whom it is from, and that it is new."""
        timestamp = str(int(now_s))
        digest = hmac.digest(self._secret, b".".join((id.encode(), timestamp.encode(), body)), hashlib.sha256)
        return {
            "content-type": "application/json",
            "webhook-id": id,
            "webhook-timestamp": timestamp,
            "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
        }


def read_hooks(settings: Sequence[WebhookSettings], environment: Mapping[str, str] = os.environ) -> list[Hook]:
    """Those of the settings. Raises `WebhookError`."""
    return [Hook(one, environment) for one in settings]


class Webhooks:
    """Finds what is to be told and tells it, while this service `leads`. `down` says why no engine answers, if none does."""

    def __init__(
        self,
        database: Database,
        hooks: Sequence[Hook],
        clock: Callable[[], float],
        leads: Callable[[], bool],
        down: Callable[[], str],
    ) -> None:
        self._database, self._hooks, self._clock, self._leads, self._down = database, hooks, clock, leads, down
        self._down_at_s: float | None = None  # when all engines were first seen to have failed

    async def keep(self, poll_s: float = POLL_S) -> None:
        """Tells, again and again, until it is cancelled."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)) as http:
            while True:
                if self._leads():
                    await self._round(http)
                await asyncio.sleep(poll_s)

    async def _round(self, http: aiohttp.ClientSession) -> None:
        try:
            await self.note()
            await self.deliver(http)
        except (UnavailableError, DBAPIError) as error:  # the next round may do better
            logger.warning("webhooks cannot be told now: %s", error)

    async def note(self) -> None:
        """Notes for each hook what it is to be told."""
        now_s = self._clock()
        down = self._engine_down(now_s)
        await self._database.write(partial(self._note, now_s=now_s, down=down))

    async def deliver(self, http: aiohttp.ClientSession) -> None:
        """Sends what is due, and notes how it went."""
        now_s = self._clock()
        due = await self._database.read(partial(deliveries.select_due, now_s=now_s, limit=AT_ONCE))
        hooks = {hook.id: hook for hook in self._hooks}
        done = await asyncio.gather(*(self._send(http, hooks.get(one.hook), one, now_s) for one in due))
        for delivery in done:
            await self._database.write(partial(deliveries.update_delivery, delivery=delivery))

    def _engine_down(self, now_s: float) -> list[Happening]:
        problem = self._down()
        self._down_at_s = (self._down_at_s or now_s) if problem else None
        if self._down_at_s is None:
            return []
        told = {"what": "engine", "reasons": [problem.partition("; its log ends:")[0]]}
        return [Happening(f"failure-engine-{self._down_at_s:.0f}", "failure", self._down_at_s, told)]

    async def _note(self, connection: AsyncConnection, now_s: float, down: Sequence[Happening]) -> None:
        for hook in self._hooks:
            ping = Delivery(hook.id, PING, PING, {"events": list(hook.settings.events)}, now_s, due_at_s=now_s)
            await deliveries.insert_delivery(connection, ping)
            begun_s = await deliveries.select_event_at(connection, hook.id, PING) or now_s
            found = await select_happenings(connection, max(begun_s, now_s - GIVE_UP_S))
            for one in (*happened(found), *down):
                if one.event in hook.settings.events:
                    told = Delivery(hook.id, one.id, one.event, one.data, one.at_s, due_at_s=now_s)
                    await deliveries.insert_delivery(connection, told)
        await deliveries.delete_done(connection, now_s - KEPT_S, but=PING)

    async def _send(self, http: aiohttp.ClientSession, hook: Hook | None, told: Delivery, now_s: float) -> Delivery:
        """The delivery as it is after an attempt."""
        if hook is None:
            return replace(told, due_at_s=None, problem="the settings name no such webhook any more")
        timestamp = datetime.fromtimestamp(told.happened_at_s, UTC).isoformat()
        body = msgspec.json.encode(Body(told.event, timestamp, told.data))
        tried = replace(told, attempts=told.attempts + 1, problem=await _post(http, hook, told.id, now_s, body))
        if not tried.problem:
            return replace(tried, due_at_s=None, delivered_at_s=now_s)
        logger.warning("a webhook was not told of %s: %s", told.id, tried.problem)
        again_s = now_s + min(FIRST_WAIT_S * 2.0**told.attempts, LONGEST_WAIT_S)
        return replace(tried, due_at_s=again_s if again_s < told.happened_at_s + GIVE_UP_S else None)


async def _post(http: aiohttp.ClientSession, hook: Hook, id: str, now_s: float, body: bytes) -> str:
    """Why it was not taken; empty where it was."""
    try:
        headers = hook.headers(id, now_s, body)
        async with http.post(hook.settings.url, data=body, headers=headers, allow_redirects=False) as response:
            return "" if 200 <= response.status < 300 else f"status {response.status}"
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        return type(error).__name__  # its words may name the URL, which may hold a secret


def happened(found: Happenings) -> Iterator[Happening]:
    """What was found, as it is told."""
    for stage in found.judged:
        judged = msgspec.convert(stage.output, Decision)
        adapter = (stage.output or {}).get("adapter")
        told = {"cycle_id": stage.cycle_id, "verdict": judged.verdict.value, "adapter": adapter, "reasons": judged.reasons}
        yield Happening(f"verdict-{stage.cycle_id}", "verdict", stage.ended_at_s or 0.0, told)
    for cycle in found.failed:
        failed = {"what": "cycle", "cycle_id": cycle.id, "reasons": cycle.reasons}
        yield Happening(f"failure-cycle-{cycle.id}-{cycle.ended_at_s:.0f}", "failure", cycle.ended_at_s or 0.0, failed)
    for move in found.returned:
        back = {"from": move.previous, "to": move.adapter, "actor": move.actor, "reason": move.reason}
        yield Happening(f"rollback-{move.id}", "rollback", move.created_at_s, back)
    for canary in found.rolled_back:
        tried = {"from": canary.adapter, "to": canary.against, "actor": "", "reason": canary.reason}
        yield Happening(f"rollback-canary-{canary.id}", "rollback", canary.ended_at_s or 0.0, tried)
