"""Plots for what the network is asked to say, by smoothed labels (§5.2) and by a teacher (§5.3)."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import NullLocator

from tricks.figures.base import COLOURS, GREY, LIGHT, Figure, canvas, heading, styled, with_redraw


def theoretical_gap(eps: float, K: int) -> float:
    """log((K−1)(1−ε)/ε): the true logit minus any other one where the smoothed loss is smallest (§5.2, eq. 5).

    Infinite at ε = 0, zero at ε = (K−1)/K. ValueError unless 0 ≤ ε < 1 and K ≥ 2.
    """
    if not (0 <= eps < 1 and K >= 2):
        raise ValueError(f"eps = {eps!r}, K = {K!r}: must be 0 <= eps < 1 and K >= 2")
    return math.log((K - 1) * (1 - eps) / eps) if eps else math.inf


@styled
def optimal_gap(eps: float = 0.1, K: int = 10) -> Figure:
    """The smoothed target and the softmax that reaches it, beside the optimal logit gap against ε (§5.2, Fig. 4a).

    `redraw(eps, K)` moves both.
    """
    shown = 10  # classes: those beyond look like the last
    fig, (left, right) = canvas(2)
    bars = left.bar(range(shown), [0.0] * shown, color=COLOURS[0], animated=True, label="smoothed target")
    (dots,) = left.plot(
        [], [], "o", color=COLOURS[1], markersize=8, animated=True, label="softmax of the optimal logits"
    )
    numbers = left.text(0.98, 0.55, "", transform=left.transAxes, ha="right", va="top", linespacing=1.5, animated=True)
    left.set(xlabel="class (0 is the true one; at most ten are drawn)", ylabel="probability", title="Target")
    left.set(xlim=(-0.7, shown - 0.3), xticks=range(shown), ylim=(0, 1.3), yticks=np.linspace(0, 1, 6))
    left.legend(loc="upper right")

    grid = np.concatenate([np.geomspace(1e-4, 0.05, 60), np.linspace(0.055, 0.999, 200)])
    right.plot(grid, [theoretical_gap(e, 1000) for e in grid], color=LIGHT, label="K = 1000 (the paper's Fig. 4a)")
    (curve,) = right.plot([], [], color=COLOURS[0], animated=True, label="this K")
    (point,) = right.plot([], [], "o", color=COLOURS[1], markersize=9, animated=True)
    value = right.text(0, 0, "", color=COLOURS[1], fontweight="bold", va="bottom", animated=True)
    value.set_bbox({"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1})
    right.axhline(0, color=GREY, linewidth=1)
    right.set(xlabel="smoothing ε", ylabel="true logit − any other one", title="Optimal logit gap")
    right.set(xlim=(0, 1), ylim=(-5, 17))
    right.legend(loc="lower left")

    def redraw(eps: float = eps, K: int = K) -> None:
        gap = theoretical_gap(eps, K)
        others = eps / (K - 1)
        softmax = 1 / (1 + (K - 1) * math.exp(-gap))  # of the logits (gap, 0, ..., 0)
        n = min(K, shown)
        for i, bar in enumerate(bars):
            bar.set_height((1 - eps if i == 0 else others) if i < n else 0)
        dots.set_data(range(n), [softmax] + [(1 - softmax) / (K - 1)] * (n - 1))
        numbers.set_text(f"ε = {eps:.4g}, K = {K}\ntrue class {1 - eps:.4g}\neach other {others:.3g}")
        curve.set_data(grid, [theoretical_gap(e, K) for e in grid])
        height = min(gap, 16.5)
        point.set_data([eps], [height])
        value.set(position=(min(eps + 0.03, 0.8), height + 0.5), text=f"{gap:.2f}".replace("-", "−") if eps else "∞")

    return with_redraw(fig, redraw, eps, K)


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
    logits = np.asarray(logits, float)
    n, k = logits.shape
    shape = {"gridspec_kw": {"height_ratios": (1.0, 2.1)}, "squeeze": False}
    fig, (above, below) = canvas(n, 2, height=5.0, **shape)
    moving = []
    for ax, bars_ax, image, label, r in zip(above, below, images, labels, logits, strict=True):
        ax.axis("off")
        ax.imshow(image, interpolation="nearest")
        ax.set_title(f"label: {classes[label]}", fontsize=10, loc="center")
        bars_ax.set(xlim=(0, 1.25), ylim=(k - 0.5, -0.5), xlabel="probability", xticks=(0, 0.5, 1), yticks=range(k))
        bars_ax.set_yticklabels(classes if bars_ax is below[0] else [])
        bars_ax.set_title(" ", fontsize=10)  # keeps the place of the words above the bars
        bars_ax.axvline(1 / k, color=GREY, linestyle="--", linewidth=1)
        bars_ax.grid(axis="y", visible=False)
        colours = [COLOURS[1] if i == label else COLOURS[0] for i in range(k)]
        bars = bars_ax.barh(range(k), [0.0] * k, color=colours, animated=True)
        largest = r.argsort()[-3:]  # at every T
        values = [(i, bars_ax.text(0, i, "", va="center", fontsize=9, animated=True)) for i in largest]
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
    mark = {"color": COLOURS[1], "fillstyle": "none", "markersize": 7, "zorder": 3, "animated": True}
    (marks,) = left.plot(limit[0], range(k), "D", label="limit for large T", **mark)
    left.axvline(0, color=GREY, linewidth=1)
    widest = 1.08 * max(np.abs(gradients[:, 0]).max(), np.abs(limit[0]).max())
    left.set(xlabel="gradient at the logit, with T²", yticks=range(k), xlim=(-widest, widest), ylim=(k - 0.5, -0.5))
    left.set_yticklabels(classes)
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
    right.set(xlabel="temperature T", ylabel="mean norm of the gradient", title=" ", xlim=(ts.min(), ts.max()))
    right.set_xticks([t for t in (1, 2, 5, 10, 20, 50, 100) if ts.min() <= t <= ts.max()], minor=False)
    right.xaxis.set_major_formatter("{x:g}")
    right.xaxis.set_minor_locator(NullLocator())
    right.margins(y=0.12)
    right.legend(loc="lower left")
    words = heading(right, fontsize=11)
    fig.legend(handles=[bars, marks], loc="outside upper left", ncols=2)

    def redraw(temperature: float = temperature) -> None:
        at = int(np.abs(ts - temperature).argmin())
        words.set_text(f"T = {ts[at]:g}: {norm[at]:.2g} with T², {norm[at] / ts[at] ** 2:.2g} without")
        for bar, value in zip(bars, gradients[at, 0], strict=True):
            bar.set_width(value)
        for values, point in points:
            point.set_data([ts[at]], [values[at]])

    return with_redraw(fig, redraw, temperature)
