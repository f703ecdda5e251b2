"""TRL as a user sets it: KTO on votes and DPO on pairs, of text, on a plain model with a LoRA config.

Careful is who wants it fast on this machine: the number type that it multiplies fastest, no gradient checkpointing, the
reference's log-probs once, batches of rows of like length, our batch, and of KTO's losses `apo_zero_unpaired`: it leaves out
the two passes over mismatched answers from which `kto` estimates its z0, and is the faster one for that.
By default is everything as it comes, but for where files go, the CPU, and that nothing is reported to anybody.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import trl
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback

from learner.adapter import TARGETS
from learner.config import TrainSettings
from learner.machine import resolve
from learner.rows import Row, RowKind
from learner.tokens import Tokens
from learner.train.spec import ADAPTER
from service.bench.learner.rows import count_tokens
from service.bench.learner.spec import Trained

QUIET: dict[str, Any] = {"report_to": "none", "use_cpu": True, "disable_tqdm": True, "dataloader_pin_memory": False}


def train(model_dir: Path, rows: Sequence[Row], settings: TrainSettings, careful: bool, limit_s: float, folder: Path) -> Trained:
    """Trains from base, and leaves the adapter in the folder, as PEFT writes it."""
    pairs = rows[0].kind is RowKind.PREFERENCE
    chosen = _careful(settings, pairs) if careful else {"num_train_epochs": settings.passes, "seed": settings.seed}
    kinds: tuple[Any, Any] = (trl.DPOConfig, trl.DPOTrainer) if pairs else (trl.KTOConfig, trl.KTOTrainer)
    config_kind, trainer_kind = kinds
    dtype = resolve(settings.precision) if careful else "float32"  # as TRL loads a model that it is given by name
    model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=getattr(torch, dtype))
    clock = _Clock(model, limit_s)
    trainer = trainer_kind(
        model=model,
        args=config_kind(output_dir=str(folder / "output"), **QUIET, **chosen),
        train_dataset=_dataset(_by_length(rows, settings) if careful else rows, Tokens(model_dir), pairs),
        processing_class=AutoTokenizer.from_pretrained(model_dir),
        peft_config=LoraConfig(r=settings.rank, lora_alpha=2 * settings.rank, target_modules=list(TARGETS), task_type="CAUSAL_LM"),
        callbacks=[clock],
    )
    trainer.train()
    seconds = time.perf_counter() - clock.began
    trainer.save_model(str(folder / ADAPTER))
    seen = min(trainer.state.global_step * trainer.args.per_device_train_batch_size, len(rows) * settings.passes)
    return Trained(seen, _tokens(trainer.train_dataset) * seen // len(rows), seconds)


def _careful(settings: TrainSettings, pairs: bool) -> dict[str, Any]:
    shared = {
        "num_train_epochs": settings.passes,
        "seed": settings.seed,
        "learning_rate": settings.learning_rate,
        "max_grad_norm": settings.max_grad_norm,
        "per_device_train_batch_size": settings.batch_rows,
        "bf16": resolve(settings.precision) == "bfloat16",
        "gradient_checkpointing": False,
        "precompute_ref_log_probs": True,
        "train_sampling_strategy": "sequential",  # as sorted: DPO and KTO cannot group by length themselves
        "save_strategy": "no",
    }
    return shared if pairs else {**shared, "loss_type": "apo_zero_unpaired"}


def _by_length(rows: Sequence[Row], settings: TrainSettings) -> list[Row]:
    """Batches of rows of like length, in any order."""
    ordered, size = sorted(rows, key=count_tokens), settings.batch_rows
    batches = [ordered[at : at + size] for at in range(0, len(ordered), size)]
    random.Random(settings.seed).shuffle(batches)
    return [row for batch in batches for row in batch]


def _dataset(rows: Sequence[Row], tokens: Tokens, pairs: bool) -> Dataset:
    """TRL's columns of text; it adds the end of turn itself."""
    columns: dict[str, list[Any]] = {"prompt": [tokens.decode(row.prompt_ids) for row in rows]}
    answers = [tokens.decode(row.answer_ids[:-1]) for row in rows]
    if pairs:
        columns |= {"chosen": [tokens.decode(row.better_ids[:-1]) for row in rows], "rejected": answers}
    else:
        columns |= {"completion": answers, "label": [row.label > 0 for row in rows]}
    return Dataset.from_dict(columns)


def _tokens(dataset: Dataset) -> int:
    """Of all texts, as TRL has tokenised them."""
    names = {"prompt_ids", "completion_ids", "chosen_ids", "rejected_ids"} & set(dataset.column_names)
    return sum(len(ids) for name in names for ids in dataset[name])


class _Clock(TrainerCallback):  # type: ignore[misc]  # of transformers, whose types are not looked at
    """Starts with the model's first pass, of the reference or of training: tokenising is not counted. Stops what takes longer."""

    def __init__(self, model: torch.nn.Module, limit_s: float) -> None:
        self.began, self._limit_s = 0.0, limit_s
        # on the embeddings, as PEFT calls the model's `forward` past its hooks
        self._hook = model.get_input_embeddings().register_forward_pre_hook(self._start)  # type: ignore[operator]

    def _start(self, *_: object) -> None:
        self.began = time.perf_counter()
        self._hook.remove()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if time.perf_counter() - self.began > self._limit_s:
            control.should_training_stop = True
