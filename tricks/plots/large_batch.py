"""Plots for large batches (§3.1): noise of the gradient, loss of each step, how blocks wake up."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np

from tricks.plots.style import COLOURS, GREY, LIGHT, Figure, canvas, set_limits, styled, with_redraw


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
    ax.set(xlabel="batch size b, images", ylabel="variance of the gradient,\nsummed over weights")
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
    fig.legend(handles, labels, loc="outside upper center", ncols=max(1, len(gamma)))
    return fig
