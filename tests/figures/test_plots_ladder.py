"""Plots of what a trick is worth: ladders, the order of two tricks, and how many seeds it takes."""

import math
import statistics
from functools import partial

import numpy as np
import pytest
from matplotlib.colors import to_hex

from tricks.figures import ladder
from tricks.figures.base import COLOURS, LIGHT
from tricks.figures.ladder import power, same_seeds, seeds_for
from tricks.recipe import BASELINE
from tricks.runs import Run


def runs(accuracies: list[float], first_seed: int = 0) -> list[Run]:
    """Made-up records with these results."""
    return [Run("arm", BASELINE, first_seed + i, [], {"accuracy": value}) for i, value in enumerate(accuracies)]


PAPER = {"baseline": 75.87, "efficient": 77.16, "+ no bias decay": 76.82, "+ cosine": 77.91}
OURS = {
    "baseline": runs([61.0, 61.4, 61.2, 60.9]),
    "efficient": runs([68.0, 68.6, 68.4, 68.1, 99.0]),  # a fifth seed that the others do not have
    "+ cosine": runs([68.5, 68.2, 68.6, 68.0]),
}

PLOTS = {
    "ladder": partial(ladder.ladder, {"paper": PAPER, "ours": OURS}),
    "ladder, one panel": partial(ladder.ladder, {"paper": PAPER}),
    "two_orders": partial(ladder.two_orders, 0.36, 0.84, -0.22, names=("distillation", "mixup")),
    "two_orders, one spoils the other": partial(ladder.two_orders, 0.3, 0.2, -2.0),
    "seeds_needed": partial(ladder.seeds_needed, 0.4, 0.3, 5),
    "seeds_needed, no effect": partial(ladder.seeds_needed, 0.4, 0.0, 2),
}
REDRAWN = {
    "two_orders": (ladder.two_orders, (0.4, 0.6, 0.0), (-0.9,), (0.4, 0.6, -0.9)),
    "seeds_needed": (ladder.seeds_needed, (0.5, 0.5, 5), (1.2, 0.2, 12), (1.2, 0.2, 12)),
}
WITHOUT_AXES = {"ladder"}  # its second panel has the rungs' names at the first


def bars(ax) -> list[tuple[float, float, float, str]]:
    """(height on the ladder, from, to, colour) of each bar."""
    return [
        (round(bar.get_y() + bar.get_height() / 2, 6), bar.get_x(), bar.get_x() + bar.get_width(), to_hex(colour))
        for bar in ax.patches
        for colour in [bar.get_facecolor()]
    ]


def notes(ax) -> list[str]:
    """What stands at the right of each rung."""
    (side,) = ax.child_axes
    return [label.get_text() for label in side.get_yticklabels()]


def test_a_bar_goes_from_the_rung_below_to_its_own():
    (ax,) = ladder.ladder({"paper": PAPER}).axes
    assert ax.get_title("left") == "paper: 75.87 → 77.91 (+2.04)"
    up, down = (to_hex(colour) for colour in COLOURS[:2])
    for bar, expected in zip(
        bars(ax), [(1, 75.87, 77.16, up), (2, 77.16, 76.82, down), (3, 76.82, 77.91, up)], strict=True
    ):
        assert bar[:3] == pytest.approx(expected[:3])
        assert bar[3] == expected[3]
    assert notes(ax) == ["75.87", "77.16   +1.29", "76.82   −0.34", "77.91   +1.09"]


def test_a_ladder_of_runs_has_paired_intervals_over_the_seeds_that_all_rungs_share():
    first, second = ladder.ladder({"paper": PAPER, "ours": OURS}).axes
    differences = [68.0 - 61.0, 68.6 - 61.4, 68.4 - 61.2, 68.1 - 60.9]
    mean, half = statistics.mean(differences), 3.182 * statistics.stdev(differences) / 2  # t of 3 degrees of freedom
    (_, low, high, _), (place, *_, unclear) = bars(second)
    assert high - low == pytest.approx(mean)
    assert high == pytest.approx(statistics.mean([68.0, 68.6, 68.4, 68.1]))
    assert notes(second)[1] == f"+{mean:.2f} ± {half:.2f}"
    assert (place, unclear) == (3, LIGHT.lower())  # the rung that ours lacks is left out; ±0.4 about +0.05 holds 0
    assert np.diff(first.get_xlim()) == pytest.approx(np.diff(second.get_xlim()))  # a point is as long in both
    assert second.get_title("left") == f"ours: {61.125:.2f} → {68.325:.2f} (+7.20)"


def test_a_single_seed_makes_no_difference_clear():
    (ax,) = ladder.ladder({"ours": {"a": runs([60.0]), "b": runs([70.0])}}).axes
    assert bars(ax)[0][3] == LIGHT.lower()
    assert notes(ax) == ["60.00", "70.00   +10.00"]


def test_arms_without_a_common_seed_are_refused():
    arms = {"a": runs([1.0, 2.0]), "b": runs([3.0, 4.0], first_seed=1)}
    assert [[run.seed for run in group] for group in same_seeds(arms).values()] == [[1], [1]]
    with pytest.raises(ValueError, match="no seed is in all arms"):
        ladder.ladder({"ours": {"a": runs([1.0]), "b": runs([2.0], first_seed=1)}})


def test_two_orders_lead_to_the_same_top_and_first_and_last_differ_by_the_interaction():
    left, right = ladder.two_orders(0.3, 0.5, -0.2).axes
    paths = [list(line.get_ydata()) for line in left.lines[:2]]
    assert paths == [pytest.approx([0, 0.3, 0.6]), pytest.approx([0, 0.5, 0.6])]
    heights = np.array([bar.get_height() for bar in right.patches]).reshape(3, 2)  # first, last, mean of both
    assert heights == pytest.approx(np.array([[0.3, 0.5], [0.1, 0.3], [0.2, 0.4]]))
    assert heights[2].sum() == pytest.approx(0.6)  # the means of both orders add up to the whole


@pytest.mark.parametrize("effect, sd, n", [(0.5, 0.5, 5), (0.3, 0.8, 3), (-0.4, 0.5, 12)])
def test_power_is_the_share_of_simulated_studies_whose_interval_excludes_0(effect, sd, n):
    studies = np.random.default_rng(0).normal(effect, sd, (200_000, n))
    t = {3: 4.3027, 5: 2.7764, 12: 2.2010}[n]
    clear = np.abs(studies.mean(1)) > t * studies.std(1, ddof=1) / math.sqrt(n)
    assert power(effect, sd, n) == pytest.approx(clear.mean(), abs=0.005)


def test_power_at_its_ends_and_the_seeds_for_it():
    assert power(0, 1, np.array([2, 5, 40])) == pytest.approx(0.05)
    assert power(50, 1, 5) == pytest.approx(1)
    assert [seeds_for(effect, 1) for effect in (0.5, 0.8, 1)] == [34, 15, 10]  # as in published tables of the t-test
    assert seeds_for(0, 1) == 1_000
    with pytest.raises(ValueError, match="sd = 0: must be above 0"):
        power(1, 0, 5)


def test_seeds_needed_draws_power_and_half_width():
    left, right = ladder.seeds_needed(0.5, 0.4, 10).axes
    chance = next(line for line in left.lines if line.get_label() == "interval excludes 0")
    assert dict(zip(*chance.get_data(), strict=True))[10] == pytest.approx(100 * power(0.4, 0.5, 10))
    assert right.lines[2].get_xydata()[0] == pytest.approx([10, 2.2622 * 0.5 / math.sqrt(10)], abs=1e-4)
