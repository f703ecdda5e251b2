"""Candidates that passed the gate, in a home without an engine, and people who are answered by one version or another."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import msgspec
from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncConnection

from learner import rollout
from learner.assignment import Standing
from learner.config import ReleaseSettings
from learner.context import Context
from learner.rollout import Chosen
from learner.train.spec import Probe
from learner.train.stage import Candidate, Trained
from storage import adapters, cycles
from storage.canaries import select_canary
from storage.conversations import insert_conversation, insert_messages
from storage.feedback import insert_feedback
from storage.people import ensure_person
from storage.records import (
    Adapter,
    AdapterState,
    Canary,
    Conversation,
    Cycle,
    CycleState,
    Feedback,
    FeedbackKind,
    Message,
    MessageStatus,
    Person,
    Role,
    StageName,
    new_id,
)
from tests.learner.world import SilentEngine, learner

PROBE = Probe([1, 2, 3], [-2.0, -2.0], [-1.0, -1.0])
STAGED = ReleaseSettings(mode="staged", min_people=2, min_stage_s=0)


class ProvingEngine(SilentEngine):
    """Gives every text the log-probs that the candidate's trainer did."""

    async def score_each(self, model: str, token_ids: Sequence[int], priority: int = 100) -> dict[str, list[float]]:
        return dict.fromkeys(self.urls, PROBE.candidate_logprobs)


class Trials:
    """A home in which versions are tried; `told` is what those who route requests were told, oldest first."""

    def __init__(self, context: Context) -> None:
        self.context, self.told = context, list[Standing]()
        context.engine = ProvingEngine()  # type: ignore[assignment]
        context.announce = self.told.append

    async def candidate(self, live: str = "base") -> tuple[Cycle, Chosen]:
        """A running cycle with a trained candidate for the live version's place."""
        context = self.context
        cycle = await context.database.write(lambda c: cycles.insert_cycle(c, "test", "mixed", 1.0))
        name = f"r{cycle.id}-00000000"
        folder = context.artifacts.adapter_dir(name)
        shutil.copytree(context.artifacts.adapter_dir(live), folder)
        (folder / "mark").write_text(name)
        sha256, path = context.artifacts.sha256_of(folder), str(folder.relative_to(context.home))
        trained = Trained([Candidate(name, "", 4, 1.0, 0.5, {}, "")], live, live, live, {name: [PROBE]})
        kept: dict[str, object] = msgspec.to_builtins(trained)

        async def write(connection: AsyncConnection) -> None:
            made = Adapter(name, live, cycle.id, None, sha256, path, AdapterState.CANDIDATE, 2.0)
            await adapters.insert_adapter(connection, made)
            await cycles.start_stage(connection, cycle.id, StageName.TRAIN, 1.0)
            await cycles.finish_stage(connection, cycle.id, StageName.TRAIN, 2.0, kept)

        await context.database.write(write)
        return cycle, Chosen(name, live, live, [PROBE], "people like it")

    async def begin(self, live: str = "base") -> Canary:
        """Begins to try a candidate, whose cycle ends with that."""
        cycle, chosen = await self.candidate(live)
        await rollout.begin(self.context, cycle, chosen)
        staged = {"state": CycleState.STAGED, "ended_at_s": 3.0, "adapter": chosen.adapter, "reasons": ("people like it",)}
        await self.context.database.write(lambda c: cycles.update_cycle(c, cycle.id, **staged))  # type: ignore[arg-type]
        return await self.canary(chosen.adapter)

    async def canary(self, name: str) -> Canary:
        found = await self.context.database.read(partial(select_canary, adapter=name))
        assert found is not None
        return found

    async def state(self, name: str) -> AdapterState:
        found = await self.context.database.read(lambda c: adapters.select_adapter(c, name))
        assert found is not None
        return found.state

    async def cycle(self, id: int) -> Cycle:
        found = await self.context.database.read(lambda c: cycles.select_cycle(c, id))
        assert found is not None
        return found

    async def answer(self, person: str, version: str, thumbs: Sequence[str | None] = (), **more: object) -> str:
        """Has somebody be answered, and give these thumbs, one after the other; gives the conversation."""
        conversation, asked, said = new_id("conv"), new_id("msg"), new_id("chatcmpl")
        at = (conversation, person)
        question = Message(asked, *at, None, Role.USER, "Well?", MessageStatus.COMPLETE, 4.0)
        answer = Message(
            said, *at, asked, Role.ASSISTANT, "Yes, of course.", MessageStatus.COMPLETE, 4.0,
            adapter=version, engine_model=version, token_ids=(1, 2, 3, 4), finish_reason="stop", first_token_ms=20.0,
        )  # fmt: skip
        answer = replace(answer, **more)
        ids = [new_id("fb") for _ in thumbs]
        given = [Feedback(id, said, person, FeedbackKind.THUMB, thumb, 5.0, id) for id, thumb in zip(ids, thumbs, strict=True)]

        async def write(connection: AsyncConnection) -> None:
            await ensure_person(connection, Person(person, person, 1.0))
            await insert_conversation(connection, Conversation(conversation, person, 4.0))
            await insert_messages(connection, [question, answer])
            await insert_feedback(connection, given)

        await self.context.database.write(write)
        return conversation


@asynccontextmanager
async def trials(
    home: Path, model_dir: Path, base: Path, settings: ReleaseSettings = STAGED, place: Path | str | None = None
) -> AsyncIterator[Trials]:
    """The home, new or as it was left."""
    home.mkdir(exist_ok=True)
    async with learner(home, model_dir, base, place) as context:
        context.settings = replace(context.settings, release=settings)
        yield Trials(context)
