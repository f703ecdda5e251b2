"""Of several processes that train together: they make what one makes, and none outlives another's failure."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from learner.config import JobSettings
from learner.jobs import JobError
from learner.runners.ranks import describe_rank, find_port, run_rank, run_together
from learner.runners.spec import TRAINING, run_training
from learner.train.parallel import Ranks
from learner.train.spec import RESULT
from tests.learner.jobs import MIXED_ROWS, assert_same, make_job, steps_in


def launch(module: str, *words: str) -> None:
    """Runs two ranks of a module as torch's launcher does; they must end well."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", module]
    done = subprocess.run([*launcher, *words], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def test_two_processes_make_the_adapter_that_one_makes(alone: Path, model_dir: Path, zero_dir: Path, tmp_path: Path) -> None:
    folder = make_job(tmp_path / "job", model_dir, zero_dir)
    lines: list[bytes] = []
    asyncio.run(run_training(JobSettings(workers=2), folder, lines.append, 300))
    assert len(lines) == len(steps_in(folder))  # one of them reports
    assert {file.name for file in folder.glob("rank*")} == {"rank0.log", "rank1.log"}
    assert_same(folder, alone)


def test_a_model_spread_over_processes_that_torchs_own_launcher_starts_learns_the_same(
    alone: Path, model_dir: Path, zero_dir: Path, tmp_path: Path
) -> None:
    folder = make_job(tmp_path / "job", model_dir, zero_dir, spread=True)
    launch(TRAINING, str(folder))
    assert_same(folder, alone)


def test_each_of_two_holds_half_of_the_layers_of_a_model_that_is_spread(model_dir: Path, zero_dir: Path) -> None:
    launch("tests.learner.spread", str(model_dir), str(zero_dir))


def test_when_one_process_fails_the_others_end_and_its_reason_is_told(model_dir: Path, zero_dir: Path, tmp_path: Path) -> None:
    whole, broken = (make_job(tmp_path / name, model_dir, zero_dir) for name in ("whole", "broken"))
    (broken / "job.json").write_text("{}")
    port = find_port()

    async def run() -> None:
        ranks = [
            run_rank(folder, describe_rank(rank, 2, rank, ("127.0.0.1", port), 1)) for rank, folder in enumerate([whole, broken])
        ]
        await run_together(ranks)

    with pytest.raises(JobError, match=r"rank 1: .* ended with status 1: .*missing required field"):
        asyncio.run(run())
    assert not (whole / RESULT).exists()


def test_who_waits_for_one_that_failed_is_not_waited_for() -> None:
    cancelled: list[int] = []

    async def wait(rank: int) -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            cancelled.append(rank)

    async def fail(reason: str) -> None:
        raise JobError(reason)

    with pytest.raises(JobError, match=r"^rank 1: out of memory; rank 2: gone$"):
        asyncio.run(run_together([wait(0), fail("out of memory"), fail("gone")]))
    assert cancelled == [0]


def test_the_shares_of_all_are_the_batch() -> None:
    shares = [Ranks(rank, 4).share(MIXED_ROWS) for rank in range(4)]
    assert sorted(row.id for share in shares for row in share) == sorted(row.id for row in MIXED_ROWS)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    assert [len(Ranks(rank, 4).share(MIXED_ROWS[:3])) for rank in range(4)] == [1, 1, 1, 0]


def test_one_process_alone_changes_nothing() -> None:
    ranks, weight = Ranks.here(), torch.nn.Parameter(torch.ones(2))
    weight.grad = torch.tensor([1.0, 2.0])
    ranks.sum_gradients([weight])
    assert ranks == Ranks(0, 1) and ranks.leads and ranks.share(MIXED_ROWS) == MIXED_ROWS
    assert weight.grad.tolist() == [1.0, 2.0] and ranks.gather(3) == [3] and ranks.agree("stop") == "stop"
