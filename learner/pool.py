"""The engines that are asked: requests go to one of them, or to each, and one that is not there any more leaves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from typing import TypeVar

from aiohttp import ClientError

from learner.balancing import choose
from learner.engine import Engine, EngineError

logger = logging.getLogger(__name__)
NOT_THERE = (502, 503)  # how an engine that died, hangs or cannot be reached answers
T = TypeVar("T")


class Member:
    """One engine of the pool, or one that may come back to it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.in_pool = False
        self.in_flight = 0  # requests that it has from here
        self.missed: set[str] = set()  # what was unloaded while it was away

    @property
    def url(self) -> str:
        return self.engine.url


class Pool:
    """Members, of which those that are in can be asked. Asking raises `EngineError`: 503 where none is in."""

    def __init__(self) -> None:
        self.members: list[Member] = []

    @property
    def urls(self) -> list[str]:
        """The addresses of those that are in."""
        return [member.url for member in self.members if member.in_pool]

    def another(self, member: Member) -> Engine | None:
        """A client of some other member that is in."""
        return next((other.engine for other in self.members if other.in_pool and other is not member), None)

    async def stream(self, head: bytes, ask: Callable[[Engine], AsyncGenerator[T, None]]) -> AsyncGenerator[T, None]:
        """As `ask`, for what is given piece by piece: nothing is asked of another engine once there was a piece."""
        begun = False
        with self._one(head) as member:
            try:
                async with aclosing(ask(member.engine)) as pieces:
                    async for piece in pieces:
                        begun = True
                        yield piece
                return
            except EngineError as error:
                if begun or not self._is_lost(member, error):
                    raise
        with self._one(head) as member:
            async with aclosing(ask(member.engine)) as pieces:
                async for piece in pieces:
                    yield piece

    async def ask(self, head: bytes, ask: Callable[[Engine], Awaitable[T]]) -> T:
        """Asks one engine, and once another where the connection to the first was lost."""
        with self._one(head) as member:
            try:
                return await ask(member.engine)
            except EngineError as error:
                if not self._is_lost(member, error):
                    raise
        with self._one(head) as member:
            return await ask(member.engine)

    async def ask_each(self, ask: Callable[[Engine], Awaitable[T]]) -> dict[str, T]:
        """Asks every engine in the pool at once: the answers by address. Those that are not there leave, but for the last.

        Raises the first refusal, once all have answered.
        """
        members = self._in()
        answers = await asyncio.gather(*(ask(member.engine) for member in members), return_exceptions=True)
        refusals: list[BaseException] = []
        for member, answer in zip(members, answers, strict=True):
            if not isinstance(answer, BaseException):
                continue
            if not (isinstance(answer, EngineError) and answer.status in NOT_THERE and self._leave(member, answer)):
                refusals.append(answer)
        if refusals:
            raise refusals[0]
        given = zip(members, answers, strict=True)
        return {member.url: answer for member, answer in given if not isinstance(answer, BaseException)}

    @contextmanager
    def _one(self, head: bytes) -> Iterator[Member]:
        """The engine for a prompt that begins so; inside, it has one request more."""
        pool = {member.url: member for member in self._in()}
        member = pool[choose(head, {url: one.in_flight for url, one in pool.items()})]
        member.in_flight += 1
        try:
            yield member
        finally:
            member.in_flight -= 1

    def _in(self) -> list[Member]:
        pool = [member for member in self.members if member.in_pool]
        if not pool:
            raise EngineError(503, "no engine is ready to answer")
        return pool

    def _is_lost(self, member: Member, error: EngineError) -> bool:
        """Whether the engine could not be reached or broke off, and there is another: it has left the pool then."""
        cause = error.__cause__
        broke_off = isinstance(cause, (ClientError, OSError)) and not isinstance(cause, TimeoutError)
        return error.status in NOT_THERE and broke_off and self._leave(member, error)

    def _leave(self, member: Member, error: EngineError) -> bool:
        """Takes a member out of the pool, unless it is the last; whether it is out."""
        if self.another(member) is None:
            return False
        if member.in_pool:
            logger.warning("the engine at %s leaves the pool: %s", member.url, error)
        member.in_pool = False
        return True
