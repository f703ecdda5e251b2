"""Of TRL's trainers on rows: they learn the very tokens, may be killed at any step, and give the policy back."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pytest
import torch
from torch import Tensor
from transformers import Trainer

from learner.config import TrainSettings
from learner.rows import Row, RowKind
from learner.train import dpo, kto, sft
from learner.train.checkpoint import NEWEST, TENSORS
from learner.train.methods import load_method
from learner.train.objective import row_means, token_logps
from learner.train.policy import Policy, Text
from learner.train.spec import CHECKPOINTS, Diverged, Outcome, Step, Work
from learner.train.trl import batch_rows
from tests.learner.tiny import SETTINGS, corrections, thumbs, weighed

METHODS = ("sft", "dpo", "kto")
QUICK = msgspec.structs.replace(SETTINGS, precision="float32", passes=2, batch_rows=4, checkpoint_steps=2)
IGNORED = -100

MakePolicy = Callable[[], Policy]


class Killed(Exception):
    """What ends a run in the middle."""


@pytest.fixture
def make_policy(model_dir: Path, zero_dir: Path) -> MakePolicy:
    torch.set_num_threads(1)
    return lambda: Policy(model_dir, zero_dir, "float32")


def rows_for(method: str, count: int = 12) -> list[Row]:
    return corrections(count) if method == "dpo" else thumbs(count * 2 if method == "sft" else count)


def work_on(policy: Policy, rows: Sequence[Row], folder: Path, steps: list[Step], method: str, **changes: object) -> Work:
    settings: TrainSettings = msgspec.structs.replace(QUICK, method=method, **changes)
    return Work(policy, rows, [], settings, folder, steps.append)


def run(policy: Policy, rows: Sequence[Row], folder: Path, method: str, **changes: object) -> tuple[Outcome, list[Step]]:
    steps: list[Step] = []
    return load_method(method)(work_on(policy, rows, folder, steps, method, **changes)), steps


def run_until(policy: Policy, rows: Sequence[Row], folder: Path, method: str, last: int) -> None:
    """Kills the run after this many steps."""

    def report(step: Step) -> None:
        if step.step > last:
            raise Killed

    with pytest.raises(Killed):
        load_method(method)(Work(policy, rows, [], msgspec.structs.replace(QUICK, method=method), folder, report))


@torch.no_grad()
def means(policy: Policy, texts: Sequence[Text]) -> Tensor:
    logits_TV, tokens_T, texts_T = policy.logits(texts)
    return row_means(token_logps(logits_TV, tokens_T), texts_T, len(texts))


def gain(policy: Policy, texts: Sequence[Text]) -> float:
    with policy.reference():
        before = means(policy, texts)
    return float((means(policy, texts) - before).mean())


def differing(first: dict[str, Tensor], second: dict[str, Tensor]) -> list[str]:
    assert first.keys() == second.keys()
    return [name for name in first if not torch.equal(first[name], second[name])]


def shown(trainer: Trainer) -> list[tuple[list[int], list[bool]]]:
    """What the model is given in the trainer's first batch, without padding, and which of it is learnt."""
    trainer.batches = [range(len(trainer.train_dataset))]
    batch = next(iter(trainer.get_train_dataloader()))
    learnt = batch["labels"] != IGNORED if "labels" in batch else batch["completion_mask"].bool()
    return [
        (ids[mask.bool()].tolist(), lesson[mask.bool()].tolist())
        for ids, mask, lesson in zip(batch["input_ids"], batch["attention_mask"], learnt, strict=True)
    ]


def as_shown(before: Sequence[int], answer: Sequence[int]) -> tuple[list[int], list[bool]]:
    return [*before, *answer], [False] * len(before) + [True] * len(answer)


def test_the_model_sees_the_very_tokens_of_thumbs_and_learns_the_answers_alone(make_policy: MakePolicy, tmp_path: Path) -> None:
    rows = [msgspec.structs.replace(row, lesson_from=1 if row.id == "thumb-2" else 0) for row in thumbs(6)]
    work = work_on(make_policy(), rows, tmp_path, [], "kto")
    batches = batch_rows(work, rows)
    told = [row for batch in batches for row in batch]
    expected = [as_shown((*row.prompt_ids, *row.answer_ids[: row.lesson_from]), row.answer_ids[row.lesson_from :]) for row in told]
    assert shown(kto.make_trainer(work, batches)) == expected
    assert shown(sft.make_trainer(work, batches)) == expected


def test_the_model_sees_the_very_tokens_of_both_answers_of_a_pair(make_policy: MakePolicy, tmp_path: Path) -> None:
    rows = corrections(3)
    work = work_on(make_policy(), rows, tmp_path, [], "dpo")
    batches = batch_rows(work, rows)
    told = [row for batch in batches for row in batch]
    better = [as_shown(row.prompt_ids, row.better_ids) for row in told]
    worse = [as_shown(row.prompt_ids, row.answer_ids) for row in told]
    assert shown(dpo.make_trainer(work, batches)) == better + worse


def test_sft_raises_good_answers_and_looks_at_no_other(make_policy: MakePolicy, tmp_path: Path) -> None:
    shown_rows = [msgspec.structs.replace(row, kind=RowKind.DEMONSTRATION, label=0) for row in thumbs(4, seed=3)]
    rows = [*thumbs(8), *corrections(4), *shown_rows]
    policy = make_policy()
    outcome, steps = run(policy, rows, tmp_path, "sft", passes=4)
    good = [(row.prompt_ids, row.answer_ids) for row in [*thumbs(8), *shown_rows] if row.label >= 0]
    good += [(row.prompt_ids, row.better_ids) for row in corrections(4)]
    assert gain(policy, good) > 0.3
    assert [(step.step, step.steps) for step in steps] == [(n, 12) for n in range(1, 13)]  # 12 good answers, 4 a step
    assert outcome.final_loss == pytest.approx(sum(step.loss for step in steps[-3:]) / 3)
    assert all(step.rows_per_s > 0 and "grad_norm" in step.terms for step in steps)

    other = make_policy()
    run(other, [row for row in rows if row.label >= 0 or row.better_ids], tmp_path / "other", "sft", passes=4)
    assert differing(policy.adapter_tensors(), other.adapter_tensors()) == []


def test_dpo_raises_the_better_answer_over_the_other(make_policy: MakePolicy, tmp_path: Path) -> None:
    policy, rows = make_policy(), corrections(12)
    _, steps = run(policy, rows, tmp_path, "dpo")
    better, worse = [(row.prompt_ids, row.better_ids) for row in rows], [(row.prompt_ids, row.answer_ids) for row in rows]
    assert gain(policy, better) > gain(policy, worse) + 0.3
    assert steps[0].loss == pytest.approx(math.log(2), abs=1e-4)  # policy and reference are the same to begin with


def test_kto_raises_liked_answers_over_disliked_ones(make_policy: MakePolicy, tmp_path: Path) -> None:
    policy, rows = make_policy(), thumbs(16)
    _, steps = run(policy, rows, tmp_path, "kto", passes=4)
    liked, disliked = ([(row.prompt_ids, row.answer_ids) for row in rows if row.label == label] for label in (1, -1))
    assert gain(policy, liked) > gain(policy, disliked) + 0.3
    assert steps[0].loss == pytest.approx(0.5, abs=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_a_run_killed_and_started_again_equals_one_that_was_not(make_policy: MakePolicy, tmp_path: Path, method: str) -> None:
    rows, whole, resumed = rows_for(method), make_policy(), make_policy()
    outcome, steps = run(whole, rows, tmp_path / "whole", method)
    assert [step.step for step in steps] == [1, 2, 3, 4, 5, 6]
    run_until(make_policy(), rows, tmp_path / "killed", method, last=3)  # the checkpoint is of step 2
    run_until(make_policy(), rows, tmp_path / "killed", method, last=5)  # and now of step 4
    again, later = run(resumed, rows, tmp_path / "killed", method)
    assert [(step.step, step.steps, step.loss) for step in later] == [(step.step, step.steps, step.loss) for step in steps[4:]]
    assert differing(whole.adapter_tensors(), resumed.adapter_tensors()) == []
    assert again == outcome


def test_the_same_seed_gives_the_same_adapter_and_another_seed_another(make_policy: MakePolicy, tmp_path: Path) -> None:
    def adapter(name: str, seed: int) -> dict[str, Tensor]:
        policy = make_policy()
        run(policy, thumbs(12), tmp_path / name, "kto", seed=seed, passes=1)
        return policy.adapter_tensors()

    first = adapter("first", 0)
    assert differing(first, adapter("second", 0)) == []
    assert differing(first, adapter("third", 1))


def test_a_damaged_checkpoint_means_starting_anew(make_policy: MakePolicy, tmp_path: Path) -> None:
    rows, whole, again = thumbs(12), make_policy(), make_policy()
    run(whole, rows, tmp_path / "whole", "kto")
    run_until(make_policy(), rows, tmp_path / "killed", "kto", last=4)
    tensors = tmp_path / "killed" / CHECKPOINTS / NEWEST / TENSORS
    tensors.write_bytes(tensors.read_bytes()[:-100])
    _, steps = run(again, rows, tmp_path / "killed", "kto")
    assert steps[0].step == 1
    assert differing(whole.adapter_tensors(), again.adapter_tensors()) == []


@pytest.mark.parametrize("method", METHODS)
def test_the_policy_is_given_back_with_its_two_adapters_and_can_be_taught_on(
    make_policy: MakePolicy, tmp_path: Path, method: str
) -> None:
    policy = make_policy()
    parameters, before = policy.parameters(), means(policy, [(row.prompt_ids, row.answer_ids) for row in thumbs(4)])
    run(policy, rows_for(method), tmp_path, method)
    assert set(policy.peft.peft_config) == {"default", "reference"}
    assert [id(parameter) for parameter in policy.parameters()] == [id(parameter) for parameter in parameters]
    assert not policy.peft.training
    with policy.reference():
        torch.testing.assert_close(means(policy, [(row.prompt_ids, row.answer_ids) for row in thumbs(4)]), before, atol=0, rtol=0)


@pytest.mark.parametrize("method", METHODS)
def test_a_row_of_weight_zero_is_left_out(make_policy: MakePolicy, tmp_path: Path, method: str) -> None:
    rows, ignored = rows_for(method), weighed([*thumbs(2, seed=9), *corrections(2, seed=9)], 0.0)
    one, other = make_policy(), make_policy()
    run(one, rows, tmp_path / "one", method, passes=1)
    run(other, [*ignored[:2], *rows, *ignored[2:]], tmp_path / "other", method, passes=1)
    assert differing(one.adapter_tensors(), other.adapter_tensors()) == []
    with pytest.raises(Diverged, match="no row of any weight"):
        run(one, ignored, tmp_path / "none", method)


@pytest.mark.parametrize("method", METHODS)
def test_a_loss_that_is_no_longer_a_number_ends_the_run(make_policy: MakePolicy, tmp_path: Path, method: str) -> None:
    steps: list[Step] = []
    with pytest.raises(Diverged, match="diverged at step"):
        load_method(method)(work_on(make_policy(), rows_for(method), tmp_path, steps, method, learning_rate=1e30))
    assert all(math.isfinite(step.loss) for step in steps)
    assert len(steps) < 4


def test_a_thumb_alone_cannot_be_compared(make_policy: MakePolicy, tmp_path: Path) -> None:
    policy = make_policy()
    with pytest.raises(Diverged, match="two rows or more"):
        run(policy, thumbs(1), tmp_path, "kto")
    _, steps = run(policy, thumbs(5), tmp_path, "kto", passes=1)
    assert len(steps) == 1  # of the first four: the fifth is left out


def test_products_in_bfloat16_learn_the_same_way(model_dir: Path, zero_dir: Path, tmp_path: Path) -> None:
    policy, rows = Policy(model_dir, zero_dir, "bfloat16"), corrections(8)
    run(policy, rows, tmp_path, "dpo", precision="bfloat16")
    better, worse = [(row.prompt_ids, row.better_ids) for row in rows], [(row.prompt_ids, row.answer_ids) for row in rows]
    assert gain(policy, better) > gain(policy, worse) + 0.2
