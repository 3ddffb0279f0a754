"""Plots of masks: classes of pixels, what one output reads, and where a prediction is right (§6.2)."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, PowerNorm, to_rgb
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.patheffects import withStroke

from tricks.plots.style import (
    COLOURS,
    INK,
    LIGHT,
    PALE,
    SIZE,
    SMALL,
    Figure,
    canvas,
    heading,
    on,
    spread,
    styled,
    with_redraw,
)
from tricks.plots.text import short
from tricks.records.statistics import t_interval

OPACITY = 0.6  # of a class's colour on the picture
# what a predicted pixel is, and its colour
FATES = {"found": COLOURS[0], "false alarm": COLOURS[1], "missed": COLOURS[3]}


def grey(picture: Any) -> np.ndarray:
    """A picture uint8 (H, W, 3) in 32 greys, floats (H, W, 3) in [0, 1]: colours are left to the masks."""
    luma = np.asarray(picture, float) @ (0.299, 0.587, 0.114) / 255
    return np.repeat((luma * 31).round()[..., None] / 31, 3, axis=2)


def painted(base: np.ndarray, mask: Any, colours: Sequence[str] = COLOURS) -> np.ndarray:
    """A grey picture with number k of a mask (H, W) in the k-th colour, from 1 on and again from the first on."""
    mask = np.asarray(mask, int)
    table = np.array([to_rgb(colour) for colour in colours])
    image, there = base.copy(), mask > 0
    image[there] = (1 - OPACITY) * image[there] + OPACITY * table[(mask[there] - 1) % len(table)]
    return image


def fates(predicted: Any, truth: Any) -> np.ndarray:
    """For each pixel of two masks (H, W) of booleans: 0 rightly left out, or the number of its fate in `FATES`."""
    predicted, truth = np.asarray(predicted, bool), np.asarray(truth, bool)
    return np.where(predicted, np.where(truth, 1, 2), np.where(truth, 3, 0))


@styled
def masks(picture: Any, labels: Mapping[str, Any]) -> Figure:
    """A picture uint8 (H, W, 3) beside masks of it, title -> (H, W): 0 stays grey, every other number has a colour."""
    height, width = np.shape(picture)[:2]
    columns = 1 + len(labels)
    fig, axes = canvas(columns, height=8 / columns * height / width + 0.3)
    images = {
        "the picture": np.asarray(picture),
        **{name: painted(grey(picture), mask) for name, mask in labels.items()},
    }
    for ax, (title, image) in zip(axes, images.items(), strict=True):
        bare(ax).imshow(image, interpolation="nearest")
        ax.set_title(title, fontsize=11)
    return fig


def bare(ax: Axes) -> Axes:
    """Axes without their frame, for a picture."""
    ax.axis("off")
    ax.grid(visible=False)
    return ax


@styled
def counted(truth: Any, predicted: Any, classes: Sequence[str]) -> Figure:
    """True and predicted classes (H, W) of a few pixels, and the confusion matrix that counts them.

    Wrong pixels are framed. A class's IoU is its number on the diagonal over the sum of its row and column, the
    diagonal once (§6.2).
    """
    from seaborn import heatmap

    truth, predicted = np.asarray(truth, int), np.asarray(predicted, int)
    matrix = np.zeros((len(classes), len(classes)), int)
    np.add.at(matrix, (truth, predicted), 1)
    fig, (left, middle, right) = canvas(3, height=3.3)
    shades = ListedColormap([PALE, *COLOURS[: len(classes) - 1]])
    numbers: Any = {"annot": True, "fmt": "d", "annot_kws": {"color": INK}, "cbar": False, "square": True}
    for ax, values, title in ((left, truth, "truth"), (middle, predicted, "prediction")):
        plain: Any = {"alpha": 0.55, "xticklabels": False, "yticklabels": False}
        heatmap(values, cmap=shades, vmin=0, vmax=len(classes) - 1, ax=ax, **plain, **numbers)
        ax.set(title=title, xlabel="column", ylabel="row")
    for row, column in np.argwhere(truth != predicted):
        middle.add_patch(Rectangle((column + 0.04, row + 0.04), 0.92, 0.92, fill=False, edgecolor=INK, linewidth=2))
    names = [f"{number} {short(name)}" for number, name in enumerate(classes)]
    heatmap(matrix, cmap="Blues", vmin=0, vmax=2 * matrix.max(), yticklabels=names, ax=right, **numbers)
    right.set(title="pixels", xlabel="predicted class", ylabel="true class")
    for text in right.texts[:: len(classes) + 1]:
        text.set_fontweight("bold")
    return fig


@styled
def windows(readings: Mapping[str, tuple[Any, int]]) -> Figure:
    """What one output reads of a grid, as heat maps: label -> ((n, n) weights, step between outputs in the grid).

    Dots stand where outputs are computed, so that one sees how far apart neighbours read.
    """
    fig, axes = canvas(len(readings), height=8 / len(readings) + 1.0, squeeze=False)
    for ax, (label, (weights, step)) in zip(axes.flat, readings.items(), strict=True):
        weights = np.asarray(weights, float)
        side, middle = len(weights), len(weights) // 2
        image = np.ma.masked_equal(weights / weights.max(), 0)
        ax.imshow(image, cmap="Blues", norm=PowerNorm(0.4, 0, 1), interpolation="nearest")
        at = np.arange(middle % step, side, step)
        x, y = np.meshgrid(at, at)
        dots: Any = {"color": COLOURS[1], "markersize": 3 if step == 1 else 6, "markeredgecolor": "white"}
        ax.plot(x.ravel(), y.ravel(), "o", markeredgewidth=0.5, **dots)
        rows = np.flatnonzero(weights.any(1))
        ax.set_title(f"{label}\nreads {rows[-1] - rows[0] + 1} rows", fontsize=11)
        ax.set(xlabel="column of the map", ylabel="row", xlim=(-0.5, side - 0.5), ylim=(side - 0.5, -0.5))
        ax.set(xticks=[], yticks=[])
        ax.grid(visible=False)
        for spine in ax.spines.values():
            spine.set_visible(True)
    handles = [
        Patch(color=COLOURS[0], label="read by the output in the middle; darker counts more"),
        Line2D([], [], color=COLOURS[1], marker=".", linestyle="", label="where outputs are computed"),
    ]
    fig.legend(handles=handles, loc="outside upper left", ncols=2)
    return fig


@styled
def feature_maps(picture: Any, maps: Mapping[str, tuple[Any, int]]) -> Figure:
    """A picture beside one channel of feature maps of it: label -> ((h, w) values, how far apart they are).

    Distances are in places of the finest map. All maps share one colour scale. Framed are the places at which the
    coarsest of them has a value.
    """
    height, width = np.shape(picture)[:2]
    columns = 1 + len(maps)
    fig, axes = canvas(columns, height=8 / columns * height / width + 0.7)
    values = np.concatenate([np.ravel(grid) for grid, _ in maps.values()])
    coarsest, spacing = max(maps.values(), key=lambda pair: pair[1])
    y, x = spacing * np.mgrid[0 : len(coarsest), 0 : np.shape(coarsest)[1]]
    frame = (-spacing / 2, x.max() + spacing / 2, y.max() + spacing / 2, -spacing / 2)
    finest = min(maps.values(), key=lambda pair: pair[1])
    bare(axes[0]).imshow(grey(picture), extent=_extent(*finest), interpolation="nearest")
    axes[0].set(xlim=frame[:2], ylim=frame[2:])
    axes[0].set_title("the picture", fontsize=11)
    for ax, (label, (grid, step)) in zip(axes[1:], maps.items(), strict=True):
        rows, columns = np.shape(grid)
        shades: Any = {"cmap": "Blues", "vmin": values.min(), "vmax": values.max(), "interpolation": "nearest"}
        bare(ax).imshow(grid, extent=_extent(grid, step), **shades)
        frames: Any = {"color": COLOURS[1], "fillstyle": "none", "markersize": 5, "markeredgewidth": 1.2}
        halo = withStroke(linewidth=3.5, foreground="white")  # to be seen on every blue
        ax.plot(x.ravel(), y.ravel(), "s", path_effects=[halo], **frames)
        ax.set(xlim=frame[:2], ylim=frame[2:])
        ax.set_title(f"{label}\n{rows} × {columns} places", fontsize=11)
    return fig


def _extent(grid: Any, step: int) -> tuple[float, float, float, float]:
    """Where a map lies whose values are `step` apart and begin at 0: left, right, bottom, top."""
    rows, columns = np.shape(grid)
    return -step / 2, (columns - 0.5) * step, (rows - 0.5) * step, -step / 2


@styled
def coarse_truth(
    picture: Any,
    truth: Any,
    by_stride: Mapping[int, Any],
    scores: Mapping[str, Mapping[int, float]],
    output_stride: int = 32,
) -> Figure:
    """The mask that is left of the truth on a coarse grid, and what it scores against the output stride.

    `truth` and `by_stride[s]` are (H, W) booleans; `scores` is metric -> stride -> per cent, over many pictures.
    `redraw(output_stride)`.
    """
    shape: Any = {"gridspec_kw": {"width_ratios": (1.25, 1)}}
    fig, (left, right) = canvas(2, height=3.9, **shape)
    base = grey(picture)
    image = bare(left).imshow(base, interpolation="nearest", animated=True)
    title = heading(left, fontsize=11)
    strides = list(by_stride)
    points = []
    for (label, values), colour in zip(scores.items(), COLOURS, strict=False):
        right.plot(strides, [values[stride] for stride in strides], "o-", color=colour, markersize=4)
        (point,) = right.plot([], [], "o", color=colour, markersize=10, animated=True)
        place: Any = {"transform": right.transAxes, "va": "bottom", "fontweight": "bold", "animated": True}
        words = right.text(0.04, 0.04 + 0.1 * len(points), "", color=colour, **place)  # what stands in for a legend
        points.append((label, values, point, words))
    right.set_xscale("log", base=2)
    right.set_xticks(strides, [str(stride) for stride in strides])
    lowest = min(min(values.values()) for values in scores.values())
    right.set(xlabel="output stride, px", ylabel="all pictures, %", xlim=(min(strides) * 0.8, max(strides) * 1.25))
    right.set(ylim=(min(90, lowest - 12), 101))
    fates_legend(fig)

    def redraw(output_stride: int = output_stride) -> None:
        image.set_data(painted(base, fates(by_stride[output_stride], truth), list(FATES.values())))
        height, width = (-(-side // output_stride) for side in np.shape(truth))
        title.set_text(f"output stride {output_stride}: {height} × {width} places")
        for label, values, point, words in points:
            point.set_data([output_stride], [values[output_stride]])
            words.set_text(f"{label} {values[output_stride]:.1f} %")

    return with_redraw(fig, redraw, output_stride)


def fates_legend(fig: Figure) -> None:
    """Which colour is which fate."""
    handles = [Patch(color=colour, label=label) for label, colour in FATES.items()]
    fig.legend(handles=handles, loc="outside upper left", ncols=3)


def iou(predicted: Any, truth: Any) -> float:
    """Intersection over union of two masks (H, W) of booleans, in per cent; 100 if both are empty."""
    union = np.logical_or(predicted, truth).sum()
    return 100 * float(np.logical_and(predicted, truth).sum() / union) if union else 100.0


@styled
def side_by_side(
    pictures: Sequence[Any],
    truths: Sequence[Any],
    probabilities: Mapping[str, Sequence[Any]],
    picture: int = 0,
    threshold: float = 0.5,
    *,
    caption: str = "",
) -> Figure:
    """Masks of several networks for one picture: the pixels whose probability is at least a threshold.

    `pictures` uint8 (H, W, 3), `truths` (H, W) booleans, `probabilities` network -> (H, W) in [0, 1] for each picture.
    `redraw(picture, threshold)`.
    """
    widest = max(np.shape(image)[1] / np.shape(image)[0] for image in pictures)
    columns = len(probabilities)
    fig, axes = canvas(columns, height=8 / columns / widest + 0.95, caption=caption, squeeze=False)
    greys, moving = [grey(image) for image in pictures], []
    for ax, (label, maps) in zip(axes.flat, probabilities.items(), strict=True):
        image = bare(ax).imshow(greys[0], interpolation="nearest", aspect="equal", animated=True)
        ax.autoscale(False)  # pictures of all shapes share the axes
        ax.set(xlim=(0, widest), ylim=(0, 1))
        moving.append((label, maps, image, heading(ax, fontsize=11)))
    fates_legend(fig)

    def redraw(picture: int = picture, threshold: float = threshold) -> None:
        height, width = np.shape(pictures[picture])[:2]
        left = (widest - width / height) / 2
        for label, maps, image, words in moving:
            predicted = np.asarray(maps[picture]) >= threshold
            image.set_data(painted(greys[picture], fates(predicted, truths[picture]), list(FATES.values())))
            image.set_extent((left, left + width / height, 0, 1))
            words.set_text(f"{label}: IoU {iou(predicted, truths[picture]):.0f} % at p ≥ {threshold:.2f}")

    return with_redraw(fig, redraw, picture, threshold)


Scores = Mapping[str, tuple[Sequence[float], Sequence[float]]]


@styled
def classifier_and_task(
    panels: Mapping[str, tuple[str, Scores]], xlabel: str, *, height: float = SIZE[1], caption: str = ""
) -> Figure:
    """How backbones do on another task against how they classify, a panel each: title -> (y label, scores).

    `scores` is backbone -> (accuracies, values of the task), one per seed or a single one: their means, and the
    task's 95 % t-interval. Backbones are numbered in their order; where each is a single value, a line follows it.
    Those closer than a dot is wide stand side by side.
    """
    fig, axes = canvas(len(panels), height=height, caption=caption, squeeze=False)
    names = list(dict.fromkeys(name for _, scores in panels.values() for name in scores))
    colours = dict(zip(names, cycle([*COLOURS, INK]), strict=False))
    for ax, (title, (ylabel, scores)) in zip(axes.flat, panels.items(), strict=True):
        means = [t_interval(across)[0] for across, _ in scores.values()]
        places = spread(means, 0.085 * (max(means) - min(means)))
        centres = [(x, *t_interval(up)) for x, (_, up) in zip(places, scores.values(), strict=True)]
        if all(len(up) == 1 for _, up in scores.values()):  # where there are intervals, the order is part of the noise
            ax.plot([x for x, _, _ in centres], [y for _, y, _ in centres], color=LIGHT, linewidth=1.5, zorder=1)
        for name, (x, y, half) in zip(scores, centres, strict=True):
            bar: Any = {"yerr": half, "capsize": 4, "linewidth": 1.5}
            ax.errorbar(x, y, fmt="o", color=colours[name], markersize=15, markeredgecolor="white", **bar)
            number: Any = {"color": on(colours[name]), "fontsize": SMALL, "fontweight": "bold", "zorder": 5}
            ax.text(x, y, str(names.index(name) + 1), ha="center", va="center_baseline", **number)
        ax.set(xlabel=xlabel, ylabel=ylabel, title=title)
        ax.margins(0.12)
    handles = [
        Line2D([], [], color=colours[name], marker="o", linestyle="", markersize=8, label=f"{number} {name}")
        for number, name in enumerate(names, start=1)
    ]
    fig.legend(handles=handles, loc="outside upper left", ncols=4)
    return fig
