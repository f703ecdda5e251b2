"""A disk that fails once, at each call in turn, and a power cut at any moment: nothing acknowledged is lost."""

from __future__ import annotations

import errno
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from storage.migrate import migrate
from tests.faults.disk import Disk, build_library, environment, read_log
from tests.faults.on_a_failing_disk import TURNS, Attempt
from tests.faults.said import halves, integrity, lost

PROCESS_S = 900
SAMPLE = 15  # in the short form one in so many calls fails, starting elsewhere for each kind of error
ERRORS = (errno.ENOSPC, errno.EIO)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_library(tmp_path_factory.mktemp("library"))


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """A database with today's tables and nothing in them."""
    migrate(tmp_path / "db")
    return tmp_path / "db"


def run(library: Path, folder: Path, *arguments: object, log: Path | None = None) -> list[str]:
    """The lines that `on_a_failing_disk` prints."""
    command = [sys.executable, "-m", "tests.faults.on_a_failing_disk", *map(str, arguments)]
    variables = environment(library, folder, log)
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=PROCESS_S)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def attempts(library: Path, template: Path, error: int, numbers: range) -> list[Attempt]:
    lines = run(library, template.parent, "sweep", template, error, *numbers)
    return [msgspec.json.decode(line, type=Attempt) for line in lines]


def check(found: list[Attempt]) -> None:
    for one in found:
        about = f"call {one.number} of {one.calls}: {one}"
        assert set(one.outcomes) == {"kept"}, about
        assert (one.lost, one.integrity) == ([], "ok"), about
        assert one.refused <= 2, about  # the two that share a commit
    assert any(one.refused for one in found), "no write was refused: the disk was never asked"


def calls_of(library: Path, template: Path) -> int:
    """How many calls the writes make when none fails."""
    [whole] = attempts(library, template, errno.EIO, range(1))
    assert whole.refused == 0
    return whole.calls


@pytest.mark.parametrize("error", ERRORS, ids=errno.errorcode.get)
def test_a_failing_call_loses_nothing_acknowledged_and_wedges_nothing(library: Path, template: Path, error: int) -> None:
    total = calls_of(library, template)
    check(attempts(library, template, error, range(1 + error % SAMPLE, total + 1, SAMPLE)))


@pytest.mark.long
@pytest.mark.parametrize("error", ERRORS, ids=errno.errorcode.get)
def test_every_call_may_fail_once(library: Path, template: Path, error: int) -> None:
    check(attempts(library, template, error, range(1, calls_of(library, template) + 1)))


@pytest.mark.parametrize("durability", ["strict", "group"])
def test_what_is_acknowledged_survives_a_power_cut(library: Path, template: Path, durability: str) -> None:
    log = template.parent / "log"
    run(library, template.parent, "talk", template, durability, log=log)
    for folder, acknowledged in power_cuts(template, log):
        assert lost(folder / "db", acknowledged) == []
        assert (halves(folder / "db"), integrity(folder / "db")) == ([], "ok")


def test_async_loses_only_the_newest_in_a_power_cut_and_nothing_in_a_kill(library: Path, template: Path) -> None:
    log = template.parent / "log"
    before = template.read_bytes()
    run(library, template.parent, "talk", template, "async", log=log)
    everything = (template.parent / "acknowledged").read_text().splitlines()
    assert lost(template, everything) == []  # the process ended without a goodbye
    template.write_bytes(before)
    gaps = 0
    for folder, acknowledged in power_cuts(template, log):
        missing = lost(folder / "db", acknowledged)
        assert missing == acknowledged[len(acknowledged) - len(missing) :]
        assert (halves(folder / "db"), integrity(folder / "db")) == ([], "ok")
        gaps += bool(missing)
    assert gaps, "nothing was ever lost: async did not give up anything for its speed"


def power_cuts(template: Path, log: Path) -> Iterator[tuple[Path, list[str]]]:
    """The files after power cuts at moments all over the log, each with what had been acknowledged by then."""
    chance = random.Random(7)
    disk = Disk({str(template): bytearray(template.read_bytes())})
    acknowledged: list[str] = []
    for number, step in enumerate(read_log(log)):
        if Path(step.path).name == "acknowledged":
            acknowledged += step.data.decode().splitlines()
        else:
            disk.take(step)
        if chance.random() < 0.01 or len(acknowledged) == TURNS + 1:
            folder = template.parent / f"cut-{number}"
            disk.cut_power(folder, chance, kept=chance.choice((0, 0.5, 1)))
            yield folder, acknowledged
