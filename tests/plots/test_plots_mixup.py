"""Plots for mixup: a mixture, the distribution of λ, networks on the plane."""

from functools import partial

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import beta

from tricks.mixup import lighter_weight, near_ends
from tricks.plots import mixup
from tricks.plots.mixup import Plane, grid

CLASSES = ["airplane", "automobile", "cat", "dog", "ship"]
PAIR = [np.full((32, 32, 3), shade, np.uint8) for shade in (0, 200)]


def mixed(lam: float) -> tuple[np.ndarray, np.ndarray]:
    target = np.zeros(5)
    target[[2, 4]] = lam, 1 - lam
    return lam * PAIR[0] + (1 - lam) * PAIR[1], target


def plane(steepness: float, n: int = 60) -> Plane:
    """Points in and around the unit circle, and a probability that is ½ on it."""
    points = np.random.default_rng(0).uniform(-1.5, 1.5, (80, 2))
    labels = (np.hypot(*points.T) > 1).astype(int)
    probability = 1 / (1 + np.exp(-steepness * (np.hypot(*grid(n).T) - 1)))
    return Plane(points, labels, points * 0.9, 0.1 + 0.8 * labels, probability.reshape(n, n))


PLOTS = {
    "mixed_pair": partial(mixup.mixed_pair, PAIR, CLASSES, mixed(0.3)),
    "beta_density": partial(mixup.beta_density, 0.2),
    "beta_density, α = 0.05": partial(mixup.beta_density, 0.05),
    "beta_density, α = 4": partial(mixup.beta_density, 4.0),
    "decision_map": partial(mixup.decision_map, plane(4)),
}
REDRAWN = {
    "mixed_pair": (mixup.mixed_pair, (PAIR, CLASSES, mixed(0.3)), (mixed(0.8),), (PAIR, CLASSES, mixed(0.8))),
    "beta_density": (mixup.beta_density, (0.2,), (1.5,), (1.5,)),
    "decision_map": (mixup.decision_map, (plane(4),), (plane(1, 40),), (plane(1, 40),)),
}
WITHOUT_AXES = {"mixed_pair", "decision_map"}  # pictures; the ticks that both panels share


@pytest.mark.parametrize("alpha", [0.05, 0.2, 1.0, 4.0])
def test_lighter_weight_and_near_ends_are_the_integrals(alpha):
    density = beta(alpha, alpha).pdf
    half = quad(lambda lam: lam * density(lam), 0, 0.5)[0]  # both halves alike
    assert lighter_weight(alpha) == pytest.approx(2 * half, abs=1e-6)
    assert near_ends(alpha) == pytest.approx(2 * beta(alpha, alpha).cdf(0.1), abs=1e-12)


def test_lighter_weight_at_known_values():
    assert lighter_weight(1) == pytest.approx(0.25)  # uniform
    assert near_ends(1) == pytest.approx(0.2)
    for wrong in (0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="needs α > 0"):
            lighter_weight(wrong)
        with pytest.raises(ValueError, match="needs α > 0"):
            near_ends(wrong)


def test_mixed_pair_draws_the_mixture_and_its_target():
    fig = mixup.mixed_pair(PAIR, CLASSES, mixed(0.3))
    _, middle, _, right = fig.axes
    assert np.allclose(middle.images[0].get_array(), 0.7 * 200 / 255)
    assert [bar.get_width() for bar in right.patches] == pytest.approx([0, 0, 0.3, 0, 0.7])
    assert [text.get_text() for text in right.texts] == ["", "", "0.30", "", "0.70"]


def test_beta_density_draws_the_density_and_its_mass():
    left, right = mixup.beta_density(0.2).axes
    x, y = left.lines[0].get_data()
    assert np.allclose(y, beta(0.2, 0.2).pdf(x))
    tenths = np.diff(beta(0.2, 0.2).cdf(np.linspace(0, 1, 11)))
    assert [0.1 * bar.get_height() for bar in left.patches[:10]] == pytest.approx(tenths.tolist())
    points = [line.get_xydata().tolist() for line in right.lines if len(line.get_xdata()) == 1]
    assert points == [[[0.2, pytest.approx(67.3, abs=0.05)]], [[0.2, pytest.approx(10.1, abs=0.05)]]]


def test_grid_goes_row_by_row_from_below_over_the_centres():
    quarter = mixup.LIMIT / 2
    assert (grid(2) / quarter).tolist() == [[-1, -1], [1, -1], [-1, 1], [1, 1]]


def test_decision_map_draws_points_targets_and_the_boundary():
    shown = plane(4)
    left, right = mixup.decision_map(shown).axes[:2]
    cloud, (boundary, dots) = left.collections[0], right.collections
    assert np.allclose(cloud.get_offsets(), shown.mixed_points) and np.allclose(cloud.get_array(), shown.mixed_targets)
    assert np.allclose(dots.get_offsets(), shown.points) and np.allclose(dots.get_array(), shown.labels)
    (line,) = boundary.get_segments()
    assert np.allclose(np.hypot(*line.T), 1, atol=0.01)  # the unit circle
    assert np.allclose(right.images[0].get_array(), shown.probability)


def test_decision_map_of_a_network_that_sees_one_class_has_no_boundary():
    right = mixup.decision_map(plane(4)._replace(probability=np.full((20, 20), 0.9))).axes[1]
    assert right.collections[0].get_segments() == []
