"""The card of an exported dataset: a head that programs read, and what people want to know before they use it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
import yaml

from storage.records import Dataset


class Part(NamedTuple):
    """One split's file, below the folder."""

    split: str
    path: str
    examples: int = 0
    memory_bytes: int = 0
    file_bytes: int = 0


class Column(NamedTuple):
    name: str
    type: Any  # pyarrow's
    about: str


STRINGS, TOKENS = pa.list_(pa.string()), pa.list_(pa.int32())
COLUMNS = (
    Column("id", pa.string(), "the beginning of the dataset's id, and the row's number in `manifest.json`"),
    Column("record", pa.string(), "the message that the row comes from"),
    Column("person", pa.string(), "whose opinion it is, under a name that only this dataset uses; empty for nobody's"),
    Column(
        "kind",
        pa.string(),
        "`thumb` (a vote), `correction` and `preference` (a better answer), `demonstration` (an answer as it should be), `text` (a "
        "piece of a corpus), `replay` (an earlier answer to stay near)",
    ),
    Column("weight", pa.float64(), "how much the row counts"),
    Column("label", pa.int8(), "1 liked, -1 disliked, 0 no vote"),
    Column("prompt", pa.string(), "the conversation as the model was given it, template and all"),
    Column("answer", pa.string(), "what the model said"),
    Column("better", pa.string(), "what it should have said, where somebody wrote that"),
    Column("prompt_ids", TOKENS, "the tokens of `prompt`, as served"),
    Column("answer_ids", TOKENS, "the tokens of `answer`, as served"),
    Column("better_ids", TOKENS, "the tokens of `better`"),
    Column("lesson_from", pa.int32(), "the first of `answer_ids` that the vote is about; those before it are only its context"),
    Column("transformations", STRINGS, "what curation did to the row, in order"),
)

TRL = """## With TRL

As its KTO, DPO and SFT read them; TRL knows no weights, so those are lost. Prompts have their chat template already.

```python
rows = load_dataset(FOLDER, split="train").filter(lambda row: row["lesson_from"] == 0)


def columns(of, **made):
    chosen, other = rows.filter(of), [name for name in rows.column_names if name != "prompt"]
    return chosen.map(lambda row: {name: make(row) for name, make in made.items()}, remove_columns=other)


unpaired = columns(
    lambda row: row["label"] != 0 and not row["better"],
    completion=lambda row: row["answer"],
    label=lambda row: row["label"] > 0,
)
pairs = columns(lambda row: row["better"], chosen=lambda row: row["better"], rejected=lambda row: row["answer"])
shown = columns(
    lambda row: row["better"] or row["kind"] == "demonstration" or row["label"] > 0,
    completion=lambda row: row["better"] or row["answer"],
)
```
"""


def write_card(dataset: Dataset, counts: Mapping[str, Mapping[str, int]], withheld: int, parts: Sequence[Part]) -> str:
    """`README.md`: YAML as Hugging Face reads it, then Markdown."""
    head = {
        "pretty_name": f"Ratchet dataset {dataset.id[:12]}",
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": part.split, "path": part.path} for part in parts],
            }
        ],
        "dataset_info": {
            "config_name": "default",
            "features": [_feature(column) for column in COLUMNS],
            "splits": [{"name": part.split, "num_bytes": part.memory_bytes, "num_examples": part.examples} for part in parts],
            "download_size": sum(part.file_bytes for part in parts),
            "dataset_size": sum(part.memory_bytes for part in parts),
        },
    }
    front = yaml.safe_dump(head, sort_keys=False, allow_unicode=True)
    return "\n".join([f"---\n{front}---\n", *_body(dataset, counts, withheld)]) + "\n"


def _feature(column: Column) -> dict[str, str]:
    is_list = pa.types.is_list(column.type)
    type = str(column.type.value_type if is_list else column.type)
    return {"name": column.name, "sequence" if is_list else "dtype": {"double": "float64"}.get(type, type)}


def _body(dataset: Dataset, counts: Mapping[str, Mapping[str, int]], withheld: int) -> list[str]:
    kinds = [f"| {split} | {kind} | {number} |" for split, of_kind in counts.items() for kind, number in of_kind.items()]
    dropped = [f"| {reason} | {number} |" for reason, number in sorted(dataset.dropped.items())]
    suites = [f"- {name} `{sha256}`" for name, sha256 in sorted(dataset.suites.items())]
    recipe = msgspec.json.format(msgspec.json.encode(dataset.recipe, order="deterministic"), indent=2).decode()
    withheld_line = f"{withheld} rows are withheld: their people do not let others learn from them any more.\n"
    return [
        f"# Ratchet dataset {dataset.id[:12]}\n",
        f"What cycle {dataset.cycle_id} learnt from and was judged by. `train` teaches; `heldout` holds votes of other people,",
        "which only judge. `manifest.json` leads each row, also those that were dropped, back to its record.\n",
        f"- id: `{dataset.id}`",
        f"- sha256 of its rows: `{dataset.file_sha256}`\n",
        "## Rows\n\n| split | kind | rows |\n| --- | --- | --- |",
        *kinds,
        "",
        *([withheld_line] if withheld else []),
        "## Dropped\n\n| reason | rows |\n| --- | --- |" if dropped else "## Dropped\n\nNothing.",
        *dropped,
        "\n## Frozen suites that no row overlaps\n",
        *(suites or ["None was checked."]),
        "\n## Columns\n",
        *(f"- `{column.name}`: {column.about}" for column in COLUMNS),
        f"\n{TRL}",
        f"## Recipe\n\n```json\n{recipe}\n```",
    ]
