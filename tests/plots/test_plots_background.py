"""Plots of the background: each against the formula, or against steps that are taken one by one."""

import math
from functools import partial

import numpy as np
import pytest
from scipy import special

from tricks.plots import background

rng = np.random.default_rng(0)
GRADIENTS = rng.normal((0.3, 0.0), (1.0, 2.0), size=(500, 2))
NORMS = {
    (kind, depth, norm): np.geomspace(size, 0.3, depth - 1)
    for kind, size in (("plain", 1e-8), ("residual", 1.0))
    for depth in (8, 44)
    for norm in (True, False)
}

PLOTS = {
    "logits_to_nats": background.logits_to_nats,
    "logits_to_nats, wrong and sure": partial(background.logits_to_nats, -6, 6, 0),
    "minibatch": partial(background.minibatch, GRADIENTS, 16),
    "decayed": background.decayed,
    "decayed, all to zero": partial(background.decayed, 0.5, 2.0),
    "annealed": partial(background.annealed, 0.4, 0.0),
    "gradient_by_depth": partial(background.gradient_by_depth, NORMS, 44, True),
}
REDRAWN = {
    "logits_to_nats": (background.logits_to_nats, (2, 1, -1), (0, -3, 4), (0, -3, 4)),
    "minibatch": (background.minibatch, (GRADIENTS, 1), (64,), (GRADIENTS, 64)),
    "decayed": (background.decayed, (0.1, 5e-4), (0.05, 0.1), (0.05, 0.1)),
    "annealed": (background.annealed, (0.4, 1.0), (0.2, 0.1), (0.2, 0.1)),
    "gradient_by_depth": (background.gradient_by_depth, (NORMS, 44, True), (8, False), (NORMS, 8, False)),
}


def texts(fig):
    return " ".join(text.get_text() for ax in fig.axes for text in ax.texts)


@pytest.mark.parametrize("z", [(2.0, 1.0, -1.0), (-6.0, 6.0, 0.0), (5.5, 5.5, 5.5)])
def test_logits_to_nats_draws_the_softmax_and_its_loss(z):
    fig = background.logits_to_nats(*z)
    left, middle, right = fig.axes
    assert [bar.get_height() for bar in left.patches] == list(z)
    assert [bar.get_height() for bar in middle.patches] == pytest.approx(special.softmax(z))
    loss = special.logsumexp(z) - z[0]
    assert right.lines[1].get_xydata().tolist() == [pytest.approx([math.exp(-loss), loss])]
    assert f"{loss:.2f} nats" in texts(fig)


def test_minibatch_of_one_is_a_picture_and_the_variance_falls_as_one_over_b():
    single = GRADIENTS.var(0).sum()
    for b in (1, 25):
        left, right = background.minibatch(GRADIENTS, b).axes
        means = left.lines[1].get_xydata()
        assert len(means) == background.BATCHES
        assert right.lines[1].get_ydata()[0] == pytest.approx(single / b, rel=0.2)
    pictures = {tuple(gradient) for gradient in GRADIENTS}
    assert {tuple(mean) for mean in background.minibatch(GRADIENTS, 1).axes[0].lines[1].get_xydata()} <= pictures


@pytest.mark.parametrize("lr, weight_decay", [(0.1, 5e-4), (0.5, 0.3)])
def test_decayed_weights_are_those_of_sgd_step_by_step(lr, weight_decay):
    torch = pytest.importorskip("torch")
    ax = background.decayed(lr, weight_decay).axes[0]
    for line, a in zip(ax.lines, background.CURVATURES, strict=False):
        w = torch.ones((), dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.SGD([w], lr=lr, weight_decay=weight_decay)
        drawn = dict(line.get_xydata())
        for step in range(1, 101):
            w.grad = a * (w.detach() - 1)
            optimizer.step()
            if step in drawn:
                assert drawn[step] == pytest.approx(w.item(), rel=1e-9)


def test_decayed_refuses_what_diverges():
    with pytest.raises(ValueError, match="must be in"):
        background.decayed(1.9, 0.5)


def test_annealed_rates_fall_from_start_to_end_and_a_bowl_is_the_better_for_it():
    rates = background.annealed_rates(0.4, 0.1)
    assert (rates[0], rates[-1]) == pytest.approx((0.4, 0.04)) and rates == sorted(rates, reverse=True)
    assert background.annealed_rates(0.4, 1.0) == pytest.approx([0.4] * background.STEPS)
    low, high, falling = ([0.004] * 1000, [0.4] * 1000, background.annealed_rates(0.4, 0.01))
    ends = [background.bowl_loss(each)[-1] for each in (low, high, falling)]
    assert ends[2] < ends[1] / 5 < ends[0]


def test_gradient_by_depth_draws_one_setting_of_both_kinds():
    fig = background.gradient_by_depth(NORMS, 8, False)
    ax = fig.axes[0]
    assert list(ax.lines[0].get_ydata()) == list(NORMS["plain", 8, False]) and len(ax.lines[1].get_xdata()) == 7
    assert "plain 3.3e-08, residual 3.3" in texts(fig)
