"""Plots for what came after the bag: what they draw is what they were given."""

import math
from functools import partial

import numpy as np
import pytest
from matplotlib.colors import to_hex

from tricks.plots import after
from tricks.plots.after import Directions, Spectrum, Walk
from tricks.plots.style import COLOURS, LIGHT
from tricks.records.statistics import Comparison

SEEDS = (0, 1, 2)
FOUND = {
    "A · Muon": Comparison(SEEDS, (9.0, 10.0, 11.0), "%"),
    "B · CutMix": Comparison(SEEDS, (-6.0, -5.0, -4.5), "%"),
    "C · flips": Comparison(SEEDS, (-1.0, 1.5, 0.0), "%"),
    "D · linear": Comparison((0,), (2.0,), "%"),
}


def patches(kernel: int, kept: int) -> Directions:
    number = 3 * kernel**2
    rotation = np.linalg.qr(np.random.default_rng(kernel).standard_normal((number, number)))[0]
    return Directions(rotation.reshape(number, 3, kernel, kernel), np.geomspace(20, 1e-3, number), kept)


def cubic(steps: int) -> Spectrum:
    before, curve = np.geomspace(0.9, 0.002, 16), after.starts()
    new = before
    for _ in range(steps):
        new, curve = 1.5 * new - 0.5 * new**3, 1.5 * curve - 0.5 * curve**3
    return Spectrum(f"{steps} steps of the cubic", list(before), list(new), list(curve))


def walk(rate: float) -> Walk:
    steps = np.arange(300)
    return Walk(f"rate {rate:g}", np.exp(-rate * steps) + 1e-2, np.exp(-rate * steps) + 1e-3)


SQUARE = {
    "published": ("epochs to 94 %", {"drawn": {"× 1": [34], "× 64": [40]}, "whitened": {"× 1": [21], "× 64": [16.5]}}),
    "ours": ("accuracy, %", {"drawn": {"× 1": [80.0, 81.0, 80.4], "× 64": [79.0, 79.8]}, "whitened": {"× 1": [82.0]}}),
}
PLOTS = {
    "gains": partial(after.gains, FOUND, "share of the errors removed, %"),
    "gains, one": partial(after.gains, dict(list(FOUND.items())[:1]), "points"),
    "directions": partial(after.directions, patches(3, 16)),
    "directions, 2 × 2": partial(after.directions, patches(2, 4)),
    "singular_values": partial(after.singular_values, cubic(3)),
    "averaged": partial(after.averaged, walk(0.05)),
    "two_by_two": partial(after.two_by_two, SQUARE),
}
REDRAWN = {
    "directions": (after.directions, (patches(3, 16),), (patches(2, 4),), (patches(2, 4),)),
    "singular_values": (after.singular_values, (cubic(0),), (cubic(5),), (cubic(5),)),
    "averaged": (after.averaged, (walk(0.05),), (walk(0.01),), (walk(0.01),)),
}
WITHOUT_AXES = {"directions", "directions, 2 × 2", "singular_values"}  # pictures; an axis that both panels share


def test_gains_are_in_order_with_their_intervals_and_the_colour_of_what_they_say():
    ax = after.gains(FOUND, "points").axes[0]
    dots = [container.lines[0] for container in ax.containers]
    assert [dot.get_xydata()[0].tolist() for dot in dots] == [[10, 3], [pytest.approx(-31 / 6), 2], [1 / 6, 1], [2, 0]]
    colours = [to_hex(dot.get_color()) for dot in dots]
    assert colours == [to_hex(colour) for colour in (COLOURS[0], COLOURS[1], LIGHT, LIGHT)]
    (bar,) = ax.containers[0].lines[2]
    half = 4.303 * 1 / math.sqrt(3)
    assert bar.get_segments()[0][:, 0] == pytest.approx([10 - half, 10 + half], rel=1e-3)
    (side,) = ax.child_axes
    assert [label.get_text() for label in side.get_yticklabels()] == ["+10.0 ± 2.5", "−5.2 ± 1.9", "+0.2 ± 3.1", "+2.0"]


def test_directions_are_enlarged_in_order_and_those_left_out_are_pale():
    filters = patches(3, 16).filters
    picture = after.directions(patches(3, 16)).axes[0].images[0].get_array()
    assert picture.shape == (4 * 14 - 2, 7 * 14 - 2, 3)
    first, last = filters[0], filters[26]
    np.testing.assert_allclose(picture[1, 5], 0.5 + 0.5 * first[:, 0, 1] / np.abs(first).max())  # 4 px a pixel
    pale = 0.8 + 0.2 * (0.5 + 0.5 * last[:, 2, 0] / np.abs(last).max())
    np.testing.assert_allclose(picture[3 * 14 + 11, 5 * 14], pale)  # the sixth in the fourth row
    assert (picture[-1, -1] == 1).all()  # there is no 28th


def test_whitened_variances_are_near_one_where_they_are_kept():
    _, right = after.directions(patches(2, 4)).axes
    before, whitened = right.lines
    assert before.get_ydata() == pytest.approx(patches(2, 4).variances)
    assert whitened.get_xdata().tolist() == [1, 2, 3, 4]
    assert whitened.get_ydata() == pytest.approx(np.ones(4), abs=1e-3)
    assert right.texts[0].get_text().startswith("4 of 12 hold ")


def test_two_tricks_have_an_interval_where_there_are_seeds():
    published, ours = after.two_by_two(SQUARE).axes
    assert [container.lines[0].get_ydata().tolist() for container in published.containers] == [[34, 40], [21, 16.5]]
    drawn, whitened = ours.containers
    assert drawn.lines[0].get_ydata() == pytest.approx([80.4667, 79.4], abs=1e-3)
    assert whitened.lines[0].get_ydata().tolist() == [82.0]
    assert [text.get_text() for text in ours.get_legend().get_texts()] == ["drawn", "whitened"]
