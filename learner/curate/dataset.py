"""The stage itself: evidence in, dataset file and manifest out."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial

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
from storage.artifacts import Artifacts
from storage.records import Cycle, Dataset, DatasetRow, Evidence

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


async def curate(context: Context, cycle: Cycle, again: Sequence[Dataset] = ()) -> Curated:
    """Publishes the cycle's dataset and its manifest. Raises `NothingToLearn` where too little is left.

    The rows that are left of the datasets in `again` are learnt from once more, beside the new ones.
    """
    settings = context.settings
    evidence = read_evidence(context.folder(cycle.id) / FILE)
    overlap = Overlap(context.suites())
    kept, dropped = await asyncio.to_thread(choose, evidence, overlap, context.tokens, settings.curate, settings.train)
    touched = {item.message.id for item in evidence}
    kept = [*(row for row in await read_datasets(context, again) if row.id not in touched), *kept]
    train = [row for row in kept if row.split is Split.TRAIN]
    votes = Counter(row.label for row in train)
    corrections = sum(row.kind is RowKind.CORRECTION for row in train)
    if not corrections and min(votes[1], votes[-1]) < MIN_OF_A_KIND:
        raise NothingToLearn(f"{votes[1]} liked and {votes[-1]} disliked answers to learn from, {MIN_OF_A_KIND} of each are needed")
    promoted = await context.database.read(lambda connection: datasets.select_promoted(connection, before=cycle.id))
    earlier = await read_datasets(context, promoted)
    replay = draw_replay(earlier, {row.id for row in kept}, round(len(train) * settings.curate.replay_share), cycle.id)
    replay += random.Random(cycle.id).sample(anchored := await anchors(context), min(settings.curate.anchors, len(anchored)))
    judged = [row for row in earlier if row.split is Split.HELDOUT and row.id not in {row.id for row in kept}]
    rows = [*kept, *replay, *judged[-MAX_EARLIER_HELDOUT:]]
    sha256 = await asyncio.to_thread(publish_rows, context.artifacts, rows)
    dataset = Dataset(
        id=sha256,
        cycle_id=cycle.id,
        path=str(context.artifacts.dataset_file(sha256).relative_to(context.home)),
        rows=len(rows),
        created_at_s=context.clock(),
        dropped=dict(Counter(drop.reason for drop in dropped)),
        file_sha256=sha256,
    )
    await context.database.write(lambda connection: _insert_once(connection, dataset, manifest(dataset.id, rows, dropped)))
    heldout = sum(row.split is Split.HELDOUT for row in rows)
    return Curated(dataset.id, len(train), heldout, len(replay), dataset.dropped)


async def _insert_once(connection: AsyncConnection, dataset: Dataset, rows: Sequence[DatasetRow]) -> None:
    await cycles.check_running(connection, dataset.cycle_id)
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


def publish_rows(artifacts: Artifacts, rows: Sequence[Row]) -> str:
    """Brings a dataset's file to its place for good; gives its hash, which names it."""
    folder = artifacts.temporary_dir()
    write_rows(folder / ROWS, rows)
    sha256 = artifacts.sha256_of(folder / ROWS)
    with suppress(FileExistsError):  # an earlier try of this cycle was ended right after this
        artifacts.publish(folder / ROWS, artifacts.dataset_file(sha256))
    shutil.rmtree(folder)
    return sha256


async def read_datasets(context: Context, found: Sequence[Dataset]) -> list[Row]:
    """What the files of these datasets taught or judged, replay left out: each answer once, in the datasets' order.

    Only of people who are still here and let cycles learn from them. Raises `ArtifactError`.
    """
    rows: dict[str, Row] = {}
    for dataset in (one for one in found if one.path):  # the others' files were not kept for so long
        willing = await context.database.read(partial(datasets.select_willing, dataset_id=dataset.id))
        file = await context.dataset_file(dataset.id)
        rows.update((row.id, row) for row in read_rows(file) if row.kind is not RowKind.REPLAY and row.person_id in willing)
    return list(rows.values())


def manifest(dataset_id: str, rows: Sequence[Row], dropped: Iterable[Dropped]) -> list[DatasetRow]:
    kept = [(row.id, row.person_id, row.kind.value, row.split.value, row.weight, None) for row in rows]
    left_out = [(drop.id, drop.person_id, "evidence", Split.DROPPED.value, 0.0, drop.reason) for drop in dropped]
    return [
        DatasetRow(dataset_id, number, id, person_id, kind, split, weight, reason)
        for number, (id, person_id, kind, split, weight, reason) in enumerate([*kept, *left_out])
    ]
