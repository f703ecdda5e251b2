"""Several engines as one: requests go to one of them, adapters to all.

An engine is asked only while it is in the pool. Whoever watches it admits it once it has every adapter and was seen to
answer by each; it leaves when it is seen dead or hung, and comes back in the same way.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path

from learner.admission import Adapters, replay, verify
from learner.balancing import head_of_chat, head_of_tokens
from learner.engine import LOW_PRIORITY, Completion, Drawn, Engine, EngineError
from learner.pool import Member, Pool
from learner.timeouts import DEFAULT_TIMEOUTS, Timeouts

Stamp = tuple[tuple[str, int, int], ...]  # of a folder: names of its files, their bytes, and when they changed


class Engines:
    """A client of one or more vLLM servers with the same model. Use as an async context manager, inside one event loop.

    Every method raises `EngineError`: 503 where no engine is in the pool. `router` is the address of a router that balances
    chats over the same engines by itself.
    """

    def __init__(self, router: str | None = None, timeouts: Timeouts = DEFAULT_TIMEOUTS) -> None:
        self._pool = Pool()
        self._timeouts = timeouts
        self._router = Engine(router, timeouts) if router else None
        self._control = asyncio.Lock()  # what is loaded, and who is in the pool, change one after the other
        self._loaded: dict[str, tuple[Path, Stamp]] = {}  # by `load`: some of it is known only here
        self._open = AsyncExitStack()

    @classmethod
    def of(cls, urls: Sequence[str], timeouts: Timeouts = DEFAULT_TIMEOUTS) -> Engines:
        """Engines that somebody else watches: all are in the pool, and one that leaves it does not come back."""
        engines = cls(None, timeouts)
        for url in urls:
            engines.add(url).in_pool = True
        return engines

    def add(self, url: str | Callable[[], str]) -> Member:
        """One more engine, to be admitted. Before the block in which these are used."""
        member = Member(Engine(url, self._timeouts))
        self._pool.members.append(member)
        return member

    async def __aenter__(self) -> Engines:
        async with AsyncExitStack() as opened:
            for engine in [*(member.engine for member in self.members), *([self._router] if self._router else [])]:
                await opened.enter_async_context(engine)
            self._open = opened.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()

    @property
    def urls(self) -> list[str]:
        """The addresses of those in the pool."""
        return self._pool.urls

    @property
    def members(self) -> Sequence[Member]:
        """All engines, in the pool or not."""
        return self._pool.members

    def stream(self, body: dict[str, object], request_id: str) -> AsyncGenerator[Completion, None]:
        """As `Engine.stream`. What is lost before its first frame is asked of another engine, once."""
        if self._router is not None:
            return self._router.stream(body, request_id)
        return self._pool.stream(head_of_chat(body), lambda engine: engine.stream(body, request_id))

    async def complete(self, body: dict[str, object], request_id: str) -> Completion:
        """As `Engine.complete`."""
        if self._router is not None:
            return await self._router.complete(body, request_id)
        return await self._pool.ask(head_of_chat(body), lambda engine: engine.complete(body, request_id))

    async def score(self, model: str, token_ids: Sequence[int], start: int = 1, priority: int = LOW_PRIORITY) -> list[float]:
        """As `Engine.score`."""
        return await self._pool.ask(head_of_tokens(token_ids), lambda engine: engine.score(model, token_ids, start, priority))

    async def score_each(self, model: str, token_ids: Sequence[int], priority: int = LOW_PRIORITY) -> dict[str, list[float]]:
        """As `score`, of every engine in the pool, by its address."""
        return await self._pool.ask_each(lambda engine: engine.score(model, token_ids, priority=priority))

    async def draw(self, model: str, prompt_ids: Sequence[int], answers: int, max_tokens: int, seed: int) -> list[Drawn]:
        """As `Engine.draw`."""
        return await self._pool.ask(
            head_of_tokens(prompt_ids), lambda engine: engine.draw(model, prompt_ids, answers, max_tokens, seed)
        )

    async def models(self) -> dict[str, str | None]:
        """Names of what every engine in the pool can be asked for, each with the folder that one of them loaded it from."""
        first, *others = (await self._pool.ask_each(lambda engine: engine.models())).values()
        return {name: root for name, root in first.items() if all(name in other for other in others)}

    async def load(self, name: str, folder: Path) -> None:
        """As `Engine.load`, by every engine in the pool. Where one refuses, none keeps it that did not have it before.

        One that is not there leaves the pool, unless it is the last: it gets the adapter when it comes back.
        """
        took: list[Engine] = []

        async def take(engine: Engine) -> None:
            had = name in await engine.models()
            await engine.load(name, folder)
            if not had:
                took.append(engine)

        async with self._control:
            try:
                await self._pool.ask_each(take)
            except EngineError:
                for engine in took:
                    with suppress(EngineError):
                        await engine.unload(name)
                raise
            self._loaded[name] = (folder, _stamp(folder))

    async def unload(self, name: str) -> None:
        """As `Engine.unload`, by every engine; those that are away forget it before they come back."""
        async with self._control:
            self._loaded.pop(name, None)
            try:
                await self._pool.ask_each(lambda engine: engine.unload(name))
            finally:
                for member in self.members:
                    if not member.in_pool:
                        member.missed.add(name)

    async def admit(self, member: Member, engine: Engine, adapters: Adapters, tell: Callable[[str], object]) -> None:
        """Puts a member into the pool, once it has shown what `learner.admission` asks for. Raises `EngineError`.

        `engine` is a client of the same server. `tell` hears of each stage as it begins.
        """
        tell("adapters")
        known = await replay(engine, await self._wanted(adapters))
        tell("first answer")
        compared = self._pool.another(member)
        await verify(engine, known or list(await engine.models())[:1], compared)
        async with self._control:  # nothing is loaded by the others alone from here on
            wanted = await self._wanted(adapters)
            fresh = await replay(engine, wanted, known)
            other = self._pool.another(member)
            await verify(engine, list(wanted) if other and not compared else fresh, other)
            for name in member.missed - wanted.keys():
                await engine.unload(name)
            member.missed.clear()
            member.in_pool = True

    async def _wanted(self, adapters: Adapters) -> dict[str, Path]:
        """What has to be served, and what was loaded beside it and has not changed since."""
        here = {name: folder for name, (folder, stamp) in self._loaded.items() if stamp == _stamp(folder)}
        return dict(await adapters()) | here


def _stamp(folder: Path) -> Stamp:
    """What changes with a folder's files; empty where there is none."""
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    return tuple((file.name, (told := file.stat()).st_size, told.st_mtime_ns) for file in files)
