"""Plots for what a teacher says and how hard it pulls (§5.3)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import NullLocator

from tricks.plots.style import COLOURS, GREY, INK, SMALL, Figure, canvas, heading, styled, with_redraw
from tricks.plots.text import short


@styled
def soft_targets(
    images: Sequence[Any],
    logits: Any,
    labels: Sequence[int],
    classes: Sequence[str],
    temperature: float = 4.0,
) -> Figure:
    """Pictures above the softmax of their logits divided by T: what a teacher tells its student (§5.3).

    `images` are (H, W, 3), `logits` (N, K), `labels` the right classes, whose bars differ in colour. Above the bars
    stand T and the entropy −Σ p log p; the three largest have their value; the dashed line is 1/K, where all classes
    are alike. `redraw(temperature)`.
    """
    logits, names = np.asarray(logits, float), [short(name) for name in classes]
    n, k = logits.shape
    shape = {"gridspec_kw": {"height_ratios": (1.0, 2.1)}, "squeeze": False}
    fig, (above, below) = canvas(n, 2, height=5.0, **shape)
    moving = []
    for ax, bars_ax, image, label, r in zip(above, below, images, labels, logits, strict=True):
        ax.axis("off")
        ax.imshow(image, interpolation="nearest")
        ax.set_title(f"label: {short(classes[label], 16)}", fontsize=SMALL, loc="center")
        bars_ax.set(xlim=(0, 1.25), ylim=(k - 0.5, -0.5), xlabel="probability", xticks=(0, 0.5, 1), yticks=range(k))
        bars_ax.set_yticklabels(names if bars_ax is below[0] else [])
        bars_ax.axvline(1 / k, color=GREY, linestyle="--", linewidth=1)
        bars_ax.grid(axis="y", visible=False)
        colours = [COLOURS[1] if i == label else COLOURS[0] for i in range(k)]
        bars = bars_ax.barh(range(k), [0.0] * k, color=colours, animated=True)
        largest = r.argsort()[-3:]  # at every T
        values = [(i, bars_ax.text(0, i, "", va="center", fontsize=SMALL, animated=True)) for i in largest]
        moving.append((bars, values, heading(bars_ax, fontsize=10)))

    def redraw(temperature: float = temperature) -> None:
        for (bars, values, words), p in zip(moving, softmax(logits / temperature), strict=True):
            for bar, probability in zip(bars, p, strict=True):
                bar.set_width(probability)
            for i, value in values:
                value.set(x=max(p[i], 1 / k) + 0.03, text=f"{p[i]:.3f}")
            words.set_text(f"T = {temperature:g}, entropy {-np.sum(p * np.log(np.maximum(p, 1e-300))):.2f} nats")

    return with_redraw(fig, redraw, temperature)


def softmax(logits: Any) -> np.ndarray:
    """Softmax over the last axis, for plots that a slider redraws without torch."""
    shifted = np.exp(logits - np.max(logits, axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


@styled
def soft_gradient(
    temperatures: Sequence[float],
    gradients: Any,
    limit: Any,
    classes: Sequence[str],
    temperature: float = 4.0,
    *,
    hard: float | None = None,
) -> Figure:
    """How hard the soft term of eq. 6 pulls at the logits: on one picture, and on average against T (§5.3).

    `gradients` (temperatures, N, K) are those of T² · ℓ(softmax(r/T), softmax(z/T)) in z, one picture at a time;
    `limit` (N, K) is what they tend to for large T. The left panel shows the first picture, the right one the mean norm
    over all of them with the factor T² and without it; `hard` is the mean norm of the term on the labels.
    `redraw(temperature)` moves to the nearest of `temperatures`.
    """
    ts, gradients, limit = (np.asarray(values, float) for values in (temperatures, gradients, limit))
    k = limit.shape[1]
    norm = np.linalg.norm(gradients, axis=2).mean(1)
    fig, (left, right) = canvas(2)
    bars = left.barh(range(k), [0.0] * k, color=COLOURS[0], animated=True, label="gradient at this T")
    mark = {"color": INK, "fillstyle": "none", "markersize": 7, "zorder": 3, "animated": True}
    (marks,) = left.plot(limit[0], range(k), "D", label="limit for large T", **mark)
    left.axvline(0, color=GREY, linewidth=1)
    widest = 1.08 * max(np.abs(gradients[:, 0]).max(), np.abs(limit[0]).max())
    left.set(xlabel="gradient at the logit, with T²", yticks=range(k), xlim=(-widest, widest), ylim=(k - 0.5, -0.5))
    left.set_yticklabels([short(name) for name in classes])
    left.set_title("One picture")
    left.grid(axis="y", visible=False)

    lines = {"with T²": norm, "without T²": norm / ts**2}
    points = []
    for (label, values), colour in zip(lines.items(), COLOURS, strict=False):
        right.loglog(ts, values, color=colour, label=label)
        (point,) = right.plot([], [], "o", color=colour, markersize=9, animated=True)
        points.append((values, point))
    levels = {"limit of “with T²”": (np.linalg.norm(limit, axis=1).mean(), ":"), "labels' term": (hard, "--")}
    for label, (level, style) in levels.items():
        if level is not None:
            right.axhline(level, color=GREY, linestyle=style, linewidth=1.5, label=label)
    right.set(xlabel="temperature T", ylabel="mean norm of the gradient", xlim=(ts.min(), ts.max()))
    right.set_xticks([t for t in (1, 2, 5, 10, 20, 50, 100) if ts.min() <= t <= ts.max()], minor=False)
    right.xaxis.set_major_formatter("{x:g}")
    right.xaxis.set_minor_locator(NullLocator())
    right.margins(y=0.12)
    right.legend(loc="lower left")
    words = heading(right, fontsize=SMALL)
    fig.legend(handles=[bars, marks], loc="outside upper left", ncols=2)

    def redraw(temperature: float = temperature) -> None:
        at = int(np.abs(ts - temperature).argmin())
        words.set_text(f"T = {ts[at]:g}: {norm[at]:.2g} with T², {norm[at] / ts[at] ** 2:.2g} without")
        for bar, value in zip(bars, gradients[at, 0], strict=True):
            bar.set_width(value)
        for values, point in points:
            point.set_data([ts[at]], [values[at]])

    return with_redraw(fig, redraw, temperature)
