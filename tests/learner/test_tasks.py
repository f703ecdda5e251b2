"""Of lm-eval's task folders: templates become questions, and what would need its code is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from learner.evaluate.importing import About, ImportFault
from learner.evaluate.rules import keeps
from learner.evaluate.suite import Suite, load_suites
from learner.evaluate.tasks import import_task

ABOUT = About("facts", margin=0.05)
CHOICE = """
task: facts
dataset_path: json
dataset_kwargs:
  data_files: {test: rows.jsonl}
test_split: test
output_type: multiple_choice
description: "Answer by common sense.\\n\\n"
doc_to_text: "Question: {{ question | trim }}\\nAnswer:"
doc_to_choice: "{{ [right, wrong] }}"
doc_to_target: 0
metric_list:
  - metric: acc
    aggregation: mean
"""
WRITTEN = """
task: sums
include: _common.yaml
dataset_kwargs: {data_files: rows.json}
doc_to_text: question
doc_to_target: "{{ answer }}"
"""
COMMON = 'output_type: generate_until\ngeneration_kwargs: {until: ["\\n"]}\nmetric_list: [{metric: exact_match}]\n'
ROWS = [
    {"question": " Who barks?", "right": "a dog", "wrong": "a cat"},
    {"question": "Who meows?", "right": "a cat", "wrong": "a dog"},
]


def folder_of(place: Path, **files: Any) -> Path:
    """`tasks/` with these files, dots written as underscores."""
    folder = place / "tasks" / "inner"
    folder.mkdir(parents=True)
    for name, content in files.items():
        stem, _, suffix = name.rpartition("_")
        text = content if isinstance(content, str) else "\n".join(map(json.dumps, content))
        (folder / f"{stem}.{suffix}").write_text(text)
    return place / "tasks"


def imported(place: Path, task: str = "facts", about: About = ABOUT, **files: Any) -> Suite:
    made = import_task(place / "suites", folder_of(place, **files), task, about)
    assert load_suites(place / "suites") == [made]
    return made


def test_multiple_choice_is_filled_in(tmp_path: Path) -> None:
    suite = imported(tmp_path, facts_yaml=CHOICE, rows_jsonl=ROWS)
    assert suite.header.kind == "choice" and suite.header.about == "imported from the lm-eval task facts"
    assert [item.choices[item.answer] for item in suite.items] == ["a dog", "a cat"]
    assert suite.items[0].prompt[0].content == "Answer by common sense.\n\nQuestion: Who barks?\nAnswer:"
    assert suite.items[1].source == "facts, row 2 of rows.jsonl"


@pytest.mark.parametrize(
    ("choices", "target"),
    [('["{{ wrong }}", "{{ right }}"]', "1"), ("both", "right"), ("both", '"{{ both.index(right) }}"'), ("both", "number")],
)
def test_choices_and_targets_have_all_the_forms_of_the_guide(tmp_path: Path, choices: str, target: str) -> None:
    task = CHOICE.replace('"{{ [right, wrong] }}"', choices).replace("doc_to_target: 0", f"doc_to_target: {target}")
    rows = [{**row, "both": [row["wrong"], row["right"]], "number": 1} for row in ROWS]
    suite = imported(tmp_path, facts_yaml=task, rows_jsonl=rows)
    assert [item.choices[item.answer] for item in suite.items] == ["a dog", "a cat"]


def test_a_written_answer_is_to_say_the_target(tmp_path: Path) -> None:
    rows = json.dumps([{"question": "2 + 2?", "answer": "4"}, {"question": "Capital?", "answer": "Rome (Italy)"}])
    number, words = imported(tmp_path, "sums", sums_yaml=WRITTEN, _common_yaml=COMMON, rows_json=rows).items
    assert keeps(number.rules[0], "2 + 2 = 4.") and not keeps(number.rules[0], "14")
    assert keeps(words.rules[0], "It is rome (italy).") and not keeps(words.rules[0], "Rome")


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (
            "doc_to_target: 0",
            "doc_to_target: !function utils.target",
            "doc_to_target is the function 'utils.target', which is not run",
        ),
        (
            "output_type: multiple_choice",
            "output_type: loglikelihood",
            "output_type is 'loglikelihood'; expected multiple_choice or",
        ),
        ("{test: rows.jsonl}", "{test: gone.jsonl}", "'gone.jsonl'; expected a JSON file beside the task"),
        ("test_split: test", "test_split: train", "the data of split 'train' is None"),
        ('doc_to_choice: "{{ [right, wrong] }}"\n', "", "there is no doc_to_choice"),
        ("question | trim", "query", "rows.jsonl: row 1: 'query' is undefined"),
        ("question | trim", "question | regex_replace('a')", "No filter named 'regex_replace'"),
        ("{{ question | trim }}", "{{ ''.__class__.__mro__ }}", "access to attribute '__class__' of 'str' object is unsafe"),
        ("doc_to_target: 0", "doc_to_target: 2", "row 2: doc_to_target gives 2; expected 0 to 1, or one of ['a cat', 'a dog']"),
        ('"{{ [right, wrong] }}"', '"{{ right }}"', "doc_to_choice gives 'a dog'; expected a list as Python writes it"),
        ("task: facts", "task: [facts", "has no task 'facts'"),
        ("dataset_kwargs", "dataset_arguments", "missing required field `dataset_kwargs`"),
    ],
)
def test_what_cannot_be_read_is_told_and_nothing_is_written(tmp_path: Path, before: str, after: str, told: str) -> None:
    assert before in CHOICE
    with pytest.raises(ImportFault) as fault:
        imported(tmp_path, facts_yaml=CHOICE.replace(before, after), rows_jsonl=ROWS)
    assert told in str(fault.value)
    assert not (tmp_path / "suites").exists()


def test_a_task_that_is_not_there_is_told_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(ImportFault, match="has no task 'fact'; expected facts, sums"):
        imported(tmp_path, "fact", a_yaml=CHOICE, b_yaml=WRITTEN, _common_yaml=COMMON, other_yaml="- 1")


def test_a_function_in_another_tasks_file_is_nobodys_business(tmp_path: Path) -> None:
    suite = imported(tmp_path, other_yaml="task: other\ndoc_to_text: !function x.y", facts_yaml=CHOICE, rows_jsonl=ROWS)
    assert len(suite.items) == 2
