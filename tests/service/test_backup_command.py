"""`ratchet migrate`, `backup` and `restore` as one runs them, on homes without a running service."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from service.lock import hold
from storage.migrate import migrate
from tests.storage.world import build, contents

CHECKOUT = Path(__file__).parents[2]


def ratchet(*arguments: object) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "RATCHET_STORAGE_URL"}
    command = [sys.executable, "-m", "service.cli", *map(str, arguments)]
    return subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=120)


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """One line that says these words, exit status 1."""
    assert done.returncode == 1, done
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    assert line.startswith("ratchet: ")
    for word in words:
        assert word in line


@pytest.fixture
def home(tmp_path: Path) -> Path:
    build(tmp_path / "home", tmp_path / "home" / "ratchet.db")
    return tmp_path / "home"


def test_backup_and_restore(home: Path, tmp_path: Path) -> None:
    file, new = tmp_path / "backup.tar", tmp_path / "new"
    done = ratchet("backup", file, "--home", home, "--json")
    assert done.returncode == 0, done.stderr
    written = json.loads(done.stdout)
    assert (written["file"], written["size_bytes"]) == (str(file), file.stat().st_size)

    done = ratchet("restore", file, "--home", new)
    assert done.returncode == 0, done.stderr
    assert "every hash checked" in done.stdout
    kept = ("artifacts/", "operator.key", "ratchet.toml")
    before, after = ({k: v for k, v in contents(at).items() if k.startswith(kept)} for at in (home, new))
    assert after == before

    refused(ratchet("restore", file, "--home", new), "ratchet.db", "--force")
    done = ratchet("restore", file, "--home", new, "--force", "--json")
    assert json.loads(done.stdout)["files"] == written["files"]


def test_a_home_in_use_is_not_restored_or_migrated(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "backup.tar"
    with hold(home):
        assert ratchet("backup", file, "--home", home).returncode == 0
        before = contents(home)
        refused(ratchet("restore", file, "--home", home, "--force"), str(home), "in use")
        refused(ratchet("migrate", "--home", home), str(home), "in use")
    assert contents(home) == before


def test_migrate_says_from_where_to_where(tmp_path: Path) -> None:
    migrate(tmp_path / "ratchet.db", "0002")
    _, newest = migrate(tmp_path / "other.db")
    assert ratchet("migrate", "--home", tmp_path).stdout == f"schema 0002 -> {newest}\n"
    assert ratchet("migrate", "--home", tmp_path).stdout == f"schema {newest}: nothing to do\n"
    assert json.loads(ratchet("migrate", "--home", tmp_path, "--json").stdout) == {"before": newest, "after": newest}


def test_a_newer_schema_is_one_line(home: Path, tmp_path: Path) -> None:
    connection = sqlite3.connect(home / "ratchet.db")
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    refused(ratchet("migrate", "--home", home), "'9999'", "newer version")
    refused(ratchet("backup", tmp_path / "backup.tar", "--home", home), "'9999'", "newer version")
    assert not (tmp_path / "backup.tar").exists()


def test_what_is_not_there_is_one_line(home: Path, tmp_path: Path) -> None:
    refused(ratchet("backup", tmp_path / "backup.tar", "--home", tmp_path / "nowhere"), "nowhere", "--home")
    refused(ratchet("restore", tmp_path / "nothing.tar", "--home", home), "nothing.tar")
    refused(ratchet("backup", tmp_path / "no" / "folder.tar", "--home", home), "folder.tar")
