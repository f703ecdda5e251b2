"""A backup that is not whole and unchanged is refused with one clear error, and the home stays as it was."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from storage.archive import DATABASE, KEY, MANIFEST, SEAL, BackupError, Manifest, Member, opened
from storage.backup import back_up
from storage.migrate import NewerSchemaError
from storage.restore import restore
from storage.settings import StorageSettings
from tests.storage.world import DATASET, build, contents

Members = dict[str, bytes]
MEMBERS = (
    DATABASE,
    KEY,
    "ratchet.toml",
    "artifacts/adapters/v1/deep/weights",
    f"artifacts/datasets/{DATASET}.jsonl",
    MANIFEST,
    SEAL,
)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home that has been backed up into `backup.tar` beside it."""
    home = tmp_path / "home"
    artifacts = build(home, home / DATABASE)
    back_up(home, home / DATABASE, artifacts, tmp_path / "backup.tar", 100.0)
    return home


def refused(home: Path, message: str, kind: type[Exception] = BackupError) -> None:
    before = contents(home)
    with pytest.raises(kind, match=message):
        restore(home, home.parent / "backup.tar", lambda _: StorageSettings(), 200.0, force=True)
    assert contents(home) == before


def rewrite(home: Path, change: Callable[[Members], None], reseal: bool = True) -> None:
    """Changes what the backup holds, its manifest and seal made to fit."""
    file = home.parent / "backup.tar"
    with tarfile.open(file) as tar:
        members = {info.name: tar.extractfile(info).read() for info in tar if info.isreg()}
    change(members)
    if reseal:
        members[SEAL] = f"{hashlib.sha256(members[MANIFEST]).hexdigest()}  {MANIFEST}\n".encode()
    with tarfile.open(file, "w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def change_manifest(content: Members, **fields: object) -> None:
    manifest = msgspec.json.decode(content[MANIFEST], type=Manifest)
    content[MANIFEST] = msgspec.json.encode(msgspec.structs.replace(manifest, **fields))


@pytest.mark.parametrize("name", MEMBERS)
def test_a_flipped_byte_in_any_member(home: Path, name: str) -> None:
    file = home.parent / "backup.tar"
    with tarfile.open(file) as tar:
        info = tar.getmember(name)
    data = bytearray(file.read_bytes())
    data[info.offset_data + info.size // 2] ^= 1
    file.write_bytes(data)
    refused(home, "damaged")


def test_a_flipped_byte_in_a_header(home: Path) -> None:
    file = home.parent / "backup.tar"
    with tarfile.open(file) as tar:
        info = tar.getmember(KEY)
    data = bytearray(file.read_bytes())
    data[info.offset] ^= 1
    file.write_bytes(data)
    refused(home, "backup.tar")


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_a_backup_that_was_cut_off(home: Path, share: float) -> None:
    file = home.parent / "backup.tar"
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * share)])
    refused(home, "backup.tar")


def test_something_else_than_a_backup(home: Path) -> None:
    (home.parent / "backup.tar").write_bytes(b"hello" * 1000)
    refused(home, "no backup")


def test_no_file_at_all(home: Path) -> None:
    (home.parent / "backup.tar").unlink()
    refused(home, "is not there")


@pytest.mark.parametrize(
    "name",
    [
        "../outside",
        "/tmp/outside",
        "artifacts/adapters/../../outside",
        "artifacts/adapters/v1/..",
        "lock",
        "artifacts/tmp/x",
        "artifacts/x",
    ],
)
def test_a_member_that_belongs_elsewhere(home: Path, name: str) -> None:
    def add(members: Members) -> None:
        members[name] = b"content"
        manifest = msgspec.json.decode(members[MANIFEST], type=Manifest)
        added = Member(name, hashlib.sha256(b"content").hexdigest(), 7)
        change_manifest(members, members=(*manifest.members, added))

    rewrite(home, add)
    refused(home, "not a file that belongs in a backup")
    assert not (home.parent / "outside").exists()


def test_a_link(home: Path) -> None:
    with tarfile.open(home.parent / "backup.tar", "a") as tar:
        info = tarfile.TarInfo("artifacts/adapters/v1/link")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(info)
    refused(home, "not a file that belongs in a backup")


def test_a_member_that_the_manifest_does_not_name(home: Path) -> None:
    rewrite(home, lambda members: members.update({"artifacts/adapters/v1/more": b""}))
    refused(home, "does not hold what its manifest names")


def test_a_member_that_is_missing(home: Path) -> None:
    rewrite(home, lambda members: members.__delitem__(KEY))
    refused(home, "does not hold what its manifest names")


def test_a_member_that_is_there_twice(home: Path) -> None:
    with tarfile.open(home.parent / "backup.tar", "a") as tar:
        tar.addfile(tarfile.TarInfo(KEY))
    refused(home, "does not hold what its manifest names")


def test_a_newer_schema(home: Path) -> None:
    rewrite(home, lambda members: change_manifest(members, schema="9999"))
    refused(home, "'9999'", NewerSchemaError)


def test_a_newer_format(home: Path) -> None:
    rewrite(home, lambda members: change_manifest(members, format=2))
    refused(home, "format 2")


def test_a_manifest_that_was_changed_without_its_seal(home: Path) -> None:
    rewrite(home, lambda members: change_manifest(members, created_at_s=1.0), reseal=False)
    refused(home, "does not match its hash")


def test_the_manifest_names_every_member_with_its_hash_and_size(home: Path) -> None:
    with opened(home.parent / "backup.tar") as (tar, manifest):
        assert (manifest.database, manifest.created_at_s) == ("sqlite", 100.0)
        for member in manifest.members:
            content = tar.extractfile(member.name).read()
            assert member.sha256 == hashlib.sha256(content).hexdigest()
            assert member.size_bytes == len(content)
