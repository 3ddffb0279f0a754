"""Plots of networks: what a layer reads of its input, and what an architecture costs (§4)."""

import math
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import matplotlib
import numpy as np

from tricks.plots.style import COLOURS, GREY, INK, SIZE, Figure, canvas, heading, signed, styled, with_redraw
from tricks.records.statistics import t_interval

DARKEST = 4  # times an even reading: the rest of the positions when three quarters go unread
NUMBERS = 8  # distinct weights that a map can name


@styled
def coverage(maps: Mapping[str, Any], *, columns: int = 0) -> Figure:
    """How much each input position counts in the outputs, as heat maps: label -> (H, W), 1 being an even reading.

    The first position of each weight carries its number. Positions that count nothing are orange, and each title says
    how many they are. `columns` wraps the maps into rows. `redraw(maps)` takes as many maps of the same shapes, under
    any labels.
    """
    columns = columns or len(maps)
    rows = math.ceil(len(maps) / columns)
    side = 0.82 * SIZE[0] / columns  # inches
    fig, axes = canvas(columns, rows, height=rows * (side + 0.75), squeeze=False)
    blues = matplotlib.colormaps["Blues"].with_extremes(bad="#F3B184")
    drawn = []
    for ax, weights in zip(axes.flat, maps.values(), strict=False):
        image = ax.imshow(np.zeros(np.shape(weights)), cmap=blues, vmin=0, vmax=DARKEST, animated=True)
        middle: Any = {"ha": "center", "va": "center", "fontsize": min(10, 25 * side / len(weights))}
        numbers = [ax.text(0, 0, "", **middle, animated=True) for _ in range(NUMBERS)]
        ax.set_title(" \n ", fontsize=12)  # room for the next two
        label, unread = heading(ax, above=21), heading(ax, fontsize=10)
        ax.set(xlabel="column", ylabel="row", xticks=[], yticks=[])
        ax.grid(visible=False)
        drawn.append((image, numbers, label, unread))
    for ax in axes.flat[len(maps) :]:
        ax.remove()
    bar = fig.colorbar(drawn[0][0], ax=fig.axes, extend="max", ticks=range(DARKEST + 1), aspect=25 * rows)
    bar.set_label("weight, 1 = even reading")

    def redraw(maps: Mapping[str, Any]) -> None:
        if len(maps) != len(drawn):
            raise ValueError(f"{len(maps)} maps, but {len(drawn)} are drawn")
        for (name, weights), (image, numbers, label, unread) in zip(maps.items(), drawn, strict=True):
            weights = np.asarray(weights, float)
            image.set_data(np.ma.masked_equal(weights, 0))
            firsts = np.unique(weights.round(5), return_index=True)[1]
            for number, first in zip(numbers, [*firsts, *[None] * NUMBERS], strict=False):
                number.set_visible(first is not None)
                if first is not None:
                    y, x = divmod(int(first), weights.shape[1])
                    colour = "white" if weights[y, x] > 0.6 * DARKEST else INK
                    number.set(position=(x, y), text=f"{weights[y, x]:.2g}", color=colour)
            label.set_text(name)
            zeros = int((weights == 0).sum())
            unread.set(text=f"{zeros} of {weights.size} never read", color=COLOURS[1] if zeros else GREY)

    return with_redraw(fig, redraw, maps)


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
                bold: Any = {"fontsize": 9, "fontweight": "bold"}
                ax.text(x, height, signed(added, 0), color=colour, ha="center", va="bottom", **bold)
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
    small dots are the seeds. A label has one colour in all panels, and labels of the same cost stand side by side.
    """
    fig, axes = canvas(len(panels), caption=caption, squeeze=False)
    labels = list(dict.fromkeys(label for _, points in panels.values() for label in points))
    colours = dict(zip(labels, cycle(COLOURS), strict=False))
    handles = {}
    for ax, (title, (xlabel, points)) in zip(axes.flat, panels.items(), strict=True):
        centres = [t_interval(costs)[0] for costs, _ in points.values()]
        gap = 0.05 * (max(centres) - min(centres))
        for i, (label, (costs, accuracies)) in enumerate(points.items()):
            x, (y, half) = centres[i], t_interval(accuracies)
            shift = gap * (centres[:i].count(x) - (centres.count(x) - 1) / 2)
            style: Any = {"color": colours[label], "fmt": "o", "markersize": 8, "capsize": 4, "linewidth": 1.5}
            handles[label] = ax.errorbar(x + shift, y, yerr=half, **style)
            if len(accuracies) > 1:
                cloud = np.array(costs if len(costs) == len(accuracies) else [x] * len(accuracies)) + shift
                ax.plot(cloud, accuracies, "o", color=colours[label], alpha=0.35, markersize=4, markeredgewidth=0)
        ax.set(xlabel=xlabel, ylabel="top-1 accuracy, %", title=title)
        ax.margins(0.15)
    fig.legend(handles.values(), handles.keys(), loc="outside upper left", ncols=len(handles))
    return fig
