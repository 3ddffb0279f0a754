"""Plots of number formats: which numbers exist, what becomes of gradients and of updates in them, how fast (§3.2)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.patches import Rectangle

from tricks.plots.style import COLOURS, GREY, INK, LIGHT, Figure, canvas, heading, styled, with_redraw
from tricks.precision import BF16, FORMATS, FP16, Format, lost_share, shares

SCALES = [2.0**k for k in range(25)]  # loss scales
ONE_FORMAT = dict(zip(FORMATS, (GREY, COLOURS[0], COLOURS[1]), strict=True))  # its colour in every plot


@styled
def number_lines(value: float = 0.1) -> Figure:
    """The numbers of fp32, fp16 and bf16 around `value`, above the range of each format. `redraw(value)` moves there.

    The upper axis counts from `value` in spacings of the coarser of fp16 and bf16. ValueError unless value > 0.
    """
    half = 2.6  # of the upper axis' width, in those spacings
    fig, (near, whole) = canvas(rows=2, height=5.4, gridspec_kw={"height_ratios": (3, 2)})
    places = dict(zip(FORMATS, (2, 1, 0), strict=True))
    moving = {}
    for form, place in places.items():
        colour = ONE_FORMAT[form]
        (ticks,) = near.plot([], [], "|", color=colour, markersize=16, markeredgewidth=1.5, animated=True)
        pale: Any = {"facecolor": (colour, 0.35), "edgecolor": colour, "linewidth": 1}
        band = near.add_patch(Rectangle((0, place - 0.2), 0, 0.4, animated=True, **pale))
        (dot,) = near.plot([], [], "o", color=colour, markersize=9, markeredgecolor="white", animated=True, zorder=4)
        words = near.text(half + 0.15, place, "", va="center", linespacing=1.4, fontsize=10, animated=True)
        moving[form] = ticks, band, dot, words
        low, high = np.log2(form.smallest_normal), np.log2(form.largest)
        whole.barh(place, high - low, 0.5, left=low, color=colour, label="normal" if place == 2 else "")
        tail = np.log2(form.smallest)
        whole.barh(place, low - tail, 0.5, left=tail, label="subnormal" if place == 2 else "", **pale)
    near.axvline(0, color=INK, linewidth=1, linestyle="--")
    near.plot([-half, half], [[2, 1, 0]] * 2, color=LIGHT, linewidth=1, zorder=0)
    question = heading(near, fontsize=12)
    near.set(xlim=(-half, 2.1 * half), ylim=(-0.6, 2.6), xticks=range(-2, 3))
    near.set_xlabel("distance from x, in spacings of the coarser 16-bit format", loc="left")
    near.spines["bottom"].set_bounds(-half, half)
    near.grid(visible=False)
    line = whole.axvline(0, color=INK, linewidth=1.5, linestyle="--", animated=True)
    mark = whole.text(0, 2.62, "x", ha="center", va="bottom", animated=True)
    whole.set(xlabel="log2 of a number's size", xlim=(-155, 135), ylim=(-0.5, 2.6), xticks=range(-150, 131, 25))
    whole.set_title("Range: normal numbers in full colour, subnormal ones pale", pad=16)
    whole.grid(axis="y", visible=False)
    for ax in (near, whole):
        ax.set_yticks(list(places.values()), [form.name for form in places])

    def redraw(value: float = value) -> None:
        if not value > 0:
            raise ValueError(f"value = {value!r}: must be above 0")
        unit = max(form.spacing(value) for form in (FP16, BF16))
        for form, (ticks, band, dot, words) in moving.items():
            numbers, dense = _numbers(form, value - half * unit, value + half * unit, unit / 20)
            ticks.set_data((numbers - value) / unit, [places[form]] * len(numbers))
            left, right = ((edge - value) / unit for edge in dense)
            band.set(x=left, width=right - left)
            nearest = form.round(value)
            seen = np.isfinite(nearest) and abs(nearest - value) <= half * unit
            dot.set_data([(nearest - value) / unit] if seen else [], [places[form]] if seen else [])
            words.set_text(_fate(form, value, nearest))
        question.set_text(f"Which numbers are there near x = {value:.6g}?")
        line.set_xdata([np.log2(value)] * 2)
        mark.set_x(np.log2(value))

    return with_redraw(fig, redraw, value)


def _numbers(form: Format, low: float, high: float, finest: float) -> tuple[Any, tuple[float, float]]:
    """The format's numbers in [low, high] that are `finest` apart or more, and the interval where they are closer."""
    low, high = max(low, -form.largest), min(high, form.largest)
    numbers = np.unique(form.round(np.linspace(low, high, 2001)))  # of those far enough apart, all are met
    numbers = numbers[(numbers >= low) & (numbers <= high)]
    close = np.flatnonzero(np.diff(numbers) < finest)
    if not len(close):
        return numbers, (low, low)
    first, last = close[0], close[-1] + 1
    return np.r_[numbers[:first], numbers[last + 1 :]], (float(numbers[first]), float(numbers[last]))


def _fate(form: Format, value: float, nearest: float) -> str:
    """What the format makes of a value, in two lines."""
    if np.isinf(nearest):
        return f"stored as ∞\nlargest number {form.largest:,.6g}"
    if nearest == 0:
        return f"stored as 0\nsmallest number {_power(form.smallest)}"
    error = abs(nearest - value) / value
    return f"stored as {nearest:.8g}\nspacing {_power(form.spacing(value))}, error {100 * error:.2g} %"


def _power(x: float) -> str:
    """A power of 2, such as 2⁻¹⁴."""
    exponent = str(round(np.log2(x)))
    return "2" + exponent.translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


@styled
def gradient_histogram(gradients: Any, loss_scale: float = 1, *, caption: str = "") -> Figure:
    """Sizes of gradients times the loss scale against fp16's limits, and what fp16 and bf16 lose, against the scale.

    `gradients` is an array without zeros; both casts are done. `redraw(loss_scale)` takes one of `SCALES`.
    """
    fig, (left, right) = canvas(2, height=4.8, caption=caption)
    size = np.log2(np.abs(np.asarray(gradients, float)).ravel())
    edges = np.arange(np.floor(size.min()), np.ceil(size.max()) + 1.5) - 0.5
    share = 100 * np.histogram(size, edges)[0] / len(size)
    zones = {
        "becomes 0": (-60, np.log2(FP16.smallest / 2), COLOURS[1], 0.25),
        "subnormal": (np.log2(FP16.smallest / 2), np.log2(FP16.smallest_normal), COLOURS[4], 0.2),
        "becomes ∞": (np.log2(FP16.largest), 40, COLOURS[3], 0.3),
    }
    for label, (low, high, colour, alpha) in zones.items():
        left.axvspan(low, high, facecolor=(colour, alpha), edgecolor=colour, linewidth=1, label=label)
    bars = left.stairs(share, edges, fill=True, color=COLOURS[0], alpha=0.85, animated=True)
    words = heading(left, lines=2, fontsize=10)
    left.set(xlabel="log2 of |gradient · loss scale|", ylabel="share of gradients per factor of 2, %")
    left.set(xlim=(-48, 24), ylim=(0, 1.05 * share.max()))
    fig.legend(*left.get_legend_handles_labels(), loc="outside upper left", ncols=3, title="in fp16")

    per_scale = {scale: shares(gradients, scale) for scale in SCALES}
    styles = {
        "fp16 0": (COLOURS[1], "-", "o"),
        "fp16 subnormal": (COLOURS[4], "-", "s"),
        "fp16 ∞": (COLOURS[3], "-", "^"),
        "bf16 0 or ∞": (GREY, "--", "D"),
    }
    exponents = np.log2(SCALES)
    points = {}
    for kind, (colour, style, marker) in styles.items():
        values = np.array([lost[kind] for lost in per_scale.values()])
        drawn = np.where(values > 0, values, np.nan)  # a logarithmic axis has no 0
        empty = "" if values.any() else " (never)"
        right.plot(exponents, drawn, style, color=colour, label=kind + empty)
        (points[kind],) = right.plot([], [], marker, color=colour, markersize=8, markeredgecolor="white", animated=True)
    right.set(xlabel="log2 of the loss scale", ylabel="share of gradients, %", yscale="log", title="Lost or coarse")
    right.set(xlim=(-0.7, 24.7), ylim=(1e-4, 5e3), xticks=range(0, 25, 4), yticks=10.0 ** np.arange(-4, 3))
    right.legend(loc="upper right", ncols=2, columnspacing=1, handlelength=1)

    def redraw(loss_scale: float = loss_scale) -> None:
        exponent = np.log2(loss_scale)
        bars.set_data(share, edges + exponent)
        lost = per_scale[loss_scale]
        words.set_text(
            f"loss scale {_power(loss_scale)}, cast to fp16:\n{lost['fp16 0']:.3g} % become 0, "
            f"{lost['fp16 subnormal']:.3g} % subnormal, {lost['fp16 ∞']:.2g} % ∞"
        )
        for kind, point in points.items():
            point.set_data([exponent] if lost[kind] else [], [lost[kind]] if lost[kind] else [])

    return with_redraw(fig, redraw, loss_scale)


@styled
def lost_updates(weights: Any, gradients: Any, lr: float = 0.1, *, caption: str = "") -> Figure:
    """Updates lr · g in units of their weight against each format's rounding, and the share that changes nothing.

    Two arrays of one shape. `redraw(lr)` moves the learning rate, from 0.0001 to 1.
    """
    fig, (left, right) = canvas(2, height=4.8, caption=caption)
    weights, gradients = (np.asarray(values, float).ravel() for values in (weights, gradients))
    both = (weights != 0) & (gradients != 0)
    size = np.log2(np.abs(gradients[both])) - np.log2(np.abs(weights[both]))
    edges = np.arange(np.floor(size.min()), np.ceil(size.max()) + 1.5) - 0.5
    share = 100 * np.histogram(size, edges)[0] / len(weights)
    pale: Any = {"facecolor": (COLOURS[2], 0.25), "edgecolor": COLOURS[2], "linewidth": 1}  # the bars show through
    bars = left.stairs(share, edges, fill=True, animated=True, **pale)
    for form, colour in ONE_FORMAT.items():
        # half a spacing is between 2^−(m+2) and 2^−(m+1) of the weight: lost below, kept above, in between it depends
        left.axvspan(-form.mantissa_bits - 2, -form.mantissa_bits - 1, color=colour, linewidth=0)
        side, place = ("left", -form.mantissa_bits - 0.7) if form is BF16 else ("right", -form.mantissa_bits - 2.3)
        left.text(place, 1.26 * share.max(), form.name, ha=side, va="bottom", fontsize=10)
    words = heading(left, fontsize=11)
    left.set(xlabel="log2 of |lr · gradient / weight|", ylabel="share of weights per factor of 2, %")
    left.set(xlim=(-42, 12), ylim=(0, 1.4 * share.max()))

    rates = np.geomspace(1e-4, 1, 17)
    points = {}
    for form, colour in ONE_FORMAT.items():
        right.semilogx(rates, [lost_share(weights, gradients, r, form) for r in rates], color=colour, label=form.name)
        (points[form],) = right.plot([], [], "o", color=colour, markersize=9, markeredgecolor="white", animated=True)
    right.set(xlabel="learning rate lr", ylabel="weights that do not change, %", title="Updates that are lost")
    right.set(ylim=(-3, 103))
    fig.legend(*right.get_legend_handles_labels(), loc="outside upper right", ncols=3, title="weights kept in")

    def redraw(lr: float = lr) -> None:
        bars.set_data(share, edges + np.log2(lr))
        words.set_text(f"lr = {lr:.4g}: what lies left of a bar is lost")
        for form, point in points.items():
            point.set_data([lr], [lost_share(weights, gradients, lr, form)])

    return with_redraw(fig, redraw, lr)


@styled
def speeds(rows: Sequence[Mapping[str, Any]], *, caption: str = "") -> Figure:
    """Images per second of one network's training step, and the memory it takes, in each precision and batch size.

    `rows` are those of a file in data/speed: `precision`, `batch_size`, `images_per_second` of each timed epoch, and
    `peak_memory` in bytes. A bar is the median, its line the range.
    """
    from pandas import DataFrame
    from seaborn import barplot

    fig, (left, right) = canvas(2, height=4.2, caption=caption)
    colours = {**{form.name: colour for form, colour in ONE_FORMAT.items()}, "tf32": COLOURS[2]}
    table = DataFrame(rows)
    table["memory"] = table["peak_memory"] / 2**30
    bars: Any = {
        "x": "batch_size",
        "hue": "precision",
        "palette": colours,
        "saturation": 1,
        "gap": 0.1,
        "legend": False,
    }
    bars["formatter"] = "{:,}".format
    spread: Any = {"estimator": "median", "errorbar": ("pi", 100), "err_kws": {"color": INK, "linewidth": 1}}
    epochs = table.explode("images_per_second").astype({"images_per_second": float})
    barplot(epochs, y="images_per_second", ax=left, **spread, **bars)
    barplot(table, y="memory", ax=right, **bars)
    left.set(xlabel="images a step", ylabel="images per second")
    right.set(xlabel="images a step", ylabel="memory in use, GiB")
    left.yaxis.set_major_formatter("{x:,.0f}")
    names = list(dict.fromkeys(table["precision"]))
    fig.legend(left.containers[: len(names)], names, loc="outside upper right", ncols=len(names))
    return fig
