"""How much a person, and a key, may ask for in a minute and in a day: answers, the tokens of them, and votes.

Tokens are known when an answer has ended: one is begun while there are any left, and what it took is owed then, so that
a limit is passed by no more than the answers at once. Every service process counts for itself, in memory: behind a load
balancer each allows its limits, and a restart begins anew. A minute's rate is a bucket that refills all the time; a day is
one of UTC. In mode "open" anybody may be somebody new at any time: there a limit only keeps honest people apart.

The headers are OpenAI's `x-ratelimit-*`, of whichever limit per minute has the least left.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Protocol

from msgspec import Struct

from service.auth import Asker
from service.config import LimitSettings, RateSettings
from service.problem import Problem

MINUTE_S, DAY_S = 60.0, 86400.0
MANY = 10_000  # accounts from which on those that nothing is held against go


class Limit(Protocol):
    """So much in a time."""

    what: str
    limit: int

    def left(self, now_s: float) -> float:
        """What may still be taken; below 0 where more was."""

    def wait_s(self, now_s: float) -> float:
        """Seconds until there is something left."""

    def reset_s(self, now_s: float) -> float:
        """Seconds until all of it is there again."""

    def take(self, amount: float, now_s: float) -> None:
        """Takes it, whether it is there or not."""


class Bucket:
    """Refills all the time, up to a minute's worth."""

    def __init__(self, what: str, limit: int) -> None:
        self.what, self.limit = what, limit
        self._level, self._at_s = float(limit), -math.inf

    def left(self, now_s: float) -> float:
        return min(self._level + max(now_s - self._at_s, 0.0) * self.limit / MINUTE_S, self.limit)

    def wait_s(self, now_s: float) -> float:
        return max(1.0 - self.left(now_s), 0.0) * MINUTE_S / self.limit

    def reset_s(self, now_s: float) -> float:
        return (self.limit - self.left(now_s)) * MINUTE_S / self.limit

    def take(self, amount: float, now_s: float) -> None:
        self._level, self._at_s = self.left(now_s) - amount, now_s


class Day:
    """A day's worth, until the next day begins."""

    def __init__(self, what: str, limit: int) -> None:
        self.what, self.limit = what, limit
        self._taken, self._day = 0.0, -math.inf

    def left(self, now_s: float) -> float:
        return self.limit - (self._taken if self._day == now_s // DAY_S else 0.0)

    def wait_s(self, now_s: float) -> float:
        return 0.0 if self.left(now_s) >= 1 else self.reset_s(now_s)

    def reset_s(self, now_s: float) -> float:
        return DAY_S - now_s % DAY_S if self.left(now_s) < self.limit else 0.0

    def take(self, amount: float, now_s: float) -> None:
        self._taken, self._day = self.limit - self.left(now_s) + amount, now_s // DAY_S


class Account(Struct, frozen=True):
    """What one person, or one key, has taken of what is limited."""

    requests: tuple[Limit, ...]
    tokens: tuple[Limit, ...]
    feedback: tuple[Limit, ...]

    @classmethod
    def of(cls, settings: RateSettings) -> Account:
        return cls(
            tuple(_limits("requests", settings.requests_per_minute, settings.requests_per_day)),
            tuple(_limits("tokens", settings.tokens_per_minute, settings.tokens_per_day)),
            tuple(_limits("feedback", settings.feedback_per_minute, None)),
        )

    def is_whole(self, now_s: float) -> bool:
        return not any(one.reset_s(now_s) for one in (*self.requests, *self.tokens, *self.feedback))


class Charge:
    """One answer, as far as it is counted."""

    def __init__(self, requests: list[Limit], tokens: list[Limit], clock: Callable[[], float]) -> None:
        self._requests, self._tokens, self._clock = requests, tokens, clock

    @property
    def headers(self) -> dict[str, str]:
        """What is left, as OpenAI says it; nothing where nothing is limited."""
        return _headers(self._requests, self._clock()) | _headers(self._tokens, self._clock())

    def settle(self, tokens: int) -> None:
        """Counts what the answer took, prompt included."""
        for one in self._tokens:
            one.take(tokens, self._clock())


class Rates:
    """Counts what people and keys ask for."""

    def __init__(self, settings: LimitSettings, clock: Callable[[], float]) -> None:
        self._settings, self._clock = settings, clock
        self._accounts: dict[str, Account] = {}

    def take_answer(self, asker: Asker) -> Charge:
        """Counts a request for an answer. Raises `rate_limit_exceeded` where too much was asked for."""
        accounts = list(self._of(asker))
        requests = [one for account in accounts for one in account.requests]
        tokens = [one for account in accounts for one in account.tokens]
        charge = Charge(requests, tokens, self._clock)
        self._check((*requests, *tokens), charge)
        for one in requests:
            one.take(1, self._clock())
        return charge

    def take_feedback(self, asker: Asker) -> None:
        """Counts a vote. Raises `rate_limit_exceeded` where there were too many."""
        limits = [one for account in self._of(asker) for one in account.feedback]
        self._check(limits, Charge(limits, [], self._clock))
        for one in limits:
            one.take(1, self._clock())

    def _check(self, limits: list[Limit] | tuple[Limit, ...], charge: Charge) -> None:
        now_s = self._clock()
        longest = max(limits, key=lambda one: one.wait_s(now_s), default=None)
        if longest is None or not (wait_s := longest.wait_s(now_s)):
            return
        span = "day" if isinstance(longest, Day) else "minute"
        raise Problem(
            "rate_limit_exceeded",
            f"{longest.limit} {longest.what} a {span} are yours, and they are used up: try again in {_span(wait_s)}",
            headers={"Retry-After": str(math.ceil(wait_s))} | charge.headers,
        )

    def _of(self, asker: Asker) -> Iterator[Account]:
        yield self._account(f"person {asker.person.id}", self._settings.person)
        if asker.key_sha256 is not None:
            yield self._account(f"key {asker.key_sha256}", self._settings.key)

    def _account(self, name: str, settings: RateSettings) -> Account:
        if name not in self._accounts:
            if len(self._accounts) >= MANY:
                now_s = self._clock()
                self._accounts = {kept: one for kept, one in self._accounts.items() if not one.is_whole(now_s)}
            self._accounts[name] = Account.of(settings)
        return self._accounts[name]


def _limits(what: str, per_minute: int | None, per_day: int | None) -> Iterator[Limit]:
    if per_minute is not None:
        yield Bucket(what, per_minute)
    if per_day is not None:
        yield Day(what, per_day)


def _headers(limits: list[Limit], now_s: float) -> dict[str, str]:
    """Of the narrowest: per minute, where there is a limit per minute."""
    if not limits:
        return {}
    narrowest = min(limits, key=lambda one: (isinstance(one, Day), one.left(now_s)))
    return {
        f"x-ratelimit-limit-{narrowest.what}": str(narrowest.limit),
        f"x-ratelimit-remaining-{narrowest.what}": str(max(math.floor(narrowest.left(now_s)), 0)),
        f"x-ratelimit-reset-{narrowest.what}": _span(narrowest.reset_s(now_s)),
    }


def _span(seconds: float) -> str:
    """As OpenAI writes times: `120ms`, `3s`, `6m0s`, `2h0m0s`."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    whole = math.ceil(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "") + f"{rest}s"
