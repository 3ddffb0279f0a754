"""Plots of what the paper takes for granted: nats, mini-batches, weight decay, annealing, gradients by depth."""

import math
from collections.abc import Mapping
from typing import Any

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
    spread,
    styled,
    with_redraw,
)
from tricks.schedules import cosine_lr, noisy_quadratic

CLASSES = ("cat", "dog", "lorry")  # the first one is right
BATCHES = 300  # drawn of each size
CURVATURES = {1.0: COLOURS[0], 0.01: COLOURS[1], 0.0: COLOURS[2]}  # of three losses, each of one weight
BOWL: Any = {"curvatures": (1.0, 0.02), "noise": 0.3}  # as in `plots.schedules`
STEPS = 1000  # of `annealed`


@styled
def logits_to_nats(cat: float = 2.0, dog: float = 1.0, lorry: float = -1.0) -> Figure:
    """Three logits, their softmax, and the cross-entropy in nats if the first class is right (§5.2, eq. 2, 3).

    `redraw(cat, dog, lorry)`.
    """
    fig, (left, middle, right) = canvas(3, height=3.8)
    colours = (COLOURS[0], LIGHT, LIGHT)
    heights = left.bar(CLASSES, [0] * 3, color=colours, animated=True)
    shares = middle.bar(CLASSES, [0] * 3, color=colours, animated=True)
    numbers = [middle.text(i, 0, "", ha="center", va="bottom", animated=True) for i in range(3)]
    left.axhline(0, color=GREY, linewidth=1)
    left.set(xlabel="class (cat is right)", ylabel="logit z", title="Logits", ylim=(-6.5, 6.5))
    middle.set(xlabel="class (cat is right)", ylabel="probability q", title="Their softmax")
    middle.set(ylim=(0, 1.15), yticks=np.linspace(0, 1, 6))
    q = np.geomspace(1e-6, 1, 300)
    right.plot(q, -np.log(q), color=GREY)
    (point,) = right.plot([], [], "o", color=COLOURS[0], markersize=9, animated=True, clip_on=False)
    words = right.text(0.97, 0.96, "", transform=right.transAxes, ha="right", va="top", animated=True)
    right.set(xlabel="probability q of the cat", ylabel="loss −log q, nats", title="Loss", xlim=(0, 1), ylim=(0, 13))

    def redraw(cat: float = cat, dog: float = dog, lorry: float = lorry) -> None:
        z = np.array([cat, dog, lorry], float)
        q = np.exp(z - z.max())
        q /= q.sum()
        for bar, share, number, logit, value in zip(heights, shares, numbers, z, q, strict=True):
            bar.set_height(logit)
            share.set_height(value)
            number.set(y=value + 0.01, text=f"{value:.3f}")
        loss = -math.log(q[0])
        point.set_data([q[0]], [loss])
        words.set_text(f"{loss:.2f} nats\n= {loss / math.log(2):.2f} bits")

    return with_redraw(fig, redraw, cat, dog, lorry)


@styled
def minibatch(gradients: Any, b: int = 1, *, caption: str = "") -> Figure:
    """Mean gradients of random batches of b pictures among those of single ones, and their variance against b (§3.1).

    `gradients` is (pictures, 2), their first column along the mean gradient. `redraw(b)`.
    """
    gradients = np.asarray(gradients, float)
    mean, single = gradients.mean(0), float(gradients.var(0).sum())
    fig, (left, right) = canvas(2, height=4.4, caption=caption)
    left.plot(*gradients.T, ".", color=LIGHT, markersize=3, label="one picture")
    (dots,) = left.plot([], [], ".", color=COLOURS[0], markersize=5, animated=True, label="mean over a batch of b")
    left.plot(*mean, "+", color=COLOURS[1], markersize=13, markeredgewidth=2.5, animated=True, label="mean over all")
    left.axvline(0, color=INK, linewidth=1)
    reach = 1.05 * np.quantile(np.abs(gradients - mean), 0.995)
    left.set(xlim=(mean[0] - reach, mean[0] + reach), ylim=(mean[1] - reach, mean[1] + reach))
    left.set(xlabel="component along the mean gradient", ylabel="a component across it")
    uphill = heading(left, fontsize=11)
    sizes = 2.0 ** np.arange(0, 11)
    right.loglog(sizes, single / sizes, "--", color=GREY, label="of one picture, divided by b")
    (point,) = right.plot(
        [], [], "o", color=COLOURS[0], markersize=9, animated=True, label=f"variance of {BATCHES} batches"
    )
    words = right.text(0.04, 0.05, "", transform=right.transAxes, va="bottom", linespacing=1.4, animated=True)
    right.set(xlabel="pictures in a batch, b", ylabel="variance of the batch's gradient", title="Variance: one over b")
    handles, labels = (a + b for a, b in zip(*(ax.get_legend_handles_labels() for ax in (left, right)), strict=True))
    fig.legend(handles, labels, loc="outside upper left", ncols=3)

    def redraw(b: int = b) -> None:
        drawn = np.random.default_rng(0).integers(len(gradients), size=(BATCHES, b))
        means = gradients[drawn].mean(1)
        dots.set_data(*means.T)
        uphill.set_text(f"b = {b}: {100 * (means[:, 0] < 0).mean():.0f} % of batches point the wrong way")
        variance = means.var(0).sum()
        point.set_data([b], [variance])
        words.set_text(
            f"variance {variance / single:.2g} of one picture's\nspread {(variance / single) ** 0.5:.2g} of it"
        )

    return with_redraw(fig, redraw, b)


@styled
def decayed(lr: float = 0.1, weight_decay: float = 5e-4) -> Figure:
    """Three weights that start where their loss ½ a (w − 1)² wants them, under SGD with weight decay, exactly.

    w ← w − η (a (w − 1) + λ w), for a = 1, 0.01 and 0. `redraw(lr, weight_decay)`. ValueError where that diverges.
    """
    fig, ax = canvas(height=4.0)
    steps = np.unique(np.round(np.geomspace(1, 10_000, 200)))
    lines, ends = {}, {}
    said = {1.0: "the loss cares, a = 1", 0.01: "it cares a little, a = 0.01", 0.0: "it does not care, a = 0"}
    for a, colour in CURVATURES.items():
        (lines[a],) = ax.plot([], [], color=colour, label=said[a], animated=True)
        ends[a] = ax.text(1.2e4, 0, "", color=colour, va="center", fontsize=SMALL, animated=True)
    ax.plot([1, 1e4], [1, 1], "--", color=LIGHT, linewidth=1, label="where the loss wants all three", zorder=1)
    ax.set(xscale="log", xlim=(1, 2.5e4), ylim=(-0.05, 1.15), xlabel="step", ylabel="weight w")
    ax.set_xticks(10.0 ** np.arange(5))
    ax.minorticks_off()
    words = heading(ax, fontsize=11)
    fig.legend(*ax.get_legend_handles_labels(), loc="outside upper left", ncols=2)

    def redraw(lr: float = lr, weight_decay: float = weight_decay) -> None:
        if not 0 < lr * (max(CURVATURES) + weight_decay) < 2:
            raise ValueError(f"lr = {lr!r}, weight_decay = {weight_decay!r}: lr · (1 + weight_decay) must be in (0, 2)")
        last = []
        for a, line in lines.items():
            rest = a / (a + weight_decay) if a else 0.0
            w = rest + (1 - rest) * (1 - lr * (a + weight_decay)) ** steps
            line.set_data(steps, w)
            last.append(w[-1])
        for text, w, place in zip(ends.values(), last, spread(last, 0.08), strict=True):
            text.set(y=place, text=f"{w:.3f}")
        words.set_text(f"w ← (1 − ηλ) w − η · gradient of the loss,   1 − ηλ = {1 - lr * weight_decay:.7g}")

    return with_redraw(fig, redraw, lr, weight_decay)


@styled
def annealed(start: float = 0.4, end_over_start: float = 1.0) -> Figure:
    """A learning rate that falls along a cosine, and the expected loss of SGD in a noisy bowl, exactly (§5.1).

    Beside it the two constant rates, of the start and of the end. `redraw(start, end_over_start)`.
    """
    fig, (left, right) = canvas(2, height=4.2)
    styles = {"constant, as at the start": (GREY, "--"), "constant, as at the end": (COLOURS[4], ":")}
    styles["annealed from one to the other"] = (COLOURS[0], "-")
    lines = {
        label: [ax.plot([], [], line, color=colour, label=label, animated=True)[0] for ax in (left, right)]
        for label, (colour, line) in styles.items()
    }
    left.set(xlabel="step", ylabel="learning rate", title="The rate", xlim=(0, STEPS), ylim=(0, 1.05))
    right.set(xlabel="step", ylabel="expected loss", yscale="log", xlim=(0, STEPS), ylim=(3e-4, 5))
    words = heading(right, fontsize=12)
    fig.legend(*left.get_legend_handles_labels(), loc="outside upper left", ncols=3)

    def redraw(start: float = start, end_over_start: float = end_over_start) -> None:
        rates = annealed_rates(start, end_over_start)
        for line, drawn in zip(lines.values(), ([start] * STEPS, [rates[-1]] * STEPS, rates), strict=True):
            line[0].set_data(range(STEPS), drawn)
            line[1].set_data(range(STEPS + 1), bowl_loss(drawn))
        words.set_text(f"Annealed: {bowl_loss(rates)[-1]:.2g} at the end")

    return with_redraw(fig, redraw, start, end_over_start)


def annealed_rates(start: float, end_over_start: float) -> list[float]:
    """The learning rate of each step of `annealed`'s run: a cosine from `start` to its last value."""
    falls = start * (1 - end_over_start)
    return [start - falls + cosine_lr(step, STEPS - 1, falls) for step in range(STEPS)]


def bowl_loss(rates: list[float]) -> np.ndarray:
    """Expected loss of SGD in the bowl before each step and after the last, (steps + 1,)."""
    return np.add(*noisy_quadratic(rates, **BOWL))


@styled
def gradient_by_depth(
    norms: Mapping[tuple[str, int, bool], Any], depth: int = 44, batch_norm: bool = True, *, caption: str = ""
) -> Figure:
    """Norm of the loss's gradient in the weights of each convolution, before training, of two networks.

    `norms` is (kind, depth, batch norm or not) -> (layers,). `redraw(depth, batch_norm)`.
    """
    kinds = dict(zip(dict.fromkeys(kind for kind, *_ in norms), (COLOURS[1], COLOURS[0]), strict=True))
    fig, ax = canvas(height=4.2, caption=caption)
    lines = {
        kind: ax.plot([], [], "o-", color=colour, markersize=4, label=kind, animated=True)[0]
        for kind, colour in kinds.items()
    }
    limits = {}
    for state in (True, False):
        values = np.concatenate([np.asarray(each, float) for (*_, norm), each in norms.items() if norm is state])
        limits[state] = (values.min() / 3, 3 * values.max())
    ax.set(xlabel="layer, counted from the picture", ylabel="norm of its weights' gradient", yscale="log")
    words = heading(ax, fontsize=11)
    fig.legend(*ax.get_legend_handles_labels(), loc="outside upper left", ncols=2)

    def redraw(depth: int = depth, batch_norm: bool = batch_norm) -> None:
        ratios = []
        for kind, line in lines.items():
            norm = np.asarray(norms[kind, depth, batch_norm], float)
            line.set_data(np.arange(1, len(norm) + 1), norm)
            ratios.append(f"{kind} {float(f'{norm[0] / norm[-1]:.2g}'):g}")
        words.set_text(f"first layer's gradient, divided by the last one's: {', '.join(ratios)}")
        set_limits(ax, xlim=(0, depth + 0.5), ylim=limits[batch_norm])

    return with_redraw(fig, redraw, depth, batch_norm)
