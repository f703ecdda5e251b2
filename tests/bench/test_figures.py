"""What programs find in the document of each benchmark: the keys that were promised, and where and when it was measured."""

from __future__ import annotations

import pytest
from msgspec import Struct

from service.bench.data import DataFigures
from service.bench.engine.measure import EngineFigures
from service.bench.gateway.measure import GatewayFigures
from service.bench.guard import GuardFigures
from service.bench.learner.measure import LearnerFigures
from service.bench.loop.figures import LoopFigures
from service.bench.scale.costs import Costs
from service.bench.selftest import SelfTestFigures
from service.bench.soak.run import SoakFigures
from service.bench.storage import StorageFigures
from service.bench.swap.figures import SwapFigures
from service.cli import parser

FIGURES: dict[str, tuple[type[Struct], str]] = {
    "bench storage": (StorageFigures, "acked_per_s bare_sqlite_per_s ratio commit_wait_ms page_ms"),
    "bench data": (DataFigures, "rows_per_s peak_mb cycle_growth"),
    "bench learner": (LearnerFigures, "thumbs pairs peak_mb growth"),
    "bench engine": (EngineFigures, "base one mix base_unchanged max_logprob_error"),
    "bench gateway": (GatewayFigures, "added_first_token_ms added_gap_ms clean_streams cpu_ms_per_stream rss_mb"),
    "bench swap": (SwapFigures, "failed mixed flip_ms load_ms stall_ms restart_s"),
    "bench soak": (SoakFigures, "problem_count acknowledged votes"),
    "bench loop": (LoopFigures, "populations"),
    "bench guard": (GuardFigures, "frame_us held_frames"),
    "bench scale": (Costs, "frame_cpu_ms engine_tokens_per_s writes_per_s turn_bytes vote_bytes"),
    "gate selftest": (SelfTestFigures, "trials false_promote false_reject greedy"),
}


@pytest.mark.parametrize("command", FIGURES)
def test_promised_keys_stay_put(command: str) -> None:
    figures, promised = FIGURES[command]
    assert {*promised.split(), "machine", "commit", "seconds"} <= {*figures.__struct_fields__}


def test_every_benchmark_promises_its_keys_and_has_them_as_a_document() -> None:
    commands = {one.path: one for one in parser().commands() if one.path in FIGURES or one.path.startswith("bench ")}
    assert commands.keys() == FIGURES.keys()
    assert all(any("--json" in argument.option_strings for argument in one.arguments) for one in commands.values())
