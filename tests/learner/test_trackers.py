"""A tracker has every step, a run that goes on after a kill is one run, and a missing tracker is told at once."""

from __future__ import annotations

import warnings
from pathlib import Path

import msgspec
import pytest

from learner.config import TrainSettings
from learner.train import trackers
from learner.train.spec import Step
from learner.train.trackers import TrackerMissing
from service.config import ConfigError, load_config

STEPS = [Step(number, 3, 1.0 / number, 10.0 * number, {"kl": 0.1 * number}) for number in (1, 2, 3)]


def written(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard shows of a run."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own protocol buffers
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    events = EventAccumulator(str(folder))
    events.Reload()
    return {tag: [(one.step, one.value) for one in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def job_folder(home: Path) -> Path:
    folder = home / "cycles" / "7" / "train"
    folder.mkdir(parents=True)
    return folder


def test_tensorboard_has_every_step_and_a_resumed_run_has_none_twice(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    folder = job_folder(tmp_path)
    with trackers.open(["tensorboard"], folder) as track:
        for step in STEPS[:2]:
            track(step)
    with trackers.open(["tensorboard"], folder) as track:  # its last checkpoint was after step 1
        for step in STEPS[1:]:
            track(step)
    found = written(folder / "trackers" / "tensorboard")
    assert {tag: [step for step, _ in values] for tag, values in found.items()} == {
        "loss": [1, 2, 3],
        "rows_per_s": [1, 2, 3],
        "kl": [1, 2, 3],
    }
    assert [value for _, value in found["loss"]] == pytest.approx([1.0, 0.5, 1 / 3])


def test_trackio_has_every_step(tmp_path: Path) -> None:
    pytest.importorskip("trackio")
    folder = job_folder(tmp_path)
    with trackers.open(["trackio"], folder) as track:
        for step in STEPS:
            track(step)
    assert [*(folder / "trackers" / "trackio").rglob("*.db")]


def test_without_a_tracker_nothing_is_written(tmp_path: Path) -> None:
    folder = job_folder(tmp_path)
    with trackers.open([], folder) as track:
        track(STEPS[0])
    assert list(folder.iterdir()) == []


def test_a_tracker_that_is_not_installed_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrackerMissing, match=r"'no_such_tracker' is not installed: expected .*ratchet\[trackers\]"):
        trackers.check(["no_such_tracker"])


def test_a_tracker_that_nobody_knows_is_refused_with_the_settings(tmp_path: Path) -> None:
    (tmp_path / "ratchet.toml").write_text('[learner.train]\ntrackers = ["wandb"]\n')
    with pytest.raises(ConfigError, match="wandb"):
        load_config(tmp_path)
    assert msgspec.convert({"trackers": ["tensorboard"]}, TrainSettings).trackers == ("tensorboard",)
