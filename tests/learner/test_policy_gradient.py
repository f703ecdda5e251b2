"""Of learning by rewards: the formulas are those they name and TRL's, length earns nothing, and a budget ends a run."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

import msgspec
import pytest
import torch
from torch import Tensor, tensor

from learner.config import TrainSettings
from learner.rows import Row, RowKind
from learner.train import grpo, reward, rloo
from learner.train.policy import Policy
from learner.train.policy_gradient import answers_loss, clipped_loss, group_relative, k3, leave_one_out
from learner.train.round import Round, write_round
from learner.train.sampled import SampledLesson, answer_logps
from learner.train.spec import JOB, REWARD, Diverged, Job, Outcome, Step, Work
from tests.learner.tastes import LIKED, tasteful
from tests.learner.tiny import SETTINGS, thumbs

GROUPS = tensor([0, 0, 0, 1, 1, 1])
REWARDS = tensor([1.0, 2.0, 6.0, -1.0, -1.0, 5.0])
LEARNING = msgspec.structs.replace(SETTINGS, sample_tokens=8, passes=6, batch_rows=6, kl_budget=100.0)


def some(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_leave_one_out_is_each_reward_less_the_mean_of_the_others() -> None:
    torch.testing.assert_close(leave_one_out(REWARDS, GROUPS), tensor([-3.0, -1.5, 4.5, -3.0, -3.0, 6.0]))


def test_group_relative_is_each_reward_less_the_mean_of_all() -> None:
    torch.testing.assert_close(group_relative(REWARDS, GROUPS), tensor([-2.0, -1.0, 3.0, -2.0, -2.0, 4.0]))
    std = tensor([math.sqrt(7.0)] * 3 + [math.sqrt(12.0)] * 3)
    expected = tensor([-2.0, -1.0, 3.0, -2.0, -2.0, 4.0]) / (std + 1e-4)
    torch.testing.assert_close(group_relative(REWARDS, GROUPS, by_std=True), expected)


@pytest.mark.parametrize("advantages", [leave_one_out, group_relative])
def test_groups_may_stand_in_any_order_and_be_of_any_size(advantages: Callable[[Tensor, Tensor], Tensor]) -> None:
    order = tensor([4, 0, 3, 2, 5, 1])
    torch.testing.assert_close(advantages(REWARDS[order], GROUPS[order]), advantages(REWARDS, GROUPS)[order])
    uneven = advantages(tensor([1.0, 3.0, 7.0]), tensor([0, 0, 1]))
    assert uneven[2] == 0 and uneven[0] == -uneven[1] < 0  # who is alone is compared with nobody


def test_advantages_are_trls() -> None:
    """As `RLOOTrainer._generate_and_score_completions` and `GRPOTrainer`'s with scale_rewards "none" and "group" compute them."""
    from trl.trainer.utils import nanstd

    grouped = REWARDS.view(-1, 3)
    others = ((grouped.nansum(dim=1, keepdim=True) - grouped) / (3 - 1)).view(-1)
    torch.testing.assert_close(leave_one_out(REWARDS, GROUPS), REWARDS - others)
    centred = REWARDS - grouped.nanmean(dim=1).repeat_interleave(3)
    torch.testing.assert_close(group_relative(REWARDS, GROUPS), centred)
    scaled = centred / (nanstd(grouped, dim=1).repeat_interleave(3) + 1e-4)
    torch.testing.assert_close(group_relative(REWARDS, GROUPS, by_std=True), scaled)


def test_the_loss_is_trls_dr_grpo() -> None:
    """`GRPOTrainer._compute_loss` with loss_type "dr_grpo" and beta 0, on padded rows, against ours on rows end to end."""
    lengths, longest, clip = [3, 5, 1, 4], 5, 0.2
    mask = torch.arange(longest)[None] < tensor(lengths)[:, None]
    logps = some(4, longest).requires_grad_()
    old, advantages = logps.detach() + 0.3 * some(4, longest, seed=1), some(4, seed=2)
    ratio = torch.exp(logps - old)
    loss1 = ratio * advantages[:, None]
    loss2 = torch.clamp(ratio, 1 - clip, 1 + clip) * advantages[:, None]
    theirs = (-torch.min(loss1, loss2) * mask).sum() / (4 * longest)

    rows_T = torch.repeat_interleave(torch.arange(4), tensor(lengths))
    ours_T = clipped_loss(logps[mask], old[mask], advantages[rows_T], clip)
    ours = answers_loss(ours_T, rows_T, torch.ones(4), answers=4, tokens=longest)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(*(torch.autograd.grad(loss, logps, retain_graph=True)[0] for loss in (ours, theirs)))


def test_on_the_version_that_answered_the_gradient_is_trls_rloo() -> None:
    """`RLOOTrainer._compute_loss` takes the ratio of whole answers; where it is 1, the gradient is that of each token's."""
    lengths = [3, 5, 1, 4]
    rows_T = torch.repeat_interleave(torch.arange(4), tensor(lengths))
    logps_T = some(sum(lengths)).requires_grad_()
    old_T, advantages = logps_T.detach().clone(), some(4, seed=2)
    coef = torch.exp(torch.zeros(4).index_add(0, rows_T, logps_T - old_T))
    theirs = -torch.min(coef * advantages, torch.clamp(coef, 0.8, 1.2) * advantages).mean()
    ours_T = clipped_loss(logps_T, old_T, advantages[rows_T], 0.2)
    ours = answers_loss(ours_T, rows_T, torch.ones(4), answers=4, tokens=1)
    torch.testing.assert_close(*(torch.autograd.grad(loss, logps_T, retain_graph=True)[0] for loss in (ours, theirs)))


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "learns"),
    [(1.5, 2.0, -2.4, False), (0.5, 2.0, -1.0, True), (1.5, -2.0, 3.0, True), (0.5, -2.0, 1.6, False)],
)
def test_outside_the_region_only_the_way_back_counts(ratio: float, advantage: float, loss: float, learns: bool) -> None:
    logps_T = tensor([math.log(ratio)], requires_grad=True)
    found_T = clipped_loss(logps_T, tensor([0.0]), tensor([advantage]), 0.2)
    found_T.sum().backward()
    assert logps_T.grad is not None
    assert found_T.tolist() == [pytest.approx(loss)] and bool(logps_T.grad.any()) is learns


def test_a_tokens_share_of_the_loss_does_not_depend_on_how_long_its_answer_is() -> None:
    loss_T = torch.ones(12, requires_grad=True)
    answers_loss(loss_T, tensor([0] * 2 + [1] * 10), torch.ones(2), answers=2, tokens=10).backward()
    torch.testing.assert_close(loss_T.grad, torch.full((12,), 0.05))


def test_k3_is_the_kl_in_the_mean_and_never_below_zero() -> None:
    logps_V, reference_V = some(50).log_softmax(0), some(50, seed=1).log_softmax(0)
    estimate_V = k3(logps_V, reference_V)
    assert bool((estimate_V >= 0).all())
    torch.testing.assert_close((logps_V.exp() * estimate_V).sum(), (logps_V.exp() * (logps_V - reference_V)).sum())
    assert float(k3(logps_V, logps_V).abs().max()) == 0


@pytest.fixture
def policy(model_dir: Path, zero_dir: Path) -> Policy:
    torch.set_num_threads(1)
    return Policy(model_dir, zero_dir, "float32")


def answered(policy: Policy, prompts: int = 4, each: int = 3) -> list[Row]:
    """Answers to a few prompts, with the policy's log-probs, the first to each rewarded and the others not."""
    written = thumbs(prompts * each)
    rows = [
        msgspec.structs.replace(
            row, kind=RowKind.SAMPLED, label=0, prompt_ids=written[at % prompts].prompt_ids, reward=float(at < prompts)
        )
        for at, row in enumerate(written)
    ]
    logps = answer_logps(policy, rows, LEARNING)
    return [msgspec.structs.replace(row, logps=tuple(logps[row.id].tolist())) for row in rows]


def learn(
    policy: Policy, rows: Sequence[Row], folder: Path, method: ModuleType = rloo, settings: TrainSettings = LEARNING
) -> tuple[Outcome, list[Step]]:
    steps: list[Step] = []
    return method.train(Work(policy, rows, [], settings, folder, steps.append)), steps


@pytest.mark.parametrize("method", [rloo, grpo])
def test_what_earned_a_reward_becomes_likelier_than_what_did_not(policy: Policy, tmp_path: Path, method: ModuleType) -> None:
    rows = answered(policy)
    outcome, steps = learn(policy, rows, tmp_path, method)
    after = answer_logps(policy, rows, LEARNING)
    gain = [float((after[row.id] - tensor(row.logps)).mean()) for row in rows]
    assert min(gain[:4]) > 0.05 and sum(gain[:4]) / 4 > sum(gain[4:]) / 8 + 0.1
    assert steps[0].terms["kl"] == pytest.approx(0.0, abs=1e-6) and steps[-1].terms["kl"] > 1e-3
    assert steps[0].terms["outside"] == 0 and outcome.measures["reward"] == pytest.approx(1 / 3)


def test_a_batchs_gradient_does_not_depend_on_how_much_of_it_is_run_at_once(policy: Policy) -> None:
    rows = answered(policy)
    by_id = dict(zip([row.id for row in rows], some(len(rows)).tolist(), strict=True))
    reference = answer_logps(policy, rows, LEARNING)

    def gradient(chunk_tokens: int) -> list[Tensor]:
        settings = msgspec.structs.replace(LEARNING, chunk_tokens=chunk_tokens)
        SampledLesson(policy, by_id, reference, settings).backward(rows)
        found = [parameter.grad.clone() for parameter in policy.parameters() if parameter.grad is not None]
        for parameter in policy.parameters():
            parameter.grad = None
        return found

    torch.testing.assert_close(gradient(1), gradient(10_000))


def test_an_answer_that_was_cut_off_earns_nothing_and_is_compared_with_nothing(
    policy: Policy, model_dir: Path, zero_dir: Path, tmp_path: Path
) -> None:
    rows = answered(policy)
    cut = msgspec.structs.replace(rows[0], id="cut", weight=0.0, reward=1000.0)
    outcome, _ = learn(policy, [*rows, cut], tmp_path / "with")
    without = Policy(model_dir, zero_dir, "float32")
    learn(without, rows, tmp_path / "without")
    torch.testing.assert_close(policy.adapter_tensors(), without.adapter_tensors(), rtol=0, atol=0)
    assert outcome.measures["whole_share"] == pytest.approx(12 / 13)


def test_a_run_ends_when_its_kl_budget_is_spent_with_what_it_has(policy: Policy, tmp_path: Path) -> None:
    settings = msgspec.structs.replace(LEARNING, kl_budget=0.01, passes=20)
    rows = answered(policy)
    outcome, steps = learn(policy, rows, tmp_path, settings=settings)
    assert "KL" in outcome.stopped and len(steps) < steps[0].steps
    after = answer_logps(policy, rows, settings)
    spent = torch.cat([k3(after[row.id], tensor(row.logps)) for row in rows]).mean()
    assert float(spent) < max(step.terms["kl"] for step in steps)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"weight": 0.0}, "none of 12 sampled answers came to an end"), ({"reward": 1.0}, "differ in reward")],
)
def test_rewards_that_teach_nothing_are_refused(policy: Policy, tmp_path: Path, changes: dict[str, float], reason: str) -> None:
    rows = [msgspec.structs.replace(row, **changes) for row in answered(policy)]
    with pytest.raises(Diverged, match=reason):
        learn(policy, rows, tmp_path)


def test_a_round_learns_from_the_reward_models_rewards_and_measures_kl_from_the_live_version(
    policy: Policy, model_dir: Path, zero_dir: Path, tmp_path: Path
) -> None:
    settings = msgspec.structs.replace(LEARNING, learning_rate=3e-3, batch_rows=8)
    judge, job = tmp_path / "judge", tmp_path / "job"
    for folder in (judge, job):
        folder.mkdir()
        (folder / JOB).write_bytes(msgspec.json.encode(Job(str(model_dir), "base", str(zero_dir), "dataset-1", settings)))
    reward.train(Work(Policy(model_dir, zero_dir, "float32"), tasteful(48, 1), [], settings, judge, lambda step: None))
    write_round(job, Round(str(judge / REWARD), str(judge / REWARD)))  # as if the judge were live: it differs from the parent

    rows = [msgspec.structs.replace(row, kind=RowKind.SAMPLED, label=0, better_ids=()) for row in tasteful(16, 6)]
    logps = answer_logps(policy, rows, settings)
    rows = [msgspec.structs.replace(row, logps=tuple(logps[row.id].tolist())) for row in rows]
    outcome, steps = learn(policy, rows, job, settings=settings)
    assert steps[0].terms["kl"] > 1e-3 and steps[0].terms["outside"] == 0.0  # nothing is learnt yet
    after = answer_logps(policy, rows, settings)
    gain = {row.id: float((after[row.id] - logps[row.id]).mean()) for row in rows}
    liked = [gain[row.id] for row in rows if row.answer_ids[0] in LIKED]
    others = [gain[row.id] for row in rows if row.answer_ids[0] not in LIKED]
    assert liked and others and sum(liked) / len(liked) > sum(others) / len(others) + 0.1
    assert all(row.reward == 0 for row in rows) and outcome.measures["reward"] != 0
