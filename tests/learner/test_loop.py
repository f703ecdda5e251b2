"""Of our own training loop: a run that was killed ends as one that was not, and one that goes too far is ended early."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
import torch
from torch import Tensor

from learner.config import TrainSettings
from learner.rows import Row
from learner.train.brakes import Brakes
from learner.train.checkpoint import CARD, NEWEST, TENSORS
from learner.train.mixed import train
from learner.train.policy import Policy
from learner.train.spec import CHECKPOINTS, Outcome, Step, Work
from learner.train.validation import Validation, set_apart
from tests.learner.tiny import SETTINGS, corrections, replays, thumbs

ROWS = [*thumbs(12), *corrections(4), *replays(4)]
OFTEN = msgspec.structs.replace(SETTINGS, checkpoint_steps=2, passes=3)


class Killed(Exception):
    pass


def run(
    dirs: tuple[Path, Path], folder: Path, settings: TrainSettings = OFTEN, kill_at: int | None = None, rows: Sequence[Row] = ROWS
) -> tuple[Policy, list[Step], Outcome]:
    torch.set_num_threads(1)
    policy, steps = Policy(*dirs, "float32"), list[Step]()

    def report(step: Step) -> None:
        steps.append(step)
        if step.step == kill_at:
            raise Killed

    return policy, steps, train(Work(policy, rows, [], settings, folder, report))


def assert_same(one: Policy, other: Policy) -> None:
    tensors: dict[str, Tensor] = other.adapter_tensors()
    assert [name for name, tensor in one.adapter_tensors().items() if not torch.equal(tensor, tensors[name])] == []


@pytest.fixture(scope="module")
def dirs(model_dir: Path, zero_dir: Path) -> tuple[Path, Path]:
    return model_dir, zero_dir


@pytest.fixture(scope="module")
def uninterrupted(dirs: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Policy, list[Step], Outcome]:
    return run(dirs, tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize("kill_at", range(1, 10))
def test_a_run_killed_at_any_step_and_resumed_equals_the_uninterrupted_one(
    dirs: tuple[Path, Path], uninterrupted: tuple[Policy, list[Step], Outcome], kill_at: int, tmp_path: Path
) -> None:
    whole, steps, outcome = uninterrupted
    assert len(steps) == 9
    if kill_at < len(steps):
        with pytest.raises(Killed):
            run(dirs, tmp_path, kill_at=kill_at)
    resumed, rest, found = run(dirs, tmp_path)
    taken_up = (kill_at - 1) // 2 * 2 if kill_at < len(steps) else 0  # it was killed before it could keep that step
    assert [step.step for step in rest] == list(range(taken_up + 1, len(steps) + 1))
    assert [step.loss for step in rest] == [step.loss for step in steps[taken_up:]]
    assert_same(resumed, whole)
    assert found == outcome


def test_a_checkpoint_of_another_run_is_none(dirs: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(Killed):
        run(dirs, tmp_path, kill_at=5)
    other = msgspec.structs.replace(OFTEN, seed=1)
    _, steps, _ = run(dirs, tmp_path, other)
    assert steps[0].step == 1


@pytest.mark.parametrize("file", [CARD, TENSORS])
def test_a_damaged_checkpoint_means_to_begin_anew(
    dirs: tuple[Path, Path], uninterrupted: tuple[Policy, list[Step], Outcome], file: str, tmp_path: Path
) -> None:
    with pytest.raises(Killed):
        run(dirs, tmp_path, kill_at=5)
    damaged = tmp_path / CHECKPOINTS / NEWEST / file
    damaged.write_bytes(damaged.read_bytes()[:40])
    resumed, steps, _ = run(dirs, tmp_path)
    assert steps[0].step == 1
    assert_same(resumed, uninterrupted[0])


def test_a_run_that_goes_too_far_from_the_live_version_is_ended_with_the_last_good_weights(
    dirs: tuple[Path, Path], tmp_path: Path
) -> None:
    wild = msgspec.structs.replace(OFTEN, kl_weight=0.0, kl_budget=0.02, checks=9)
    policy, steps, outcome = run(dirs, tmp_path, wild)
    assert len(steps) < 9 and "KL to the live version reached" in outcome.stopped
    whole, _, unstopped = run(dirs, tmp_path / "whole", msgspec.structs.replace(wild, kl_budget=1e9))
    assert not unstopped.stopped
    assert outcome.measures["kl_live"] < unstopped.measures["kl_live"]
    with pytest.raises(AssertionError):
        assert_same(policy, whole)


def test_ends_of_turn_that_become_likely_inside_answers_end_a_run(dirs: tuple[Path, Path], tmp_path: Path) -> None:
    """Liked answers of two tokens, the second of which ends the turn, teach to say nothing."""
    end = Policy(*dirs, "float32").end_token
    assert end is not None
    hollow = [msgspec.structs.replace(row, label=1, answer_ids=(row.answer_ids[0], end)) for row in thumbs(16)]
    wild = msgspec.structs.replace(OFTEN, kl_weight=0.0, kl_budget=1e9, checks=12, max_ending=1.5, learning_rate=5e-2)
    _, _, outcome = run(dirs, tmp_path, wild, rows=[*hollow, *replays(8)])
    assert "an end is" in outcome.stopped, outcome


def test_votes_of_others_end_a_run_that_no_longer_gets_better(dirs: tuple[Path, Path], tmp_path: Path) -> None:
    """What the others say of the same answers is the opposite: what is learnt of some is lost on others."""
    settings = msgspec.structs.replace(OFTEN, validation_votes=40, validation_share=0.3, checks=20, passes=6)
    teaching, others = set_apart(thumbs(80), settings)
    opposed = [
        msgspec.structs.replace(one, id=other.id, person_id=other.person_id, label=-one.label)
        for one, other in zip(teaching, others, strict=False)
    ]
    rows = [*teaching, *opposed]
    _, steps, outcome = run(dirs, tmp_path, settings, rows=rows)
    assert "votes that are not learnt from" in outcome.stopped
    assert len(steps) < steps[0].steps


class Told(Validation):
    """Votes of ten people that gain what they are told to on average, at each check some more and others less."""

    def __init__(self, means: Sequence[float]) -> None:
        self._means = enumerate(means, 1)
        self.people = [f"person-{number}" for number in range(10)]

    def gains(self) -> list[float]:
        check, mean = next(self._means)
        return [mean + 0.1 * math.cos(2 * math.pi * check * number / 10 + check) for number in range(10)]


@pytest.mark.parametrize(
    ("means", "ends"),
    [
        ([0.012, 0.011, 0.010, 0.009, 0.2, 0.19, 0.21], False),  # lower than the first by no more than chance
        ([0.1, 0.2, -0.1, 0.19, 0.2, 0.21, 0.2], False),  # once is not twice
        ([0.1, 0.2, 0.19, 0.0, -0.1, 0.2, 0.2], True),
    ],
)
def test_a_fall_that_may_be_chance_ends_nothing(means: list[float], ends: bool) -> None:
    weights = torch.nn.Parameter(torch.zeros(1))
    brakes = Brakes([weights], msgspec.structs.replace(SETTINGS, checks=8), Told(means))
    for step in range(1, 8):
        weights.data.fill_(step)
        if stopped := brakes.check(step, 8, {}):
            break
    assert ("gained less than before" in stopped) is ends
    assert weights.item() == (3 if ends else 7), "the weights of the last good check"


def test_who_is_set_apart_teaches_nothing(tmp_path: Path) -> None:
    rows = [msgspec.structs.replace(row, person_id=f"person-{number % 10}") for number, row in enumerate(thumbs(60))]
    settings = msgspec.structs.replace(SETTINGS, validation_votes=40, validation_share=0.3)
    teaching, others = set_apart(rows, settings)
    assert others and teaching and len(teaching) + len(others) == len(rows)
    assert not {row.person_id for row in teaching} & {row.person_id for row in others}
    assert set_apart(rows[:39], settings) == (rows[:39], [])
