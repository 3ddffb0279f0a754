"""Plots for what came after the bag: directions of patches, steps of Muon, averaged weights, two tricks and both."""

import math
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any, NamedTuple

import numpy as np

from tricks.plots.style import (
    COLOURS,
    GREY,
    INK,
    LIGHT,
    PALE,
    SMALL,
    Figure,
    canvas,
    heading,
    signed,
    styled,
    with_redraw,
)
from tricks.records.statistics import Comparison, t_interval

SLOTS = (4, 7)  # rows and columns of the directions' picture: 27 of a 3 × 3 patch of three colours, 12 of a 2 × 2
SIDE, GAP = 12, 2  # px of a direction, and between two of them
NEAR_ONE = (0.68, 1.14)  # where Muon's five steps take singular values


@styled
def gains(found: Mapping[str, Comparison], xlabel: str, *, row: float = 0.27, caption: str = "") -> Figure:
    """What each of many tricks brings, from above: a dot and its 95 % t-interval beside 0, and both as numbers.

    A row is `row` inches high.
    """
    fig, ax = canvas(height=1.3 + row * len(found), caption=caption)
    ax.axvline(0, color=GREY, linewidth=1)
    places, numbers = range(len(found) - 1, -1, -1), []
    for place, each in zip(places, found.values(), strict=True):
        alone = not math.isfinite(each.half)  # one seed
        colour = LIGHT if alone or not each.clear else COLOURS[0 if each.mean > 0 else 1]
        bar: Any = {"xerr": 0 if alone else each.half, "capsize": 3, "linewidth": 1.5}
        ax.errorbar(each.mean, place, fmt="D" if alone else "o", markersize=6, color=colour, **bar)
        numbers.append(signed(each.mean, 1) + ("" if alone else f" ± {each.half:.1f}"))
    for colour, label in zip(
        (COLOURS[0], COLOURS[1], LIGHT), ("clear gain", "clear loss", "not resolved"), strict=True
    ):
        ax.plot([], [], "o", color=colour, label=label)
    ax.set(xlabel=xlabel, ylim=(-0.7, len(found) - 0.3))
    ax.set_yticks(places, list(found))
    ax.grid(axis="y", visible=False)
    values = ax.secondary_yaxis("right")
    values.set_yticks(places, numbers)
    values.tick_params(length=0, labelsize=SMALL)
    values.spines["right"].set_visible(False)
    fig.legend(loc="outside upper left", ncols=3)
    return fig


class Directions(NamedTuple):
    """Directions of patches, the largest variance first, as `directions` draws them."""

    filters: Any  # (D, 3, k, k), of length 1 each; k divides 12
    variances: Any  # (D,)
    kept: int  # so many are whitened


@styled
def directions(shown: Directions) -> Figure:
    """Directions of patches as small pictures, beside the variance along each before and after. `redraw(shown)`."""
    fig, (left, right) = canvas(2, height=4.0)
    image = left.imshow(_mosaic(shown), interpolation="nearest", animated=True)
    left.axis("off")
    dots: Any = {"markersize": 5, "linewidth": 1.2, "animated": True, "clip_on": False}
    (before,) = right.plot([], [], "o-", color=COLOURS[1], label="of the patches", **dots)
    (after,) = right.plot([], [], "s-", color=COLOURS[0], label="of the whitened responses", **dots)
    right.set(xlabel="direction", ylabel="variance along it", yscale="log", xlim=(0, 28), ylim=(3e-5, 300))
    right.legend(loc="upper right")
    names, share = heading(left), heading(right, fontsize=11)

    def redraw(shown: Directions) -> None:
        values, kept, side = np.asarray(shown.variances), shown.kept, np.shape(shown.filters)[2]
        image.set_data(_mosaic(shown))
        numbers = np.arange(1, len(values) + 1)
        before.set_data(numbers, values)
        after.set_data(numbers[:kept], values[:kept] / (values[:kept] + 5e-4))
        names.set_text(f"Directions of {side}×{side} patches, {kept} kept")
        share.set_text(f"{kept} of {len(values)} hold {100 * values[:kept].sum() / values.sum():.1f} % of the variance")

    return with_redraw(fig, redraw, shown)


def _mosaic(directions: Directions) -> np.ndarray:
    """(H, W, 3) in 0..1: each direction enlarged, grey where it is 0; those that are not kept are pale."""
    rows, columns = SLOTS
    step = SIDE + GAP
    whole = np.ones((rows * step - GAP, columns * step - GAP, 3))
    for i, one in enumerate(np.asarray(directions.filters, float)):
        shown = 0.5 + 0.5 * np.moveaxis(one, 0, -1) / np.abs(one).max()
        shown = shown if i < directions.kept else 0.8 + 0.2 * shown
        enlarged = np.kron(shown, np.ones((SIDE // len(shown), SIDE // len(shown), 1)))
        top, left = step * (i // columns), step * (i % columns)
        whole[top : top + SIDE, left : left + SIDE] = enlarged
    return whole


class Spectrum(NamedTuple):
    """Singular values of a matrix before and after some steps, as `singular_values` draws them."""

    title: str
    before: Sequence[float]
    after: Sequence[float]
    curve: Sequence[float]  # what the same steps make of `starts()`


@styled
def singular_values(shown: Spectrum) -> Figure:
    """What Newton-Schulz steps make of a matrix's singular values, beside what they make of any from 10⁻³ to 1.

    `redraw(shown)` takes as many values.
    """
    fig, (left, right) = canvas(2, height=3.8, sharey=True)
    for ax in (left, right):
        ax.axhspan(*NEAR_ONE, facecolor=PALE, edgecolor=GREY, linewidth=0.6, zorder=0.5)
    dots: Any = {"linestyle": "none", "markersize": 4, "animated": True, "clip_on": False}
    (line,) = left.plot([], [], color=INK, animated=True)
    (on_line,) = left.plot([], [], "o", color=COLOURS[0], **dots)
    (old,) = right.plot([], [], "o", color=COLOURS[1], label="before", **dots)
    (new,) = right.plot([], [], "s", color=COLOURS[0], label="after", **dots)
    left.set(xlabel="singular value before (logarithmic)", xscale="log", xlim=(1e-3, 1), ylim=(0, 1.5))
    left.set_ylabel("singular value after")
    right.set(xlabel="number of the singular value", xlim=(0, len(shown.before) + 1))
    right.legend(loc="upper right", ncols=2)
    words = heading(left)

    def redraw(shown: Spectrum) -> None:
        words.set_text(shown.title)
        line.set_data(starts(), shown.curve)
        on_line.set_data(shown.before, shown.after)
        for dots, values in ((old, shown.before), (new, shown.after)):
            dots.set_data(range(1, len(values) + 1), values)

    return with_redraw(fig, redraw, shown)


def starts() -> np.ndarray:
    """Singular values from 10⁻³ to 1, (200,)."""
    return np.geomspace(1e-3, 1, 200)


class Walk(NamedTuple):
    """Mean squared distance from the minimum after each step: of the weights, and of their average."""

    title: str
    last: Sequence[float]
    average: Sequence[float]


@styled
def averaged(walk: Walk) -> Figure:
    """How far the weights are from the minimum, step by step, and how far their average. `redraw(walk)`."""
    fig, ax = canvas(height=3.6)
    (last,) = ax.plot([], [], color=COLOURS[1], linewidth=1.2, animated=True, label="the weights of the last step")
    (average,) = ax.plot([], [], color=COLOURS[0], animated=True, label="their average")
    ax.set(xlabel="step", ylabel="mean squared distance\nto the minimum", yscale="log")
    ax.set(xlim=(0, len(walk.last)), ylim=(1e-3, 20))
    ax.legend(loc="upper right")
    words = heading(ax)

    def redraw(walk: Walk) -> None:
        words.set_text(walk.title)
        for line, values in ((last, walk.last), (average, walk.average)):
            line.set_data(range(1, len(values) + 1), values)

    return with_redraw(fig, redraw, walk)


@styled
def two_by_two(
    panels: Mapping[str, tuple[str, Mapping[str, Mapping[str, Sequence[float]]]]], *, caption: str = ""
) -> Figure:
    """Two tricks and both: a line for the first trick off and on, its ends the second off and on.

    Title -> (axis, first trick -> second trick -> a value per seed). Parallel lines: the gains add. The bars are 95 %
    t-intervals, where there are several values.
    """
    fig, axes = canvas(len(panels), height=3.6, caption=caption, squeeze=False)
    for ax, (title, (label, lines)) in zip(axes[0], panels.items(), strict=True):
        for (name, ends), colour, marker in zip(lines.items(), cycle(COLOURS), cycle("os"), strict=False):
            found = [t_interval(values) for values in ends.values()]
            halves = [half if math.isfinite(half) else 0 for _, half in found]
            style: Any = {"color": colour, "marker": marker, "capsize": 4, "label": name}
            ax.errorbar(list(ends), [mean for mean, _ in found], yerr=halves, **style)
        ax.set(xlabel="rate of the biases", ylabel=label, title=title)
        ax.margins(x=0.25, y=0.3)
        ax.legend(loc="best")
    return fig
