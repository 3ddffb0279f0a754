"""Plots of what a trick is worth: ladders, what is read from them, two orders, recorded runs."""

import math
import statistics
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from matplotlib.colors import to_hex

from tricks.plots import ladder
from tricks.plots.ladder import nearest_arm
from tricks.plots.style import COLOURS, LIGHT
from tricks.recipe import BASELINE
from tricks.records.statistics import Comparison, compare, same_seeds
from tricks.records.store import Run


def runs(accuracies: list[float], first_seed: int = 0) -> list[Run]:
    """Made-up records with these results."""
    return [Run("arm", BASELINE, first_seed + i, [], {"accuracy": value}) for i, value in enumerate(accuracies)]


PAPER = {"baseline": 75.87, "efficient": 77.16, "+ no bias decay": 76.82, "+ cosine": 77.91}
OURS = {
    "baseline": runs([61.0, 61.4, 61.2, 60.9]),
    "efficient": runs([68.0, 68.6, 68.4, 68.1, 99.0]),  # a fifth seed that the others do not have
    "+ cosine": runs([68.5, 68.2, 68.6, 68.0]),
}
ANSWERS = {
    "added": {"cosine": compare(OURS["+ cosine"], OURS["efficient"]), "mixup": Comparison((0,), (1.5,), "points")},
    "left out": {"cosine": Comparison((0, 1), (0.5, 0.7), "points")},
    "paper": {"cosine": 0.75, "mixup": -0.84},
}


def recorded(accuracies: list[float], **fields) -> list[Run]:
    """Made-up records of a recipe: one per accuracy, which the curve reaches in its third epoch."""
    recipe = replace(BASELINE, lr=0.4, **fields) if "lr" not in fields else replace(BASELINE, **fields)
    rows = [[{"epoch": e, "test_accuracy": value - 30 / e + 10} for e in (1, 2, 3)] for value in accuracies]
    return [
        Run("arm", recipe, seed, row, {"accuracy": value})
        for seed, (row, value) in enumerate(zip(rows, accuracies, strict=True))
    ]


ARMS = {
    "cosine": recorded([70.0, 70.4, 70.2]),
    "smoothing-0.1": recorded([70.6, 71.0], label_smoothing=0.1),
    "smoothing-0.4": recorded([68.0, 69.0], label_smoothing=0.4),
    "mixup-0.5": recorded([66.0, 66.5, 66.1], mixup_alpha=0.5),
    "pilot-lr-0.1": recorded([67.0], lr=0.1, split="validation"),
}
METRICS = {"accuracy, %": lambda run: run.accuracy, "errors, %": lambda run: 100 - run.accuracy}

PLOTS = {
    "ladder": partial(ladder.ladder, {"paper": PAPER, "ours": OURS}),
    "ladder, one panel": partial(ladder.ladder, {"paper": PAPER}),
    "ladder, ordered": partial(ladder.ladder, {"paper": PAPER, "ours": OURS}, order=[*PAPER, "not reached"]),
    "worth": partial(ladder.worth, ANSWERS),
    "measures": partial(ladder.measures, OURS, METRICS),
    "explorer": partial(ladder.explorer, ARMS, 0.4, 0.5, 0.1),
    "two_orders": partial(ladder.two_orders, 0.36, 0.84, -0.22, names=("distillation", "mixup")),
    "two_orders, one spoils the other": partial(ladder.two_orders, 0.3, 0.2, -2.0),
}
REDRAWN = {
    "explorer": (ladder.explorer, (ARMS, 0.0, 0.0, 0.4), (0.1, 0.5, 0.4), (ARMS, 0.1, 0.5, 0.4)),
    "two_orders": (ladder.two_orders, (0.4, 0.6, 0.0), (-0.9,), (0.4, 0.6, -0.9)),
}
WITHOUT_AXES = {"ladder", "ladder, ordered", "measures"}  # their other panels have the rungs' names at the first


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
    assert [text.get_text() for text in ax.figure.legends[0].get_texts()] == ["one seed, no interval"]


def test_arms_without_a_common_seed_are_refused():
    arms = {"a": runs([1.0, 2.0]), "b": runs([3.0, 4.0], first_seed=1)}
    assert [[run.seed for run in group] for group in same_seeds(arms).values()] == [[1], [1]]
    with pytest.raises(ValueError, match="no seed is in all arms"):
        ladder.ladder({"ours": {"a": runs([1.0]), "b": runs([2.0], first_seed=1)}})


def test_the_order_of_the_rungs_can_be_given():
    (ax,) = ladder.ladder({"paper": PAPER}, order=["ours only", *PAPER]).axes
    assert [label.get_text() for label in ax.get_yticklabels()] == ["ours only", *PAPER]
    assert [bar[0] for bar in bars(ax)] == [2, 3, 4]


def test_what_a_trick_is_worth_is_drawn_with_its_interval_and_the_papers_without():
    (ax,) = ladder.worth(ANSWERS).axes
    assert [label.get_text() for label in ax.get_yticklabels()] == ["cosine", "mixup"]
    dots = {line.get_marker(): [] for line in ax.lines}
    for line in ax.lines:
        dots[line.get_marker()] += [(x, round(y)) for x, y in line.get_xydata()]
    assert dots["o"] == [(pytest.approx(68.325 - 68.275), 0), (1.5, 1)]
    assert dots["s"] == [(pytest.approx(0.6), 0)]
    assert dots["D"] == [(0.75, 0), (-0.84, 1)]
    added, one_seed, left_out = (collection.get_segments() for collection in ax.collections)
    assert not np.isfinite(one_seed).any()
    differences = [68.5 - 68.0, 68.2 - 68.6, 68.6 - 68.4, 68.0 - 68.1]
    half = 3.182 * statistics.stdev(differences) / 2
    assert added[0][:, 0] == pytest.approx([0.05 - half, 0.05 + half], abs=1e-3)
    assert left_out[0][:, 0] == pytest.approx([0.6 - 12.706 * 0.1, 0.6 + 12.706 * 0.1], abs=1e-3)
    assert sorted(ax.get_legend_handles_labels()[1]) == ["added", "left out", "paper"]


def test_measures_of_each_arm_are_drawn_with_all_seeds():
    left, right = ladder.measures(OURS, METRICS).axes
    assert [label.get_text() for label in left.get_yticklabels()] == list(OURS) and left.get_ylim() == (-0.6, 2.6)
    for ax, values in ((left, [68.0, 68.6, 68.4, 68.1, 99.0]), (right, [32.0, 31.4, 31.6, 31.9, 1.0])):
        seeds = ax.collections[1].get_offsets()  # of the second arm from below
        assert list(seeds[:, 0]) == pytest.approx(values) and set(seeds[:, 1]) == {1}
        means = next(line for line in ax.lines if line.get_marker() == "o").get_xydata()
        assert list(means[1]) == pytest.approx([statistics.mean(values), 1])
        half = 2.776 * statistics.stdev(values) / math.sqrt(5)  # t of 4 degrees of freedom
        ends = [statistics.mean(values) - half, statistics.mean(values) + half]
        assert any(
            (min(line.get_xdata()), max(line.get_xdata())) == pytest.approx(ends, rel=1e-3)
            for line in ax.lines
            if 1 in line.get_ydata() and line.get_marker() != "o"
        )
    dashed = next(line for line in left.lines if line.get_linestyle() == "--")
    assert list(dashed.get_xdata()) == [pytest.approx(61.125)] * 2  # the lowest arm


@pytest.mark.parametrize(
    "wanted, name",
    [
        ((0.0, 0.0, 0.4), "cosine"),
        ((0.4, 0.0, 0.4), "smoothing-0.4"),
        ((0.3, 0.0, 0.4), "smoothing-0.4"),  # the nearest position of that slider
        ((0.1, 0.5, 0.4), "smoothing-0.1"),  # one step off, as mixup-0.5 is: the first of the two
        ((0.4, 0.5, 0.4), "smoothing-0.4"),  # one step off; mixup-0.5 is two steps off
        ((0.0, 0.0, 0.1), "pilot-lr-0.1"),
    ],
)
def test_the_explorer_shows_the_recorded_arm_that_is_fewest_steps_away(wanted, name):
    assert nearest_arm(ARMS, **dict(zip(("label_smoothing", "mixup_alpha", "lr"), wanted, strict=True))) == name
    left, right = ladder.explorer(ARMS, *wanted).axes
    curve = next(line for line in left.lines if line.get_animated() and line.get_visible())
    mean = statistics.mean(run.accuracy for run in ARMS[name])
    assert curve.get_ydata() == pytest.approx([mean - 20, mean - 5, mean])
    (ring,) = (line for line in right.lines if line.get_animated())
    assert ring.get_xydata()[0] == pytest.approx([mean, list(ARMS).index(name)])
    words = [text.get_text() for ax in (left, right) for text in ax.texts]
    exact = all(
        getattr(ARMS[name][0].recipe, field) == value
        for field, value in zip(("label_smoothing", "mixup_alpha", "lr"), wanted, strict=True)
    )
    assert words[0].endswith("recorded" if exact else "nearest record")
    assert words[1].startswith(f"{name}, n = {len(ARMS[name])}: {mean:.2f}")


def test_two_orders_lead_to_the_same_top_and_first_and_last_differ_by_the_interaction():
    left, right = ladder.two_orders(0.3, 0.5, -0.2).axes
    paths = [list(line.get_ydata()) for line in left.lines[:2]]
    assert paths == [pytest.approx([0, 0.3, 0.6]), pytest.approx([0, 0.5, 0.6])]
    heights = np.array([bar.get_height() for bar in right.patches]).reshape(3, 2)  # first, last, mean of both
    assert heights == pytest.approx(np.array([[0.3, 0.5], [0.1, 0.3], [0.2, 0.4]]))
    assert heights[2].sum() == pytest.approx(0.6)  # the means of both orders add up to the whole
