"""Plots for what a trick is worth (§1): ladders of tricks, the order of two tricks, how many seeds tell them apart."""

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from scipy.special import ncfdtr, ndtr, stdtrit

from tricks.figures.base import (
    COLOURS,
    GREY,
    INK,
    LIGHT,
    Figure,
    canvas,
    ceiling,
    set_limits,
    signed,
    styled,
    with_redraw,
)
from tricks.runs import Run, compare, t_interval

KINDS = {"higher": COLOURS[0], "lower": COLOURS[1], "no clear difference": LIGHT}


class Step(NamedTuple):
    """A rung of a ladder: its accuracy, that of the rung below (nan: it is the lowest), and the interval of both."""

    label: str
    below: float
    accuracy: float
    half: float  # of the paired difference's 95 % t-interval: 0 without records, infinite for one seed


def same_seeds(arms: Mapping[str, Sequence[Run]]) -> dict[str, list[Run]]:
    """The arms' runs of the seeds that all of them have. ValueError if there is no such seed."""
    seeds = {label: [run.seed for run in runs] for label, runs in arms.items()}
    shared = set.intersection(*map(set, seeds.values()))
    if not shared:
        raise ValueError(f"no seed is in all arms: {seeds}")
    return {label: [run for run in runs if run.seed in shared] for label, runs in arms.items()}


@styled
def ladder(
    panels: Mapping[str, Mapping[str, float | Sequence[Run]]],
    xlabel: str = "top-1 accuracy, %",
    *,
    caption: str = "",
) -> Figure:
    """Tricks added one after another, from below: a bar goes from the accuracy of the rung below to the rung's own.

    Panel's title -> rung's label -> its accuracy, or its runs. Runs are compared over the seeds that all runs of the
    panel share; the line on a bar is the 95 % t-interval of the paired difference. A rung that a panel does not have is
    left out of it. A point of accuracy is as long in each panel.
    """
    labels = list(dict.fromkeys(label for rungs in panels.values() for label in rungs))
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
        ax.set(title=f"{title}: {bottom.accuracy:.2f} → {top.accuracy:.2f} ({climbed})", xlabel=xlabel)
        ax.set_yticks(range(len(labels)), labels)
        ax.grid(axis="y", visible=False)
        values = ax.secondary_yaxis("right")
        values.set_yticks(list(notes), list(notes.values()))
        values.tick_params(length=0, labelsize=9)
        values.spines["right"].set_visible(False)
    span = 1.1 * max(high - low for low, high in ends)
    for ax, (low, high) in zip(axes[0], ends, strict=True):
        ax.set(xlim=((low + high - span) / 2, (low + high + span) / 2), ylim=(-0.6, len(labels) - 0.4))
    entries = sorted(seen, key=[*KINDS, *seen].index)
    fig.legend([seen[entry] for entry in entries], entries, loc="outside upper left", ncols=4, fontsize=9)
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
    difference = step.accuracy - step.below
    if step.half and abs(difference) <= step.half:
        return "no clear difference"
    return "lower" if difference < 0 else "higher"


# Two tricks


@styled
def two_orders(
    first: float,
    second: float,
    interaction: float = 0.0,
    *,
    names: tuple[str, str] = ("A", "B"),
    caption: str = "",
) -> Figure:
    """Two tricks whose gains need not add: both ways up, and three answers to what each is worth.

    `first` and `second` are their gains alone; together they gain first + second + interaction. `redraw(interaction)`.
    """
    fig, (left, right) = canvas(2, height=4.0, caption=caption)
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
    heading = left.text(0, 1.04, "", transform=left.transAxes, fontsize=12, animated=True)
    left.set(xlabel="tricks added", ylabel="gain over none, points", xlim=(-0.25, 2.25), xticks=[0, 1, 2], title=" ")
    left.legend(loc="upper left")
    bars, values = [], []
    for i, label in enumerate(("added first", "added last (leave-one-out)", "mean of both orders")):
        bars.append(
            right.bar(np.arange(2) + 0.27 * (i - 1), [0, 0], 0.24, color=COLOURS[2 + i], animated=True, label=label)
        )
        values.append([right.text(0, 0, "", ha="center", fontsize=9, animated=True) for _ in names])
    right.axhline(0, color=GREY, linewidth=1)
    right.set(xticks=[0, 1], xticklabels=names, xlabel="trick", ylabel="gain, points", title="What is it worth?")
    right.set_xlim(-0.6, 1.6)
    right.legend(loc="upper left", fontsize=9)

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
            side = 0.05 * room * (1 if i == upper else -1)
            steps[2 * i].set(position=(0.5, gain / 2 + side), text=signed(gain), color=COLOURS[i])
            middle = (gain + together) / 2 + side
            steps[2 * i + 1].set(position=(1.5, middle), text=signed(together - gain), color=COLOURS[i])
        heading.set_text(f"{signed(first)} and {signed(second)}, together {signed(together)}")
        means = tuple((a + b) / 2 for a, b in zip(alone, last, strict=True))
        for group, texts, heights in zip(bars, values, (alone, last, means), strict=True):
            for bar, text, height in zip(group, texts, heights, strict=True):
                bar.set_height(height)
                centre = bar.get_x() + bar.get_width() / 2
                text.set(position=(centre, max(height, 0) + 0.02 * room), text=signed(height))

    return with_redraw(fig, redraw, interaction)


# Seeds


def power(effect: float, sd: float, n: Any) -> Any:
    """Probability that the 95 % t-interval of n paired differences excludes 0: P(|T| > t).

    The differences are normal with mean `effect` and standard deviation `sd`, so T² is noncentral F with 1 and n − 1
    degrees of freedom and noncentrality n (effect/sd)². `n` may be an array of numbers ≥ 2. ValueError unless sd > 0.
    """
    if not sd > 0:
        raise ValueError(f"sd = {sd!r}: must be above 0")
    n = np.asarray(n)
    return 1 - ncfdtr(1, n - 1, n * (effect / sd) ** 2, stdtrit(n - 1, 0.975) ** 2)


def seeds_for(effect: float, sd: float, goal: float = 0.8, most: int = 1_000) -> int:
    """The smallest number of seeds at which `power` reaches `goal`; `most` if that many are not enough."""
    return bisect_left(range(most), goal, lo=2, key=lambda n: float(power(effect, sd, n)))


@styled
def seeds_needed(sd: float = 0.5, effect: float = 0.5, n: int = 5, *, caption: str = "") -> Figure:
    """How often n seeds make a difference clear, and how wide their interval is, against n.

    `sd` is that of one paired difference, `effect` the true mean difference, in points. `redraw(sd, effect, n)`.
    """
    most = 40
    seeds = np.arange(2, most + 1)
    fig, (left, right) = canvas(2, height=4.0, caption=caption)
    left.axhline(80, color=GREY, linewidth=1, linestyle="--", label="80 %")
    (chance,) = left.plot([], [], color=COLOURS[0], animated=True, label="interval excludes 0")
    (here,) = left.plot([], [], "o", color=COLOURS[1], markersize=9, animated=True, label="this n")
    left.set(xlabel="seeds n in each arm", ylabel="studies with a clear difference, %", ylim=(0, 103), title=" ")
    (width,) = right.plot([], [], color=COLOURS[0], animated=True, label="half-width of the interval")
    (size,) = right.plot([], [], color=GREY, linestyle="--", animated=True, label="the true difference")
    (there,) = right.plot([], [], "o", color=COLOURS[1], markersize=9, animated=True)
    right.set(xlabel="seeds n in each arm", ylabel="points of accuracy", title=" ")
    headings = [ax.text(0, 1.04, "", transform=ax.transAxes, fontsize=11, animated=True) for ax in (left, right)]
    for ax, place in ((left, "lower right"), (right, "upper right")):
        ax.set(xlim=(0, most))
        ax.legend(loc=place)

    def redraw(sd: float = sd, effect: float = effect, n: int = n) -> None:
        halves = stdtrit(seeds - 1, 0.975) * sd / np.sqrt(seeds)
        found = 100 * power(effect, sd, seeds)
        chance.set_data(seeds, found)
        here.set_data([n], [found[n - 2]])
        width.set_data(seeds, halves)
        size.set_data([0, most], [abs(effect)] * 2)
        top = ceiling(max(halves[1], abs(effect)))  # of two seeds nobody wants to see the interval
        set_limits(right, ylim=(0, top))
        there.set_data([n], [min(halves[n - 2], top)])
        enough = seeds_for(effect, sd)
        needed = f"80 % needs {enough}" if enough < 1_000 else "80 % needs 1,000 or more"
        headings[0].set_text(f"{n} seeds: clear in {found[n - 2]:.0f} %; {needed}")
        wrong = 100 * float(ndtr(-abs(effect) / sd))
        headings[1].set_text(f"± {halves[n - 2]:.2f}. One seed: wrong sign in {wrong:.0f} %")

    return with_redraw(fig, redraw, sd, effect, n)
