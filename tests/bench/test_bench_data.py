"""`ratchet bench data` prints every figure that is promised, and what it measures is curation as it should be."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import msgspec
import pytest

from learner.curate.clean import clean
from learner.curate.decontaminate import Overlap
from learner.curate.example import Drop, Example
from learner.evaluate.suite import load_suites
from service.bench.data import CLEANED, KEPT, MADE, curate_file, shipped_cleaner
from service.bench.talk import NEAR, PLANTED, REPEATED, SECRET, talk
from service.cli import main

PROMISED = {"rows_per_s", "peak_mb", "cycle_growth", "machine", "commit", "seconds"}
SUITES = load_suites()


def test_it_prints_every_promised_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["bench", "data", "--quick", "--json", "--dir", str(tmp_path)])
    found = msgspec.json.decode(capsys.readouterr().out)
    assert found.keys() >= PROMISED
    assert all(found[name] > 0 for name in PROMISED - {"machine", "commit"})
    assert found["passed"]["rows"] == found["size"]["rows"] == found["passed"]["kept"] + sum(found["passed"]["dropped"].values())
    assert found["growth"]["cycle_ms"].keys() == {"10k", "1m"}
    assert list(tmp_path.iterdir()) == []  # it cleans up


def test_people_get_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["bench", "data", "--quick", "--dir", str(tmp_path)])
    assert "rows curated" in capsys.readouterr().out


def test_its_rows_are_the_same_each_time_and_hold_what_curation_is_for() -> None:
    rows = [*talk(3000, SUITES)]
    assert rows == [*talk(3000, SUITES)] != [*talk(3000, SUITES, seed=1)]
    overlap = Overlap(SUITES)
    planted = sum(any(text in overlap for text in row.texts) for row in rows)
    assert PLANTED / 2 < planted / 3000 < PLANTED * 3
    redacted = [row for row in clean(rows, shipped_cleaner(), processes=1) if isinstance(row, Example) and row.transformations]
    assert SECRET / 2 < len(redacted) / 3000 < SECRET * 2
    alike = Counter(row.question for row in rows)
    assert (REPEATED + NEAR) / 2 < 1 - len(alike) / 3000 < (REPEATED + NEAR) * 1.5


def test_the_pass_keeps_what_cleaning_one_by_one_keeps_but_for_duplicates(tmp_path: Path) -> None:
    rows = [*talk(1500, SUITES)]
    (tmp_path / MADE).write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
    passed = curate_file(tmp_path, processes=1)
    outcomes = [*clean(rows, shipped_cleaner(), processes=1)]
    cleaned = [msgspec.json.encode(outcome) for outcome in outcomes if not isinstance(outcome, Drop)]
    assert (tmp_path / CLEANED).read_bytes().splitlines() == cleaned
    kept = (tmp_path / KEPT).read_bytes().splitlines()
    assert len(kept) == passed.kept and set(kept) < set(cleaned)
    assert passed.dropped["duplicate"] + passed.dropped.get("over the limit for near-duplicates", 0) == len(cleaned) - len(kept)
