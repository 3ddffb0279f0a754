"""Smoothing, mixup and the loss on dense targets, against PyTorch and against arithmetic done by hand."""

import pytest
import torch
import torch.nn.functional as F

from tricks.label_smoothing import pytorch_eps, smooth
from tricks.mixup import mixup
from tricks.targets import one_hot, soft_cross_entropy

LOGITS = torch.randn(16, 10, generator=torch.Generator().manual_seed(0))
Y = torch.randint(0, 10, (16,), generator=torch.Generator().manual_seed(1))


def test_one_hot_has_one_1_at_the_label():
    targets = one_hot(Y, 10)
    assert targets.shape == (16, 10) and targets.dtype == torch.float32
    assert torch.equal(targets.argmax(1), Y) and torch.equal(targets.sum(1), torch.ones(16))


def test_smooth_is_the_papers_eq_4():
    # K = 4, ε = 0.1: 0.9 on the true class, 0.1 / 3 on each other one
    expected = torch.tensor([[0.1 / 3, 0.1 / 3, 0.9, 0.1 / 3]])
    torch.testing.assert_close(smooth(one_hot(torch.tensor([2]), 4), 0.1), expected)


@pytest.mark.parametrize("eps", [0.0, 0.05, 0.1, 0.4, 0.9])
def test_smoothed_loss_equals_pytorchs_at_the_converted_eps(eps):
    ours = soft_cross_entropy(LOGITS, smooth(one_hot(Y, 10), eps))
    theirs = F.cross_entropy(LOGITS, Y, label_smoothing=pytorch_eps(eps, 10))
    torch.testing.assert_close(ours, theirs)


def test_smooth_rows_sum_to_1_and_eps_0_changes_nothing():
    targets = torch.softmax(LOGITS, 1)
    torch.testing.assert_close(smooth(targets, 0.3).sum(1), torch.ones(16))
    torch.testing.assert_close(smooth(targets, 0.0), targets)


def test_at_eps_of_k_minus_1_over_k_every_class_is_equally_likely():
    torch.testing.assert_close(smooth(one_hot(Y, 10), 0.9), torch.full((16, 10), 0.1))


def test_mixup_is_eq_7_and_8_and_leaves_its_inputs_alone():
    x = torch.arange(6.0).reshape(3, 2)
    targets = one_hot(torch.tensor([0, 1, 2]), 3)
    before = x.clone(), targets.clone()
    mixed_x, mixed_targets = mixup(x, targets, 0.75, torch.tensor([2, 0, 1]))
    torch.testing.assert_close(mixed_x, torch.tensor([[1.0, 2.0], [1.5, 2.5], [3.5, 4.5]]))
    torch.testing.assert_close(mixed_targets, torch.tensor([[0.75, 0, 0.25], [0.25, 0.75, 0], [0, 0.25, 0.75]]))
    assert torch.equal(x, before[0]) and torch.equal(targets, before[1])


def test_mixup_with_lam_1_is_the_identity():
    x, targets = mixup(LOGITS, one_hot(Y, 10), 1.0, torch.randperm(16))
    assert torch.equal(x, LOGITS) and torch.equal(targets, one_hot(Y, 10))


@pytest.mark.parametrize("lam", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("eps", [0.0, 0.1, 0.5])
def test_smoothing_and_mixup_commute(lam, eps):
    perm = torch.arange(15, -1, -1)
    smoothed_first = mixup(LOGITS, smooth(one_hot(Y, 10), eps), lam, perm)[1]
    mixed_first = smooth(mixup(LOGITS, one_hot(Y, 10), lam, perm)[1], eps)
    torch.testing.assert_close(smoothed_first, mixed_first)


def test_loss_of_mixed_targets_is_the_mixed_loss():
    perm = torch.arange(15, -1, -1)
    ours = soft_cross_entropy(LOGITS, mixup(LOGITS, one_hot(Y, 10), 0.3, perm)[1])
    theirs = 0.3 * F.cross_entropy(LOGITS, Y) + 0.7 * F.cross_entropy(LOGITS, Y[perm])
    torch.testing.assert_close(ours, theirs)


def test_soft_cross_entropy_equals_pytorchs_with_class_probabilities():
    targets = torch.softmax(LOGITS.flip(0), 1)
    torch.testing.assert_close(soft_cross_entropy(LOGITS, targets), F.cross_entropy(LOGITS, targets))


@pytest.mark.parametrize(("eps", "classes"), [(0.1, 1000), (0.1, 10), (0.4, 10), (0.05, 3)])
def test_the_best_logit_gap_is_eq_5(eps, classes):
    """Minimise the smoothed loss over free logits, and compare the gap with log((K - 1)(1 - ε) / ε)."""
    z = torch.zeros(1, classes, dtype=torch.float64, requires_grad=True)
    targets = smooth(one_hot(torch.tensor([0]), classes).double(), eps)
    optimizer = torch.optim.LBFGS([z], max_iter=200, tolerance_grad=1e-14, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = soft_cross_entropy(z, targets)
        loss.backward()
        return loss

    for _ in range(20):
        optimizer.step(closure)  # pyright: ignore[reportArgumentType]
    expected = torch.log(torch.tensor((classes - 1) * (1 - eps) / eps, dtype=torch.float64))
    torch.testing.assert_close((z[0, 0] - z[0, 1:].mean()).detach(), expected, atol=1e-3, rtol=0)
