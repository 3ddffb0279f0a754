"""Plot of single optimiser steps: what went in, what came out, and what the step changed."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.patches import Patch

from tricks.plots.style import (
    COLOURS,
    GREY,
    LIGHT,
    PALE,
    SMALL,
    Figure,
    canvas,
    ceiling,
    heading,
    set_limits,
    styled,
    with_redraw,
)
from tricks.plots.text import short

SLOW, FAST = 1e-5, 10.0  # ends of the axis of ‖Δw‖ / ‖w‖
WINDOW = 20  # steps that the curves have room for, or a multiple


class Step(NamedTuple):
    """One optimiser step, seen at one picture of its batch: the first that is mixed with another one, else the first.

    The predictions and the picture's losses are those of the training forward pass, in whose batch norm the picture is
    seen with its batch; those after the step are of the same batch once more.
    """

    number: int  # from 1
    rates: tuple[float, ...]  # learning rate; several if parameter groups have their own, in their order
    lam: float | None  # the picture's weight in the mixture; None if nothing is mixed
    partners: Any  # uint8 (2, S, S, 3): the picture and its partner, augmented; (1, S, S, 3) if nothing is mixed
    mixed: Any  # uint8 (s, s, 3): what the network gets
    target: Any  # (K,)
    before: Any  # (K,), the probabilities that the network gives before the step
    after: Any  # (K,), after it
    picture_loss: tuple[float, float]  # nats: cross-entropy of target and prediction, before and after
    loss: float  # nats: the batch's, which the step is to lower; with a teacher's part, if there is one
    gradient_norm: float  # of all parameters together; not a number if loss scaling has skipped the step
    updates: dict[str, float]  # ‖Δw‖ / ‖w‖ of the weights of each layer, in their order


@styled
def one_step(shown: tuple[Sequence[Step], int], *, classes: Sequence[str] = (), caption: str = "") -> Figure:
    """One of several steps: its pictures, target and predictions, loss and learning rate so far, each layer's update.

    `shown` are steps 1, 2, ... of one recipe, and the number of one of them. `redraw(shown)` takes others of the same
    network and classes.
    """
    fig, axes = canvas(4, 2, height=4.2, caption=caption, width_ratios=[1, 1, 1, 1.35])
    first, second, mixture = axes[0, :3]
    loss, rate, update = axes[1, :3]
    for ax in axes[:, 3]:
        ax.remove()
    guess = fig.add_subplot(axes[0, 3].get_gridspec()[:, 3])

    numbers = first.annotate(
        "", (0.01, 1), xytext=(0, 24), xycoords=("figure fraction", "axes fraction"), textcoords="offset points",
        animated=True,
    )  # fmt: skip
    first.set_title("\n", fontsize=11)  # the place of the numbers
    images = []
    for ax, title in ((first, "$x_i$"), (second, "$x_j$"), (mixture, "what goes in")):
        ax.set_title(title, loc="center", fontsize=11)
        ax.axis("off")
        ax.set_anchor("N")
        images.append(ax.imshow(np.zeros((1, 1, 3)), extent=(0, 1, 1, 0), interpolation="nearest", animated=True))
    alone = second.text(0.5, 0.5, "none: nothing\nis mixed", ha="center", va="center", fontsize=SMALL, animated=True)

    names = [short(name, 12) for name in classes] or [str(k) for k in range(len(shown[0][0].target))]
    places = np.arange(len(names))
    bars, legend = {}, []
    for kind, words, colour, edge, height, shift in (
        ("target", "target", PALE, GREY, 0.9, 0.0),
        ("before", "prediction before the step", COLOURS[0], "none", 0.3, -0.17),
        ("after", "after it", COLOURS[1], "none", 0.3, 0.17),
    ):
        look = {"facecolor": colour, "edgecolor": edge, "linewidth": 0.8}
        bars[kind] = guess.barh(places + shift, [0.0] * len(names), height, animated=True, **look)
        legend.append(Patch(label=words, **look))
    fig.legend(handles=legend, loc="outside upper right", ncols=3)
    own = heading(guess, fontsize=10)
    guess.set(xlabel="probability", xlim=(0, 1), xticks=(0, 0.5, 1), ylim=(len(names) - 0.4, -0.6))
    guess.set_yticks(places, names)
    guess.grid(axis="y", visible=False)

    curves = {}
    for ax, title, colour in ((loss, "loss of the batch, nats", COLOURS[2]), (rate, "learning rate", COLOURS[3])):
        (rest,) = ax.plot([], [], color=LIGHT, linewidth=1, animated=True)
        (line,) = ax.plot([], [], color=colour, animated=True)
        (point,) = ax.plot([], [], "o", color=colour, markersize=6, clip_on=False, animated=True)
        ax.set_title(title, fontsize=10)
        ax.set(xlabel="step", xlim=(0.5, WINDOW + 0.5), ylim=(0, 1))
        ax.xaxis.get_major_locator().set_params(integer=True, nbins=4)
        curves[ax] = rest, line, point
    layers = len(shown[0][0].updates)
    changed = update.bar(np.arange(1, layers + 1), [0.0] * layers, bottom=SLOW, color=COLOURS[4], animated=True)
    update.set_title("update ‖Δw‖ / ‖w‖", fontsize=10)
    update.set(xlabel="layer, from the first on", yscale="log", ylim=(SLOW, FAST), xlim=(0.4, layers + 0.6))
    update.set_yticks((1e-4, 1e-2, 1), ("0.0001", "0.01", "1"))
    update.set_yticks([], minor=True)
    update.xaxis.get_major_locator().set_params(integer=True, nbins=6, min_n_ticks=2)
    update.grid(axis="x", visible=False)

    def redraw(shown: tuple[Sequence[Step], int]) -> None:
        steps, number = shown
        step = steps[number - 1]
        rates = " and ".join(f"{rate:.3g}" for rate in step.rates)
        weight = "nothing mixed" if step.lam is None else f"λ = {step.lam:.2f}"
        numbers.set_text(
            f"Step {number:,}: learning rate {rates} · {weight} · loss {step.loss:.3f} · "
            f"gradient norm {step.gradient_norm:.3g}"
        )
        own.set_text("its loss {:.2f} → {:.2f}".format(*step.picture_loss))
        for image, picture in zip(images, (step.partners[0], step.partners[-1], step.mixed), strict=True):
            image.set_data(picture)
        images[1].set_visible(step.lam is not None)
        alone.set_visible(step.lam is None)
        for kind in bars:
            for bar, share in zip(bars[kind], getattr(step, kind), strict=True):
                bar.set_width(share)
        at = np.arange(1, len(steps) + 1)
        longest = WINDOW * -(-len(steps) // WINDOW)
        for ax, values in ((loss, [s.loss for s in steps]), (rate, [s.rates[0] for s in steps])):
            rest, line, point = curves[ax]
            rest.set_data(at, values)
            line.set_data(at[:number], values[:number])
            point.set_data([number], [values[number - 1]])
            highest = max((value for value in values if np.isfinite(value)), default=0.0)
            set_limits(ax, xlim=(0.5, longest + 0.5), ylim=(0, ceiling(highest) if highest else 1.0))
        for bar, share in zip(changed, step.updates.values(), strict=True):
            bar.set_height(max(share - SLOW, 0.0))

    return with_redraw(fig, redraw, shown)
