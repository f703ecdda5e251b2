"""Reward models as they last: published by the cycle that made one, found by the rounds that learn against it.

A name is `r<cycle>-<hash of the content>`: it tells which is newest, and by it any copy can be proved, with no row anywhere.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Collection
from pathlib import Path

import msgspec

from learner.adapter import CARD, AdapterError, Card, check_adapter
from learner.context import Context, StageError
from storage.artifacts import REWARDS, Artifacts
from storage.records import Cycle


async def publish_reward(context: Context, cycle: Cycle, folder: Path) -> str:
    """Brings a finished reward model to its place for good and gives its name.

    The folder stays: a cycle that is cut off here finds its training done.
    """
    sha256 = await asyncio.to_thread(context.artifacts.sha256_of, folder)
    name = f"r{cycle.id}-{sha256}"
    target = context.artifacts.reward_dir(name)
    if not target.exists():
        copy = context.artifacts.temporary_dir() / name
        await asyncio.to_thread(shutil.copytree, folder, copy)
        await asyncio.to_thread(context.artifacts.publish, copy, target)
    return name


async def newest_reward(context: Context) -> Path:
    """The folder of the newest reward model of this base and rank, proved. Raises `StageError` where there is none."""
    found = await asyncio.to_thread(context.artifacts.published, REWARDS)
    passed_over = ""
    for target in sorted(found, key=lambda path: _cycle_of(path.name), reverse=True):
        folder = await asyncio.to_thread(context.artifacts.fetch, target, _sha256_of(target.name))
        try:
            await asyncio.to_thread(check_adapter, folder, context.model_dir, context.settings.train.rank)
            return folder
        except AdapterError as error:  # of another base, or of another rank
            passed_over = passed_over or f" ({error})"
    raise StageError(f"no reward model fits the model that is served{passed_over}: run `ratchet cycle run --method reward` first")


async def remove_rewards(context: Context, dataset_ids: Collection[str]) -> int:
    """Removes the reward models that learnt from these datasets, and those that no longer say from which; gives how many.

    For when somebody in the datasets is forgotten. Raises `ArtifactError`.
    """
    return await asyncio.to_thread(_remove, context.artifacts, dataset_ids)


def _remove(artifacts: Artifacts, dataset_ids: Collection[str]) -> int:
    going = [target for target in artifacts.published(REWARDS) if _dataset_of(artifacts, target) in {None, *dataset_ids}]
    for target in going:
        artifacts.remove(target)
    return len(going)


def _dataset_of(artifacts: Artifacts, target: Path) -> str | None:
    folder = target if target.exists() else artifacts.fetch(target, _sha256_of(target.name))
    try:
        return msgspec.json.decode((folder / CARD).read_bytes(), type=Card).dataset_id
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def _cycle_of(name: str) -> int:
    return int(name.partition("-")[0].removeprefix("r"))


def _sha256_of(name: str) -> str:
    return name.partition("-")[2]
