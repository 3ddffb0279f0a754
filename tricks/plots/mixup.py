"""Plots for mixup: a mixed picture, the distribution of λ, and what a network learns between its points (§5.4)."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from contourpy import contour_generator
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap, ListedColormap
from scipy.special import betainc, betaln

from tricks.mixup import _positive, lighter_weight, near_ends
from tricks.plots.style import COLOURS, GREY, INK, LIGHT, PALE, SMALL, Figure, canvas, styled, with_redraw
from tricks.plots.text import short

ALPHAS = (0.05, 4.0)  # of the plot of Beta(α, α)
LIMIT = 1.8  # the plane is drawn from -LIMIT to LIMIT
TWO_CLASSES = LinearSegmentedColormap.from_list("two classes", [COLOURS[0], LIGHT, COLOURS[1]], N=20)
PURE = ListedColormap(COLOURS[:2])


@styled
def mixed_pair(
    pictures: Any,
    classes: Sequence[str],
    mixed: tuple[Any, Any],
    *,
    how: str = r"$\hat{x} = \lambda x_i + (1 - \lambda) x_j$",
) -> Figure:
    """Two pictures, their mixture between them, and its target (§5.4, eq. 7 and 8).

    Pictures are (H, W, 3) in 0..255; `mixed` is (picture, target (K,)). `redraw(mixed)` moves picture and target.
    `how` stands over the mixture.
    """
    fig, axes = canvas(4, height=2.7, width_ratios=[1, 1, 1, 1.15])
    first, middle, last, right = axes
    for ax, picture, title in ((first, pictures[0], "$x_i$"), (last, pictures[1], "$x_j$")):
        ax.imshow(np.asarray(picture) / 255)
        ax.set_title(title, loc="center")
    mixture = middle.imshow(np.zeros_like(pictures[0]), animated=True)
    middle.set_title(how, loc="center", fontsize=11)
    for ax in (first, middle, last):
        ax.axis("off")
    places = range(len(classes))
    bars = right.barh(places, [0.0] * len(classes), color=COLOURS[0], animated=True)
    numbers = [right.text(0, place, "", va="center", fontsize=SMALL, animated=True) for place in places]
    right.set(xlabel=r"target $\hat{y}$", xlim=(0, 1.25), xticks=(0, 0.5, 1), ylim=(len(classes) - 0.4, -0.6))
    right.set_yticks(places, [short(name) for name in classes])
    right.grid(axis="y", visible=False)

    def redraw(mixed: tuple[Any, Any]) -> None:
        picture, target = (np.asarray(part, float) for part in mixed)
        mixture.set_data(np.clip(picture / 255, 0, 1))
        for bar, number, share in zip(bars, numbers, target, strict=True):
            bar.set_width(share)
            number.set(x=share + 0.03, text=f"{share:.2f}" if share else "")

    return with_redraw(fig, redraw, mixed)


@styled
def beta_density(alpha: float = 0.2) -> Figure:
    """The density of λ ~ Beta(α, α), beside what it means for a batch, against α (§5.4). `redraw(alpha)` moves both."""
    fig, (left, right) = canvas(2)
    edges = np.linspace(0, 1, 11)
    colours = [COLOURS[1], *[PALE] * 8, COLOURS[1]]
    bars = left.bar(edges[:-1], [0.0] * 10, 0.1, align="edge", color=colours, edgecolor=GREY, animated=True)
    lam = np.linspace(0, 1, 401)[1:-1]
    (line,) = left.plot([], [], color=INK, animated=True, label="density")
    left.bar([0], [0], color=PALE, edgecolor=GREY, label="mean density over a tenth")
    left.bar([0], [0], color=COLOURS[1], edgecolor=GREY, label="within 0.1 of 0 or 1")
    words = {"transform": left.transAxes, "ha": "center", "va": "top", "linespacing": 1.4}
    numbers = left.text(0.5, 0.76, "", animated=True, **words)
    left.set(xlabel="weight λ of the first picture", ylabel="density", title="Beta(α, α)", xlim=(0, 1), ylim=(0, 5))
    left.legend(loc="upper center")

    alphas = np.geomspace(*ALPHAS, 80)
    moving = []
    for measure, colour, label in (
        (near_ends, COLOURS[1], "draws within 0.1 of 0 or 1"),
        (lighter_weight, COLOURS[2], "mean weight of the lighter picture"),
    ):
        right.plot(alphas, [100 * measure(a) for a in alphas], color=colour, label=label)
        (point,) = right.plot([], [], "o", color=colour, markersize=9, animated=True)
        moving.append((measure, point))
    right.plot([0.2, 0.2], [0, 100], color=GREY, linestyle="--", linewidth=1.5, label="the paper's α = 0.2")
    right.set(xlabel="α (logarithmic)", ylabel="%", title="How much is mixed", xscale="log", ylim=(0, 130))
    right.set_xticks((0.05, 0.1, 0.2, 0.5, 1, 2, 4), ("0.05", "0.1", "0.2", "0.5", "1", "2", "4"))
    right.set_xticks([], minor=True)
    right.set_yticks(range(0, 101, 20))
    right.legend(loc="upper right")

    def redraw(alpha: float = alpha) -> None:
        mass = np.diff(betainc(_positive(alpha), alpha, edges))
        for bar, share in zip(bars, mass, strict=True):
            bar.set_height(10 * share)
        line.set_data(lam, np.exp((alpha - 1) * np.log(lam * (1 - lam)) - betaln(alpha, alpha)))
        ends, lighter = (100 * measure(alpha) for measure, _ in moving)
        numbers.set_text(f"α = {alpha:g}\nwithin 0.1 of 0 or 1: {ends:.1f} %\nmean lighter weight: {lighter:.1f} %")
        for measure, point in moving:
            point.set_data([alpha], [100 * measure(alpha)])

    return with_redraw(fig, redraw, alpha)


class Plane(NamedTuple):
    """A network with two classes on the plane, as `decision_map` draws it."""

    points: Any  # (N, 2), the training points
    labels: Any  # (N,) of 0 and 1
    mixed_points: Any  # (M, 2), what the network was given
    mixed_targets: Any  # (M,) in [0, 1], share of class 1 in the target
    probability: Any  # (n, n) of class 1 at `grid(n)`: a row for each height, from below


def grid(n: int) -> np.ndarray:
    """The centres of n × n cells of the square [-LIMIT, LIMIT]², (n·n, 2), row by row from below."""
    centres = LIMIT * ((2 * np.arange(n) + 1) / n - 1)
    x, y = np.meshgrid(centres, centres)
    return np.stack([x.ravel(), y.ravel()], axis=1)


@styled
def decision_map(plane: Plane) -> Figure:
    """Points and targets that a network is trained on, beside the probabilities that it then gives to the plane.

    The line is the decision boundary, where both classes have ½. `redraw(plane)` takes another plane.
    """
    fig, (left, right) = canvas(2, height=3.8)
    square = (-LIMIT, LIMIT)
    share = {"vmin": 0, "vmax": 1, "animated": True}
    marks = {"c": [], "antialiased": False, **share}  # few colours make a small PNG
    cloud = left.scatter([], [], s=18, cmap=TWO_CLASSES, linewidth=0, **marks)
    shades = right.imshow(
        [[0.0]], extent=square * 2, origin="lower", interpolation="nearest", cmap=TWO_CLASSES, **share
    )
    boundary = right.add_collection(LineCollection([], colors=INK, linewidths=2, animated=True))
    dots = right.scatter([], [], s=30, cmap=PURE, linewidth=0.9, edgecolor="white", **marks)
    for ax, title in ((left, "What it is trained on"), (right, "What it says")):
        ax.set(title=title, xlabel="first coordinate", xlim=square, ylim=square, aspect="equal")
    left.set_ylabel("second coordinate")
    right.set_yticklabels([])
    right.grid(visible=False)
    bar = fig.colorbar(shades, ax=right, ticks=(0, 0.25, 0.5, 0.75, 1), shrink=0.9)
    bar.set_label("orange: target (left),\nprobability (right)", fontsize=SMALL)
    bar.outline.set_visible(False)

    def redraw(plane: Plane) -> None:
        for scatter, points, targets in (
            (cloud, plane.mixed_points, plane.mixed_targets),
            (dots, plane.points, plane.labels),
        ):
            scatter.set_offsets(points)
            scatter.set_array(np.asarray(targets, float))
        probability = np.asarray(plane.probability, float)
        shades.set_data(probability)
        centres = grid(len(probability))[: len(probability), 0]
        boundary.set_segments(contour_generator(centres, centres, probability).lines(0.5))

    return with_redraw(fig, redraw, plane)
