"""The course's plots: data in, `Figure` out, in one style; and `export` for slides.

A figure shows itself in a notebook without pyplot. A plot that a slider drives makes the artists that move with
`animated=True` and gives the figure a `redraw` that takes the changing arguments again: everything else stays as drawn,
and a redraw costs milliseconds. A plot without `redraw` works with a slider too, and is built anew at every move.
"""

import base64
import io
import math
import os
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from itertools import cycle
from pathlib import Path
from typing import Any, ParamSpec

import matplotlib
import matplotlib.figure
import numpy as np
from cycler import cycler
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from tricks import ROOT
from tricks.recipe import BASELINE, Recipe, changes
from tricks.runs import Comparison, Run, t_interval
from tricks.schedules import lr_at

# Okabe and Ito's palette without its yellow and black: told apart with every common colour vision, and on a projector
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
INK, GREY, LIGHT = "#222222", "#666666", "#BBBBBB"

SIZE = (8.0, 4.5)  # inches: 16:9, so that text of 11 points is 18 points on a slide 13.3 inches wide
SCREEN_DPI = 100  # one pixel of the picture is one of the page
PRINT_DPI = 144  # still pictures: sharp on a dense screen, shown at the same size
SLIDE_DPI = 240  # 8 x 4.5 inches are 1920 x 1080 pixels
MANY_COLOURS = 4096

STYLE: Any = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same picture on every machine
    "font.size": 11,
    "text.color": INK,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.titlesize": 12,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.prop_cycle": cycler(color=COLOURS),
    "grid.color": "#E8E8E8",
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "lines.linewidth": 2,
    "legend.fontsize": 10,
    "legend.frameon": False,
    "axes.facecolor": "white",
    "figure.facecolor": "white",  # opaque: a dark theme must not shine through
    "savefig.facecolor": "white",
    "figure.constrained_layout.h_pad": 0.08,
    "figure.constrained_layout.w_pad": 0.08,
    "svg.hashsalt": "tricks",  # the same ids in every export
    "pdf.fonttype": 42,
}

LABELS = {
    "lr": "learning rate",
    "train_loss": "training loss, nats",
    "train_accuracy": "accuracy on clean training images, %",
    "test_accuracy": "test accuracy, %",
    "test_nll": "test NLL, nats",
}

Runs = Sequence[Run] | Sequence[dict[str, Any]]  # records, or only their `final` dictionaries

P = ParamSpec("P")


class Figure(matplotlib.figure.Figure):
    """A figure that draws itself to PNG for notebooks, redrawing only its animated artists where it can."""

    redraw: Callable[..., None] | None = None
    caption: str = ""
    _background: Any = None  # all but the animated artists, as drawn

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        FigureCanvasAgg(self)  # attaches itself

    def png(self, dpi: int = PRINT_DPI, small: bool = True) -> bytes:
        """The picture as PNG: the same bytes for the same figure. `small` packs it well, otherwise fast.

        `stale` is matplotlib's own record of a change outside the animated artists. While it is not set, all that was
        drawn without them is still right, and only they are drawn again.
        """
        canvas: Any = self.canvas
        if self.dpi != dpi:
            self.set_dpi(dpi)
        if self.stale or self._background is None:
            self.reset_layout()
            with matplotlib.rc_context(STYLE):  # some ticks are made only now
                canvas.draw()
            self._background = canvas.copy_from_bbox(self.bbox)
        else:
            canvas.restore_region(self._background)
        for artist in self._animated_artists():
            artist.draw(canvas.get_renderer())
        picture = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
        if small and picture.getcolors(MANY_COLOURS):  # a plot and no photo: a palette is less than half the bytes
            picture = picture.quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        file = io.BytesIO()
        picture.save(file, "png", optimize=small, compress_level=1)
        return file.getvalue()

    def reset_layout(self) -> None:
        """Put the axes back on their grid: solved from anywhere else, the layout would come out a little different."""
        for axes in self.axes:
            if spec := axes.get_subplotspec():
                axes.set_position(spec.get_position(self))
                axes.set_in_layout(True)  # set_position takes it out

    def _animated_artists(self) -> list[Artist]:
        artists = [artist for axes in self.axes for artist in axes.get_children() if artist.get_animated()]
        return sorted(artists, key=lambda artist: artist.zorder)

    @property
    def alt(self) -> str:
        """What the picture shows, in words, for those who do not see it."""
        panels = []
        for axes in self.axes:
            labels = " against ".join(filter(None, (axes.get_ylabel(), axes.get_xlabel())))
            panels.append(": ".join(filter(None, ((axes.get_title("left") or axes.get_title()).strip(), labels))))
        text = "; ".join(filter(None, panels)).replace("\n", " ")
        return re.sub(r"[${}]", "", f"Plot. {text}. {self.caption}".rstrip(". "))

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict[str, str], dict[str, Any]]:
        width, height = (round(inches * SCREEN_DPI) for inches in self.get_size_inches())
        data = {"image/png": base64.b64encode(self.png()).decode(), "text/plain": self.alt}
        return data, {"image/png": {"width": width, "height": height}}


def styled(plot: Callable[P, Figure]) -> Callable[P, Figure]:
    """Decorator: run a plot function under the course's style, whatever the reader's own matplotlib settings are."""

    @wraps(plot)
    def in_style(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with matplotlib.rc_context(STYLE):
            return plot(*args, **kwargs)

    return in_style


def canvas(
    columns: int = 1, rows: int = 1, *, height: float = SIZE[1], caption: str = "", **grid: Any
) -> tuple[Figure, Any]:
    """(figure, axes) with `rows` x `columns` axes, to be called in a `styled` function; one axes comes as itself.

    `caption` (n, budget, data, device; `tricks.runs.caption` makes it) stands in small grey letters below the axes.
    `grid` goes to `matplotlib.figure.Figure.subplots`.
    """
    fig = Figure(figsize=(SIZE[0], height), layout="constrained")
    axes = fig.subplots(rows, columns, **grid)
    if caption:
        fig.caption = caption
        fig.supxlabel(textwrap.fill(caption, 135), x=0.01, ha="left", fontsize=8, color=GREY)
    return fig, axes


# Schedules, targets, calibration


@styled
def schedule(
    recipes: Mapping[str, Recipe] | Iterable[Recipe],
    steps_per_epoch: int = 100,
    *,
    log: bool = False,
    caption: str = "",
) -> Figure:
    """Learning rate against epochs (Fig. 3a). `redraw(recipes)` takes other recipes with the same labels."""
    recipes = _by_label(recipes)
    fig, ax = canvas(caption=caption)
    lines = {label: ax.plot([], [], label=label, animated=True)[0] for label in recipes}
    ax.set(xlabel="epoch", ylabel=LABELS["lr"], yscale="log" if log else "linear")
    ax.legend(loc="upper right")

    def redraw(recipes: Mapping[str, Recipe] | Iterable[Recipe]) -> None:
        recipes = _by_label(recipes)
        if recipes.keys() != lines.keys():
            raise ValueError(f"labels {list(recipes)} are not those drawn: {list(lines)}")
        for label, recipe in recipes.items():
            steps = range(recipe.epochs * steps_per_epoch)
            lr = [lr_at(recipe, step, steps_per_epoch) for step in steps]
            lines[label].set_data(np.array(steps) / steps_per_epoch, lr)
        _set(ax, xlim=(0, max(recipe.epochs for recipe in recipes.values())))
        peak = max(max(line.get_ydata()) for line in lines.values())
        if log:
            _set(ax, ylim=(peak / 1e4, 2 * peak))
        else:
            _set(ax, ylim=(0, _ceiling(peak)))

    return _live(fig, redraw, recipes)


def _by_label(recipes: Mapping[str, Recipe] | Iterable[Recipe]) -> dict[str, Recipe]:
    """Recipes without labels get their changes to the baseline as one."""
    if isinstance(recipes, Mapping):
        return {str(label): recipe for label, recipe in recipes.items()}
    return {", ".join(f"{k} = {v}" for k, v in changes(r, BASELINE).items()) or "baseline": r for r in recipes}


def theoretical_gap(eps: float, K: int) -> float:
    """log((K−1)(1−ε)/ε): the true logit minus any other one where the smoothed loss is smallest (§5.2, eq. 5).

    Infinite at ε = 0, zero at ε = (K−1)/K. ValueError unless 0 ≤ ε < 1 and K ≥ 2.
    """
    if not (0 <= eps < 1 and K >= 2):
        raise ValueError(f"eps = {eps!r}, K = {K!r}: must be 0 <= eps < 1 and K >= 2")
    return math.log((K - 1) * (1 - eps) / eps) if eps else math.inf


@styled
def optimal_gap(eps: float = 0.1, K: int = 10, *, caption: str = "") -> Figure:
    """The smoothed target and the softmax that reaches it, beside the optimal logit gap against ε (§5.2, Fig. 4a).

    `redraw(eps, K)` moves both.
    """
    shown = 10  # classes: those beyond look like the last
    fig, (left, right) = canvas(2, caption=caption)
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

    return _live(fig, redraw, eps, K)


@styled
def reliability(runs: Mapping[str, Runs] | Runs, *, caption: str = "") -> Figure:
    """Reliability diagram, all seeds of an arm pooled, beside the share of test images at each confidence.

    A dot's area grows with that share. The legend has the ECE, mean ± 95 % t-interval over seeds.
    """
    fig, (left, right) = canvas(2, caption=caption)
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
        ece = _plus_minus([100 * final["ece"] for final in finals])
        left.plot(confidence, accuracy, color=colour, label=f"{label}{': ' if label else ''}ECE {ece} points")
        left.scatter(confidence, accuracy, s=15 + 6 * share[filled], color=colour, edgecolor="white", zorder=3)
        edges = np.linspace(0, 100, len(total) + 1)
        right.stairs(share, edges, color=colour, linewidth=2)
        right.stairs(share, edges, color=colour, alpha=0.15, fill=True)
    left.set(xlabel="confidence, %", ylabel="accuracy, %", title="Is it right as often as it says?")
    left.set(xlim=(0, 102), ylim=(0, 102))
    left.legend(loc="lower right", fontsize=9)
    right.set(xlabel="confidence, %", ylabel="test images, %", title="How sure is it?", xlim=(0, 102), ylim=(0, None))
    return fig


@styled
def gap_histogram(
    runs: Mapping[str, Runs] | Runs,
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
        ax.stairs(density.mean(0), edges, color=colour, linewidth=2, label=f"{label}: mean {mean:.1f}".lstrip(": "))
        ax.stairs(density.max(0), edges, baseline=density.min(0), color=colour, alpha=0.25, fill=True)
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


# Evidence


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
    series = y if isinstance(y, Mapping) else {"": y}
    fig, ax = canvas(caption=caption)
    span = (max(x) - min(x)) or 1.0
    for i, ((label, groups), colour) in enumerate(zip(series.items(), cycle(COLOURS), strict=False)):
        at = np.array(x, float) + (i - (len(series) - 1) / 2) * 0.012 * span  # series side by side
        means, halves = zip(*(t_interval(values) for values in groups), strict=True)
        for centre, values in zip(at, groups, strict=True):
            ax.plot([centre] * len(values), values, "o", color=colour, alpha=0.35, markersize=5, markeredgewidth=0)
        bars = [half if math.isfinite(half) else 0 for half in halves]  # a single seed has no interval
        ax.errorbar(at, means, yerr=bars, fmt="o-", color=colour, capsize=4, linewidth=1.5, label=label or None)
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
    caption: str = "",
) -> Figure:
    """A metric of the rows against epochs: mean over seeds, its 95 % t-interval as a band, each seed a thin line."""
    fig, ax = canvas(caption=caption)
    for (label, group), colour in zip(runs.items(), cycle(COLOURS), strict=False):
        rows = [run.rows if isinstance(run, Run) else run for run in group]
        values = np.array([[row[metric] for row in run] for run in rows])  # (seeds, epochs)
        epochs = np.array([row["epoch"] for row in rows[0]])
        ax.plot(epochs, values.T, color=colour, linewidth=0.8, alpha=0.35)
        ax.plot(epochs, values.mean(0), color=colour, label=label)
        if len(values) > 1:
            half = np.array([t_interval(column)[1] for column in values.T.tolist()])
            ax.fill_between(epochs, values.mean(0) - half, values.mean(0) + half, color=colour, alpha=0.15, linewidth=0)
    ax.set(xlabel="epoch", ylabel=LABELS.get(metric, metric))
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.legend()
    return fig


@styled
def against_paper(
    results: Mapping[str, tuple[Comparison, float]], *, unit: str = "points of top-1 accuracy", caption: str = ""
) -> Figure:
    """Our difference with its 95 % t-interval beside the paper's, and the verdict: label -> (comparison, paper's)."""
    fig, ax = canvas(height=1.7 + 0.55 * len(results), caption=caption)
    places = range(len(results) - 1, -1, -1)
    ours, papers = [comparison for comparison, _ in results.values()], [delta for _, delta in results.values()]
    bars = [c.half if math.isfinite(c.half) else 0 for c in ours]  # a single seed has no interval
    ax.axvline(0, color=GREY, linewidth=1)
    ax.errorbar([c.mean for c in ours], places, xerr=bars, fmt="o", markersize=8, capsize=5, label="ours")
    ax.plot(papers, places, "D", markersize=9, color=COLOURS[1], fillstyle="none", label="paper")
    ax.set_yticks(places, list(results))
    ax.set(xlabel=f"difference, {unit}", ylim=(-0.6, len(results) - 0.4))
    ax.grid(axis="y", visible=False)
    verdicts = ax.secondary_yaxis("right")
    verdicts.set_yticks(places, [comparison.against(delta) for comparison, delta in results.values()])
    verdicts.tick_params(length=0)
    verdicts.spines["right"].set_visible(False)
    fig.legend(loc="outside upper left", ncols=2)
    return fig


@styled
def progress(
    rows: Sequence[Mapping[str, float]] = (), title: str = "", total: int | None = None, *, caption: str = ""
) -> Figure:
    """A run as it goes: loss on the left, accuracies on the right. `redraw(rows, title)` takes all rows so far."""
    fig, (left, right) = canvas(2, height=3.6, caption=caption)
    moving = {"marker": "o", "markersize": 4, "animated": True}
    (loss,) = left.plot([], [], **moving)
    (test,) = right.plot([], [], label="test", **moving)
    (train,) = right.plot([], [], "--", color=COLOURS[4], label="training, clean", **moving)
    heading = left.text(0, 1.04, "", transform=left.transAxes, fontsize=12, animated=True)
    left.set(xlabel="epoch", ylabel=LABELS["train_loss"], xlim=(0, total or 1), ylim=(0, 1), title=" ")
    right.set(xlabel="epoch", ylabel="accuracy, %", xlim=(0, total or 1), ylim=(0, 100))
    for ax in (left, right):
        ax.xaxis.get_major_locator().set_params(integer=True)
    right.legend(loc="lower right")

    def redraw(rows: Sequence[Mapping[str, float]], title: str = "") -> None:
        heading.set_text(title)
        epochs = [row["epoch"] for row in rows]
        for line, metric in ((loss, "train_loss"), (test, "test_accuracy"), (train, "train_accuracy")):
            line.set_data(epochs, [row.get(metric, math.nan) for row in rows])
        for ax in (left, right):
            _set(ax, xlim=(0, max([total or 1, *epochs])))
        _set(left, ylim=(0, _ceiling(max(filter(math.isfinite, loss.get_ydata()), default=1.0))))

    return _live(fig, redraw, rows, title)


# Pictures and the plane


@styled
def images_grid(images: Sequence[Any], titles: Sequence[str] = (), *, columns: int = 6, caption: str = "") -> Figure:
    """Pictures in a grid: (H, W, 3) uint8, or floats in [0, 1]. ValueError on anything else."""
    images = [np.asarray(image) for image in images]
    for image in images:
        ok = image.dtype == np.uint8 or (image.dtype.kind == "f" and image.min() >= 0 and image.max() <= 1)
        if image.ndim != 3 or image.shape[2] != 3 or not ok:
            raise ValueError(f"a picture is (H, W, 3) uint8 or floats in [0, 1]; got {image.shape} {image.dtype}")
    columns = min(columns, len(images))
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


def preprocessing(steps: Sequence[tuple[str, Any]], *, columns: int = 6, caption: str = "") -> Figure:
    """The steps of §2.1 on one picture, numbered from 0 (the picture as it is): (what was done, picture after it)."""
    titles = [f"{n}. {name}\n{np.shape(image)[1]} × {np.shape(image)[0]} px" for n, (name, image) in enumerate(steps)]
    rows = math.ceil(len(steps) / columns)
    return images_grid([image for _, image in steps], titles, columns=math.ceil(len(steps) / rows), caption=caption)


@styled
def colour_clouds(before: Any, after: Any, *, caption: str = "") -> Figure:
    """The pixels of a picture in RGB, before (grey) and after (in their colour) a change; an arrow joins the means.

    Both are (N, 3), in 0..255. `redraw(after)` moves the second.
    """
    before = np.asarray(before, float)
    arrow = {"arrowstyle": "-|>", "color": INK, "linewidth": 2, "mutation_scale": 16, "shrinkA": 0, "shrinkB": 0}
    fig, axes = canvas(2, caption=caption)
    moving = []
    for ax, channel, name in zip(axes, (1, 2), ("green", "blue"), strict=True):
        ax.scatter(before[:, 0], before[:, channel], s=6, color=LIGHT, linewidth=0)
        cloud = ax.scatter(before[:, 0], before[:, channel], s=6, linewidth=0, animated=True)
        start = before.mean(0)[[0, channel]]
        pointer = ax.annotate("", xytext=start, xy=start, arrowprops=arrow, animated=True)
        ax.set(xlabel="red, 0 to 255", ylabel=f"{name}, 0 to 255", xlim=(-20, 275), ylim=(-20, 275), aspect="equal")
        moving.append((channel, cloud, pointer))
    axes[0].set_title("Grey: before. In colour: after")

    def redraw(after: Any) -> None:
        after = np.asarray(after, float)
        for channel, cloud, pointer in moving:
            cloud.set_offsets(after[:, [0, channel]])
            cloud.set_facecolor(np.clip(after / 255, 0, 1))
            pointer.xy = after.mean(0)[[0, channel]]

    return _live(fig, redraw, after)


@styled
def contour_paths(
    loss: Callable[[Any, Any], Any],
    paths: Mapping[str, Any],
    *,
    xlim: tuple[float, float],
    ylim: tuple[float, float],
    xlabel: str = "weight $w_1$",
    ylabel: str = "weight $w_2$",
    caption: str = "",
) -> Figure:
    """Contours of a loss in the plane, and where optimisers went: label -> (n, 2) points.

    `loss(x, y)` takes arrays of one shape. `redraw(paths)` takes new paths with the same labels.
    """
    fig, ax = canvas(caption=caption)
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

    return _live(fig, redraw, paths)


# Slides


def export(fig: Figure, name: str, folder: Path | None = None) -> list[Path]:
    """Write a figure for slides, 16:9: PNG of 1920 x 1080, SVG and PDF. Returns the paths.

    They go into `folder`, by default figures/ of the course, or TRICKS_FIGURES (tests set it).

    The same figure gives the same bytes. The figure itself stays as it was. ValueError on a name that is not made of
    letters, digits, "_" and "-"; OSError with the path if it cannot be written.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise ValueError(f"export name {name!r}: letters, digits, _ and - only, as in '05_2_optimal_gap'")
    folder = folder or Path(os.environ.get("TRICKS_FIGURES") or ROOT / "figures")
    width, height = fig.get_size_inches()
    formats = {
        "png": {"dpi": SLIDE_DPI, "metadata": {"Software": None}},
        "svg": {"metadata": {"Date": None}},
        "pdf": {"metadata": {"CreationDate": None}},
    }
    paths = []
    try:
        fig.set_size_inches(SIZE, forward=False)
        fig.reset_layout()
        folder.mkdir(parents=True, exist_ok=True)
        for suffix, options in formats.items():
            path = folder / f"{name}.{suffix}"
            partial = folder / f".{name}.{os.getpid()}.{suffix}"  # a full disk must not leave half a slide
            try:
                with matplotlib.rc_context(STYLE):
                    fig.savefig(partial, **options)
                os.replace(partial, path)
            finally:
                partial.unlink(missing_ok=True)
            paths.append(path)
    except OSError as error:
        raise OSError(f"cannot write the slide {name!r} to {folder}: {error}") from error
    finally:
        fig.set_size_inches((width, height), forward=False)
        fig.stale = True
    return paths


# Shared by the plots


def _live(fig: Figure, redraw: Callable[..., None], *start: Any) -> Figure:
    """Draw a plot's first state with the function that draws all later ones."""
    redraw(*start)
    fig.redraw = redraw
    return fig


def _set(ax: Axes, **limits: tuple[float, float]) -> None:
    """Set axis limits only where they change: an unneeded call would make the whole figure stale."""
    for name, limit in limits.items():
        if getattr(ax, f"get_{name}")() != limit:
            getattr(ax, f"set_{name}")(limit)


def _ceiling(value: float) -> float:
    """An axis limit with room above `value`, out of so few that a slider moves the curve and seldom the axis."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1.2, 2, 3, 5, 8, 12) if step * power >= 1.04 * value)


def _finals(runs: Mapping[str, Runs] | Runs) -> dict[str, list[dict[str, Any]]]:
    """label -> final metrics of each seed, from records or their `final` dictionaries. ValueError if there are none."""
    groups = dict(runs) if isinstance(runs, Mapping) else {"": runs}
    for label, group in groups.items():
        if not group:
            raise ValueError(f"no runs to draw for {label!r}")
    return {label: [run.final if isinstance(run, Run) else run for run in group] for label, group in groups.items()}


def _plus_minus(values: Sequence[float]) -> str:
    mean, half = t_interval(values)
    return f"{mean:.1f} ± {half:.1f}" if math.isfinite(half) else f"{mean:.1f}"
