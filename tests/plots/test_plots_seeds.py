"""Plots of what a number from a few seeds is worth: repeated studies, pairs of runs, how many seeds it takes."""

import math
import statistics
from functools import partial

import numpy as np
import pytest
from scipy.stats import ttest_ind

from tricks.plots import seeds
from tricks.recipe import BASELINE
from tricks.records.statistics import power, seeds_for
from tricks.records.store import Run


def runs(accuracies: list[float]) -> list[Run]:
    """Made-up records with these results."""
    return [Run("arm", BASELINE, seed, [], {"accuracy": value}) for seed, value in enumerate(accuracies)]


OLD = [70.0, 70.6, 70.2, 71.0, 70.4]
STEPS = {
    "up and down together": (
        runs([value + gain for value, gain in zip(OLD, (0.5, 0.6, 0.4, 0.5, 0.7), strict=True)]),
        runs(OLD),
    ),
    "against each other": (runs([142 - value for value in OLD]), runs(OLD)),
    "three seeds": (runs([71.0, 71.2, 70.9]), runs(OLD)),
}

PLOTS = {
    "repeated_studies": partial(seeds.repeated_studies, 5),
    "pairing": partial(seeds.pairing, STEPS, "against each other"),
    "seeds_needed": partial(seeds.seeds_needed, 0.4, 0.3, 5),
    "seeds_needed, no effect": partial(seeds.seeds_needed, 0.4, 0.0, 2),
}
REDRAWN = {
    "repeated_studies": (seeds.repeated_studies, (5,), (12,), (12,)),
    "pairing": (seeds.pairing, (STEPS, "against each other"), ("three seeds",), (STEPS, "three seeds")),
    "seeds_needed": (seeds.seeds_needed, (0.5, 0.5, 5), (1.2, 0.2, 12), (1.2, 0.2, 12)),
}


def test_students_t_misses_as_often_as_it_promises_and_1_96_more_often_with_few_seeds():
    for n, t in ((2, 12.706), (3, 4.303), (5, 2.776), (30, 2.045)):
        studies = seeds.simulated(n)
        assert studies.t == pytest.approx(t, abs=1e-3)
        assert studies.missed(studies.t) == pytest.approx(0.05, abs=0.006)
    assert seeds.simulated(3).missed(1.96) == pytest.approx(0.189, abs=0.01)  # P(|T| > 1.96), 2 degrees of freedom
    (ax,) = seeds.repeated_studies(3).axes
    holds, misses = (lines.get_segments() for lines in ax.collections)
    assert len(holds) + len(misses) == 60
    assert all(low[1] < 75 < high[1] for low, high in holds)
    assert not any(low[1] < 75 < high[1] for low, high in misses)


def test_an_interval_that_is_not_paired_is_welchs():
    new, old = STEPS["up and down together"]
    paired, not_paired = seeds.half_widths(new, old)
    differences = [a.accuracy - b.accuracy for a, b in zip(new, old, strict=True)]
    assert paired == pytest.approx(2.776 * statistics.stdev(differences) / math.sqrt(5), rel=1e-3)
    low, high = ttest_ind([r.accuracy for r in new], [r.accuracy for r in old], equal_var=False).confidence_interval()
    assert not_paired == pytest.approx((high - low) / 2)


def test_lines_of_a_pair_are_level_where_pairing_helps_and_only_common_seeds_are_drawn():
    fig = seeds.pairing(STEPS, "up and down together")
    left, right = fig.axes
    ends = [line.get_ydata() for line in left.lines]
    assert [round(a, 6) for a, _ in ends] == [round(value - 70.44, 6) for value in OLD]
    paired, not_paired = (line.get_xdata()[1] for line in right.lines[:2])
    assert paired < not_paired and right.texts[0].get_text() == f"± {paired:.2f}"
    fig.redraw("against each other")
    paired, not_paired = (line.get_xdata()[1] for line in right.lines[:2])
    assert paired > not_paired
    fig.redraw("three seeds")
    assert sum(len(line.get_xdata()) > 0 for line in left.lines) == 3


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
    left, right = seeds.seeds_needed(0.5, 0.4, 10).axes
    chance = next(line for line in left.lines if line.get_label() == "interval excludes 0")
    assert dict(zip(*chance.get_data(), strict=True))[10] == pytest.approx(100 * power(0.4, 0.5, 10))
    assert right.lines[2].get_xydata()[0] == pytest.approx([10, 2.2622 * 0.5 / math.sqrt(10)], abs=1e-4)
