"""Every setting is explained, and the explained file in deploy/ is what the code has."""

from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct, inspect

from learner.config import CurateSettings, JudgeSettings, LearnerSettings, TrainSettings, Variant
from service.annotated import annotate, explanations
from service.config import FILE, Config, load_config
from service.telemetry.settings import WebhookSettings
from storage.settings import StorageSettings
from tests.service.command_line import printed, run

SHIPPED = Path(__file__).parents[2] / "deploy" / FILE
ALL = Config(
    learner=LearnerSettings(
        train=TrainSettings(candidates=(Variant("gentle", learning_rate=1e-4), Variant("bold", passes=9))),
        curate=CurateSettings(mixing={"tea": 0.5, "a b": 0.25}, languages=("en", "de")),
        judge=JudgeSettings("https://judge.example/v1", "wise"),
        policy='a "quoted" name.toml',
    ),
    webhooks=(WebhookSettings("https://hooks.example/secret", events=("failure",)),),
    storage=StorageSettings(url="postgresql://ann:secret@db/ratchet", keep_conversation_days=2.5),
)


def tables(kind: inspect.Type) -> list[type[Struct]]:
    """All tables of settings within a type."""
    match kind:
        case inspect.StructType():
            return [kind.cls, *(table for field in kind.fields for table in tables(field.type))]
        case inspect.VarTupleType():
            return tables(kind.item_type)
        case inspect.UnionType():
            return [table for one in kind.types for table in tables(one)]
    return []


TABLES = tables(inspect.type_info(Config))


@pytest.mark.parametrize("table", TABLES)
def test_every_field_and_every_table_is_explained(table: type[Struct]) -> None:
    told = explanations(table)
    silent = [field for field in table.__struct_fields__ if not told.get(field) and not is_table(table, field)]
    assert silent == [] and table.__doc__ and "base class" not in table.__doc__


def is_table(table: type[Struct], field: str) -> bool:
    info: Any = inspect.type_info(table)
    return any(one.name == field and isinstance(one.type, inspect.StructType) for one in info.fields)


def test_the_shipped_file_is_what_the_code_has() -> None:
    assert SHIPPED.read_text() == annotate(Config()), f"`ratchet config --home /nowhere > deploy/{FILE}` writes it anew"


def test_the_shipped_file_sets_nothing(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(SHIPPED.read_text())
    assert load_config(tmp_path) == Config()


def test_what_is_written_reads_as_the_same_settings(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(annotate(ALL))
    assert load_config(tmp_path) == ALL


def test_every_unset_setting_can_be_set_where_it_stands(tmp_path: Path) -> None:
    """Without the marks of comments before them, names and tables are those that are expected."""
    text = annotate(Config())
    (tmp_path / FILE).write_text(
        text.replace("# [[learner.train.candidates]]", "[[learner.train.candidates]]")
        .replace('# name = ""', 'name = "x"')
        .replace("# lead_tokens =", "lead_tokens = 7")
        .replace("# keep_conversation_days =", "keep_conversation_days = 9")
    )
    config = load_config(tmp_path)
    assert config.learner.train.candidates == (Variant("x", lead_tokens=7),)
    assert config.storage.keep_conversation_days == 9


def test_the_command_prints_what_is_in_force_without_the_password(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / FILE).write_text(annotate(ALL))
    assert run("config", "--home", str(tmp_path)) == 0
    assert capsys.readouterr().out == annotate(ALL).replace("/secret", "/***").replace(":secret", ":***")
    assert printed(capsys, "config", "--home", str(tmp_path))["learner"]["judge"]["model"] == "wise"
