"""Plots of targets: what smoothing asks for."""

import math
from functools import partial

import numpy as np
import pytest

from tricks.figures import targets
from tricks.figures.targets import theoretical_gap

PLOTS = {
    "optimal_gap": partial(targets.optimal_gap, 0.1, 10),
    "optimal_gap, two classes": partial(targets.optimal_gap, 0.9, 2),
    "optimal_gap, ε = 0": partial(targets.optimal_gap, 0.0, 1000),
}
REDRAWN = {"optimal_gap": (targets.optimal_gap, (0.1, 10), (0.4, 5), (0.4, 5))}


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
    fig = targets.optimal_gap(0.2, 5)
    left, right = fig.axes
    assert [bar.get_height() for bar in left.patches[:5]] == pytest.approx([0.8, 0.05, 0.05, 0.05, 0.05])
    assert [bar.get_height() for bar in left.patches[5:]] == [0] * 5  # there are no more classes
    assert list(left.lines[0].get_ydata()) == pytest.approx([0.8, 0.05, 0.05, 0.05, 0.05])  # softmax meets target
    assert any(line.get_xydata().tolist() == [[0.2, theoretical_gap(0.2, 5)]] for line in right.lines)
