"""Plots for what a trick is worth (§1, §7): ladders and what is read from them, two orders, recorded runs."""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import cycle, pairwise
from typing import Any, NamedTuple

import numpy as np

from tricks.plots.style import (
    COLOURS,
    GREY,
    INK,
    LIGHT,
    SMALL,
    Figure,
    canvas,
    heading,
    set_limits,
    signed,
    styled,
    with_redraw,
)
from tricks.recipe import SAMPLE_IMAGES
from tricks.records.statistics import Comparison, compare, plus_minus, same_seeds, t95, t_interval
from tricks.records.store import Run

KINDS = {"higher": COLOURS[0], "lower": COLOURS[1], "no clear difference": LIGHT, "one seed, no interval": LIGHT}


class Step(NamedTuple):
    """A rung of a ladder: its accuracy, that of the rung below (nan: it is the lowest), and the interval of both."""

    label: str
    below: float
    accuracy: float
    half: float  # of the paired difference's 95 % t-interval: 0 without records, infinite for one seed


@styled
def ladder(
    panels: Mapping[str, Mapping[str, float | Sequence[Run]]],
    *,
    order: Sequence[str] = (),
    caption: str = "",
) -> Figure:
    """Tricks added one after another, from below: a bar goes from the accuracy of the rung below to the rung's own.

    Panel's title -> rung's label -> its accuracy, or its runs. Runs are compared over the seeds that all runs of the
    panel share; the line on a bar is the 95 % t-interval of the paired difference. A rung that a panel does not have is
    left out of it. A point of accuracy is as long in each panel. `order` has all labels from below, where no panel has
    all of them.
    """
    labels = list(order) or list(dict.fromkeys(label for rungs in panels.values() for label in rungs))
    fig, axes = canvas(len(panels), height=2.0 + 0.31 * len(labels), caption=caption, sharey=True, squeeze=False)
    seen: dict[str, Any] = {}  # for the legend
    ends = []
    for ax, (title, rungs) in zip(axes[0], panels.items(), strict=True):
        steps = _steps(rungs)
        bottom, top = steps[0], steps[-1]
        notes = {labels.index(bottom.label): f"{bottom.accuracy:.2f}"}
        ax.plot(bottom.accuracy, labels.index(bottom.label), "o", color=INK, markersize=7)
        for before, step in pairwise(steps):
            y, gain, kind = labels.index(step.label), step.accuracy - step.below, _kind(step)
            ax.plot([step.below] * 2, [labels.index(before.label), y], color=GREY, linewidth=0.8, zorder=0.9)
            seen[kind] = ax.barh(y, gain, 0.62, left=step.below, color=KINDS[kind])
            notes[y] = (f"{step.accuracy:.2f}   " if len(panels) == 1 else "") + signed(gain)
            if 0 < step.half < math.inf:
                bar = ax.errorbar(step.accuracy, y, xerr=step.half, color=INK, capsize=3, linewidth=1.2)
                seen["95 % interval of the difference"] = bar
                notes[y] += f" ± {step.half:.2f}"
        reach = [(step.accuracy, step.half if math.isfinite(step.half) else 0) for step in steps]
        ends.append((min(value - half for value, half in reach), max(value + half for value, half in reach)))
        climbed = signed(top.accuracy - bottom.accuracy)
        ax.set(title=f"{title}: {bottom.accuracy:.2f} → {top.accuracy:.2f} ({climbed})", xlabel="top-1 accuracy, %")
        ax.set_yticks(range(len(labels)), labels)
        ax.grid(axis="y", visible=False)
        values = ax.secondary_yaxis("right")
        values.set_yticks(list(notes), list(notes.values()))
        values.tick_params(length=0, labelsize=SMALL)
        values.spines["right"].set_visible(False)
    span = 1.1 * max(high - low for low, high in ends)
    for ax, (low, high) in zip(axes[0], ends, strict=True):
        ax.set(xlim=((low + high - span) / 2, (low + high + span) / 2), ylim=(-0.6, len(labels) - 0.4))
    entries = sorted(seen, key=[*KINDS, *seen].index)
    fig.legend([seen[entry] for entry in entries], entries, loc="outside upper left", ncols=4)
    return fig


def _steps(rungs: Mapping[str, float | Sequence[Run]]) -> list[Step]:
    paired = {label: rung for label, rung in rungs.items() if not isinstance(rung, (int, float))}
    paired = same_seeds(paired) if paired else {}
    steps: list[Step] = []
    for label, rung in rungs.items():
        accuracy = rung if isinstance(rung, (int, float)) else t_interval([run.accuracy for run in paired[label]])[0]
        before = steps[-1] if steps else None
        half = (
            compare(paired[label], paired[before.label]).half if before and {label, before.label} <= set(paired) else 0
        )
        steps.append(Step(label, before.accuracy if before else math.nan, accuracy, half))
    return steps


def _kind(step: Step) -> str:
    if math.isinf(step.half):
        return "one seed, no interval"
    difference = step.accuracy - step.below
    if step.half and abs(difference) <= step.half:
        return "no clear difference"
    return "lower" if difference < 0 else "higher"


# What is read from a ladder


@styled
def worth(answers: Mapping[str, Mapping[str, Comparison | float]], *, caption: str = "") -> Figure:
    """What each trick is worth by several answers, tricks from below: answer -> trick -> our difference or the paper's.

    A filled dot is the mean of paired differences, with its 95 % t-interval; a diamond a number without runs. A trick
    that an answer does not have is left out of it.
    """
    tricks = list(dict.fromkeys(trick for differences in answers.values() for trick in differences))
    fig, ax = canvas(height=1.8 + 0.46 * len(tricks), caption=caption)
    ax.axvline(0, color=GREY, linewidth=1)
    looks = zip(cycle(COLOURS), cycle(("o", "s", "^")), strict=False)
    for place, ((answer, differences), (colour, marker)) in enumerate(zip(answers.items(), looks, strict=False)):
        label = answer  # one entry in the legend for each answer
        for trick, difference in differences.items():
            y = tricks.index(trick) + 0.24 * ((len(answers) - 1) / 2 - place)
            if isinstance(difference, Comparison):
                bar: Any = {"xerr": difference.half, "capsize": 3, "linewidth": 1.5}
                ax.errorbar(difference.mean, y, fmt=marker, color=colour, label=label, **bar)
            else:
                ax.plot(difference, y, "D", color=GREY, fillstyle="none", markersize=8, label=label)
            label = ""
    ax.set(xlabel="difference, points of top-1 accuracy", ylim=(-0.6, len(tricks) - 0.4))
    ax.set_yticks(range(len(tricks)), tricks)
    ax.grid(axis="y", visible=False)
    fig.legend(loc="outside upper left", ncols=3)
    return fig


@styled
def measures(
    arms: Mapping[str, Sequence[Run]], metrics: Mapping[str, Callable[[Run], float]], *, caption: str = ""
) -> Figure:
    """Several numbers of the same arms, a panel each, arms from below: each seed, the mean, its 95 % t-interval.

    `metrics`: label of the axis -> function of a run. The dashed line is where the lowest arm is.
    """
    from pandas import DataFrame
    from seaborn import pointplot, stripplot

    fig, axes = canvas(len(metrics), height=1.6 + 0.31 * len(arms), caption=caption, sharey=True, squeeze=False)
    for ax, (label, metric), colour in zip(axes[0], metrics.items(), cycle(COLOURS), strict=False):
        table = DataFrame([(arm, metric(run)) for arm, runs in arms.items() for run in runs], columns=["arm", label])
        look: Any = {"data": table, "x": label, "y": "arm", "color": colour, "ax": ax}
        stripplot(**look, jitter=False, size=5)
        for rings in ax.collections:
            rings.set(facecolor="none", edgecolor=colour, linewidth=0.8)
        means: Any = {"errorbar": t95, "linestyle": "none", "capsize": 0.15, "markersize": 6, "linewidth": 1.5}
        pointplot(**look, **means)
        lowest = t_interval([metric(run) for run in next(iter(arms.values()))])[0]
        ax.axvline(lowest, color=GREY, linestyle="--", linewidth=1)
        ax.set(ylabel="", ylim=(-0.6, len(arms) - 0.4))
        ax.xaxis.get_major_locator().set_params(nbins=3)
    return fig


# Two tricks


@styled
def two_orders(
    first: float,
    second: float,
    interaction: float = 0.0,
    *,
    names: tuple[str, str] = ("A", "B"),
) -> Figure:
    """Two tricks whose gains need not add: both ways up, and three answers to what each is worth.

    `first` and `second` are their gains alone; together they gain first + second + interaction. `redraw(interaction)`.
    """
    fig, (left, right) = canvas(2, height=4.0)
    paths = [
        left.plot([], [], "o-", color=colour, animated=True, label=f"{name} first")[0]
        for colour, name in zip(COLOURS, names, strict=False)
    ]
    (sum_,) = left.plot(
        [], [], "D", color=GREY, markersize=9, fillstyle="none", animated=True, label="sum of the gains"
    )
    steps = [left.text(0, 0, "", ha="center", animated=True) for _ in range(4)]
    for text in steps:
        text.set_bbox({"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1})
    words = heading(left, fontsize=12)
    left.set(xlabel="tricks added", ylabel="gain over none, points", xlim=(-0.25, 2.25), xticks=[0, 1, 2])
    left.legend(loc="upper left")
    bars, values = [], []
    for i, label in enumerate(("added first", "added last (leave-one-out)", "mean of both orders")):
        bars.append(
            right.bar(np.arange(2) + 0.3 * (i - 1), [0, 0], 0.27, color=COLOURS[2 + i], animated=True, label=label)
        )
        values.append([right.text(0, 0, "", ha="center", fontsize=SMALL, animated=True) for _ in names])
    right.axhline(0, color=GREY, linewidth=1)
    right.set(xticks=[0, 1], xticklabels=names, xlabel="trick", ylabel="gain, points", title="What is it worth?")
    right.set_xlim(-0.5, 1.5)
    right.legend(loc="upper left")

    def redraw(interaction: float = interaction) -> None:
        alone, together = (first, second), first + second + interaction
        last = (first + interaction, second + interaction)
        highest, lowest = max(together, first + second, *alone, *last), min(0, together, *alone, *last)
        room = max(1.0, highest - lowest)
        for ax in (left, right):
            ends = (math.floor(lowest - 0.15 * room), math.ceil(highest + 0.55 * room))
            set_limits(ax, ylim=ends)
        for path, gain in zip(paths, alone, strict=True):
            path.set_data([0, 1, 2], [0, gain, together])
        sum_.set_data([2], [first + second])
        upper = 0 if first >= second else 1
        for i, gain in enumerate(alone):
            side = 0.075 * room * (1 if i == upper else -1)
            steps[2 * i].set(position=(0.5, gain / 2 + side), text=signed(gain), color=COLOURS[i])
            middle = (gain + together) / 2 + side
            steps[2 * i + 1].set(position=(1.5, middle), text=signed(together - gain), color=COLOURS[i])
        words.set_text(f"{signed(first)} and {signed(second)}, together {signed(together)}")
        means = tuple((a + b) / 2 for a, b in zip(alone, last, strict=True))
        for group, texts, heights in zip(bars, values, (alone, last, means), strict=True):
            for bar, text, height in zip(group, texts, heights, strict=True):
                bar.set_height(height)
                centre = bar.get_x() + bar.get_width() / 2
                text.set(position=(centre, max(height, 0) + 0.02 * room), text=signed(height))

    return with_redraw(fig, redraw, interaction)


# Recorded runs


KNOBS = {"label_smoothing": "ε", "mixup_alpha": "α", "lr": "rate"}  # field: how it is called in the picture


def nearest_arm(arms: Mapping[str, Sequence[Run]], **wanted: float) -> str:
    """The recorded arm that is the fewest steps of the sliders away from these fields' values; the first of several.

    A slider has one position for each value that occurs in some arm.
    """
    recipes = {name: runs[0].recipe for name, runs in arms.items()}
    steps = dict.fromkeys(arms, 0)
    for field, value in wanted.items():
        positions = sorted({getattr(recipe, field) for recipe in recipes.values()})
        at = min(range(len(positions)), key=lambda i: abs(positions[i] - value))
        for name, recipe in recipes.items():
            steps[name] += abs(positions.index(getattr(recipe, field)) - at)
    return min(steps, key=lambda name: steps[name])


@styled
def explorer(
    arms: Mapping[str, Sequence[Run]],
    label_smoothing: float = 0.0,
    mixup_alpha: float = 0.0,
    lr: float = 0.4,
    *,
    caption: str = "",
) -> Figure:
    """Recorded runs as sliders find them: the curve of the nearest arm, and its place among the results of all.

    Mean and 95 % t-interval over seeds; hollow dots were evaluated on held-out training images. Nothing is trained or
    interpolated: a setting without records goes to `nearest_arm`. `redraw(label_smoothing, mixup_alpha, lr)`.
    """
    fig, (left, right) = canvas(2, height=4.6, caption=caption)
    shown, places = {}, {}
    for place, (name, runs) in enumerate(arms.items()):
        epochs = [row["epoch"] for row in runs[0].rows]
        columns = zip(*([row["test_accuracy"] for row in run.rows] for run in runs), strict=True)
        curve, band = np.transpose([t_interval(column) for column in columns])
        left.plot(epochs, curve, color=LIGHT, linewidth=0.8)
        pale: Any = {"facecolor": (COLOURS[0], 0.2), "edgecolor": COLOURS[0], "linewidth": 0.6}
        filled = left.fill_between(epochs, curve - band, curve + band, **pale)
        filled.set_animated(True)
        shown[name] = [filled, *left.plot(epochs, curve, color=COLOURS[0], animated=True)]
        mean, half = t_interval([run.accuracy for run in runs])
        face = "white" if runs[0].recipe.split == "validation" else GREY
        right.errorbar(mean, place, xerr=half, fmt="o", color=GREY, mfc=face, markersize=5, capsize=2, linewidth=1)
        places[name] = mean, place
    (ring,) = right.plot([], [], "o", color=COLOURS[1], fillstyle="none", markersize=13, animated=True)
    ends = [height for line in left.lines for height in line.get_ydata()]  # bands of few seeds may be cut
    left.set(xlabel="epoch", ylabel=f"accuracy on {SAMPLE_IMAGES:,} images, %", ylim=(min(ends) - 3, max(ends) + 3))
    left.xaxis.get_major_locator().set_params(integer=True)
    right.set(xlabel="accuracy after the last epoch, %", ylim=(len(arms) - 0.4, -0.6))
    right.set_yticks(range(len(arms)), arms)
    right.grid(axis="y", visible=False)
    headings = [heading(ax, fontsize=10) for ax in (left, right)]

    def redraw(label_smoothing: float = label_smoothing, mixup_alpha: float = mixup_alpha, lr: float = lr) -> None:
        wanted = {"label_smoothing": label_smoothing, "mixup_alpha": mixup_alpha, "lr": lr}
        nearest = nearest_arm(arms, **wanted)
        for name, artists in shown.items():
            for artist in artists:
                artist.set_visible(name == nearest)
        ring.set_data(*([value] for value in places[nearest]))
        recipe = arms[nearest][0].recipe
        asked = ", ".join(f"{KNOBS[field]} {value:g}" for field, value in wanted.items())
        recorded = all(getattr(recipe, field) == value for field, value in wanted.items())
        headings[0].set_text(f"{asked}: {'recorded' if recorded else 'nearest record'}")
        found = plus_minus([run.accuracy for run in arms[nearest]])
        headings[1].set_text(f"{nearest}, n = {len(arms[nearest])}: {found} %")

    return with_redraw(fig, redraw, label_smoothing, mixup_alpha, lr)
