"""Of the objective: each term is the formula it names, and pushes the way its signal points."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, tensor

from learner.train.objective import (
    RunningShift,
    kl_to_reference,
    kto_loss,
    pair_loss,
    row_means,
    row_sums,
    thumb_loss,
    token_logps,
    top_logps,
)


def some(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_token_logps_are_the_log_softmax_at_each_token_in_float32() -> None:
    logits_TV, tokens_T = 5 * some(7, 11), torch.arange(7)
    expected_T = logits_TV.log_softmax(1).gather(1, tokens_T[:, None]).squeeze(1)
    torch.testing.assert_close(token_logps(logits_TV, tokens_T), expected_T)
    halved = token_logps(logits_TV.bfloat16(), tokens_T)
    torch.testing.assert_close(halved, token_logps(logits_TV.bfloat16().float(), tokens_T))


def test_row_means_are_by_row_in_any_order_of_positions() -> None:
    values_T, rows_T = tensor([1.0, 2.0, 3.0, 10.0, 20.0]), tensor([0, 0, 0, 2, 2])
    order = torch.tensor([3, 0, 4, 2, 1])
    expected = tensor([2.0, 0.0, 15.0])  # row 1 has no positions
    torch.testing.assert_close(row_means(values_T, rows_T, 3), expected)
    torch.testing.assert_close(row_means(values_T[order], rows_T[order], 3), expected)


def test_a_long_answer_counts_no_more_than_a_short_one() -> None:
    values_T = torch.ones(12, requires_grad=True)
    row_means(values_T, tensor([0] * 2 + [1] * 10), 2).sum().backward()
    assert values_T.grad is not None
    torch.testing.assert_close(values_T.grad[:2].sum(), values_T.grad[2:].sum())


def test_a_thumb_up_raises_the_log_prob_and_a_thumb_down_lowers_it() -> None:
    for loss in (thumb_loss, kto_loss):
        reward_R = tensor([0.0, 0.0], requires_grad=True)
        loss(reward_R, tensor([1.0, -1.0]), 0.1).sum().backward()
        assert reward_R.grad is not None
        descent = -reward_R.grad
        assert descent[0] > 0 > descent[1]


def test_a_thumb_is_weighed_against_the_shift() -> None:
    reward_R, label_R = tensor([2.0, 2.0]), tensor([1.0, -1.0])
    torch.testing.assert_close(thumb_loss(reward_R, label_R, 0.5), -F.logsigmoid(tensor([1.5, -1.5])))
    torch.testing.assert_close(kto_loss(reward_R, label_R, 0.5), 1 - torch.sigmoid(tensor([1.5, -1.5])))


def test_row_sums_are_row_means_by_the_number_of_positions() -> None:
    values_T, rows_T = some(9), tensor([0, 0, 2, 2, 2, 2, 3, 3, 3])
    counts_R = tensor([2.0, 1.0, 4.0, 3.0])
    torch.testing.assert_close(row_sums(values_T, rows_T, 4), row_means(values_T, rows_T, 4) * counts_R)


def test_the_robust_pair_loss_is_in_the_mean_over_flips_the_loss_without_them() -> None:
    """What makes it unbiased (arXiv 2403.00409): with a share e of the pairs turned round, its expectation is DPO's loss."""
    better_R, better_reference_R, worse_R, worse_reference_R = some(4, 6)
    right = (better_R, better_reference_R, worse_R, worse_reference_R)
    turned = (worse_R, worse_reference_R, better_R, better_reference_R)
    expected_R = 0.8 * pair_loss(*right, 3.0, flip_rate=0.2) + 0.2 * pair_loss(*turned, 3.0, flip_rate=0.2)
    torch.testing.assert_close(expected_R, pair_loss(*right, 3.0))


def test_pair_loss_is_minus_log_sigmoid_of_the_difference_of_gains() -> None:
    better_R, better_reference_R, worse_R, worse_reference_R = some(4, 6)
    gain_R = (better_R - better_reference_R) - (worse_R - worse_reference_R)
    found_R = pair_loss(better_R, better_reference_R, worse_R, worse_reference_R, beta=3.0)
    torch.testing.assert_close(found_R, -torch.sigmoid(3.0 * gain_R).log())


def test_fed_sums_pair_loss_is_trls_dpo_loss() -> None:
    """As `DPOTrainer` computes loss type "sigmoid": -logsigmoid(beta * (chosen log ratio - rejected log ratio))."""
    chosen_R, chosen_reference_R, rejected_R, rejected_reference_R = 40 * some(4, 6)
    delta_score_R = (chosen_R - chosen_reference_R) - (rejected_R - rejected_reference_R)
    expected_R = -F.logsigmoid(0.1 * delta_score_R)
    torch.testing.assert_close(pair_loss(chosen_R, chosen_reference_R, rejected_R, rejected_reference_R, 0.1), expected_R)


def test_a_pair_far_on_the_wrong_side_still_has_a_finite_loss_and_gradient() -> None:
    worse_R = tensor([500.0], requires_grad=True)
    loss_R = pair_loss(tensor([-500.0]), tensor([0.0]), worse_R, tensor([0.0]), beta=3.0)
    loss_R.sum().backward()
    assert torch.isfinite(loss_R).all() and worse_R.grad is not None and worse_R.grad == 3.0


def test_kl_is_that_of_the_reference_from_the_policy_and_zero_only_where_they_agree() -> None:
    logits_TV, reference_TV = 3 * some(5, 13), 3 * some(5, 13, seed=1)
    of = torch.distributions.Categorical
    expected_T = torch.distributions.kl_divergence(of(logits=reference_TV), of(logits=logits_TV))
    found_T = kl_to_reference(logits_TV, top_logps(reference_TV, 13))
    torch.testing.assert_close(found_T, expected_T)
    assert (found_T > 0.01).all()
    assert not torch.allclose(kl_to_reference(reference_TV, top_logps(logits_TV, 13)), expected_T)  # the direction matters
    same_T = kl_to_reference(logits_TV, top_logps(logits_TV + 7, 13))
    torch.testing.assert_close(same_T, torch.zeros(5), atol=1e-5, rtol=0)


def test_kl_by_the_likeliest_tokens_never_exceeds_the_whole() -> None:
    logits_TV, reference_TV = 3 * some(50, 13), 3 * some(50, 13, seed=1)
    whole_T = kl_to_reference(logits_TV, top_logps(reference_TV, 13))
    by_count = [kl_to_reference(logits_TV, top_logps(reference_TV, count)) for count in (1, 3, 6)]
    assert all((part_T <= whole_T + 1e-5).all() and (part_T >= -1e-6).all() for part_T in by_count)


def test_a_crowd_of_one_kind_does_not_move_the_running_shift() -> None:
    """The shift lies between the means of the kinds, however many votes each had."""
    shift = RunningShift()
    shift.follow({"up": 1.0, "down": -1.0})
    assert shift.value == 0.0


def test_the_running_shift_follows_slowly_and_a_kind_that_is_absent_stays() -> None:
    shift = RunningShift(momentum=0.9)
    assert shift.value == 0.0
    shift.follow({"up": 1.0, "down": -1.0})
    shift.follow({"up": 2.0})
    assert shift.value == pytest.approx((1.1 - 1.0) / 2)
