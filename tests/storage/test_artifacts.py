"""An artifact is published whole, once, and its hash is its content."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from storage.artifacts import DATASETS, ArtifactError, Artifacts


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


def published(artifacts: Artifacts, name: str, **files: str) -> tuple[Path, str]:
    tmp = write(artifacts.temporary_dir(), **files)
    sha256, target = artifacts.sha256_of(tmp), artifacts.adapter_dir(name)
    artifacts.publish(tmp, target)
    return target, sha256


def dataset(artifacts: Artifacts, content: str) -> Path:
    tmp = artifacts.temporary_dir() / "rows"
    tmp.write_text(content)
    return tmp


def test_a_file_is_published_like_a_folder_and_its_hash_is_that_of_its_bytes(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path)
    target = artifacts.dataset_file("d1")
    artifacts.publish(dataset(artifacts, "a row"), target)
    assert target == tmp_path / "artifacts" / "datasets" / "d1.jsonl"
    assert artifacts.sha256_of(target) == hashlib.sha256(b"a row").hexdigest()
    assert artifacts.published(DATASETS) == [target]


def test_replacing_changes_a_published_file_and_removing_twice_is_fine(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path)
    target = artifacts.dataset_file("d1")
    artifacts.publish(dataset(artifacts, "two people"), target)
    artifacts.replace(dataset(artifacts, "one person"), target)
    assert target.read_text() == "one person"
    for _ in range(2):
        artifacts.remove(target)
    assert not target.exists()


def test_without_a_store_what_is_missing_or_damaged_is_an_error_that_says_so(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path)
    target, sha256 = published(artifacts, "v1", weights="1")
    assert artifacts.fetch(target, sha256) == target
    (target / "weights").write_text("2")
    with pytest.raises(ArtifactError, match=r"v1 is damaged.*storage\.artifacts"):
        artifacts.fetch(target, sha256)
    artifacts.remove(target)
    with pytest.raises(ArtifactError, match=r"v1 is missing.*storage\.artifacts"):
        artifacts.fetch(target, sha256)
