"""Plots of the Trick Lab: what a recipe asks for before it is trained, and what came out of several."""

import math
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any, NamedTuple

import numpy as np

from tricks.plots.evidence import LABELS
from tricks.plots.style import COLOURS, GREY, LIGHT, SMALL, Figure, canvas, heading, set_limits, styled, with_redraw
from tricks.plots.text import short, verbatim
from tricks.recipe import Recipe
from tricks.records.store import Run
from tricks.schedules import lr_at

POINTS = 300  # of a learning-rate curve


class Before(NamedTuple):
    """What is known of a run before it starts."""

    recipe: Recipe
    steps: int  # in an epoch
    classes: Sequence[str]
    pictures: Any  # (12, H, W, 3) in 0..255, as the network gets them but for crops and flips
    target: Any  # (K,) of the first picture
    lam: float  # weight of each picture against its partner; 1 without mixup


@styled
def before_training(before: Before) -> Figure:
    """The learning rate over the run, the target of one picture, and a batch. `redraw(before)`; the classes stay."""
    fig, (left, middle, right) = canvas(3, height=2.9, width_ratios=[1.15, 1, 1.25])
    peak, asked, mixed = (heading(ax, fontsize=10) for ax in (left, middle, right))
    (line,) = left.plot([], [], color=COLOURS[0], animated=True, clip_on=False)
    places = range(len(before.classes))
    bars = middle.barh(places, [0.0] * len(places), color=COLOURS[1], animated=True)
    numbers = [middle.text(0, place, "", va="center", fontsize=SMALL, animated=True) for place in places]
    batch = right.imshow(np.zeros((3, 4, 3)), extent=(0, 4, 3, 0), interpolation="nearest", animated=True)
    for ax, title in ((left, "Learning rate"), (middle, "Target of one picture"), (right, "A batch")):
        ax.set_title(f"{title}\n", fontsize=11)  # the second line is the heading's
    left.set(xlabel="share of the run, %", ylabel="learning rate", xlim=(0, 100), ylim=(0, 1))
    middle.set(xlabel="probability", xlim=(0, 1.2), xticks=(0, 0.5, 1), ylim=(len(places) - 0.4, -0.6))
    middle.set_yticks(places, [short(name) for name in before.classes])
    middle.grid(axis="y", visible=False)
    right.set(xlabel="twelve pictures", xticks=(), yticks=())
    right.set_anchor("N")
    for side in ("left", "bottom"):
        right.spines[side].set_visible(False)

    def redraw(before: Before) -> None:
        recipe, target = before.recipe, np.asarray(before.target, float)
        total = recipe.epochs * before.steps
        steps = np.unique(np.linspace(0, total - 1, POINTS).astype(int))
        rates = [lr_at(recipe, int(step), before.steps) for step in steps]
        line.set_data(100 * (steps + 1) / total, rates)
        set_limits(
            left, ylim=(0, 0.0135 * 10 ** (math.ceil(2 * math.log10(max(rates) / 0.013)) / 2))
        )  # few, to be fast
        peak.set_text(f"at most {max(rates):.3g}, {total:,} steps")
        for bar, number, share in zip(bars, numbers, target, strict=True):
            bar.set_width(share)
            number.set(x=share + 0.03, text=f"{share:.3g}" if share >= 5e-4 else "")
        teacher = f"+ {recipe.teacher}, T = {recipe.temperature:g}, × {recipe.distill_weight:g}"
        asked.set_text(teacher if recipe.teacher else f"ε = {recipe.label_smoothing:g}")
        rows = np.clip(np.asarray(before.pictures, float) / 255, 0, 1).reshape(3, 4, *np.shape(before.pictures)[1:])
        batch.set_data(np.concatenate(np.concatenate(rows, axis=1), axis=1))
        typical = f"α = {recipe.mixup_alpha:g}, typical λ = {before.lam:.2f}"
        mixed.set_text(typical if recipe.mixup_alpha else "nothing mixed")

    return with_redraw(fig, redraw, before)


@styled
def overlay(
    runs: Mapping[str, Run], recorded: Mapping[str, Sequence[Run]] | None = None, epochs: int = 1, *, caption: str = ""
) -> Figure:
    """Training loss and test accuracy of several runs, over recorded ones in grey; a diamond is the final accuracy.

    Curves come from the rows, which are measured on samples, diamonds from `final`, on all evaluated images. `epochs`
    is the least width of the axes.
    """
    fig, (left, right) = canvas(2, caption=caption)
    fig.set_figheight(4.2)  # its place on the page does not grow with the caption
    panels = ((left, "train_loss"), (right, "test_accuracy"))
    for label, group in (recorded or {}).items():
        label = verbatim(label)
        for i, run in enumerate(group):
            for ax, metric in panels:
                _curve(ax, run, metric, color=LIGHT, linewidth=1.2, label="" if i else label, zorder=1)
            _final(right, run, color=GREY, markersize=5, zorder=2)
    for (label, run), colour in zip(runs.items(), cycle(COLOURS), strict=False):
        for ax, metric in panels:
            _curve(ax, run, metric, color=colour, marker="o", markersize=4, label=verbatim(label), zorder=3)
        _final(right, run, color=colour, markersize=9, zorder=4)
    everything = [*runs.values(), *(run for group in (recorded or {}).values() for run in group)]
    longest = max([epochs, *(row["epoch"] for run in everything for row in run.rows)])
    split = next((run.recipe.split for run in runs.values()), "test")
    left.set(ylabel=LABELS["train_loss"], title="Training loss: compare equal targets only")
    right.set(ylabel=LABELS["test_accuracy"].replace("test", split), title="Accuracy; ◆ on all images, at the end")
    for ax in (left, right):
        ax.title.set_fontsize(11)
        ax.set(xlabel="epoch", xlim=(0, longest * 1.02))
        ax.xaxis.get_major_locator().set_params(integer=True)
        if not ax.lines:
            ax.set(yticks=())
    if right.lines:
        handles, labels = right.get_legend_handles_labels()
        fig.legend(handles, labels, loc="outside upper left", ncols=1)
    return fig


def _curve(ax: Any, run: Run, metric: str, **style: Any) -> None:
    ax.plot([row["epoch"] for row in run.rows], [row[metric] for row in run.rows], **style)


def _final(ax: Any, run: Run, **style: Any) -> None:
    if run.final:
        ax.plot([run.rows[-1]["epoch"]], [run.accuracy], "D", markeredgecolor="white", **style)
