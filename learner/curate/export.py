"""A dataset as a folder that Hugging Face's `datasets` loads: Parquet files, a card, and a manifest of every row.

    README.md                            the card; its head says which file is which split, and what the columns are
    data/<split>-00000-of-00001.parquet  the rows that teach (`train`) and that judge (`heldout`); no file for a split without
                                         a row, which the library cannot load
    manifest.json                        every row, those left out too, back to its record

The same dataset gives the same bytes.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from msgspec import Struct

from learner.curate.card import COLUMNS, Part, write_card
from learner.rows import Row, Split
from storage.records import Dataset, DatasetRow

SPLITS = (Split.TRAIN, Split.HELDOUT)
README, MANIFEST, DATA = "README.md", "manifest.json", "data"
BATCH_ROWS = 500  # in memory at a time, and a row group of the file
PERSON_HEX = 16

Decode = Callable[[Sequence[int]], str]


class ManifestRow(Struct, frozen=True):
    number: int  # in the dataset; the column `id` of the Parquet files ends with it
    record: str  # the message it comes from
    person: str
    kind: str
    split: str
    weight: float
    transformations: tuple[str, ...]
    reason: str | None  # why it was dropped


class Manifest(Struct, frozen=True):
    dataset: str
    cycle: int
    created_at_s: float
    file_sha256: str  # of the rows as they were learnt from, or as they are since somebody was forgotten
    counts: dict[str, dict[str, int]]  # split → kind → rows
    withheld: int  # rows of people who do not let others learn from them any more: they are nowhere in the folder
    dropped: dict[str, int]  # reason → rows, as it was when the dataset was made
    suites: dict[str, str]  # frozen suites whose items are in no row: name → sha256
    recipe: dict[str, object]  # the settings it was made by
    rows: list[ManifestRow]


class Names:
    """What people are called in files for others: a keyed hash, the same for a person throughout a dataset, or the id."""

    def __init__(self, key: bytes, dataset_id: str, *, as_they_are: bool = False) -> None:
        self._key, self._dataset_id, self._as_they_are = key, dataset_id, as_they_are

    def of(self, person_id: str) -> str:
        """Nobody's name, that of a row which no person is behind, is empty."""
        if self._as_they_are or not person_id:
            return person_id
        return hmac.new(self._key, f"{self._dataset_id}/{person_id}".encode(), hashlib.sha256).hexdigest()[:PERSON_HEX]


def export_folder(
    folder: Path,
    dataset: Dataset,
    manifest: Sequence[DatasetRow],
    rows: Iterable[Row],
    willing: set[str],
    decode: Decode,
    names: Names,
) -> Manifest:
    """Fills a new folder; blocks, for a few milliseconds a row.

    Only rows of `willing` people and of nobody are in it. A row of the file that the manifest does not name is left out:
    its person is forgotten. ValueError where nothing is left.
    """
    shown = [row for row in manifest if not row.person_id or row.person_id in willing]
    parts = _write_parquet(folder / DATA, dataset.id, _beside(rows, shown), decode, names)
    if not parts:
        raise ValueError(
            f"dataset {dataset.id[:12]} has no row of people who let others learn from them: there is nothing to export"
        )
    document = _manifest(dataset, shown, len(manifest) - len(shown), names)
    (folder / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(document, order="deterministic"), indent=1) + b"\n")
    (folder / README).write_text(write_card(dataset, document.counts, document.withheld, parts), encoding="utf-8")
    return document


def _beside(rows: Iterable[Row], manifest: Sequence[DatasetRow]) -> Iterator[tuple[Row, DatasetRow]]:
    """Each row of the file with its row of the manifest: both are in one order, and either may lack some."""
    named: defaultdict[tuple[str, str, str], deque[DatasetRow]] = defaultdict(deque)
    for entry in manifest:
        named[entry.message_id, entry.kind, entry.split].append(entry)
    for row in rows:
        if entries := named.get((row.id, row.kind.value, row.split.value)):
            yield row, entries.popleft()


def _write_parquet(
    folder: Path, dataset_id: str, rows: Iterable[tuple[Row, DatasetRow]], decode: Decode, names: Names
) -> list[Part]:
    folder.mkdir(parents=True)
    schema = pa.schema([pa.field(column.name, column.type) for column in COLUMNS])
    parts: dict[Split, Part] = {}
    with ExitStack() as open_files:
        writers: dict[Split, pq.ParquetWriter] = {}
        pairs = iter(rows)
        while batch := list(islice(pairs, BATCH_ROWS)):
            for split in SPLITS:
                values = [_values(row, entry, dataset_id, decode, names) for row, entry in batch if row.split is split]
                if not values:
                    continue
                if split not in writers:
                    file = f"{split.value}-00000-of-00001.parquet"
                    writers[split] = open_files.enter_context(pq.ParquetWriter(folder / file, schema, compression="zstd"))
                    parts[split] = Part(split.value, f"{DATA}/{file}")
                table = pa.Table.from_pylist(values, schema)
                writers[split].write_table(table)
                one = parts[split]
                parts[split] = one._replace(examples=one.examples + len(values), memory_bytes=one.memory_bytes + table.nbytes)
    written = [parts[split] for split in SPLITS if split in parts]
    return [part._replace(file_bytes=(folder.parent / part.path).stat().st_size) for part in written]


def _values(row: Row, entry: DatasetRow, dataset_id: str, decode: Decode, names: Names) -> dict[str, object]:
    return {
        "id": f"{dataset_id[:12]}/{entry.number}",
        "record": row.id,
        "person": names.of(row.person_id),
        "kind": row.kind.value,
        "weight": row.weight,
        "label": row.label,
        "prompt": decode(row.prompt_ids),
        "answer": decode(row.answer_ids),
        "better": decode(row.better_ids) if row.better_ids else None,
        "prompt_ids": row.prompt_ids,
        "answer_ids": row.answer_ids,
        "better_ids": row.better_ids,
        "lesson_from": row.lesson_from,
        "transformations": entry.transformations,
    }


def _manifest(dataset: Dataset, rows: Sequence[DatasetRow], withheld: int, names: Names) -> Manifest:
    counts: dict[str, dict[str, int]] = {}
    for (split, kind), number in sorted(Counter((row.split, row.kind) for row in rows).items()):
        counts.setdefault(split, {})[kind] = number
    return Manifest(
        dataset.id,
        dataset.cycle_id,
        dataset.created_at_s,
        dataset.file_sha256,
        counts,
        withheld,
        dataset.dropped,
        dataset.suites,
        dataset.recipe,
        [
            ManifestRow(
                row.number,
                row.message_id,
                names.of(row.person_id),
                row.kind,
                row.split,
                row.weight,
                row.transformations,
                row.drop_reason,
            )
            for row in rows
        ],
    )
