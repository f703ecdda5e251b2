"""Task folders of lm-evaluation-harness (https://github.com/EleutherAI/lm-evaluation-harness, docs/task_guide.md) as suites.

Read are tasks whose rows lie in local JSON files and whose prompts are templates: `multiple_choice`, and `generate_until` judged
by `exact_match`. Rows are asked without examples before them. Python functions that a task names are never run.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml
from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import SandboxedEnvironment
from msgspec import Struct

from learner.evaluate.importing import About, ImportFault, keep_items
from learner.evaluate.numbers import ends_with, result_of
from learner.evaluate.rules import Rule
from learner.evaluate.suite import Item, Kind, Suite, Turn

Row = Mapping[str, Any]
TEMPLATES = SandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=True)
KINDS: dict[str, Kind] = {"multiple_choice": "choice", "generate_until": "rules"}  # by a task's output_type


class Function(Struct, frozen=True):
    """Stands where a task names a function."""

    name: str


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """YAML as tasks are written in: `!function` is read, and not followed."""


_Loader.add_constructor("!function", lambda loader, node: Function(str(node.value)))


class Metric(Struct, frozen=True):
    metric: str | Function


class DatasetArguments(Struct, frozen=True):
    data_files: str | dict[str, str]


class Task(Struct, frozen=True):
    """The fields of a task's file that are read here."""

    task: str
    output_type: str
    doc_to_text: str | int
    doc_to_target: str | int
    dataset_kwargs: DatasetArguments
    doc_to_choice: str | list[str] | None = None
    description: str = ""
    test_split: str | None = None
    validation_split: str | None = None
    metric_list: list[Metric] = []


def import_task(root: Path, folder: Path, name: str, about: About) -> Suite:
    """A new suite below `root` of the task of this name, somewhere in the folder. Raises `ImportFault`, `SuiteError`, `OSError`."""
    file, task = find_task(folder, name)
    items, faults = [], []
    data = _data_file(file, task)
    for number, row in enumerate(_rows(data), 1):
        try:
            items.append(_item(task, row, Item(id="", family="", source=f"{name}, row {number} of {data.name}")))
        except (ValueError, TypeError, KeyError, TemplateError) as error:
            faults.append(f"{data.name}: row {number}: {error}")
    if faults:
        raise ImportFault("\n".join(faults))
    return keep_items(root, about, KINDS[task.output_type], items, f"the lm-eval task {name}")


def find_task(folder: Path, name: str) -> tuple[Path, Task]:
    """The task and the file that it stands in, once it is known that it can be read here. Raises `ImportFault`."""
    file, fields = _named(folder, name)
    for field, value in fields.items():
        if function := next(_functions(value), None):
            raise ImportFault(f"{file.name}: {field} is the function {function.name!r}, which is not run here; expected a template")
    try:
        task = msgspec.convert(fields, Task)
    except msgspec.ValidationError as error:
        raise ImportFault(f"{file.name}: {error}; expected a task with local data_files and templates") from error
    _check(file, task)
    return file, task


def _named(folder: Path, name: str) -> tuple[Path, dict[str, Any]]:
    """The file of the task with its fields; of the others it does not matter whether they can be read."""
    known, faults = [], []
    for file in sorted(folder.rglob("*.y*ml")):
        try:
            fields = _read(file)
        except ImportFault as fault:
            faults.append(str(fault))
            continue
        if fields.get("task") == name:
            return file, fields
        if isinstance(fields.get("task"), str):
            known.append(fields["task"])
    expected = ", ".join(known) or "YAML files of tasks there"
    raise ImportFault("\n".join([f"{folder} has no task {name!r}; expected {expected}", *faults]))


def _check(file: Path, task: Task) -> None:
    if task.output_type not in KINDS:
        raise ImportFault(f"{file.name}: output_type is {task.output_type!r}; expected {' or '.join(KINDS)}")
    metrics = [str(one.metric) for one in task.metric_list]
    if task.output_type == "generate_until" and metrics and "exact_match" not in metrics:
        raise ImportFault(f"{file.name}: metrics are {', '.join(metrics)}; expected exact_match among them")
    if task.output_type == "multiple_choice" and task.doc_to_choice is None:
        raise ImportFault(f"{file.name}: there is no doc_to_choice; expected the choices, or a template of them")


def _read(file: Path) -> dict[str, Any]:
    """The fields of a task's file, over those of the file that it includes."""
    try:
        fields = yaml.load(file.read_text(encoding="utf-8"), _Loader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ImportFault(f"{file} cannot be read: {error}") from error
    if not isinstance(fields, dict):
        return {}
    included = fields.pop("include", None)
    if isinstance(included, str) and (other := file.parent / included).is_file() and other != file:
        return {**_read(other), **fields}
    return fields


def _functions(value: object) -> Iterator[Function]:
    if isinstance(value, Function):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _functions(inner)


def _data_file(file: Path, task: Task) -> Path:
    files = task.dataset_kwargs.data_files
    split = task.test_split or task.validation_split or "train"
    path = files if isinstance(files, str) else files.get(split)
    if path is None or not (place := file.parent / path).is_file():
        raise ImportFault(f"{file.name}: the data of split {split!r} is {path!r}; expected a JSON file beside the task")
    return place


def _rows(file: Path) -> list[dict[str, Any]]:
    content = file.read_bytes()
    try:
        if content.lstrip().startswith(b"["):
            return msgspec.json.decode(content, type=list[dict[str, Any]])
        decode = msgspec.json.Decoder(dict[str, Any]).decode
        return [decode(line) for line in content.splitlines() if line.strip()]
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ImportFault(f"{file.name}: {error}; expected JSON lines, or one array of objects") from error


def _item(task: Task, row: Row, names: Item) -> Item:
    text = _fill(task.doc_to_text, row)
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"doc_to_text gives {text!r}; expected a text")
    prompt = (Turn("user", TEMPLATES.from_string(task.description).render(row) + text),)
    target = _fill(task.doc_to_target, row)
    if task.output_type == "generate_until":
        return msgspec.structs.replace(names, prompt=prompt, rules=(_says(target),))
    choices = _choices(task, row)
    return msgspec.structs.replace(names, prompt=prompt, choices=choices, answer=_place(target, choices))


def _fill(field: str | int, row: Row) -> Any:
    """A column of the row where the field names one, else the field as a template."""
    if isinstance(field, int):
        return field
    return row[field] if field in row else TEMPLATES.from_string(field).render(row)


def _choices(task: Task, row: Row) -> tuple[str, ...]:
    wanted = task.doc_to_choice
    if isinstance(wanted, list):
        choices: Any = [TEMPLATES.from_string(choice).render(row) for choice in wanted]
    else:
        choices = _fill(wanted or "", row)
        choices = _literal(choices) if isinstance(choices, str) else choices
    if not isinstance(choices, list) or len(choices) < 2:
        raise ValueError(f"doc_to_choice gives {choices!r}; expected a list of two or more")
    return tuple(str(choice).strip() for choice in choices)


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError) as error:
        raise ValueError(f"doc_to_choice gives {text!r}; expected a list as Python writes it") from error


def _place(target: Any, choices: tuple[str, ...]) -> int:
    said = str(target).strip()
    place = choices.index(said) if said in choices else int(said) if said.isdecimal() else -1
    if not 0 <= place < len(choices):
        raise ValueError(f"doc_to_target gives {target!r}; expected 0 to {len(choices) - 1}, or one of {list(choices)}")
    return place


def _says(target: Any) -> Rule:
    """The rule of a right answer. People answer in sentences: a target is to be said as words of its own, a number last."""
    said = str(target).strip()
    if not said:
        raise ValueError(f"doc_to_target gives {target!r}; expected a text or a number")
    number = result_of(said)
    return ends_with(number) if number is not None else Rule("regex", pattern=rf"(?i)(?<!\w){re.escape(said)}(?!\w)")
