"""Plots of pictures, and of the way down a loss (§2.1)."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tricks.plots.style import LIGHT, SIZE, Figure, canvas, styled, with_redraw
from tricks.plots.text import short

LETTER = 0.08  # inches that a letter of a picture's title takes


@styled
def images_grid(images: Sequence[Any], titles: Sequence[str] = (), *, columns: int = 6, caption: str = "") -> Figure:
    """Pictures in a grid: (H, W, 3) uint8, or floats in [0, 1]. ValueError on anything else.

    Titles, of one line or more, are drawn as they are, and shortened where they are wider than the picture.
    """
    images = [np.asarray(image) for image in images]
    for image in images:
        ok = image.dtype == np.uint8 or (image.dtype.kind == "f" and image.min() >= 0 and image.max() <= 1)
        if image.ndim != 3 or image.shape[2] != 3 or not ok:
            raise ValueError(f"a picture is (H, W, 3) uint8 or floats in [0, 1]; got {image.shape} {image.dtype}")
    columns = min(columns, len(images))
    room = int(SIZE[0] / columns / LETTER)
    titles = ["\n".join(short(line, room) for line in title.split("\n")) for title in titles]
    rows = math.ceil(len(images) / columns)
    line = 0.22 * max((title.count("\n") + 1 for title in titles), default=0)
    height = min(rows * (SIZE[0] / columns + line), 9.0) + (0.35 if caption else 0.1)
    fig, axes = canvas(columns, rows, height=height, caption=caption, squeeze=False)
    for i, ax in enumerate(axes.flat):
        ax.axis("off")
        if i < len(images):
            ax.imshow(images[i], interpolation="nearest")
            ax.set_anchor("N")  # titles in one line though pictures differ in height
            ax.set_title(titles[i] if titles else "", fontsize=10, loc="center")
    return fig


@styled
def contour_paths(
    loss: Callable[[Any, Any], Any],
    paths: Mapping[str, Any],
    *,
    xlim: tuple[float, float],
    ylim: tuple[float, float],
    xlabel: str = "weight $w_1$",
    ylabel: str = "weight $w_2$",
) -> Figure:
    """Contours of a loss in the plane, and where optimisers went: label -> (n, 2) points.

    `loss(x, y)` takes arrays of one shape. `redraw(paths)` takes new paths with the same labels.
    """
    fig, ax = canvas()
    x, y = np.meshgrid(np.linspace(*xlim, 120), np.linspace(*ylim, 120))
    z = np.asarray(loss(x, y))
    levels = np.quantile(z, np.linspace(0, 1, 16) ** 1.5)
    ax.contourf(x, y, z, levels=levels, cmap="Greys_r", alpha=0.35)
    ax.contour(x, y, z, levels=levels, colors=LIGHT, linewidths=0.7)
    moving = {"marker": "o", "markersize": 3.5, "linewidth": 1.5, "animated": True}
    lines = {label: ax.plot([], [], label=label, **moving)[0] for label in paths}
    ax.set(xlabel=xlabel, ylabel=ylabel, xlim=xlim, ylim=ylim)
    ax.grid(visible=False)
    fig.legend(loc="outside right upper")

    def redraw(paths: Mapping[str, Any]) -> None:
        for label, line in lines.items():
            points = np.asarray(paths[label], float)
            line.set_data(points[:, 0], points[:, 1])

    return with_redraw(fig, redraw, paths)
