"""Stage 2: evidence into an immutable dataset whose every row, and every row left out, has its reasons in the manifest."""

from __future__ import annotations

import asyncio
import random
import re
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial

from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from learner.collect import FILE, read_evidence
from learner.context import Context
from learner.curate import comments, documents, replay
from learner.curate.anchors import anchors
from learner.curate.choose import Chosen, Known
from learner.curate.decontaminate import proof
from learner.curate.enough import check_enough
from learner.curate.example import Drop
from learner.curate.parent import ask_parent
from learner.curate.reading import take
from learner.curate.tools import Tools
from learner.rebuild import keep_newest
from learner.rows import Row, RowKind, Split, read_rows, write_rows
from learner.tokens import Tokens
from learner.train.methods import READS
from learner.train.spec import ROWS
from storage import cycles, datasets, people, reviews
from storage.artifacts import Artifacts
from storage.records import Cycle, Dataset, DatasetRow, Decision, Evidence, Reason, Review

MAX_EARLIER_HELDOUT = 400
TOPIC_TOKENS = 256  # at the end of a prompt, in which its last question is
TAG = re.compile(r"<[^<>]{1,40}>|\[/?[A-Z_]{2,20}\]")  # what templates put around turns
ROLE = re.compile(r"^\s*(?:user|human)\s*:?\s*$", re.M | re.I)


class Curated(Struct, frozen=True):
    dataset_id: str
    train: int
    heldout: int
    replay: int
    dropped: dict[str, int]
    held: int = 0  # of the dropped: wait for review
    effective: float = 0.0  # how many independent votes the training rows are worth
    improper: int = 0  # of the rows: their answers were called improper, which the policy should perhaps have seen


async def curate(context: Context, cycle: Cycle, parent: str, again: Sequence[Dataset] = ()) -> Curated:
    """Publishes the cycle's dataset and its manifest. Raises `NothingToLearn` where too little is left.

    `parent` is the version that will learn. The rows that are left of the datasets in `again` are learnt from once more,
    beside the new ones. What the cycle's method does not read is left for another; people's held-out votes always judge.
    """
    evidence = read_evidence(context.folder(cycle.id) / FILE)
    tools = await asyncio.to_thread(Tools, context)
    chosen = await _choose(context, cycle, parent, tools, evidence)
    shown = await documents.draw(context, cycle, tools.chooser.cleaner)
    touched = {item.message.id for item in evidence}
    left = [row for row in await read_datasets(context, again) if row.id not in touched]
    once_more = keep_newest(left, context.settings.train.rebuild_rows)
    voted, unread = take([*await asyncio.to_thread(tools.without_items, once_more), *chosen.rows], cycle.method)
    check_enough(cycle.method, voted, shown.rows, chosen.dropped)
    kept = [*voted, *shown.rows]
    replayed, judged = await _recall(context, cycle, kept)
    earlier = await asyncio.to_thread(tools.without_items, [*replayed, *judged])
    rows, dropped = [*kept, *earlier], [*chosen.dropped, *unread, *shown.dropped]
    sha256 = await asyncio.to_thread(publish_rows, context.artifacts, rows)
    dataset = Dataset(
        id=sha256,
        cycle_id=cycle.id,
        path=str(context.artifacts.dataset_file(sha256).relative_to(context.home)),
        rows=len(rows),
        created_at_s=context.clock(),
        dropped=dict(Counter(drop.reason for drop in dropped)),
        file_sha256=sha256,
        suites=proof(tools.suites),
        recipe=tools.recipe | {"method": cycle.method},
    )
    named = manifest(dataset.id, rows, dropped, chosen.transformations | shown.transformations)
    await context.database.write(lambda connection: _insert_once(connection, dataset, named))
    improper = {item.message.id for item in evidence if Reason.IMPROPER in item.reasons}
    return Curated(
        dataset.id,
        train=sum(row.split is Split.TRAIN for row in kept),
        heldout=sum(row.split is Split.HELDOUT for row in rows),
        replay=sum(row.kind is RowKind.REPLAY for row in rows),
        dropped=dataset.dropped,
        held=sum(drop.held for drop in dropped),
        effective=round(chosen.effective, 1),
        improper=sum(row.id in improper for row in kept),
    )


async def _choose(context: Context, cycle: Cycle, parent: str, tools: Tools, evidence: Sequence[Evidence]) -> Chosen:
    """The rows of the evidence; what is held back is noted for review."""
    again = await comments.answer_again(context, parent, evidence, tools.chooser.cleaner)
    evidence = comments.corrected(evidence, again)
    prepared = await asyncio.to_thread(tools.chooser.prepare, evidence, again)
    said = await ask_parent(context, parent, tools.chooser.questions(prepared))
    answers = comments.with_own_answers(said, prepared)
    created_at_s, decisions = await context.database.read(lambda connection: select_known(connection, evidence))
    known = Known(cycle.started_at_s, created_at_s, decisions, answers)
    chosen = await asyncio.to_thread(tools.chooser.choose, evidence, prepared, known)
    await context.database.write(lambda connection: _note_held(connection, cycle, chosen, context.clock()))
    return chosen


async def _recall(context: Context, cycle: Cycle, kept: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Rows of earlier cycles beside these: some to stay near, anchors among them, and the newest that judge."""
    settings = context.settings.curate
    promoted = await context.database.read(lambda connection: datasets.select_promoted(connection, before=cycle.id))
    earlier = await read_datasets(context, promoted)
    taken = {row.id for row in kept}
    replayed: list[Row] = []
    if RowKind.REPLAY in READS[cycle.method]:
        count = round(sum(row.split is Split.TRAIN for row in kept) * settings.replay_share)
        replayed = await asyncio.to_thread(replay.draw, earlier, taken, count, cycle.id, partial(_topic, context.tokens))
        anchored = await anchors(context)
        replayed += random.Random(cycle.id).sample(anchored, min(settings.anchors, len(anchored)))
    judged = [row for row in earlier if row.split is Split.HELDOUT and row.label and row.id not in taken]
    return replayed, judged[-MAX_EARLIER_HELDOUT:]


async def select_known(
    connection: AsyncConnection, evidence: Sequence[Evidence]
) -> tuple[dict[str, float], Mapping[str, Decision]]:
    """When the accounts behind the evidence were made, and what operators decided about its answers."""
    created_at_s = await people.select_created(connection, sorted({item.person_id for item in evidence}))
    return created_at_s, await reviews.select_decisions(connection, [item.message.id for item in evidence])


async def _note_held(connection: AsyncConnection, cycle: Cycle, chosen: Chosen, now_s: float) -> None:
    """What waits is there to be reviewed, and what waited and need not any more is not."""
    await cycles.check_running(connection, cycle.id)
    held = [drop for drop in chosen.dropped if drop.held]
    await reviews.hold(connection, [Review(one.id, one.person_id, cycle.id, one.reason, one.cluster, now_s) for one in held])
    passed = [*(row.id for row in chosen.rows), *(drop.id for drop in chosen.dropped if not drop.held)]
    await reviews.let_pass(connection, passed)


async def _insert_once(connection: AsyncConnection, dataset: Dataset, rows: Sequence[DatasetRow]) -> None:
    await cycles.check_running(connection, dataset.cycle_id)
    if await datasets.select_dataset(connection, dataset.id) is None:
        await datasets.insert_dataset(connection, dataset, rows)


def _topic(tokens: Tokens, row: Row) -> str:
    """The topic of what was asked last in a row's prompt; whatever the template calls people, they are the last to speak."""
    shown = TAG.sub("\n", tokens.decode(row.prompt_ids[-TOPIC_TOKENS:]))
    return replay.topic(ROLE.split(shown)[-1])


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


def manifest(
    dataset_id: str, rows: Sequence[Row], dropped: Sequence[Drop], transformations: Mapping[str, tuple[str, ...]]
) -> list[DatasetRow]:
    """Every row back to its record, what was done to it, and why others are left out."""
    kept = [
        DatasetRow(
            dataset_id,
            number,
            row.id,
            row.person_id,
            row.kind.value,
            row.split.value,
            row.weight,
            transformations=transformations.get(row.id, ()),
        )
        for number, row in enumerate(rows)
    ]
    left_out = [
        DatasetRow(dataset_id, number, drop.id, drop.person_id, "evidence", Split.DROPPED.value, 0.0, drop.reason)
        for number, drop in enumerate(dropped, len(rows))
    ]
    return [*kept, *left_out]
