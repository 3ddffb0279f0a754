"""Plots of records and of runs as they go: results with their intervals, calibration, curves, the paper's numbers."""

import math
from collections.abc import Mapping, Sequence
from itertools import cycle
from textwrap import fill
from typing import Any

import numpy as np

from tricks.plots.style import (
    COLOURS,
    GREY,
    LIGHT,
    SIZE,
    Figure,
    canvas,
    ceiling,
    heading,
    set_limits,
    styled,
    with_redraw,
)
from tricks.plots.text import short
from tricks.records.frame import rows
from tricks.records.paper import Effect
from tricks.records.statistics import Comparison, plus_minus, t95
from tricks.records.store import Run

LABELS = {
    "lr": "learning rate",
    "train_loss": "training loss, nats",
    "train_accuracy": "accuracy on clean training images, %",
    "test_accuracy": "test accuracy, %",
    "test_nll": "test NLL, nats",
    "map_50": "mAP at IoU 0.5, %",
    "pixel_accuracy": "pixel accuracy, %",
    "miou": "mIoU, %",
}
WHOSE = {"test_accuracy": "test pictures", "train_accuracy": "dashed: training pictures, clean"}  # in a run as it goes
# seaborn's line is a mean with our interval; of one seed it draws none, nor does matplotlib where the half is infinite
SEEDS: Any = {"fillstyle": "none", "markersize": 5, "markeredgewidth": 0.8}  # small rings, beside the mean's dot
INTERVAL: Any = {"errorbar": t95, "err_kws": {"alpha": 0.15, "linewidth": 0}, "legend": False}


@styled
def reliability(runs: Mapping[str, Sequence[Run]], *, height: float = SIZE[1], caption: str = "") -> Figure:
    """Reliability diagram, all seeds of an arm pooled, beside the share of test images at each confidence.

    A dot's area grows with that share. The legend has the ECE, mean ± 95 % t-interval over seeds.
    """
    fig, (left, right) = canvas(2, height=height, caption=caption)
    left.plot([0, 100], [0, 100], color=LIGHT, linestyle="--", label="honest: accuracy = confidence")
    for (label, finals), colour in zip(_finals(runs).items(), cycle(COLOURS), strict=False):
        diagrams = [final["reliability"] for final in finals]
        hits, sure, count = (
            np.array([diagram[key] for diagram in diagrams]) for key in ("accuracy", "confidence", "count")
        )
        total = count.sum(0)  # the arrays are (seeds, bins)
        filled = total > 0
        accuracy = 100 * (hits * count).sum(0)[filled] / total[filled]
        confidence = 100 * (sure * count).sum(0)[filled] / total[filled]
        share = 100 * total / total.sum()
        ece = plus_minus([100 * final["ece"] for final in finals], 1)
        left.plot(confidence, accuracy, color=colour, label=f"{label}: ECE {ece} points")
        left.scatter(
            confidence, accuracy, s=15 + 6 * share[filled], color=colour, edgecolor="white", zorder=3, clip_on=False
        )
        edges = np.linspace(0, 100, len(total) + 1)
        right.stairs(share, edges, fill=True, facecolor=(colour, 0.15), edgecolor=colour, linewidth=2)
    left.set(xlabel="confidence, %", ylabel="accuracy, %", title="Is it right as often as it says?")
    left.set(xlim=(0, 102), ylim=(0, 102))
    right.set(xlabel="confidence, %", ylabel="test images, %", title="How sure is it?", xlim=(0, 102), ylim=(0, None))
    fig.legend(*left.get_legend_handles_labels(), loc="outside upper left", ncols=2)
    return fig


@styled
def gap_histogram(
    runs: Mapping[str, Sequence[Run]],
    *,
    paper: Mapping[str, tuple[Sequence[float], Sequence[float]]] | None = None,
    theory: Mapping[str, float] | None = None,
    caption: str = "",
) -> Figure:
    """Fig. 4b from records: the density of (largest logit − mean of the others) over images, mean and range over seeds.

    `paper` adds digitised curves, label -> (gap, density); `theory` the gap of eq. 5 that an arm of that label aims at.
    """
    theory = theory or {}
    seen: list[float] = []  # where something can be seen
    fig, ax = canvas(caption=caption)
    for (label, finals), colour in zip(_finals(runs).items(), cycle(COLOURS), strict=False):
        gaps = [final["gap"] for final in finals]
        edges = gaps[0]["edges"]
        if any(gap["edges"] != edges for gap in gaps):
            raise ValueError(f"the histograms of {label!r} have different bins; record these runs again")
        density = np.array([gap["density"] for gap in gaps])
        mean = np.mean([gap["mean"] for gap in gaps])
        ax.stairs(density.mean(0), edges, color=colour, linewidth=2, label=f"{label}: mean {mean:.1f}")
        band: Any = {"facecolor": (colour, 0.25), "edgecolor": colour, "linewidth": 0.6}
        ax.stairs(density.max(0), edges, baseline=density.min(0), fill=True, **band)
        seen += [edge for edge, height in zip(edges[1:], density.mean(0), strict=True) if height > 1e-3]
        if label in theory:
            aim = theory[label]
            ax.axvline(aim, color=colour, linestyle="--", label=f"{label}: eq. 5 asks for {aim:.1f}")
    for (label, (gap, density)), style in zip((paper or {}).items(), cycle((":", "-.")), strict=False):
        ax.plot(gap, density, color=GREY, linewidth=1.5, linestyle=style, label=f"paper: {label}")
        seen += [x for x, height in zip(gap, density, strict=True) if height > 1e-3]
    ax.set(xlabel="largest logit − mean of the other logits", ylabel="density of images")
    ax.set(xlim=(0, max(seen)), ylim=(0, None))
    ax.legend(loc="upper right")
    return fig


@styled
def response(
    x: Sequence[float],
    y: Mapping[str, Sequence[Sequence[float]]] | Sequence[Sequence[float]],
    xlabel: str,
    ylabel: str,
    *,
    reference: Mapping[str, float] | None = None,
    caption: str = "",
) -> Figure:
    """A result against a knob: every seed a dot, their mean, and its 95 % t-interval.

    `y` has one list of per-seed values for each x; a mapping draws several series; `reference` horizontal lines.
    """
    from seaborn import lineplot

    series = y if isinstance(y, Mapping) else {"": y}
    fig, ax = canvas(caption=caption)
    span = (max(x) - min(x)) or 1.0
    for i, ((label, groups), colour) in enumerate(zip(series.items(), cycle(COLOURS), strict=False)):
        at = np.array(x, float) + (i - (len(series) - 1) / 2) * 0.012 * span  # series side by side
        at, values = np.repeat(at, [len(group) for group in groups]), np.concatenate(groups)
        ax.plot(at, values, "o", color=colour, **SEEDS)
        style: Any = {**INTERVAL, "err_style": "bars", "err_kws": {"capsize": 4, "elinewidth": 1.5}}
        dots: Any = {"marker": "o", "markeredgecolor": colour, "linewidth": 1.5, "label": label or None}
        lineplot(x=at, y=values, color=colour, ax=ax, **dots, **style)
    for label, level in (reference or {}).items():
        ax.axhline(level, color=GREY, linestyle="--", linewidth=1.5, label=label)
    ax.set(xlabel=xlabel, ylabel=ylabel, xticks=x)
    ax.margins(x=0.06)
    if ax.get_legend_handles_labels()[1]:
        ax.legend()
    return fig


@styled
def curves(
    runs: Mapping[str, Sequence[Run] | Sequence[list[dict[str, float]]]],
    metric: str = "test_accuracy",
    *,
    paper: Mapping[str, tuple[Sequence[float], Sequence[float]]] | None = None,
    caption: str = "",
) -> Figure:
    """A metric of the rows against epochs: mean over seeds, its 95 % t-interval as a band, each seed a thin line.

    The axis follows the seeds: the band of few of them may leave it.
    `paper` draws digitised curves, label -> (epoch, value), in a panel of their own; equal labels have equal colours.
    """
    from seaborn import lineplot

    fig, axes = canvas(2 if paper else 1, squeeze=False, caption=caption)
    ax = axes[0, -1]
    colours = dict(zip(runs, cycle(COLOURS), strict=False))
    for label, (x, y) in (paper or {}).items():
        axes[0, 0].plot(x, y, color=colours.get(label, GREY), label=label)
    table: Any = rows(runs)
    table = table[np.isfinite(table[metric])]
    seeds = table.groupby(["arm", "epoch"])[metric].transform("size")
    for label, group in table.groupby("arm", sort=False):
        line = {"x": "epoch", "y": metric, "color": colours[label], "ax": ax}
        lineplot(group, **line, units="seed", estimator=None, linewidth=0.6)
        whole = group[seeds[group.index] == len(runs[label])]  # no mean without the seeds that have diverged
        lineplot(whole, **line, **INTERVAL, label=label)
    (low, high), least, most = ax.get_ylim(), table[metric].min(), table[metric].max()
    if room := 0.25 * (most - least):
        ax.set_ylim(max(low, least - room), min(high, most + room))
    for ax, title in zip(axes[0], ("paper", "ours"), strict=False):
        ax.set(xlabel="epoch", ylabel=LABELS.get(metric, metric), title=title if paper else "")
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.legend()
    return fig


@styled
def against_paper(
    results: Mapping[str, tuple[Comparison, Effect | None]],
    *,
    unit: str = "points of top-1 accuracy",
    caption: str = "",
    guesses: Mapping[str, float] | None = None,
) -> Figure:
    """Our difference with its 95 % t-interval beside the paper's, and the verdict: label -> (comparison, effect).

    The line through the paper's diamond is the noise of two single runs, where it is known. Guesses of the first
    difference, by name, have rows of their own below, over a band that is its interval.
    """
    guesses = guesses or {}
    letters = 30 if len(results) < 6 else 45  # of many rows, each has one line
    lines = [fill(str(ours.against(theirs)), letters) if theirs else "" for ours, theirs in results.values()]
    row = max(0.55, 0.22 * (1 + max(line.count("\n") for line in lines)))  # inches
    share = min(0.28, 4 / max(1, len(guesses))) / row  # of a row, for each guess
    fig, ax = canvas(height=1.7 + row * (len(results) + share * len(guesses)), caption=caption)
    places = range(len(results) - 1, -1, -1)
    below = [-0.6 - share * (i + 0.5) for i in range(len(guesses))]
    ours = [comparison for comparison, _ in results.values()]
    papers = {place: effect for place, (_, effect) in zip(places, results.values(), strict=True) if effect}
    ax.axvline(0, color=GREY, linewidth=1)
    halves = [c.half for c in ours]
    ax.errorbar([c.mean for c in ours], places, xerr=halves, fmt="o", markersize=8, capsize=5, label="ours")
    if papers:
        diamond: Any = {"fmt": "D", "markersize": 9, "color": COLOURS[1], "fillstyle": "none", "elinewidth": 1.2}
        deltas, noises = zip(*((effect.delta, effect.noise) for effect in papers.values()), strict=True)
        ax.errorbar(deltas, list(papers), xerr=noises, label="paper", **diamond)
    if guesses:
        if math.isfinite(halves[0]):
            ends = ours[0].mean - halves[0], ours[0].mean + halves[0]
            ax.axvspan(*ends, facecolor=(COLOURS[0], 0.12), edgecolor=COLOURS[0], linewidth=0.6)
        ax.plot(list(guesses.values()), below, "v", color=COLOURS[2], markersize=9, label="guess")
    ax.set_yticks([*places, *below], [*results, *map(short, guesses)])
    ax.set(xlabel=f"difference, {unit}", ylim=(-0.6 - share * len(guesses), len(results) - 0.4))
    ax.grid(axis="y", visible=False)
    verdicts = ax.secondary_yaxis("right")
    verdicts.set_yticks(places, lines)
    verdicts.tick_params(length=0)
    verdicts.spines["right"].set_visible(False)
    fig.legend(loc="outside upper left", ncols=3)
    return fig


@styled
def progress(
    rows: Sequence[Mapping[str, float]] = (),
    title: str = "",
    total: int | None = None,
    losses: Sequence[float] = (),
    per_epoch: int = 1,
    *,
    metric: str = "test_accuracy",
    caption: str = "",
) -> Figure:
    """A run as it goes: loss on the left, accuracies or one other metric in percent on the right.

    `redraw(rows, title, losses, per_epoch)` takes all rows so far, and each step's loss with the number of steps in an
    epoch.
    """
    fig, (left, right) = canvas(2, height=3.6, caption=caption)
    moving = {"marker": "o", "markersize": 4, "animated": True, "clip_on": False}  # the last marker is on the edge
    lines = {"train_loss": left.plot([], [], **moving)[0], metric: right.plot([], [], **moving)[0]}
    (steps,) = left.plot([], [], linewidth=0.8, alpha=0.75, color=COLOURS[0], zorder=1, animated=True)
    names = {}
    if metric == "test_accuracy":
        lines["train_accuracy"] = right.plot([], [], linestyle="--", color=COLOURS[4], **moving)[0]
        corner: Any = {"transform": right.transAxes, "ha": "right", "animated": True}  # the curves end far above it
        places = {"test_accuracy": 0.13, "train_accuracy": 0.04}
        names = {name: right.text(0.97, y, "", **corner) for name, y in places.items()}
    words = heading(left, fontsize=12)
    # a detector's adds distances of boxes to cross-entropies, and has no unit
    loss = "training loss, sum of four" if metric == "map_50" else LABELS["train_loss"]
    left.set(xlabel="epoch", ylabel=loss, xlim=(0, total or 1), ylim=(0, 1))
    ylabel = "accuracy, %" if metric == "test_accuracy" else LABELS[metric]
    right.set(xlabel="epoch", ylabel=ylabel, xlim=(0, total or 1), ylim=(0, 100))
    for ax in (left, right):
        ax.xaxis.get_major_locator().set_params(integer=True)

    def redraw(
        rows: Sequence[Mapping[str, float]], title: str = "", losses: Sequence[float] = (), per_epoch: int = 1
    ) -> None:
        words.set_text(title)
        epochs = [row["epoch"] for row in rows]
        steps.set_data([(step + 1) / per_epoch for step in range(len(losses))], losses)
        for name, line in lines.items():
            line.set_data(epochs, [row.get(name, math.nan) for row in rows])
        for name, text in names.items():
            text.set_text(WHOSE[name] if any(name in row for row in rows) else "")
        for ax in (left, right):
            set_limits(ax, xlim=(0, max([total or 1, *epochs])))
        means = [row.get("train_loss", math.nan) for row in rows]
        set_limits(left, ylim=(0, ceiling(max(filter(math.isfinite, [*means, *losses]), default=1.0))))

    return with_redraw(fig, redraw, rows, title, losses, per_epoch)


def outlined(ax: Any) -> None:
    """Give the bands of an axes, which are pale, an edge in their colour."""
    for band in ax.collections:
        colour = band.get_facecolor()[0, :3]
        band.set_alpha(None)
        band.set(facecolor=(*colour, 0.15), edgecolor=colour, linewidth=0.6)


def _finals(runs: Mapping[str, Sequence[Run]]) -> dict[str, list[dict[str, Any]]]:
    """label -> final metrics of each seed. ValueError if there are none."""
    for label, group in runs.items():
        if not group:
            raise ValueError(f"no runs to draw for {label!r}")
    return {label: [run.final for run in group] for label, group in runs.items()}
