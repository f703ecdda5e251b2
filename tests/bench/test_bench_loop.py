"""`ratchet bench loop` prints every figure that is promised, goes on where it was cut off, and draws what it kept."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from learner.simulated.home import Say
from learner.simulated.populations import POPULATIONS, Population
from learner.simulated.rounds import Outcome, Simulation, Size
from learner.simulated.user import SimulationError
from service.bench.loop.figures import LoopError, LoopFigures, read_report
from service.bench.loop.measure import measure_loop
from service.bench.loop.plots import draw_plots
from service.bench.loop.table import loop_parts
from service.cli import main
from tests.learner.scripted_loop import LONG, Cycle, ScriptedLoop

PROMISED = {"populations", "machine", "commit", "seconds"}
OF_A_ROUND = {
    "round", "votes", "up", "adapter", "verdict", "reasons", "heldout_before", "heldout_after", "suites", "cycle_s",
    "vote_to_live_s",
}  # fmt: skip
SIZE = Size(rounds=3, turns=12, heldout=4, people=4)
SCRIPT = (Cycle("promote"), Cycle("reject"), Cycle("promote", LONG))


class ScriptedRuns:
    """Runs populations on services that are scripts; one of this name does not come to its end."""

    def __init__(self, breaking: str = "") -> None:
        self.breaking, self.begun = breaking, list[str]()

    def __call__(self, population: Population, size: Size, say: Say) -> Outcome:
        self.begun.append(population.name)
        if population.name == self.breaking:
            raise SimulationError("the power went")
        return asyncio.run(Simulation(ScriptedLoop(SCRIPT), population, size, say).run())


def measure(out: Path, run: ScriptedRuns, populations: Sequence[Population] = POPULATIONS, size: Size = SIZE) -> LoopFigures:
    return measure_loop(populations, size, out, lambda line: None, run)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a whole run."""
    out = tmp_path_factory.mktemp("loop")
    measure(out, ScriptedRuns())
    return out


def test_every_promised_figure_is_there(kept: Path) -> None:
    found = msgspec.json.decode((kept / "report.json").read_bytes())
    assert found.keys() >= PROMISED
    assert [*found["populations"]] == ["consistent", "in_turn", "noisy", "poisoned", "changing"]
    for one in found["populations"].values():
        assert all(done.keys() >= OF_A_ROUND for done in one["rounds"]) and len(one["rounds"]) == SIZE.rounds
        assert (one["promoted"], one["refused"], one["inconclusive"], one["failed"]) == (2, 1, 0, 0)
        assert all(done["suites"]["knowledge"].keys() >= {"live", "candidate", "delta", "lower_bound"} for done in one["rounds"])
        assert [done["transfer"]["backward"] for done in one["rounds"]] == [None, -0.1, -0.1]
    assert found["populations"]["poisoned"]["rounds"][0]["poison"]["rows"] == 16
    assert found["seconds"] == pytest.approx(sum(one["seconds"] for one in found["populations"].values()))
    assert found["commit"] and ", " not in found["commit"], "one commit, named once"


def test_a_run_that_was_cut_off_goes_on(tmp_path: Path, kept: Path) -> None:
    with pytest.raises(SimulationError, match="the power went"):
        measure(tmp_path, ScriptedRuns(breaking="noisy"))
    report, again = measure(tmp_path, runs := ScriptedRuns()), ScriptedRuns()
    assert runs.begun == ["noisy", "poisoned", "changing"]
    assert measure(tmp_path, again) == report == read_report(tmp_path / "report.json") and again.begun == []
    whole = read_report(kept / "report.json")
    for name, one in report.populations.items():
        votes = [(done.votes, done.up, done.heldout_after) for done in one.rounds]
        assert votes == [(done.votes, done.up, done.heldout_after) for done in whole.populations[name].rounds]


def test_figures_of_another_size_are_not_mixed_in(kept: Path) -> None:
    with pytest.raises(LoopError, match=r"consistent\.json has Size\(rounds=3.*, expected Size\(rounds=4.*another --out"):
        measure(kept, ScriptedRuns(), size=replace(SIZE, rounds=4))


def test_too_few_prompts_are_found_out_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(SimulationError, match="expected more than the 300 held out"):
        measure(tmp_path, runs := ScriptedRuns(), size=replace(SIZE, heldout=300))
    assert runs.begun == []


def test_pictures_are_drawn_from_a_report_that_is_there(kept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["bench", "loop", "--from", str(kept / "report.json"), "--plots", str(tmp_path / "plots"), "--json"])
    assert msgspec.json.decode(capsys.readouterr().out, type=LoopFigures) == read_report(kept / "report.json")
    drawn = {file.name: file.read_bytes() for file in (tmp_path / "plots").iterdir()}
    assert drawn.keys() == {"satisfaction.png", "suites.png", "transfer.png", "times.png"}
    assert all(picture.startswith(b"\x89PNG") for picture in drawn.values())
    again = draw_plots(read_report(kept / "report.json"), tmp_path / "again")
    assert {file.name: file.read_bytes() for file in again} == drawn


def test_what_came_to_no_verdict_is_drawn_and_told_too(tmp_path: Path) -> None:
    def skip(population: Population, size: Size, say: Say) -> Outcome:
        return asyncio.run(Simulation(ScriptedLoop([Cycle("skipped")] * 3), population, size, say).run())

    found = measure_loop(POPULATIONS[:1], SIZE, tmp_path, lambda line: None, skip)
    assert found.populations["consistent"].failed == 3
    assert len(draw_plots(found, tmp_path / "plots")) == 4
    assert "3 without a verdict" in [*loop_parts(found)][1]


def test_people_get_tables(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["bench", "loop", "--from", str(kept / "report.json")])
    told = capsys.readouterr().out
    assert "poisoned: people who like short answers, and among them who plants a false fact" in told
    assert "15 of 16" in told and "brief 0% → 0%; thorough 0% → 100%; 2 promoted, 1 refused" in told


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--population", "angels"], "there is no population 'angels': expected one of consistent, in_turn"),
        (["--rounds", "0"], "--rounds is 0, expected 1 or more"),
        (["--from", "nowhere.json"], "nowhere.json cannot be read (No such file or directory)"),
        (["--from", __file__], "holds no figures of `ratchet bench loop`"),
    ],
)
def test_what_cannot_be_run_is_refused_in_one_line(options: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["bench", "loop", *options])
    assert said in capsys.readouterr().err


@pytest.mark.long
@pytest.mark.engine
@pytest.mark.timeout(3600)
def test_a_small_run_on_the_real_engine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Too small for a verdict that means anything: every call is one that the service takes."""
    small = ["--rounds", "1", "--turns", "12", "--people", "6", "--heldout", "4"]
    main(
        ["bench", "loop", "--population", "poisoned", *small, "--out", str(tmp_path), "--plots", str(tmp_path / "plots"), "--json"]
    )
    [done] = msgspec.json.decode(capsys.readouterr().out)["populations"]["poisoned"]["rounds"]
    assert done["votes"] == 12 and done["poison"]["rows"] == 16 and done["poison"]["learnt"] == 0
    assert len([*(tmp_path / "plots").iterdir()]) == 4
