"""Plots for the optimiser's side: learning rates, and where it goes on a loss (§2.1, §3, §5.1)."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from tricks.figures.base import LIGHT, Figure, canvas, ceiling, set_limits, styled, with_redraw
from tricks.recipe import BASELINE, Recipe, changes
from tricks.schedules import lr_at


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
    ax.set(xlabel="epoch", ylabel="learning rate", yscale="log" if log else "linear")
    ax.legend(loc="upper right")

    def redraw(recipes: Mapping[str, Recipe] | Iterable[Recipe]) -> None:
        recipes = _by_label(recipes)
        if recipes.keys() != lines.keys():
            raise ValueError(f"labels {list(recipes)} are not those drawn: {list(lines)}")
        for label, recipe in recipes.items():
            steps = range(recipe.epochs * steps_per_epoch)
            lr = [lr_at(recipe, step, steps_per_epoch) for step in steps]
            lines[label].set_data(np.array(steps) / steps_per_epoch, lr)
        set_limits(ax, xlim=(0, max(recipe.epochs for recipe in recipes.values())))
        peak = max(max(line.get_ydata()) for line in lines.values())
        if log:
            set_limits(ax, ylim=(peak / 1e4, 2 * peak))
        else:
            set_limits(ax, ylim=(0, ceiling(peak)))

    return with_redraw(fig, redraw, recipes)


def _by_label(recipes: Mapping[str, Recipe] | Iterable[Recipe]) -> dict[str, Recipe]:
    """Recipes without labels get their changes to the baseline as one."""
    if isinstance(recipes, Mapping):
        return {str(label): recipe for label, recipe in recipes.items()}
    return {", ".join(f"{k} = {v}" for k, v in changes(r, BASELINE).items()) or "baseline": r for r in recipes}


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

    return with_redraw(fig, redraw, paths)
