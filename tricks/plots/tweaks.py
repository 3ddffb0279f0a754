"""Plots of networks: what a layer reads of its input, and what an architecture costs (§4)."""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import cycle, zip_longest
from typing import Any

import matplotlib
import numpy as np

from tricks.plots.diagrams import BLOCK, HEIGHT, Diagram, drawn_in
from tricks.plots.evidence import SEEDS
from tricks.plots.style import (
    COLOURS,
    GREY,
    SIZE,
    SMALL,
    Figure,
    canvas,
    heading,
    on,
    signed,
    spread,
    styled,
    with_redraw,
)
from tricks.records.statistics import t_interval

DARKEST = 4  # times an even reading: the rest of the positions when three quarters go unread
NUMBERS = 8  # distinct weights that a map can name
UNREAD = "#f3b184"


@styled
def coverage(maps: Mapping[str, Any], *, columns: int = 0) -> Figure:
    """How much each input position counts in the outputs, as heat maps: label -> (H, W), 1 being an even reading.

    The first position of each weight that has room for it carries its number. Positions that count nothing are orange,
    and each title says how many they are. `columns` wraps the maps into rows. `redraw(maps)` takes as many maps of the
    same shapes, under any labels.
    """
    columns = columns or len(maps)
    rows = math.ceil(len(maps) / columns)
    side = 0.82 * SIZE[0] / columns  # inches
    fig, axes = canvas(columns, rows, height=rows * (side + 0.75), squeeze=False)
    drawn = [_map(ax, weights, side) for ax, weights in zip(axes.flat, maps.values(), strict=False)]
    for ax in axes.flat[len(maps) :]:
        ax.remove()
    bar = fig.colorbar(axes.flat[0].images[0], ax=fig.axes, extend="max", ticks=range(DARKEST + 1), aspect=25 * rows)
    bar.set_label("weight, 1 = even reading")

    def redraw(maps: Mapping[str, Any]) -> None:
        if len(maps) != len(drawn):
            raise ValueError(f"{len(maps)} maps, but {len(drawn)} are drawn")
        for (name, weights), show in zip(maps.items(), drawn, strict=True):
            show(name, weights)

    return with_redraw(fig, redraw, maps)


@styled
def block_and_coverage(shown: tuple[Diagram, str, Any]) -> Figure:
    """A block's diagram (`diagrams.block`) beside what one of its paths reads: diagram, label and map of `coverage`.

    `redraw(shown)` takes others; the map keeps its shape.
    """
    ratios: Any = {"gridspec_kw": {"width_ratios": (BLOCK, SIZE[0] - BLOCK)}}
    fig, (left, right) = canvas(2, height=HEIGHT + 0.4, **ratios)
    show_block, show_map = drawn_in(left, BLOCK), _map(right, shown[2], SIZE[0] - BLOCK - 0.3)

    def redraw(shown: tuple[Diagram, str, Any]) -> None:
        diagram, label, weights = shown
        show_block(diagram)
        fig.words += f". Heat map: {label}, {show_map(label, weights)}"

    return with_redraw(fig, redraw, shown)


def _map(ax: Any, weights: Any, side: float) -> Callable[[str, Any], str]:
    """Prepare axes `side` inches wide for maps like this one: a function that shows one and says what is not read."""
    blues = matplotlib.colormaps["Blues"].with_extremes(bad=UNREAD)
    image = ax.imshow(np.zeros(np.shape(weights)), cmap=blues, vmin=0, vmax=DARKEST, animated=True)
    middle: Any = {"ha": "center", "va": "center", "fontsize": SMALL, "bbox": {"edgecolor": "none", "pad": 1}}
    numbers = [ax.text(0, 0, "", **middle, animated=True) for _ in range(NUMBERS)]
    label, unread = heading(ax, above=21), heading(ax, lines=2, fontsize=10)
    ax.set(xlabel="column", ylabel="row", xticks=[], yticks=[])
    ax.grid(visible=False)

    def show(name: str, weights: Any) -> str:
        weights = np.asarray(weights, float)
        image.set_data(np.ma.masked_equal(weights, 0))
        places = _places(weights, 72 * side / weights.shape[1])
        for number, place in zip_longest(numbers, places):
            number.set_visible(place is not None)
            if place is not None:
                value = weights[place[1], place[0]]
                ground = blues(value / DARKEST) if value else UNREAD
                number.set(position=place, text=f"{value:.2g}", color=on(ground))
                number.get_bbox_patch().set_facecolor(ground)
        label.set_text(name)
        zeros = int((weights == 0).sum())
        unread.set(text=f"{zeros} of {weights.size} never read", color=COLOURS[1] if zeros else GREY)
        return unread.get_text()

    return show


def _places(weights: np.ndarray, cell: float) -> list[tuple[int, int]]:
    """(column, row) of a number for each distinct weight: the first where it covers none of those before it.

    `cell` is the width of a position in points. Where a number has no room at all, it stands at its first position.
    """
    rounded, taken = weights.round(5), []
    for value in np.unique(rounded)[:NUMBERS]:
        half = 0.36 * SMALL * len(f"{value:.2g}") / cell  # of the number's width, in positions
        spots = [(int(x), int(y)) for y, x in np.argwhere(rounded == value)]
        free = (
            (x, y)
            for x, y in spots
            if x >= half - 0.5
            and all(abs(x - at) >= half + its or abs(y - row) * cell >= 1.5 * SMALL for at, row, its in taken)
        )
        taken.append((*next(free, spots[0]), half))
    return [(x, y) for x, y, _ in taken]


@styled
def receptive_field(profiles: Mapping[str, Sequence[float]]) -> Figure:
    """How much each pixel column counts in one output: label -> weights of adjacent columns, an odd number of them."""
    fig, ax = canvas(height=3.6)
    for i, ((label, weights), colour) in enumerate(zip(profiles.items(), cycle(COLOURS), strict=False)):
        edges = np.arange(len(weights) + 1) - len(weights) / 2
        width = 2 + 1.5 * (len(profiles) - 1 - i)  # where two coincide, both are seen
        ax.stairs(weights, edges, color=colour, linewidth=width, label=f"{label}: {len(weights)} px")
    ax.set(xlabel="pixel column, from the middle of the output", ylabel="share of the output's weight", ylim=(0, None))
    fig.legend(loc="outside upper left", ncols=3)
    return fig


@styled
def part_costs(costs: Mapping[str, Mapping[str, float]]) -> Figure:
    """Multiply-adds of each part of some networks: label -> part -> number.

    A bar that differs from the same part of the network before says by how much.
    """
    fig, ax = canvas()
    parts = list(next(iter(costs.values())))
    width = 0.8 / len(costs)
    before: Mapping[str, float] = {}
    for i, ((label, cost), colour) in enumerate(zip(costs.items(), cycle(COLOURS), strict=False)):
        at = np.arange(len(parts)) + (i - (len(costs) - 1) / 2) * width
        millions = [cost[part] / 1e6 for part in parts]
        ax.bar(at, millions, width=0.92 * width, color=colour, label=f"{label}: {sum(millions) / 1e3:.2f} G")
        for x, height, part in zip(at, millions, parts, strict=True):
            if added := (cost[part] - before[part]) / 1e6 if before else 0:
                bold: Any = {"fontsize": SMALL, "fontweight": "bold"}
                ax.text(x, height, signed(added, 0), ha="center", va="bottom", **bold)
        before = cost
    ax.set_xticks(range(len(parts)), parts)
    ax.set(xlabel="part of the network", ylabel="multiply-adds per picture, M")
    ax.grid(axis="x", visible=False)
    fig.legend(loc="outside upper left", ncols=len(costs))
    return fig


Points = Mapping[str, tuple[Sequence[float], Sequence[float]]]


@styled
def accuracy_cost(panels: Mapping[str, tuple[str, Points]], *, caption: str = "") -> Figure:
    """Accuracy against cost, a panel each: title -> (what the cost is, label -> (costs, accuracies)).

    Both have a value per seed or a single one. A large dot is the mean, its bar the 95 % t-interval of the accuracy,
    small rings are the seeds. A label has one colour in all panels, and labels whose costs are closer than a dot is
    wide stand side by side.
    """
    fig, axes = canvas(len(panels), caption=caption, squeeze=False)
    labels = list(dict.fromkeys(label for _, points in panels.values() for label in points))
    colours = dict(zip(labels, cycle(COLOURS), strict=False))
    handles = {}
    for ax, (title, (xlabel, points)) in zip(axes.flat, panels.items(), strict=True):
        centres = [t_interval(costs)[0] for costs, _ in points.values()]
        places = spread(centres, 0.07 * (max(centres) - min(centres)))
        for i, (label, (costs, accuracies)) in enumerate(points.items()):
            x, (y, half) = centres[i], t_interval(accuracies)
            shift = places[i] - x
            style: Any = {"color": colours[label], "fmt": "o", "markersize": 8, "capsize": 4, "linewidth": 1.5}
            handles[label] = ax.errorbar(x + shift, y, yerr=half, **style)
            if len(accuracies) > 1:
                cloud = np.array(costs if len(costs) == len(accuracies) else [x] * len(accuracies)) + shift
                ax.plot(cloud, accuracies, "o", color=colours[label], **SEEDS)
        ax.set(xlabel=xlabel, ylabel="top-1 accuracy, %", title=title)
        ax.margins(0.15)
    fig.legend(handles.values(), handles.keys(), loc="outside upper left", ncols=len(handles))
    return fig
