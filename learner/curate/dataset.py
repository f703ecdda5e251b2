"""The stage itself: evidence in, dataset file and manifest out."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from learner.collect import FILE, read_evidence
from learner.config import CurateSettings, TrainSettings
from learner.context import Context, NothingToLearn
from learner.curate.anchors import anchors
from learner.curate.decontaminate import Overlap
from learner.curate.split import split_of
from learner.rows import Row, RowKind, Split, read_rows, write_rows
from learner.tokens import Tokens
from learner.train.spec import ROWS
from storage import cycles, datasets
from storage.records import Cycle, CycleState, Dataset, DatasetRow, Evidence

MIN_OF_A_KIND = 2  # liked and disliked rows without which there is nothing to tell apart
MAX_EARLIER_HELDOUT = 400


class Curated(Struct, frozen=True):
    dataset_id: str
    train: int
    heldout: int
    replay: int
    dropped: dict[str, int]


class Dropped(Struct, frozen=True):
    id: str
    person_id: str
    reason: str


async def curate(context: Context, cycle: Cycle) -> Curated:
    """Writes the cycle's dataset and its manifest. Raises `NothingToLearn` where too little is left."""
    folder, settings = context.folder(cycle.id), context.settings
    evidence = read_evidence(folder / FILE)
    overlap = Overlap(context.suites())
    kept, dropped = await asyncio.to_thread(choose, evidence, overlap, context.tokens, settings.curate, settings.train)
    train = [row for row in kept if row.split is Split.TRAIN]
    votes = Counter(row.label for row in train)
    corrections = sum(row.kind is RowKind.CORRECTION for row in train)
    if not corrections and min(votes[1], votes[-1]) < MIN_OF_A_KIND:
        raise NothingToLearn(f"{votes[1]} liked and {votes[-1]} disliked answers to learn from, {MIN_OF_A_KIND} of each are needed")
    earlier = await _earlier_rows(context, cycle)
    replay = draw_replay(earlier, {row.id for row in kept}, round(len(train) * settings.curate.replay_share), cycle.id)
    replay += random.Random(cycle.id).sample(anchored := await anchors(context), min(settings.curate.anchors, len(anchored)))
    judged = [row for row in earlier if row.split is Split.HELDOUT and row.id not in {row.id for row in kept}]
    rows = [*kept, *replay, *judged[-MAX_EARLIER_HELDOUT:]]
    write_rows(folder / ROWS, rows)
    dataset = Dataset(
        id=hashlib.sha256((folder / ROWS).read_bytes()).hexdigest(),
        cycle_id=cycle.id,
        path=str((folder / ROWS).relative_to(context.home)),
        rows=len(rows),
        created_at_s=context.clock(),
        dropped=dict(Counter(drop.reason for drop in dropped)),
    )
    await context.database.write(lambda connection: _insert_once(connection, dataset, manifest(dataset.id, rows, dropped)))
    heldout = sum(row.split is Split.HELDOUT for row in rows)
    return Curated(dataset.id, len(train), heldout, len(replay), dataset.dropped)


async def _insert_once(connection: AsyncConnection, dataset: Dataset, rows: Sequence[DatasetRow]) -> None:
    if await datasets.select_dataset(connection, dataset.id) is None:
        await datasets.insert_dataset(connection, dataset, rows)


def choose(
    evidence: Sequence[Evidence], overlap: Overlap, tokens: Tokens, curate: CurateSettings, train: TrainSettings
) -> tuple[list[Row], list[Dropped]]:
    """Rows to keep, newest of a person first where there are more than may count, and why the others are left out."""
    rows: list[Row] = []
    dropped: list[Dropped] = []
    of_person: Counter[str] = Counter()
    seen: set[tuple[tuple[int, ...], tuple[int, ...]]] = set()
    for item in reversed(evidence):
        reason = _objection(item, overlap, tokens, of_person, seen, curate, train)
        if reason is None:
            row = make_row(item, tokens, split_of(item.person_id, curate.heldout_share))
            of_person[item.person_id] += 1
            seen.add((item.message.prompt_token_ids, item.message.token_ids))
            rows.append(row)
        else:
            dropped.append(Dropped(item.message.id, item.person_id, reason))
    return rows[::-1], dropped[::-1]


def _objection(
    item: Evidence,
    overlap: Overlap,
    tokens: Tokens,
    of_person: Counter[str],
    seen: set[tuple[tuple[int, ...], tuple[int, ...]]],
    curate: CurateSettings,
    train: TrainSettings,
) -> str | None:
    """Why an answer may not teach, in a word or two; None where it may."""
    message = item.message
    if item.thumb is None and not item.correction:
        return "no vote or correction"
    if message.adapter is None or message.engine_model != message.adapter or not message.token_ids:
        return "not known to be a served version's own words"
    if (message.prompt_token_ids, message.token_ids) in seen:
        return "duplicate"
    if of_person[item.person_id] >= curate.max_rows_per_person:
        return "over the person's limit"
    if any(text in overlap for text in (*(turn.content for turn in item.context), message.content, item.correction or "")):
        return "overlaps a frozen eval item"
    correction_tokens = len(tokens.answer(item.correction)) if item.correction else 0
    if len(message.prompt_token_ids) + max(len(message.token_ids), correction_tokens) > train.max_row_tokens:
        return "too long"
    return None


def make_row(item: Evidence, tokens: Tokens, split: Split) -> Row:
    label = {"up": 1, "down": -1}.get(item.thumb or "", 0)
    return Row(
        id=item.message.id,
        person_id=item.person_id,
        kind=RowKind.CORRECTION if item.correction else RowKind.THUMB,
        split=split,
        weight=1.0,
        prompt_ids=item.message.prompt_token_ids,
        answer_ids=item.message.token_ids,
        label=label,
        better_ids=tuple(tokens.answer(item.correction)) if item.correction else (),
    )


def draw_replay(earlier: Sequence[Row], taken: set[str], count: int, seed: int) -> list[Row]:
    """Answers of earlier cycles to stay near, drawn evenly from all of them."""
    pool = [row for row in earlier if row.split is Split.TRAIN and row.id not in taken]
    drawn = random.Random(seed).sample(pool, min(count, len(pool)))
    return [msgspec.structs.replace(row, kind=RowKind.REPLAY, label=0, better_ids=()) for row in drawn]


async def _earlier_rows(context: Context, cycle: Cycle) -> list[Row]:
    """Rows of the datasets that live versions were made of, each once, oldest first."""

    async def select(connection: AsyncConnection) -> list[Cycle]:
        return await cycles.select_cycles(connection, limit=1000)

    rows: dict[str, Row] = {}
    for earlier in reversed(await context.database.read(select)):
        file = context.home / "cycles" / str(earlier.id) / ROWS
        if earlier.state is CycleState.PROMOTED and earlier.id < cycle.id and file.is_file():
            rows.update((row.id, row) for row in read_rows(file) if row.kind is not RowKind.REPLAY)
    return list(rows.values())


def manifest(dataset_id: str, rows: Sequence[Row], dropped: Iterable[Dropped]) -> list[DatasetRow]:
    kept = [(row.id, row.person_id, row.kind.value, row.split.value, row.weight, None) for row in rows]
    left_out = [(drop.id, drop.person_id, "evidence", Split.DROPPED.value, 0.0, drop.reason) for drop in dropped]
    return [
        DatasetRow(dataset_id, number, id, person_id, kind, split, weight, reason)
        for number, (id, person_id, kind, split, weight, reason) in enumerate([*kept, *left_out])
    ]
