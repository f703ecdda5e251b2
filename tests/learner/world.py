"""A learner without an engine: a home, a database, a tiny model, and people whose every word can be found again."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from learner.config import CurateSettings, LearnerSettings, TrainSettings, TrustSettings
from learner.context import Context
from storage import adapters, cycles, datasets, release
from storage.artifacts import Artifacts
from storage.conversations import insert_conversation, insert_messages
from storage.database import Database
from storage.feedback import insert_feedback
from storage.people import insert_person
from storage.records import (
    Adapter,
    AdapterState,
    Conversation,
    Cycle,
    Dataset,
    Feedback,
    FeedbackKind,
    Message,
    MessageStatus,
    Person,
    Role,
    new_id,
)
from tests.learner.tiny import RANK, LetterTokens

Body = Callable[[Context], Awaitable[None]]
TRUSTING = TrustSettings(new_person_wait_s=0, claim_people=1, crowd_people=1000, burst_chance=0)  # all speak alike


class SilentEngine:
    """Knows which adapters it was told to load, and answers nobody."""

    urls = ("http://127.0.0.1:9",)  # nothing listens there

    def __init__(self) -> None:
        self.loaded: dict[str, str | None] = {}

    async def load(self, name: str, folder: Path) -> None:
        self.loaded[name] = str(folder)

    async def unload(self, name: str) -> None:
        self.loaded.pop(name, None)

    async def models(self) -> dict[str, str | None]:
        return dict(self.loaded)


class Talker:
    """A person with votes on answers, and a word of their own in all they say."""

    def __init__(self, person_id: str | None = None) -> None:
        self.id, self.conversation, self.word = person_id or new_id("person"), new_id("conv"), new_id("word")
        self.ids = [self.id, self.conversation]

    async def talk(self, connection: AsyncConnection, turns: int = 4, adapter: str = "base") -> None:
        """Asks, is answered and votes, up and down in turn, with a correction of each second."""
        await insert_person(connection, Person(self.id, self.word, 1.0))
        await insert_conversation(connection, Conversation(self.conversation, self.id, 1.0, self.word))
        for turn in range(turns):
            asked, said, given = new_id("msg"), new_id("chatcmpl"), new_id("fb")
            self.ids += [asked, said, given]
            question = Message(
                asked, self.conversation, self.id, None, Role.USER, f"{self.word} asks {turn}", MessageStatus.COMPLETE, 1.0
            )
            answer = Message(
                said, self.conversation, self.id, asked, Role.ASSISTANT, f"{self.word} is told", MessageStatus.COMPLETE, 1.0,
                adapter=adapter, engine_model=adapter, metadata={"word": self.word},
                prompt_token_ids=tuple(self.word[-4:].encode()), token_ids=(turn + 1, 2, 3),
            )  # fmt: skip
            await insert_messages(connection, [question, answer])
            thumb = "down" if turn % 2 else "up"
            await insert_feedback(connection, [Feedback(given, said, self.id, FeedbackKind.THUMB, thumb, 1.0, given)])


@asynccontextmanager
async def learner(home: Path, model_dir: Path, base: Path, place: Path | str | None = None) -> AsyncIterator[Context]:
    """A context of a new home with base live, or of one that was made so; everybody teaches, nobody judges."""
    database = await Database.open(place or home / "ratchet.db")
    artifacts = Artifacts(home)
    if is_new := not artifacts.adapter_dir("base").exists():
        shutil.copytree(base, artifacts.adapter_dir("base"))
        (home / "cycles").mkdir()
        (home / "cycles" / "anchors.jsonl").touch()
    train = TrainSettings(rank=RANK, max_row_tokens=64, threads=1)
    settings = LearnerSettings(train=train, curate=CurateSettings(heldout_share=0.0, trust=TRUSTING), drain_s=1.0)
    context = Context(
        home, database, artifacts, SilentEngine(), LetterTokens(), model_dir, settings, lambda: 9.0,  # type: ignore[arg-type]
        lambda standing: None, lambda name: 0,
    )  # fmt: skip
    try:
        if is_new:
            await make_live(context, "base", None, None)
        yield context
    finally:
        await database.close()


async def make_live(context: Context, name: str, parent: str | None, dataset_id: str | None, cycle_id: int | None = None) -> None:
    """Records an adapter whose folder is there, and puts it live."""
    folder = context.artifacts.adapter_dir(name)
    if parent is not None:
        shutil.copytree(context.artifacts.adapter_dir(parent), folder)
        (folder / "mark").write_text(name)
    sha256 = context.artifacts.sha256_of(folder)
    made = Adapter(name, parent, cycle_id, dataset_id, sha256, "", AdapterState.CANDIDATE, 2.0)
    made = msgspec.structs.replace(made, path=str(folder.relative_to(context.home)))

    async def go(connection: AsyncConnection) -> None:
        await adapters.insert_adapter(connection, made)
        await release.go_live(connection, name, "test", "test", 2.0)

    await context.database.write(go)
    await context.engine.load(name, folder)


async def offer(context: Context, name: str, rows_file: Path) -> tuple[Cycle, str]:
    """Records a cycle with its dataset, and a candidate of it whose folder is there: the cycle, and the dataset's id."""
    folder, dataset_id = context.artifacts.adapter_dir(name), f"dataset of {name}"
    sha256, path = context.artifacts.sha256_of(folder), str(folder.relative_to(context.home))
    hashed = hashlib.sha256(rows_file.read_bytes()).hexdigest()

    async def insert(connection: AsyncConnection) -> Cycle:
        cycle = await cycles.insert_cycle(connection, "test", "mixed", 1.0)
        dataset = Dataset(dataset_id, cycle.id, str(rows_file.relative_to(context.home)), 1, 1.0, {}, hashed)
        await datasets.insert_dataset(connection, dataset, [])
        made = Adapter(name, "base", cycle.id, dataset_id, sha256, path, AdapterState.CANDIDATE, 2.0)
        await adapters.insert_adapter(connection, made)
        return cycle

    return await context.database.write(insert), dataset_id
