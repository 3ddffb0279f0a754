"""Plots for smoothed labels (§5.2)."""

import math

import numpy as np

from tricks.label_smoothing import theoretical_gap
from tricks.plots.style import COLOURS, GREY, LIGHT, Figure, canvas, styled, with_redraw


@styled
def optimal_gap(eps: float = 0.1, K: int = 10) -> Figure:
    """The smoothed target and the softmax that reaches it, beside the optimal logit gap against ε (§5.2, Fig. 4a).

    `redraw(eps, K)` moves both.
    """
    shown = 10  # classes: those beyond look like the last
    fig, (left, right) = canvas(2)
    bars = left.bar(range(shown), [0.0] * shown, color=COLOURS[0], animated=True, label="smoothed target")
    (dots,) = left.plot(
        [],
        [],
        "o",
        color=COLOURS[1],
        markersize=9,
        markeredgecolor="white",
        animated=True,
        label="softmax of the optimal logits",
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
        value.set(
            position=(min(eps + 0.03, 0.8), min(height + 0.5, 15.5)),
            text=f"{gap:z.2f}".replace("-", "−") if eps else "∞",
        )

    return with_redraw(fig, redraw, eps, K)
