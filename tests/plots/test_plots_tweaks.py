"""Plots of networks: what a layer reads, and what parts and tweaks cost."""

from functools import partial

import numpy as np
import pytest

from tricks.plots import tweaks
from tricks.plots.diagrams import Arrow, Box, Diagram
from tricks.records.statistics import t_interval


def reading(kernel, stride, side=12):
    """By counting: how many windows of a layer hold each position of an input whose edges are joined, 1 on average."""
    counts = np.zeros((side, side))
    for top in range(0, side, stride):
        for left in range(0, side, stride):
            rows, columns = ((start + np.arange(kernel) - (kernel - 1) // 2) % side for start in (top, left))
            np.add.at(counts, np.ix_(rows, columns), 1)
    return counts / counts.mean()


NINE = {f"{k}×{k}, stride {s}": reading(k, s, 6) for k in (1, 2, 3) for s in (1, 2, 3)}
PART_COSTS = {
    "plain": {"stem": 118e6, "stage 1": 668e6, "head": 2e6},
    "B": {"stem": 118e6, "stage 1": 745e6, "head": 2e6},
    "C": {"stem": 100e6, "stage 1": 745e6, "head": 2e6},
}
PANELS = {
    "paper": ("multiply-adds, G", {"plain": ([3.8], [76.2]), "C": ([4.3], [76.9]), "D": ([4.3], [77.2])}),
    "ours": ("ms per image", {"plain": ([8.0, 8.2], [70.0, 71.0]), "D": ([9.0, 9.4], [72.0, 74.0])}),
}


def beside(kernel, path):
    """A diagram of two boxes, and a map."""
    boxes = {"into": Box(2, 3, 1.5, 0.3, "into"), path: Box(2, 1, 1.5, 0.3, f"{kernel}×{kernel}, {path}")}
    return Diagram(boxes, [Arrow("into", path, "64 × 16 × 16")]), f"{path} of {kernel}", reading(kernel, 2, 8)


PLOTS = {
    "block_and_coverage": partial(tweaks.block_and_coverage, beside(1, "path B")),
    "coverage": partial(tweaks.coverage, {"plain": reading(1, 2), "D": reading(2, 2)}),
    "coverage, one map": partial(tweaks.coverage, {"7×7, stride 2": reading(7, 2, 8)}),
    "coverage, nine maps": partial(tweaks.coverage, NINE, columns=3),
    "coverage, three maps in two rows": partial(tweaks.coverage, dict(list(NINE.items())[:3]), columns=2),
    "receptive_field": partial(tweaks.receptive_field, {"7×7": [1 / 7] * 7, "3×3, stride 2": [0.25, 0.5, 0.25]}),
    "part_costs": partial(tweaks.part_costs, PART_COSTS),
    "accuracy_cost": partial(tweaks.accuracy_cost, PANELS),
}
BEFORE, AFTER = {"plain": reading(1, 2), "D": reading(2, 2)}, {"now": reading(3, 4), "then": reading(7, 2)}
SECOND = beside(3, "path A")
REDRAWN = {
    "coverage": (tweaks.coverage, (BEFORE,), (AFTER,), (AFTER,)),
    "block_and_coverage": (tweaks.block_and_coverage, (beside(1, "path B"),), (SECOND,), (SECOND,)),
}
WITHOUT_AXES = {"block_and_coverage"}  # one of its two


def test_coverage_says_how_much_is_unread_and_names_each_weight_where_it_first_stands():
    fig = tweaks.coverage({"1×1, stride 2": reading(1, 2), "3×3, stride 2": reading(3, 2)})
    first, second = fig.axes[:2]
    assert {text.get_text() for text in first.texts} >= {"1×1, stride 2", "108 of 144 never read"}
    assert {text.get_text() for text in second.texts} >= {"3×3, stride 2", "0 of 144 never read"}
    assert numbers(first) == {(0, 0): "4", (1, 0): "0"}
    # 1, 2 and 4 of 9, over a quarter; at (0, 0) the first would be wider than its place, and so would its neighbour
    assert numbers(second) == {(2, 0): "0.44", (5, 0): "0.89", (1, 1): "1.8"}
    drawn = first.images[0].get_array()
    assert np.array_equal(drawn.mask, reading(1, 2) == 0)  # orange
    assert np.array_equal(drawn.filled(0), reading(1, 2))


def numbers(ax):
    """(column, row): text of the numbers that are seen."""
    return {text.get_position(): text.get_text() for text in ax.texts[: tweaks.NUMBERS] if text.get_visible()}


def test_coverage_redraws_only_as_many_maps_as_it_has():
    with pytest.raises(ValueError, match="1 maps, but 2 are drawn"):
        tweaks.coverage(BEFORE).redraw({"one": reading(1, 2)})


def test_a_block_and_what_it_reads_change_together_in_the_picture_and_in_words():
    fig = tweaks.block_and_coverage(beside(1, "path B"))
    assert "[1×1, path B]: 64 × 16 × 16. Heat map: path B of 1, 48 of 64 never read" in fig.alt
    fig.redraw(SECOND)
    assert "[3×3, path A]: 64 × 16 × 16. Heat map: path A of 3, 0 of 64 never read" in fig.alt
    assert "1×1" not in fig.alt and fig.alt.count("Heat map") == 1


def test_receptive_field_is_centred_on_the_output():
    ax = tweaks.receptive_field({"three": [0.25, 0.5, 0.25]}).axes[0]
    data = ax.patches[0].get_data()
    assert data.edges.tolist() == [-1.5, -0.5, 0.5, 1.5]
    assert data.values.tolist() == [0.25, 0.5, 0.25]
    assert ax.patches[0].get_label() == "three: 3 px"


def test_part_costs_labels_what_changed_and_sums_up():
    ax = tweaks.part_costs(PART_COSTS).axes[0]
    bars = {bars.get_label(): [bar.get_height() for bar in bars] for bars in ax.containers}
    assert bars == {
        "plain: 0.79 G": pytest.approx([118, 668, 2]),
        "B: 0.86 G": pytest.approx([118, 745, 2]),
        "C: 0.85 G": pytest.approx([100, 745, 2]),
    }
    assert {text.get_text(): text.get_position()[1] for text in ax.texts} == {"+77": 745, "−18": 100}


def test_accuracy_cost_has_means_intervals_and_a_colour_for_each_label():
    fig = tweaks.accuracy_cost(PANELS)
    paper, ours = fig.axes
    dots = [container.lines[0] for ax in (paper, ours) for container in ax.containers]
    assert [dot.get_ydata().tolist() for dot in dots] == [[76.2], [76.9], [77.2], [70.5], [73.0]]
    assert dots[0].get_color() == dots[3].get_color() != dots[2].get_color() == dots[4].get_color()
    x, y = (dots[4].get_xdata()[0], dots[4].get_ydata()[0])
    assert x == pytest.approx(9.2)
    (bars,) = ours.containers[1].lines[2]
    half = t_interval([72.0, 74.0])[1]
    assert bars.get_segments()[0][:, 1] == pytest.approx([y - half, y + half])
    assert ours.lines[-1].get_xydata().tolist() == [[9.0, 72.0], [9.4, 74.0]]  # the seeds
    assert [text.get_text() for text in fig.legends[0].get_texts()] == ["plain", "C", "D"]


def test_accuracy_cost_puts_equal_costs_side_by_side_and_draws_no_interval_for_one_value():
    paper = tweaks.accuracy_cost(PANELS).axes[0]
    plain, c, d = (container.lines[0].get_xdata()[0] for container in paper.containers)
    assert plain == 3.8
    assert c < 4.3 < d and (c + d) / 2 == pytest.approx(4.3)
    for container in paper.containers:
        assert not any(np.isfinite(bars.get_segments()).any() for bars in container.lines[2])
