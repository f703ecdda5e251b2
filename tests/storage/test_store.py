"""Services that share a store have each other's artifacts, whole or not at all. The stores: a folder, and an S3 server."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from storage.artifacts import ADAPTERS, DATASETS, ArtifactError, Artifacts
from storage.store import Store

ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
BUCKET = "ratchet-test"


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """A bucket of a local S3 server, found by the environment as anywhere else."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    before = dict(os.environ)
    os.environ.update(ENVIRONMENT, AWS_ENDPOINT_URL=f"http://{host}:{port}")
    boto3.client("s3").create_bucket(Bucket=BUCKET)
    yield f"s3://{BUCKET}"
    os.environ.clear()
    os.environ.update(before)
    server.stop()


@pytest.fixture(params=["folder", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new place in each kind of store."""
    if request.param == "folder":
        return (tmp_path / "store").as_uri()
    return f"{request.getfixturevalue('s3')}/{tmp_path.name}"


def write(artifacts: Artifacts, weights: str) -> Path:
    tmp = artifacts.temporary_dir()
    (tmp / "deep").mkdir()
    (tmp / "weights").write_text(weights)
    (tmp / "deep" / "config").write_text("2")
    return tmp


def publish(artifacts: Artifacts, name: str, weights: str = "1") -> tuple[Path, str]:
    tmp = write(artifacts, weights)
    sha256 = artifacts.sha256_of(tmp)
    artifacts.publish(tmp, artifacts.adapter_dir(name))
    return artifacts.adapter_dir(name), sha256


def test_another_service_fetches_what_one_has_published(tmp_path: Path, url: str) -> None:
    here, there = Artifacts(tmp_path / "here", url), Artifacts(tmp_path / "there", url)
    _, sha256 = publish(here, "v1")
    assert there.published(ADAPTERS) == [there.adapter_dir("v1")]
    folder = there.fetch(there.adapter_dir("v1"), sha256)
    assert (folder / "weights").read_text() == "1"
    assert there.sha256_of(folder) == sha256


def test_a_damaged_copy_is_fetched_again(tmp_path: Path, url: str) -> None:
    artifacts = Artifacts(tmp_path / "home", url)
    folder, sha256 = publish(artifacts, "v1")
    (folder / "weights").write_text("flipped")
    artifacts.fetch(folder, sha256)
    assert (folder / "weights").read_text() == "1"


def test_an_upload_that_was_cut_off_is_not_there_and_can_be_done_again(tmp_path: Path, url: str) -> None:
    artifacts = Artifacts(tmp_path / "home", url)
    artifacts.fetch(*publish(artifacts, "v1"))
    store = Store(url)
    for name in ("weights", "deep/config"):  # as it is when the process ends before the mark
        store._put(tmp_path / "home" / ADAPTERS / "v1" / name, store._place(f"{ADAPTERS}/v2", name))
    other = Artifacts(tmp_path / "other", url)
    assert other.published(ADAPTERS) == [other.adapter_dir("v1")]
    with pytest.raises(ArtifactError, match="does not hold artifacts/adapters/v2"):
        other.fetch(other.adapter_dir("v2"), "ab")
    folder, sha256 = publish(other, "v2", "2")
    artifacts.fetch(artifacts.adapter_dir("v2"), sha256)
    assert (artifacts.adapter_dir("v2") / "weights").read_text() == "2"
    assert folder.exists()


def test_publishing_goes_on_where_a_crash_came_between_the_store_and_the_home(tmp_path: Path, url: str) -> None:
    artifacts = Artifacts(tmp_path / "home", url)
    tmp = write(artifacts, "1")
    sha256 = artifacts.sha256_of(tmp)
    Store(url).upload(tmp, f"{ADAPTERS}/v1", sha256)
    artifacts.publish(tmp, artifacts.adapter_dir("v1"))
    assert artifacts.sha256_of(artifacts.adapter_dir("v1")) == sha256


def test_a_name_another_service_took_for_other_content_is_refused(tmp_path: Path, url: str) -> None:
    publish(Artifacts(tmp_path / "here", url), "v1", "1")
    there = Artifacts(tmp_path / "there", url)
    with pytest.raises(FileExistsError, match="already published"):
        publish(there, "v1", "2")
    assert not there.adapter_dir("v1").exists()


def test_an_object_that_is_gone_or_changed_is_an_error_and_nothing_is_put_in_place(tmp_path: Path, url: str) -> None:
    here, there = Artifacts(tmp_path / "here", url), Artifacts(tmp_path / "there", url)
    folder, sha256 = publish(here, "v1")
    store, target = Store(url), there.adapter_dir("v1")
    (tmp_path / "other").write_text("other")
    store._put(tmp_path / "other", store._place(f"{ADAPTERS}/v1", "weights"))
    with pytest.raises(ArtifactError, match=f"expected {sha256}"):
        there.fetch(target, sha256)
    store._files.rm(store._place(f"{ADAPTERS}/v1", "weights"))
    with pytest.raises(ArtifactError, match="FileNotFoundError"):
        there.fetch(target, sha256)
    assert not target.exists()
    assert folder.exists()


def test_a_mark_cannot_name_files_outside(tmp_path: Path, url: str) -> None:
    store = Store(url)
    store._files.makedirs(store._place("complete", ADAPTERS), exist_ok=True)
    mark = b'{"sha256": "ab", "files": ["../../../operator.key"]}'
    store._files.pipe_file(store._place("complete", ADAPTERS, "v1"), mark)
    artifacts = Artifacts(tmp_path / "home", url)
    with pytest.raises(ArtifactError, match="leaves its folder"):
        artifacts.fetch(artifacts.adapter_dir("v1"), "ab")


def test_replacing_and_removing_reach_the_store(tmp_path: Path, url: str) -> None:
    here, there = Artifacts(tmp_path / "here", url), Artifacts(tmp_path / "there", url)
    for act, text in ((here.publish, "two people"), (here.replace, "one person")):
        tmp = here.temporary_dir() / "rows"
        tmp.write_text(text)
        act(tmp, here.dataset_file("d1"))
    there.fetch(there.dataset_file("d1"), hashlib.sha256(b"one person").hexdigest())
    here.remove(here.dataset_file("d1"))
    assert here.published(DATASETS) == []
    store = Store(url)
    assert not store._files.exists(store._place(f"{DATASETS}/d1.jsonl"))


def test_a_store_that_cannot_be_reached_is_an_error_and_nothing_is_published(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file, where the folder should be")
    artifacts = Artifacts(tmp_path / "home", (tmp_path / "store").as_uri())
    tmp = write(artifacts, "1")
    with pytest.raises(ArtifactError, match="store"):
        artifacts.publish(tmp, artifacts.adapter_dir("v1"))
    assert tmp.exists()
    assert not artifacts.adapter_dir("v1").exists()


def test_a_store_of_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="nosuch"):
        Artifacts(tmp_path, "nosuch://bucket")
