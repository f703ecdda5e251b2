"""`ratchet bench scale`: its arithmetic, its tables, and that the document has those of its own costs."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from service.bench.scale.costs import Costs, ScaleError, measure_costs, measure_records
from service.bench.scale.needs import DAY_S, Workload, capacities, needs_of
from service.bench.scale.table import BEGIN, END, block, costs_in, put_into, scale_lines
from tests.service.command_line import run

DOCUMENT = Path(__file__).parents[2] / "deploy" / "SCALING.md"
COSTS = Costs(
    frame_cpu_ms=0.1, engine_tokens_per_s=100, writes_per_s=1000, turn_bytes=4000, vote_bytes=500, curate_rows_per_s=10_000,
    learn_rows_per_s=2, backup_gb_per_s=0.1, quick=False, machine="2 x test", commit="abc", seconds=1.0,
)  # fmt: skip
WORK = Workload(answer_tokens=100, votes_per_turn=0.1, peak=2, busy=0.5, passes=3, cycle_rows=4000)
REPORTS = {
    "storage": {"acked_per_s": 1000.0},
    "gateway": {"cpu_ms_per_stream": {"ratchet": 5.0, "litellm": None}, "size": {"frames": 10}},
    "data": {"rows_per_s": 10_000.0},
    "learner": {"thumbs": {"mixed": 2.0, "trl_careful": 1.0}},
    "engine": {"one": 100.0, "base": 120.0},
}


def write_reports(folder: Path) -> Path:
    folder.mkdir()
    for name, report in REPORTS.items():
        (folder / f"{name}.json").write_text(json.dumps(report))
    return folder


def test_what_one_of_each_part_carries() -> None:
    carried = capacities(COSTS, WORK)
    assert list(carried.values()) == sorted(carried.values()), "what saturates first comes first"
    assert carried["engine"] == pytest.approx(DAY_S * 0.5 / 2 / 1.0)  # a second of the engine each
    assert carried["service"] == pytest.approx(DAY_S * 0.5 / 2 / 0.01)  # 100 frames of 0.1 ms
    assert carried["writer"] == pytest.approx(DAY_S * 0.5 / 2 / 0.0011)  # a turn and a tenth of a vote
    assert carried["learner"] == pytest.approx(DAY_S / (0.4 + 6000) * 4000 / 0.1)


def test_what_a_level_needs() -> None:
    needs = needs_of(1e6, COSTS, WORK)
    assert needs.peak_turns_per_s == pytest.approx(2e6 / DAY_S)
    assert needs.peak_tokens_per_s == pytest.approx(2e8 / DAY_S)
    assert (needs.engines, needs.services) == (47, 1)
    assert needs.writer_share == pytest.approx(2e6 / DAY_S * 0.0011)
    assert needs.gb_per_day == pytest.approx((1e6 * 4000 + 1e5 * 500) / 1e9)
    assert needs.backup_s == pytest.approx(needs.gb_per_year * 10)
    assert needs.cycles_per_day == 25 and needs.learners == 2


def test_a_hundred_times_the_turns_is_a_hundred_times_the_need() -> None:
    small, large = needs_of(1e6, COSTS, WORK), needs_of(1e8, COSTS, WORK)
    assert large.gb_per_year == pytest.approx(100 * small.gb_per_year)
    assert 100 * (small.engines - 1) < large.engines <= 100 * small.engines


def test_costs_are_those_of_the_reports(tmp_path: Path) -> None:
    costs = measure_costs(write_reports(tmp_path / "reports"), tmp_path, quick=True)
    assert (costs.engine_tokens_per_s, costs.learn_rows_per_s, costs.writes_per_s) == (100, 2, 1000)
    assert costs.frame_cpu_ms == pytest.approx(0.5)  # of ten frames, as a quick stream has
    assert costs.quick and costs.backup_gb_per_s > 0


def test_a_report_of_something_else_is_named(tmp_path: Path) -> None:
    reports = write_reports(tmp_path / "reports")
    (reports / "engine.json").write_text('{"two": 1}')
    with pytest.raises(ScaleError, match=r"engine\.json is not what `ratchet bench engine --json` prints"):
        measure_costs(reports, tmp_path, quick=True)


def test_a_turn_takes_more_bytes_than_a_vote_and_both_take_some(tmp_path: Path) -> None:
    records = asyncio.run(measure_records(tmp_path, 500))
    assert 1000 < records.turn_bytes < 20_000
    assert 100 < records.vote_bytes < records.turn_bytes


def test_the_command_puts_its_tables_into_a_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = tmp_path / "page.md"
    document.write_text(f"# Before\n\n{BEGIN}\nstale\n{END}\n\nAfter\n")
    reports = write_reports(tmp_path / "reports")
    assert run("bench", "scale", str(reports), "--quick", "--dir", str(tmp_path), "--document", str(document)) == 0
    text = document.read_text()
    assert text.startswith("# Before\n") and text.endswith("After\n") and "stale" not in text
    assert text == put_into(text, costs_in(text))
    assert "`--quick`" in capsys.readouterr().out  # that they are no figures to go by
    document.write_text("without marks")
    assert run("bench", "scale", str(reports), "--quick", "--dir", str(tmp_path), "--document", str(document)) == 1
    assert "it has no <!-- made by" in capsys.readouterr().err


def test_the_document_has_the_tables_of_its_own_costs() -> None:
    text = DOCUMENT.read_text()
    if f"{BEGIN}\n{END}" in text:
        pytest.skip("nothing was measured yet: run `ratchet bench scale REPORTS --document deploy/SCALING.md`")
    assert text == put_into(text, costs_in(text)), "run `ratchet bench scale REPORTS --document deploy/SCALING.md`"


def test_tables_have_as_many_cells_as_their_heads() -> None:
    rows = [line for line in scale_lines(COSTS, WORK) if line.startswith("|")]
    heads = [at for at, line in enumerate(rows) if set(line) == {"|", "-"}]
    for begin, end in zip(heads, [*[at - 1 for at in heads[1:]], len(rows)], strict=True):
        assert {line.count("|") for line in rows[begin:end]} == {rows[begin].count("|")}
    assert block(COSTS).count("\n| ") > 15
