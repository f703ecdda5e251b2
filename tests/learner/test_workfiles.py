"""When a cycle has ended its figures stay, wherever below its folder a job ran, and what people said goes."""

from __future__ import annotations

from pathlib import Path

from learner.workfiles import clear_ended, clear_folder

FIGURES = [
    "train/metrics.jsonl",
    "train/variants/1/metrics.jsonl",
    "train/variants/1/trackers/tensorboard/events",
]
LOGS = ["evaluate/job.log", "train/job.log"]
WORDS = ["evidence.jsonl", "evaluate/result.json", "train/checkpoints/step-1/weights", "train/variants/1/dataset.jsonl"]


def make(folder: Path) -> None:
    for name in (*FIGURES, *LOGS, *WORDS):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("said")


def left(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_figures_and_what_jobs_said_stay(tmp_path: Path) -> None:
    make(tmp_path)
    assert clear_folder(tmp_path) == len(WORDS)
    assert left(tmp_path) == sorted([*FIGURES, *LOGS])
    assert not (tmp_path / "train/checkpoints").exists()
    assert clear_folder(tmp_path) == 0


def test_what_jobs_said_goes_too_when_somebody_is_forgotten(tmp_path: Path) -> None:
    for cycle_id in ("1", "2"):
        make(tmp_path / "cycles" / cycle_id)
    assert clear_ended(tmp_path, running_id=2) == len(WORDS) + len(LOGS)
    assert left(tmp_path / "cycles" / "1") == FIGURES
    assert len(left(tmp_path / "cycles" / "2")) == len(WORDS) + len(LOGS) + len(FIGURES)
