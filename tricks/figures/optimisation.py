"""Plots for the optimiser's side: learning rates, and where it goes on a loss (§2.1, §3, §5.1)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import cycle
from typing import Any

import numpy as np

from tricks.figures.base import COLOURS, GREY, LIGHT, Figure, canvas, ceiling, set_limits, styled, with_redraw
from tricks.recipe import BASELINE, Recipe, changes
from tricks.schedules import lr_at


@styled
def schedule(
    recipes: Mapping[str, Recipe] | Iterable[Recipe],
    steps_per_epoch: int = 100,
    *,
    log: bool = False,
) -> Figure:
    """Learning rate against epochs (Fig. 3a), with `log` again on a logarithmic axis.

    `redraw(recipes)` takes other recipes with the same labels.
    """
    recipes = _by_label(recipes)
    fig, axes = canvas(2 if log else 1, squeeze=False)
    axes = axes[0]
    lines = {label: [ax.plot([], [], label=label, animated=True)[0] for ax in axes] for label in recipes}
    for ax, scale in zip(axes, ("linear", "log"), strict=False):
        ax.set(xlabel="epoch", ylabel="learning rate", yscale=scale)
    columns = 2 if max(map(len, recipes)) > 24 else 4
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=columns)

    def redraw(recipes: Mapping[str, Recipe] | Iterable[Recipe]) -> None:
        recipes = _by_label(recipes)
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


def _by_label(recipes: Mapping[str, Recipe] | Iterable[Recipe]) -> dict[str, Recipe]:
    """Recipes without labels get their changes to the baseline as one."""
    if isinstance(recipes, Mapping):
        return {str(label): recipe for label, recipe in recipes.items()}
    return {", ".join(f"{k} = {v}" for k, v in changes(r, BASELINE).items()) or "baseline": r for r in recipes}


def noisy_quadratic(rates: Sequence[float], curvatures: Sequence[float], noise: float) -> tuple[Any, Any]:
    """Expected loss of SGD on Σ ½ a w², exactly: (distance, noise), each (steps + 1,), the loss being their sum.

    w ← w − η (a w + σ ξ), ξ of mean 0 and variance 1, so mean and variance of w follow m ← (1 − ηa) m and
    v ← (1 − ηa)² v + η² σ². The parts are Σ ½ a m² and Σ ½ a v. Every direction starts at the loss 1.
    """
    lr = np.asarray(rates, float)
    distance, variance = np.zeros(len(lr) + 1), np.zeros(len(lr) + 1)
    for a in curvatures:
        shrink = (1 - lr * a) ** 2
        distance += np.concatenate([[1], np.cumprod(shrink)])
        v = [0.0]
        for factor, kick in zip(shrink.tolist(), ((lr * noise) ** 2).tolist(), strict=True):
            v.append(factor * v[-1] + kick)
        variance += 0.5 * a * np.array(v)
    return distance, variance


def noise_floor(lr: float, curvature: float, noise: float) -> float:
    """η σ² / (2 (2 − η a)): the loss at which SGD with a constant learning rate stops falling on ½ a w².

    It is ½ a v at the fixed point of `noisy_quadratic`'s recursion. ValueError unless 0 < η a < 2.
    """
    if not 0 < lr * curvature < 2:
        raise ValueError(f"lr * curvature = {lr * curvature!r}: must be between 0 and 2, or SGD does not settle")
    return lr * noise**2 / (2 * (2 - lr * curvature))


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
        ax.text(0.98, 0.98, "", transform=ax.transAxes, fontsize=9, ha="right", va="top", animated=True)
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
def contour_paths(
    loss: Callable[[Any, Any], Any],
    paths: Mapping[str, Any],
    *,
    xlim: tuple[float, float],
    ylim: tuple[float, float],
    xlabel: str = "weight $w_1$",
    ylabel: str = "weight $w_2$",
) -> Figure:
    """Contours of a loss in the plane, and where optimisers went: label -> (n, 2) points.

    `loss(x, y)` takes arrays of one shape. `redraw(paths)` takes new paths with the same labels.
    """
    fig, ax = canvas()
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


@styled
def gradient_noise(
    batch_sizes: Sequence[int], variances: Mapping[str, Sequence[float]], *, caption: str = ""
) -> Figure:
    """Variance of the mini-batch gradient against the batch size b, log-log, with the slope fitted to it (§3.1).

    `variances` is label -> one value for each batch size. The dotted lines have the slope −1 of 1/b.
    """
    fig, ax = canvas(caption=caption)
    log_b = np.log(batch_sizes)
    for (label, values), colour in zip(variances.items(), cycle(COLOURS), strict=False):
        log_v = np.log(values)
        slope = np.polyfit(log_b, log_v, 1)[0]
        name = f"{label}: slope {slope:.2f}".replace("-", "−")
        ax.plot(batch_sizes, values, "o", color=colour, markersize=8, label=name)
        ax.plot(batch_sizes, np.exp(log_v.mean() + log_b.mean() - log_b), ":", color=colour)
    ax.plot([], [], ":", color=GREY, label="proportional to 1/b: slope −1")
    ax.set(xlabel="batch size b, images", ylabel="variance of the gradient, summed over weights")
    ax.set(xscale="log", yscale="log")
    ax.set_xticks(batch_sizes, [f"{b}" for b in batch_sizes])
    ax.minorticks_off()
    ax.legend(loc="lower left")
    return fig


@styled
def loss_traces(
    traces: Mapping[str, Sequence[float]],
    steps: int,
    *,
    chance: float,
    warmup_steps: int,
    caption: str = "",
) -> Figure:
    """Training loss of every step, on a log axis; a cross marks where a loss stops being finite (§3.1).

    `chance` is the loss of equal probabilities, log K. `redraw(traces)` takes new traces with the same labels.
    """
    fig, ax = canvas(caption=caption)
    ax.axhline(chance, color=GREY, linestyle="--", linewidth=1.2, label=f"equal probabilities: {chance:.2f}")
    ax.axvline(warmup_steps, color=LIGHT, linestyle=":", label="end of the warm-up")
    lines = {label: ax.plot([], [], linewidth=1.5, label=label, animated=True)[0] for label in traces}
    crosses, notes = {}, {}
    for i, (label, line) in enumerate(lines.items()):
        high = 0.93 - 0.1 * i  # of the axes: two crosses must not cover each other
        at = {"transform": ax.get_xaxis_transform(), "color": line.get_color(), "animated": True}
        crosses[label] = ax.plot([], [], "X", markersize=12, **at)[0]
        paper = {"boxstyle": "square,pad=0.2", "facecolor": "white", "edgecolor": "none"}  # words on a curve
        notes[label] = ax.text(0, high, "", va="center", fontsize=10, bbox=paper, zorder=3, **at)
    ax.set(xlabel="step", ylabel="training loss of the batch, nats")
    ax.set(yscale="log", xlim=(0, steps))
    fig.legend(loc="outside upper left", ncols=2)

    def redraw(traces: Mapping[str, Sequence[float]]) -> None:
        largest = max(float(np.max(np.nan_to_num(traces[label], nan=np.inf))) for label in lines)
        top = next((top for top in (10.0, 100.0) if largest < top), 1e5)  # what is higher leaves the axes
        set_limits(ax, ylim=(0.5, top))
        for label, line in lines.items():
            loss = np.asarray(traces[label], float)
            bad = np.flatnonzero(~np.isfinite(loss))
            line.set_data(np.arange(len(loss)), np.where(np.isfinite(loss), loss, np.nan))
            note, high = notes[label], notes[label].get_position()[1]
            crosses[label].set_data(bad[:1], [high] * len(bad[:1]))
            note.set_text(f"not finite from step {bad[0]} on" if len(bad) else "")
            if len(bad):
                early = bad[0] < 0.7 * steps  # the words are a quarter of the axes long; to the right is no curve
                note.set(x=bad[0] + (0.02 if early else -0.02) * steps, ha="left" if early else "right")

    return with_redraw(fig, redraw, traces)


@styled
def block_growth(gamma: Mapping[str, Any], ratio: Mapping[str, Any], *, caption: str = "") -> Figure:
    """How the residual blocks wake up: each block's last γ, and ‖path A‖/‖path B‖, against the step (§3.1).

    Both are label -> (steps, blocks): the root mean square of γ over channels, and the ratio of the two paths' norms.
    """
    fig, axes = canvas(2, caption=caption)
    for ax, values in zip(axes, (gamma, ratio), strict=True):
        for (label, by_step), style in zip(values.items(), ("-", "--", ":"), strict=False):
            for block, (column, colour) in enumerate(zip(np.asarray(by_step).T, cycle(COLOURS), strict=False)):
                ax.plot(column, style, color=colour, label=f"{label}, block {block + 1}")
        ax.set(xlabel="step", ylim=(0, None))
        ax.margins(x=0)
    axes[0].set(ylabel="γ, root mean square", title="γ of the last batch norm")
    axes[1].set(ylabel="‖path A‖ / ‖path B‖", title="Block against its shortcut")
    handles, labels = axes[0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside upper center", ncols=max(1, len(gamma)), fontsize=9)
    return fig
