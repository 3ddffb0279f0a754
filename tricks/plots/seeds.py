"""Plots for what a number from a few seeds is worth: repeated studies, pairs of runs, how many seeds it takes."""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtr, stdtrit

from tricks.plots.style import COLOURS, GREY, Figure, canvas, ceiling, heading, set_limits, styled, with_redraw
from tricks.records.statistics import compare, power, same_seeds, seeds_for
from tricks.records.store import Run

TRUTH, SPREAD, STUDIES, DRAWN = 75.0, 0.5, 20_000, 60  # made up: mean and sd of the seeds; studies counted, and drawn


class Studies(NamedTuple):
    """Many studies of n seeds each, of one recipe whose true mean is known."""

    mean: Any  # of each study's seeds
    error: Any  # standard error, s / √n
    t: float  # Student's, for a 95 % interval of n seeds

    def missed(self, factor: float) -> float:
        """The share of studies in which the true mean is outside mean ± factor · s / √n."""
        return float((abs(self.mean - TRUTH) > factor * self.error).mean())


@lru_cache
def simulated(n: int) -> Studies:
    """20,000 studies of n seeds that scatter normally around 75 % with a standard deviation of 0.5; always the same."""
    draws = np.random.default_rng(0).normal(TRUTH, SPREAD, (STUDIES, n))
    return Studies(draws.mean(1), draws.std(1, ddof=1) / math.sqrt(n), float(stdtrit(n - 1, 0.975)))


@styled
def repeated_studies(n: int = 5) -> Figure:
    """The first 60 of `simulated(n)` with their t-intervals; the title counts the misses of all. `redraw(n)`."""
    fig, ax = canvas(height=3.6)
    ax.axhline(TRUTH, color=GREY, linewidth=1)
    ax.set(xlabel=f"the first {DRAWN} of {STUDIES:,} studies", ylabel="accuracy, %", xlim=(-1, DRAWN), ylim=(73, 77))
    holds = ax.vlines([], [], [], color=COLOURS[0], animated=True, label="holds the true mean")
    misses = ax.vlines([], [], [], color=COLOURS[1], animated=True, label="misses it")
    title = heading(ax, fontsize=12)
    fig.legend(loc="outside lower right", ncols=2)

    def redraw(n: int) -> None:
        studies = simulated(n)
        low, high = (studies.mean + sign * studies.t * studies.error for sign in (-1, 1))
        wrong = (low > TRUTH) | (high < TRUTH)
        for lines, which in ((holds, ~wrong), (misses, wrong)):
            lines.set_segments([[(i, low[i]), (i, high[i])] for i in range(DRAWN) if which[i]])
        with_t, without = 100 * studies.missed(studies.t), 100 * studies.missed(1.96)
        title.set_text(f"n = {n} seeds: {with_t:.1f} % miss with t = {studies.t:.2f}, {without:.1f} % with 1.96")

    return with_redraw(fig, redraw, n)


def half_widths(new: Sequence[Run], old: Sequence[Run]) -> tuple[float, float]:
    """Half-widths of the 95 % interval of `new − old` over their common seeds: paired by seed, and not (Welch's)."""
    arms = same_seeds({"new": new, "old": old}).values()
    parts = [np.var([run.accuracy for run in runs], ddof=1) / len(runs) for runs in arms]
    n = len(next(iter(arms)))
    freedom = sum(parts) ** 2 / sum(part**2 / (n - 1) for part in parts)
    return compare(new, old).half, float(stdtrit(freedom, 0.975) * math.sqrt(sum(parts)))


@styled
def pairing(steps: Mapping[str, tuple[Sequence[Run], Sequence[Run]]], step: str, *, caption: str = "") -> Figure:
    """What pairing by seed does to an interval: label -> (new runs, old runs). `redraw(step)`.

    A line is a seed, from its place in the old arm to that in the new one: level lines cancel in the differences. The
    means are taken out, so that nothing says which arm is better.
    """
    fig, (left, right) = canvas(2, height=3.6, caption=caption, width_ratios=(1.2, 1))
    most = max(
        max(map(abs, _deviations(runs))) for arms in steps.values() for runs in same_seeds(_named(arms)).values()
    )
    top = ceiling(most)
    count = max(len(runs) for arms in steps.values() for runs in arms)
    lines = [left.plot([], [], "o-", linewidth=1.5, animated=True)[0] for _ in range(count)]
    left.set(
        xlim=(-0.3, 1.3), ylim=(-top, top), ylabel="accuracy − the arm's mean, points", xlabel="each line one seed"
    )
    left.set_xticks([0, 1], ["old arm", "new arm"])
    widest = ceiling(max(half for arms in steps.values() for half in half_widths(*arms)))
    kinds = ("paired by seed", "not paired")
    bars = [right.plot([], [], "|-", color=colour, markersize=14, animated=True)[0] for colour in COLOURS[:2]]
    notes = [right.text(0, 1.14 - place, "", ha="center", animated=True) for place in range(2)]
    right.axvline(0, color=GREY, linewidth=1)
    right.set(xlim=(-widest, widest), ylim=(-0.5, 1.5), xlabel="95 % interval, points")
    right.set_yticks([1, 0], kinds)
    right.grid(axis="y", visible=False)
    title = heading(left, fontsize=11)

    def redraw(step: str) -> None:
        ends = [_deviations(runs) for runs in same_seeds(_named(steps[step])).values()]
        for i, line in enumerate(lines):
            line.set_data([0, 1], [end[i] for end in ends]) if i < len(ends[0]) else line.set_data([], [])
        for place, (bar, note, half) in enumerate(zip(bars, notes, half_widths(*steps[step]), strict=True)):
            bar.set_data([-half, half], [1 - place] * 2)
            note.set_text(f"± {half:.2f}")
        title.set_text(step)

    return with_redraw(fig, redraw, step)


def _named(arms: tuple[Sequence[Run], Sequence[Run]]) -> dict[str, Sequence[Run]]:
    return {"old": sorted(arms[1], key=lambda run: run.seed), "new": sorted(arms[0], key=lambda run: run.seed)}


def _deviations(runs: Sequence[Run]) -> list[float]:
    mean = math.fsum(run.accuracy for run in runs) / len(runs)
    return [run.accuracy - mean for run in runs]


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
    left.set(xlabel="seeds n in each arm", ylabel="studies with a clear difference, %", ylim=(0, 103))
    (width,) = right.plot([], [], color=COLOURS[0], animated=True, label="half-width of the interval")
    (size,) = right.plot([], [], color=GREY, linestyle="--", animated=True, label="the true difference")
    (there,) = right.plot([], [], "o", color=COLOURS[1], markersize=9, animated=True)
    right.set(xlabel="seeds n in each arm", ylabel="points of accuracy")
    headings = [heading(ax, fontsize=11) for ax in (left, right)]
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
