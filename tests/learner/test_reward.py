"""Of reward models: they tell what people like from what they do not, and neither length nor repetition earns by accident."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, tensor

from learner.adapter import check_adapter
from learner.config import TrainSettings
from learner.rows import Row, Split
from learner.train.calibration import (
    LengthLine,
    Scale,
    auroc,
    brier,
    calibration_error,
    distinct,
    fit_length,
    fit_temperature,
)
from learner.train.judged import Judged
from learner.train.policy import Policy
from learner.train.reward import RewardLesson, train
from learner.train.reward_model import Head, fit_head, read_reward_model, score_texts, states_of
from learner.train.spec import JOB, REWARD, Diverged, Job, Outcome, Work
from tests.learner.tastes import tasteful
from tests.learner.tiny import RANK, SETTINGS

LEARNING = msgspec.structs.replace(SETTINGS, learning_rate=3e-3, passes=3)


@pytest.fixture
def policy(model_dir: Path, zero_dir: Path) -> Policy:
    torch.set_num_threads(1)
    return Policy(model_dir, zero_dir, "float32")


def learn(
    policy: Policy, folder: Path, dirs: tuple[Path, Path], rows: Sequence[Row], settings: TrainSettings = LEARNING
) -> Outcome:
    folder.mkdir(exist_ok=True)
    (folder / JOB).write_bytes(msgspec.json.encode(Job(str(dirs[0]), "base", str(dirs[1]), "dataset-1", settings)))
    return train(Work(policy, rows, tasteful(24, 2, Split.HELDOUT), settings, folder, lambda step: None))


def test_a_model_of_votes_and_pairs_tells_what_other_people_like(
    policy: Policy, model_dir: Path, zero_dir: Path, tmp_path: Path
) -> None:
    outcome = learn(policy, tmp_path / "job", (model_dir, zero_dir), tasteful(48, 1))
    found = outcome.measures
    assert found["auroc"] > 0.9 and found["pair_accuracy"] > 0.8
    assert found["brier"] < 0.2 and 0 <= found["ece"] < 0.3
    assert (found["heldout_votes"], found["heldout_pairs"]) == (24, 8)

    folder = tmp_path / "job" / REWARD
    assert check_adapter(folder, model_dir, RANK).dataset_id == "dataset-1"
    assert {file.suffix for file in folder.iterdir()} == {".safetensors", ".json"}
    model = read_reward_model(folder)
    assert model.card.measures == {name: found[name] for name in model.card.measures}


def test_a_saved_model_scores_on_another_policy_as_it_did_in_training_and_leaves_that_as_it_was(
    policy: Policy, model_dir: Path, zero_dir: Path, tmp_path: Path
) -> None:
    learn(policy, tmp_path / "job", (model_dir, zero_dir), tasteful(24, 1), msgspec.structs.replace(LEARNING, passes=1))
    model = read_reward_model(tmp_path / "job" / REWARD)
    texts = Judged.of_votes(tasteful(12, 3)).texts
    there = model.card.scale.apply(score_texts(policy, model.head, texts, 1024), [answer for _, answer in texts])
    other = Policy(model_dir, zero_dir, "float32")
    before = {name: tensor.clone() for name, tensor in other.adapter_tensors().items()}
    trainable = [id(parameter) for parameter in other.parameters()]
    torch.testing.assert_close(model.score(other, texts, 64), there)
    torch.testing.assert_close(other.adapter_tensors(), before, rtol=0, atol=0)
    assert [id(parameter) for parameter in other.parameters()] == trainable


def test_a_run_killed_and_resumed_makes_the_very_same_model(model_dir: Path, zero_dir: Path, tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    def kill(step: object) -> None:
        raise Killed

    dirs, rows = (model_dir, zero_dir), tasteful(24, 1)
    settings = msgspec.structs.replace(LEARNING, passes=2, checkpoint_steps=1)
    learn(Policy(*dirs, "float32"), tmp_path / "whole", dirs, rows, settings)
    killed = tmp_path / "killed"
    killed.mkdir()
    reports = iter([lambda step: None, lambda step: None, kill])
    with pytest.raises(Killed):
        train(Work(Policy(*dirs, "float32"), rows, [], settings, killed, lambda step: next(reports)(step)))
    learn(Policy(*dirs, "float32"), killed, dirs, rows, settings)
    for name in ("adapter_model.safetensors", "head.safetensors", "reward.json"):
        assert (killed / REWARD / name).read_bytes() == (tmp_path / "whole" / REWARD / name).read_bytes(), name


def test_the_state_after_an_answer_is_that_of_the_text_alone_whatever_is_run_beside_it(policy: Policy) -> None:
    texts = Judged.of(tasteful(9, 4)).texts
    causal = policy.peft.get_base_model()
    with torch.no_grad():
        alone = [causal.model(input_ids=tensor([[*prompt, *answer]])).last_hidden_state[0, -1] for prompt, answer in texts]
        torch.testing.assert_close(policy.last_states(texts), torch.stack(alone), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(states_of(policy, texts, 1), states_of(policy, texts, 10_000), rtol=1e-4, atol=1e-4)


def test_the_losses_are_cross_entropy_and_bradley_terry_as_trl_has_it(policy: Policy) -> None:
    rows = [msgspec.structs.replace(row, weight=0.5 + number) for number, row in enumerate(tasteful(6, 5))]
    learnt = Judged.of(rows)
    head = fit_head(states_of(policy, learnt.texts, 1024), learnt.label_N, learnt.weight_N)
    found = RewardLesson(policy, head, LEARNING).backward(rows)["loss"]

    def score(row: Row, answer: tuple[int, ...]) -> Tensor:
        return score_texts(policy, head, [(row.prompt_ids, answer)], 1024)[0]

    losses = []
    for row in rows:
        if row.better_ids:  # `RewardTrainer.compute_loss`, with chosen and rejected
            losses.append(-F.logsigmoid(score(row, row.better_ids) - score(row, row.answer_ids)))
        else:
            losses.append(F.binary_cross_entropy_with_logits(score(row, row.answer_ids), tensor(float(row.label > 0))))
    expected = sum(row.weight * float(loss) for row, loss in zip(rows, losses, strict=True)) / len(rows)
    assert found == pytest.approx(expected, rel=1e-4)


def test_votes_of_one_kind_tell_nothing_apart(policy: Policy, tmp_path: Path) -> None:
    liked = [row for row in tasteful(12, 1) if row.label > 0]
    with pytest.raises(Diverged, match="nothing tells them apart"):
        train(Work(policy, liked, [], LEARNING, tmp_path, lambda step: None))


def test_the_line_lies_between_the_two_kinds_and_minds_how_much_a_feature_varies() -> None:
    state = tensor([[1.0, 10.0], [1.2, -10.0], [-1.0, 9.0], [-1.2, -11.0]])
    head = fit_head(state, tensor([1, 1, -1, -1]), torch.ones(4))
    assert isinstance(head, Head)
    score = head.score(state)
    assert bool((score[:2] > 0).all()) and bool((score[2:] < 0).all())
    repeated = fit_head(torch.cat([state, state[:1]]), tensor([1, 1, -1, -1, 1]), tensor([0.5, 1.0, 1.0, 1.0, 0.5]))
    torch.testing.assert_close(repeated.weight_D, head.weight_D)  # two halves of a row are that row


def test_what_length_alone_earns_is_taken_off() -> None:
    tokens = tensor([2, 4, 8, 16, 32, 64])
    taste = tensor([1.0, -1.0, 1.0, 1.0, -1.0, 1.0])
    line = fit_length(taste + 3.0 * tokens.double().log(), tokens, torch.ones(6))
    scale = Scale(line, 1.0, floor=0.8, repetition=3.0)
    reward = scale.apply(taste + 3.0 * tokens.double().log(), [range(count) for count in tokens.tolist()])
    assert fit_length(reward, tokens, torch.ones(6)).slope == pytest.approx(0.0, abs=1e-5)
    assert float(torch.corrcoef(torch.stack([reward, taste]))[0, 1]) > 0.95
    assert fit_length(taste, torch.full((6,), 7), torch.ones(6)).slope == 0.0  # one length tells nothing


def test_repetition_only_ever_lowers_a_reward() -> None:
    scale = Scale(LengthLine(0.0, 0.0), 2.0, floor=0.8, repetition=3.0)
    varied, repeated, once = list(range(20)), [1, 2] * 10, [5]
    assert distinct(varied) == 1.0 and distinct(once) == 1.0 and distinct(repeated) == pytest.approx(2 / 18)
    reward = scale.apply(tensor([4.0, 4.0, 4.0]), [varied, repeated, once])
    assert reward.tolist() == pytest.approx([2.0, 2.0 - 3.0 * (0.8 - 2 / 18) / 0.8, 2.0])


def test_measures_are_those_of_their_papers() -> None:
    score, label = tensor([0.9, 0.8, 0.8, 0.1]), tensor([1, 1, -1, -1])
    assert auroc(score, label) == pytest.approx((1 + 1 + 0.5 + 1) / 4)
    assert auroc(-score, label) == pytest.approx(1 - 3.5 / 4)
    chance = tensor([0.95, 0.95, 0.05, 0.45])
    assert calibration_error(chance, tensor([1, -1, -1, 1])) == pytest.approx((2 * 0.45 + 0.05 + 0.55) / 4)
    assert brier(chance, tensor([1, -1, -1, 1])) == pytest.approx((0.05**2 + 0.95**2 + 0.05**2 + 0.55**2) / 4)


def test_the_temperature_makes_overconfident_scores_as_sure_as_they_are_right() -> None:
    generator = torch.Generator().manual_seed(0)
    truth = 2 * torch.randn(4000, generator=generator)
    label = 2 * (torch.rand(4000, generator=generator) < torch.sigmoid(truth)).long() - 1
    temperature = fit_temperature(5 * truth, label)
    assert temperature == pytest.approx(5.0, rel=0.15)
    chance = torch.sigmoid(5 * truth / temperature)
    assert calibration_error(chance, label) < 0.3 * calibration_error(torch.sigmoid(5 * truth), label)
    assert fit_temperature(truth, torch.ones(4000)) == 1.0  # votes of one kind would ask for certainty
    assert math.isfinite(temperature)
