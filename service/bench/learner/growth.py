"""What training costs with more rows, longer answers, a higher rank and more history."""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import Struct

from learner.config import TrainSettings
from learner.rows import write_rows
from service.bench.growth import GrowthFigures
from service.bench.learner.rows import Prose, Tokenizer, make_thumbs
from service.bench.learner.run import Arms, seconds_per, turned
from service.bench.learner.spec import Arm, Trained, Training


class Growth(Struct, frozen=True):
    """Time relative to the base size: of a row, and for longer answers of a token."""

    length_2x: float
    length_4x: float
    rank_4x: float
    rows_4x: float
    curate_100x: float  # of collecting and curating the same new votes, beside 100 times the history
    history_100x: float  # of training on them too: their whole cycle but for its evaluation


async def measure_training(
    arms: Arms, settings: TrainSettings, prose: Prose, tokens: Tokenizer, rows: int, rounds: int
) -> dict[str, list[Trained]]:
    """Trainings by name, the base size being "base": all in one process, taking turns, after one to warm up."""
    variants = _variants(arms.folder, settings, prose, tokens, rows)
    order = [name for number in range(rounds) for name in turned([*variants], number)]
    ran = (await arms.run(Arm.MIXED, [variants[name] for name in ["base", *order]])).trained[1:]
    return {name: [one for other, one in zip(order, ran, strict=True) if other == name] for name in variants}


def compare(trained: dict[str, list[Trained]], history: GrowthFigures, train_s: float) -> Growth:
    """`train_s` is what the votes of `history` take in training: the same rows, whatever was there before them."""
    by_row, by_token = seconds_per("rows", trained["base"]), seconds_per("tokens", trained["base"])
    small_ms, large_ms = history.cycle_ms.values()
    return Growth(
        length_2x=seconds_per("tokens", trained["length_2x"]) / by_token,
        length_4x=seconds_per("tokens", trained["length_4x"]) / by_token,
        rank_4x=seconds_per("rows", trained["rank_4x"]) / by_row,
        rows_4x=seconds_per("rows", trained["rows_4x"]) / by_row,
        curate_100x=history.ratio,
        history_100x=(large_ms + 1000 * train_s) / (small_ms + 1000 * train_s),
    )


def _variants(folder: Path, settings: TrainSettings, prose: Prose, tokens: Tokenizer, rows: int) -> dict[str, Training]:
    made = {
        "base": make_thumbs(rows, prose, tokens),
        "length_2x": make_thumbs(rows, prose, tokens, longer=2),
        "length_4x": make_thumbs(rows, prose, tokens, longer=4),
        "rows_4x": make_thumbs(4 * rows, prose, tokens),
    }
    for name, of in made.items():
        write_rows(folder / f"{name}.jsonl", of)
    variants = {name: Training(str(folder / f"{name}.jsonl"), settings) for name in made}
    higher = msgspec.structs.replace(settings, rank=4 * settings.rank)
    return {**variants, "rank_4x": Training(variants["base"].rows_file, higher)}
