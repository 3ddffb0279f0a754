"""Plots of targets: what smoothing asks for, and what a teacher says."""

import math
from functools import partial

import numpy as np
import pytest
from scipy import special

from tricks.label_smoothing import theoretical_gap
from tricks.plots import distillation, smoothing

rng = np.random.default_rng(0)
CLASSES = ("cat", "dog", "ship", "a name of some length")
PICTURES = [rng.integers(0, 256, (6, 6, 3), dtype=np.uint8) for _ in range(3)]
TEACHER = 3 * rng.normal(size=(3, 4))
TEMPERATURES = (1.0, 2.0, 10.0, 50.0)
GRADIENTS = rng.normal(size=(4, 3, 4))  # (temperatures, pictures, classes)
TAUGHT = (PICTURES, TEACHER, (1, 0, 3), CLASSES)
PULL = (TEMPERATURES, GRADIENTS, GRADIENTS[-1] + 0.1, CLASSES)

PLOTS = {
    "optimal_gap": partial(smoothing.optimal_gap, 0.1, 10),
    "optimal_gap, two classes": partial(smoothing.optimal_gap, 0.9, 2),
    "optimal_gap, ε = 0": partial(smoothing.optimal_gap, 0.0, 1000),
    "soft_targets": partial(distillation.soft_targets, *TAUGHT, 4.0),
    "soft_targets, one picture": partial(distillation.soft_targets, PICTURES[:1], TEACHER[:1], (2,), CLASSES, 50.0),
    "soft_gradient": partial(distillation.soft_gradient, *PULL, 10.0),
    "soft_gradient, the labels' term too": partial(distillation.soft_gradient, *PULL, 50.0, hard=0.7),
}
REDRAWN = {
    "optimal_gap": (smoothing.optimal_gap, (0.1, 10), (0.4, 5), (0.4, 5)),
    "soft_targets": (distillation.soft_targets, (*TAUGHT, 1.0), (20.0,), (*TAUGHT, 20.0)),
    "soft_gradient": (distillation.soft_gradient, (*PULL, 1.0), (10.0,), (*PULL, 10.0)),
}
WITHOUT_AXES = {"soft_targets", "soft_targets, one picture"}  # its pictures have none


@pytest.mark.parametrize("eps, K", [(0.1, 10), (0.1, 1000), (0.5, 2), (0.9, 10), (0.95, 3)])
def test_theoretical_gap_is_that_of_the_logits_whose_softmax_is_the_target(eps, K):
    target = np.array([1 - eps] + [eps / (K - 1)] * (K - 1))
    logits = np.log(target)
    assert theoretical_gap(eps, K) == pytest.approx(logits[0] - logits[1], abs=1e-12)


def test_theoretical_gap_at_its_ends():
    assert theoretical_gap(0, 10) == math.inf
    assert theoretical_gap(0.9, 10) == pytest.approx(0, abs=1e-12)
    assert theoretical_gap(0.1, 1000) == pytest.approx(9.104, abs=5e-4)  # the paper: around 9.1
    for eps, K in ((1.0, 10), (-0.1, 10), (0.1, 1)):
        with pytest.raises(ValueError, match="must be 0 <= eps < 1 and K >= 2"):
            theoretical_gap(eps, K)


def test_optimal_gap_draws_the_target_and_the_gap():
    fig = smoothing.optimal_gap(0.2, 5)
    left, right = fig.axes
    assert [bar.get_height() for bar in left.patches[:5]] == pytest.approx([0.8, 0.05, 0.05, 0.05, 0.05])
    assert [bar.get_height() for bar in left.patches[5:]] == [0] * 5  # there are no more classes
    assert list(left.lines[0].get_ydata()) == pytest.approx([0.8, 0.05, 0.05, 0.05, 0.05])  # softmax meets target
    assert any(line.get_xydata().tolist() == [[0.2, theoretical_gap(0.2, 5)]] for line in right.lines)


@pytest.mark.parametrize("temperature", [1.0, 4.0, 20.0])
def test_soft_targets_are_the_softmax_at_the_temperature(temperature):
    fig = distillation.soft_targets(*TAUGHT, 7.0)
    fig.redraw(temperature)
    panels = fig.axes[3:]
    assert len(panels) == 3
    for ax, r, label in zip(panels, TEACHER, TAUGHT[2], strict=True):
        expected = special.softmax(r / temperature)
        assert [bar.get_width() for bar in ax.patches] == pytest.approx(expected)
        colours = [bar.get_facecolor() for bar in ax.patches]
        assert [colours.count(colour) for colour in colours] == [1 if i == label else 3 for i in range(4)]
        texts = [text.get_text() for text in ax.texts]
        assert f"T = {temperature:g}, entropy {special.entr(expected).sum():.2f} nats" in texts
        assert {f"{p:.3f}" for p in sorted(expected)[-3:]} <= set(texts)
        assert list(ax.lines[0].get_xdata()) == [0.25, 0.25]  # 1/K


def test_soft_gradient_draws_one_picture_and_the_mean_norm_with_and_without_t_squared():
    fig = distillation.soft_gradient(*PULL, 10.0, hard=0.7)
    left, right = fig.axes[:2]
    assert [bar.get_width() for bar in left.patches] == pytest.approx(GRADIENTS[2, 0])
    assert any(list(line.get_xdata()) == pytest.approx(GRADIENTS[-1, 0] + 0.1) for line in left.lines[:1])
    norm = np.mean([[math.sqrt(sum(g * g)) for g in at] for at in GRADIENTS], axis=1)
    lines = {line.get_label(): line.get_ydata() for line in right.lines}
    assert list(lines["with T²"]) == pytest.approx(norm)
    assert list(lines["without T²"]) == pytest.approx([n / t**2 for n, t in zip(norm, TEMPERATURES, strict=True)])
    assert lines["labels' term"][0] == 0.7
    assert lines["limit of “with T²”"][0] == pytest.approx(np.mean([math.hypot(*row) for row in PULL[2]]))
    points = [line.get_xydata()[0].tolist() for line in right.lines if line.get_marker() == "o"]
    assert points == [pytest.approx([10.0, norm[2]]), pytest.approx([10.0, norm[2] / 100])]
    assert [text.get_text() for text in right.texts] == [f"T = 10: {norm[2]:.2g} with T², {norm[2] / 100:.2g} without"]


def test_soft_gradient_moves_to_the_nearest_temperature():
    fig = distillation.soft_gradient(*PULL, 1.0)
    fig.redraw(9)
    assert [bar.get_width() for bar in fig.axes[0].patches] == pytest.approx(GRADIENTS[2, 0])
