"""An exported dataset is what was learnt from, row for row, in a folder that Hugging Face's `datasets` loads."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from learner.curate.dataset import manifest
from learner.curate.example import Drop
from learner.curate.export import BATCH_ROWS, Manifest, Names, export_folder
from learner.rows import Row, RowKind, Split
from storage.records import Dataset
from tests.learner.tiny import corrections, replays, thumbs

ID = "d" * 64
FILES = ["README.md", "data/heldout-00000-of-00001.parquet", "data/train-00000-of-00001.parquet", "manifest.json"]


def decode(ids: Sequence[int]) -> str:
    return " ".join(f"t{id}" for id in ids)


def rows_of_both_splits() -> list[Row]:
    """Votes, corrections and replays, some of them of nobody, in the order of a dataset's file."""
    judged = [
        msgspec.structs.replace(row, id=f"held {row.id}", person_id=f"judge {row.id}", split=Split.HELDOUT)
        for row in thumbs(6, seed=9)
    ]
    nobody = [msgspec.structs.replace(row, person_id="") for row in replays(3)]
    return [*thumbs(10), *corrections(4), *nobody, *judged]


DROPPED = [Drop("m-1", "eve", "over the person's limit"), Drop("m-2", "eve", "duplicate")]
NOTES = ("redacted 2 e-mail addresses", "halved")
PEOPLE = {row.person_id for row in rows_of_both_splits()} | {"eve"}


def export(folder: Path, rows: Sequence[Row] | None = None, **more: Any) -> Manifest:
    rows = rows_of_both_splits() if rows is None else rows
    entries = more.pop("entries", None) or manifest(ID, rows, DROPPED, {rows[0].id: NOTES})
    dataset = Dataset(
        ID, 7, "artifacts/datasets/d.jsonl", len(rows), 12.5, {"duplicate": 1, "over the person's limit": 1},
        file_sha256="f" * 64, suites={"facts": "5" * 64}, recipe={"curate": {"heldout_share": 0.25}, "policy": "p" * 64},
    )  # fmt: skip
    names = more.pop("names", Names(b"a key", ID))
    return export_folder(folder, dataset, entries, rows, more.pop("willing", PEOPLE), decode, names)


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """`datasets.load_dataset`, offline and with a cache of its own."""
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_OFFLINE", True)
    datasets.disable_progress_bars()
    yield lambda folder: datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))
    datasets.enable_progress_bars()


def test_the_datasets_library_loads_every_row_into_its_split(tmp_path: Path, load: Any) -> None:
    from datasets import Features, List, Value

    export(tmp_path / "out")
    loaded = load(tmp_path / "out")
    texts, ids = ("id", "record", "person", "kind", "prompt", "answer", "better"), ("prompt_ids", "answer_ids", "better_ids")
    expected = {
        **{name: Value("string") for name in texts},
        **{name: List(Value("int32")) for name in ids},
        "weight": Value("float64"),
        "label": Value("int8"),
        "lesson_from": Value("int32"),
        "transformations": List(Value("string")),
    }
    assert {split: part.features for split, part in loaded.items()} == {"train": Features(expected), "heldout": Features(expected)}
    original = rows_of_both_splits()
    for split in (Split.TRAIN, Split.HELDOUT):
        rows = [row for row in original if row.split is split]
        found = list(loaded[split.value])
        assert [one["record"] for one in found] == [row.id for row in rows]
        assert [one["id"] for one in found] == [f"{'d' * 12}/{number}" for number, row in enumerate(original) if row.split is split]
        for one, row in zip(found, rows, strict=True):
            assert (one["kind"], one["weight"], one["label"]) == (row.kind, row.weight, row.label)
            assert one["lesson_from"] == row.lesson_from
            assert (one["prompt"], one["answer"]) == (decode(row.prompt_ids), decode(row.answer_ids))
            assert tuple(map(tuple, (one["prompt_ids"], one["answer_ids"], one["better_ids"]))) == (
                row.prompt_ids, row.answer_ids, row.better_ids,
            )  # fmt: skip
            assert one["better"] == (decode(row.better_ids) if row.kind is RowKind.CORRECTION else None)
    assert loaded["train"][0]["transformations"] == ["redacted 2 e-mail addresses", "halved"]
    assert loaded["train"][1]["transformations"] == []


def test_a_split_without_a_row_is_not_there(tmp_path: Path, load: Any) -> None:
    export(tmp_path / "out", thumbs(4))
    assert {split: len(part) for split, part in load(tmp_path / "out").items()} == {"train": 4}
    judged = [msgspec.structs.replace(row, split=Split.HELDOUT) for row in thumbs(4)]
    export(tmp_path / "judged", judged)
    assert {split: len(part) for split, part in load(tmp_path / "judged").items()} == {"heldout": 4}


def test_a_dataset_of_which_nothing_may_be_exported_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no row of people who let others learn from them"):
        export(tmp_path / "out", thumbs(4), willing=set())


def test_more_rows_than_are_held_in_memory_come_in_order(tmp_path: Path, load: Any) -> None:
    rows = [
        msgspec.structs.replace(row, split=random.Random(row.id).choice([Split.TRAIN, Split.HELDOUT]))
        for row in thumbs(2 * BATCH_ROWS + 7)
    ]
    export(tmp_path / "out", rows, willing={row.person_id for row in rows})
    loaded = load(tmp_path / "out")
    for split, part in loaded.items():
        assert part["record"][:] == [row.id for row in rows if row.split == split]


def test_the_same_dataset_gives_the_same_bytes(tmp_path: Path) -> None:
    def contents(folder: Path) -> dict[str, bytes]:
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    export(tmp_path / "one")
    export(tmp_path / "two")
    first = contents(tmp_path / "one")
    assert sorted(first) == FILES and first == contents(tmp_path / "two")
    export(tmp_path / "three", rows_of_both_splits()[1:])
    assert contents(tmp_path / "three") != first


def test_the_manifest_leads_every_row_back_to_its_record(tmp_path: Path) -> None:
    export(tmp_path / "out")
    document = json.loads((tmp_path / "out" / "manifest.json").read_text())
    original = rows_of_both_splits()
    assert [row["number"] for row in document["rows"]] == list(range(len(original) + 2))
    assert [row["record"] for row in document["rows"]] == [*(row.id for row in original), "m-1", "m-2"]
    assert [row["reason"] for row in document["rows"][-2:]] == ["over the person's limit", "duplicate"]
    assert document["rows"][0]["transformations"] == ["redacted 2 e-mail addresses", "halved"]
    assert document["counts"] == {
        "train": {"thumb": 10, "correction": 4, "replay": 3},
        "heldout": {"thumb": 6},
        "dropped": {"evidence": 2},
    }
    assert (document["dataset"], document["cycle"], document["withheld"]) == (ID, 7, 0)
    assert (document["dropped"], document["suites"]) == ({"duplicate": 1, "over the person's limit": 1}, {"facts": "5" * 64})
    assert document["recipe"] == {"curate": {"heldout_share": 0.25}, "policy": "p" * 64}


def test_the_card_says_what_was_left_out_and_what_was_proved(tmp_path: Path) -> None:
    export(tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    for said in ("| duplicate | 1 |", f"- facts `{'5' * 64}`", "| train | correction | 4 |", '"heldout_share": 0.25', "cycle 7"):
        assert said in card
    assert "withheld" not in card


def test_the_cards_own_lines_make_what_trl_trains_on(tmp_path: Path, load: Any) -> None:
    """Run as they stand there."""
    export(tmp_path / "out")
    [lines] = re.findall(r"```python\n(.*?)```", (tmp_path / "out" / "README.md").read_text(), re.DOTALL)
    made: dict[str, Any] = {"FOLDER": tmp_path / "out", "load_dataset": lambda folder, split: load(folder)[split]}
    exec(lines, made)
    rows = [row for row in rows_of_both_splits() if row.split is Split.TRAIN]
    votes = [row for row in rows if row.kind is RowKind.THUMB]
    assert made["unpaired"].to_list() == [
        {"prompt": decode(row.prompt_ids), "completion": decode(row.answer_ids), "label": row.label > 0} for row in votes
    ]
    assert made["pairs"].to_list() == [
        {"prompt": decode(row.prompt_ids), "chosen": decode(row.better_ids), "rejected": decode(row.answer_ids)}
        for row in rows
        if row.kind is RowKind.CORRECTION
    ]
    assert set(made["shown"].column_names) == {"prompt", "completion"}
    assert len(made["shown"]) == len(made["pairs"]) + sum(row.label > 0 for row in votes)


def everything(folder: Path) -> str:
    import pyarrow.parquet as pq

    tables = [str(pq.read_table(path).to_pylist()) for path in sorted(folder.rglob("*.parquet"))]
    return "".join([*tables, *((folder / name).read_text() for name in ("README.md", "manifest.json"))])


def test_people_are_named_by_their_ids_only_where_that_is_asked(tmp_path: Path) -> None:
    export(tmp_path / "out")
    export(tmp_path / "ids", names=Names(b"a key", ID, as_they_are=True))
    hidden, shown = everything(tmp_path / "out"), everything(tmp_path / "ids")
    assert all(person in shown and person not in hidden for person in PEOPLE - {""})


def test_a_persons_name_is_one_in_a_dataset_and_another_in_the_next() -> None:
    names = Names(b"a key", ID)
    assert names.of("ann") == names.of("ann") == Names(b"a key", ID).of("ann")
    others = [names.of("bob"), Names(b"another key", ID).of("ann"), Names(b"a key", "e" * 64).of("ann")]
    assert names.of("ann") not in others and names.of("") == ""


def test_nothing_of_people_who_no_longer_share_is_exported(tmp_path: Path) -> None:
    gone = {row.person_id for row in thumbs(3)} | {"eve"}
    found = export(tmp_path / "out", willing=PEOPLE - gone, names=Names(b"", ID, as_they_are=True))
    assert found.withheld == 5 and found.counts["train"] == {"thumb": 7, "correction": 4, "replay": 3}
    assert "dropped" not in found.counts
    written = everything(tmp_path / "out")
    assert all(f"'{person}'" not in written and f'"{person}"' not in written for person in gone)
    assert "5 rows are withheld" in written
    replayed = [row for row in found.rows if row.kind == "replay"]
    assert [row.person for row in replayed] == ["", "", ""]  # nobody's rows are there


def test_rows_that_the_manifest_names_no_more_are_left_out(tmp_path: Path, load: Any) -> None:
    rows = thumbs(6)
    entries = [
        entry for entry in manifest(ID, rows, [], {}) if entry.number != 2
    ]  # its person is forgotten, the file is not cut yet
    export(tmp_path / "out", rows, entries=entries, willing={row.person_id for row in rows})
    train = load(tmp_path / "out")["train"]
    assert [int(id.partition("/")[2]) for id in train["id"]] == [0, 1, 3, 4, 5]
    assert train["record"][:] == [row.id for number, row in enumerate(rows) if number != 2]


def test_rows_of_one_message_keep_their_numbers(tmp_path: Path, load: Any) -> None:
    [row] = thumbs(1)
    twice = [row, msgspec.structs.replace(row, kind=RowKind.REPLAY, label=0), msgspec.structs.replace(row, weight=0.5)]
    export(tmp_path / "out", twice)
    train = load(tmp_path / "out")["train"]
    assert list(zip(train["kind"], train["weight"], train["id"], strict=True)) == [
        (kind, weight, f"{'d' * 12}/{number}")
        for number, (kind, weight) in enumerate([("thumb", 1.0), ("replay", 1.0), ("thumb", 0.5)])
    ]


def test_the_splits_of_the_card_have_the_right_sizes(tmp_path: Path) -> None:
    import yaml

    export(tmp_path / "out")
    _, head, _ = (tmp_path / "out" / "README.md").read_text().split("---\n", 2)
    info = yaml.safe_load(head)["dataset_info"]
    assert {split["name"]: split["num_examples"] for split in info["splits"]} == Counter(
        row.split.value for row in rows_of_both_splits()
    )
    assert info["download_size"] == sum(path.stat().st_size for path in (tmp_path / "out" / "data").iterdir())
