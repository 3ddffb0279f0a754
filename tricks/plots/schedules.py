"""Plots for learning rates, and what a schedule trades (§3.1, §5.1)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import cycle
from typing import Any

import numpy as np

from tricks.plots.evidence import INTERVAL, outlined
from tricks.plots.style import COLOURS, GREY, SMALL, Figure, canvas, ceiling, set_limits, styled, with_redraw
from tricks.recipe import BASELINE, Recipe
from tricks.schedules import lr_at, noisy_quadratic


@styled
def schedule(
    recipes: Mapping[str, Recipe],
    steps_per_epoch: int = 100,
    *,
    log: bool = False,
) -> Figure:
    """Learning rate against epochs (Fig. 3a), with `log` again on a logarithmic axis.

    `redraw(recipes)` takes other recipes with the same labels.
    """
    fig, axes = canvas(2 if log else 1, squeeze=False)
    axes = axes[0]
    lines = {label: [ax.plot([], [], label=label, animated=True)[0] for ax in axes] for label in recipes}
    for ax, scale in zip(axes, ("linear", "log"), strict=False):
        ax.set(xlabel="epoch", ylabel="learning rate", yscale=scale)
    columns = 2 if max(map(len, recipes)) > 24 else 4
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=columns)

    def redraw(recipes: Mapping[str, Recipe]) -> None:
        if recipes.keys() != lines.keys():
            raise ValueError(f"labels {list(recipes)} are not those drawn: {list(lines)}")
        for label, recipe in recipes.items():
            steps = range(recipe.epochs * steps_per_epoch)
            lr = [lr_at(recipe, step, steps_per_epoch) for step in steps]
            for line in lines[label]:
                line.set_data(np.array(steps) / steps_per_epoch, lr)
        peak = max(max(line.get_ydata()) for line, *_ in lines.values())
        for ax, ylim in zip(axes, ((0, ceiling(peak)), (peak / 1e4, 2 * peak)), strict=False):
            set_limits(ax, xlim=(0, max(recipe.epochs for recipe in recipes.values())), ylim=ylim)

    return with_redraw(fig, redraw, recipes)


BOWL = {"epochs": 120, "steps_per_epoch": 10, "steep": 1.0, "noise": 0.3}  # of `distance_and_noise`


def bowl_rates(kind: str, peak: float = 0.4, first_decay: float = 0.25) -> list[float]:
    """Learning rate of each step of `distance_and_noise`'s run: kind "step", "cosine" or "constant"."""
    first = 1.0 if kind == "constant" else first_decay  # a decay after the whole run is none
    recipe = replace(BASELINE, epochs=BOWL["epochs"], lr=peak, first_decay=first)
    if kind == "cosine":
        recipe = replace(recipe, schedule="cosine")
    return [lr_at(recipe, step, BOWL["steps_per_epoch"]) for step in range(BOWL["epochs"] * BOWL["steps_per_epoch"])]


@styled
def distance_and_noise(peak: float = 0.4, first_decay: float = 0.25, flat: float = 0.02) -> Figure:
    """What a schedule trades (§5.1): on a noisy quadratic, the distance left, the noise, and the loss, their sum.

    One direction of curvature 1, one of curvature `flat`; exact (`noisy_quadratic`). `redraw(peak, first_decay, flat)`.
    """
    fig, axes = canvas(3, sharey=True, height=4.0)
    kinds = {"step": COLOURS[0], "cosine": COLOURS[1], "constant": GREY}
    lines = {
        kind: [ax.plot([], [], color=colour, label=kind, animated=True)[0] for ax in axes]
        for kind, colour in kinds.items()
    }
    sums, ends = (
        ax.text(0.98, 0.98, "", transform=ax.transAxes, fontsize=SMALL, ha="right", va="top", animated=True)
        for ax in (axes[0], axes[2])
    )
    panels = {"Distance left": "½ Σ a m²", "plus noise": "½ Σ a v", "is the loss": "expected loss"}
    for ax, (title, ylabel) in zip(axes, panels.items(), strict=True):
        ax.set(xlabel="epoch", ylabel=ylabel, title=title, yscale="log", xlim=(0, BOWL["epochs"]), ylim=(1e-4, 30))
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=3)
    time = np.arange(BOWL["epochs"] * BOWL["steps_per_epoch"] + 1) / BOWL["steps_per_epoch"]

    def redraw(peak: float = peak, first_decay: float = first_decay, flat: float = flat) -> None:
        area, end = [], []
        for kind in kinds:
            rates = bowl_rates(kind, peak, first_decay)
            distance, noise = noisy_quadratic(rates, (BOWL["steep"], flat), BOWL["noise"])
            for line, values in zip(lines[kind], (distance, noise, distance + noise), strict=True):
                line.set_data(time, values)
            area.append(f"{kind}: Σ lr = {sum(rates):.0f}")
            end.append(f"{kind}: {distance[-1] + noise[-1]:.2g} at the end")
        sums.set_text("\n".join(area))
        ends.set_text("\n".join(end))

    return with_redraw(fig, redraw, peak, first_decay, flat)


@styled
def leads(
    ours: Mapping[str, Any],
    ylabel: str,
    *,
    paper: Mapping[str, Sequence[float]] | None = None,
    caption: str = "",
) -> Figure:
    """Who is ahead when: differences epoch by epoch against the share of the run that is done.

    `ours`: label -> (seeds, epochs), from `lead`, drawn as mean and 95 % t-interval; `paper`: label -> (epochs,).
    """
    from seaborn import lineplot

    fig, ax = canvas(caption=caption)
    ax.axhline(0, color=GREY, linewidth=1)
    for (label, values), colour in zip(ours.items(), cycle(COLOURS), strict=False):
        seeds, epochs = np.shape(values)
        share = np.tile(100 * np.arange(1, epochs + 1) / epochs, seeds)
        dots: Any = {"marker": "o", "markersize": 4, "markeredgecolor": colour}
        lineplot(x=share, y=np.ravel(values), color=colour, label=label, ax=ax, **dots, **INTERVAL)
    outlined(ax)
    for label, values in (paper or {}).items():
        ax.plot(100 * np.arange(1, len(values) + 1) / len(values), values, color=GREY, linewidth=1.5, label=label)
    ax.set(xlabel="share of the run that is done, %", ylabel=ylabel, xlim=(0, 102))
    ax.legend()
    return fig
