"""An artifact is published whole, once, and its hash is its content."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage.artifacts import Artifacts


def write(folder: Path, **files: str) -> Path:
    for name, content in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder


def test_publishing_moves_the_folder_to_its_place(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path)
    tmp = write(artifacts.temporary_dir(), weights="1", deep__config="2")
    artifacts.publish(tmp, artifacts.adapter_dir("v1"))
    assert (artifacts.adapter_dir("v1") / "deep" / "config").read_text() == "2"
    assert not tmp.exists()


def test_a_place_is_taken_only_once(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path)
    target = artifacts.adapter_dir("v1")
    artifacts.publish(write(artifacts.temporary_dir(), weights="1"), target)
    late = write(artifacts.temporary_dir(), weights="2")
    with pytest.raises(FileExistsError, match="v1"):
        artifacts.publish(late, target)
    assert (target / "weights").read_text() == "1"
    assert (late / "weights").exists()


@pytest.mark.parametrize("name", ["", "..", "a/b", "/etc", ".hidden", "a\n"])
def test_names_that_leave_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="adapter name"):
        Artifacts(tmp_path).adapter_dir(name)


def test_publishing_outside_the_home_is_refused(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path / "home")
    with pytest.raises(ValueError, match="not below"):
        artifacts.publish(artifacts.temporary_dir(), tmp_path / "elsewhere")


def test_the_hash_follows_names_and_content_and_nothing_else(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path / "home")
    original = artifacts.sha256_of(write(tmp_path / "a", x="1", y__z="2"))
    assert artifacts.sha256_of(write(tmp_path / "b", y__z="2", x="1")) == original
    changed = [
        write(tmp_path / "c", x="1", y__z="3"),
        write(tmp_path / "d", x="1", y__w="2"),
        write(tmp_path / "e", x="1"),
    ]
    assert original not in {artifacts.sha256_of(folder) for folder in changed}


def test_clearing_throws_away_what_was_never_published(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path)
    tmp = write(artifacts.temporary_dir(), weights="1")
    artifacts.publish(write(artifacts.temporary_dir(), weights="1"), artifacts.adapter_dir("v1"))
    artifacts.clear_temporary()
    assert not tmp.exists()
    assert artifacts.adapter_dir("v1").exists()
