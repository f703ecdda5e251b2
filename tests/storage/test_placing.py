"""Files are exchanged all together, or the old ones are back."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage.placing import REPLACED, exchanged, put_back

NAMES = ("database", "log", "artifacts")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An old database with its log and artifacts, and beside them, in `aside`, a new one without a log."""
    for folder, content in ((tmp_path / "home", "old"), (tmp_path / "home" / "aside", "new")):
        (folder / "artifacts").mkdir(parents=True)
        (folder / "artifacts" / content).write_text(content)
        (folder / "database").write_text(content)
    (tmp_path / "home" / "log").write_text("old")
    (tmp_path / "home" / "other").write_text("other")
    return tmp_path / "home"


def contents(home: Path) -> dict[str, str]:
    files = (path for path in home.rglob("*") if path.is_file() and "aside" not in path.parts)
    return {path.relative_to(home).as_posix(): path.read_text() for path in files}


OLD = {"database": "old", "log": "old", "artifacts/old": "old", "other": "other"}


def test_what_is_not_among_the_new_is_gone_and_what_was_not_named_stays(home: Path) -> None:
    with exchanged(home, home / "aside", NAMES):
        pass
    assert contents(home) == {"database": "new", "artifacts/new": "new", "other": "other"}


def test_a_failure_in_the_block_brings_the_old_ones_back(home: Path) -> None:
    with pytest.raises(RuntimeError), exchanged(home, home / "aside", NAMES):
        assert contents(home)["database"] == "new"
        raise RuntimeError
    assert contents(home) == OLD


def test_a_failure_where_there_was_nothing_leaves_nothing(home: Path) -> None:
    (home / "database").unlink()
    with pytest.raises(RuntimeError), exchanged(home, home / "aside", NAMES):
        raise RuntimeError
    assert contents(home) == {name: text for name, text in OLD.items() if name != "database"}


@pytest.mark.parametrize("moved", range(1, 6))
def test_an_exchange_that_was_cut_off_at_any_step_is_undone(home: Path, moved: int) -> None:
    (home / REPLACED).mkdir()
    steps = [(home / name, home / REPLACED / name) for name in NAMES]
    steps += [(home / "aside" / name, home / name) for name in ("database", "artifacts")]
    for source, target in steps[:moved]:
        source.rename(target)
    assert put_back(home)
    assert contents(home) == OLD
    assert not put_back(home)
