"""Plots of boxes: how far two overlap, which are found, and what a ranking of them is worth (§6.1)."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from tricks.plots.evidence import INTERVAL, outlined
from tricks.plots.segmentation import FATES, bare, fates_legend, grey, painted
from tricks.plots.style import COLOURS, GREY, INK, PALE, Figure, canvas, heading, styled, with_redraw

TRUE_BOX = (60.0, 30.0, 100.0, 110.0)  # px: left, top, right, bottom; upright, as a person is
REACH = 50  # px that the predicted box may be moved
RECALLS = np.linspace(0, 1, 101)  # COCO's
BoxesAndScores = tuple[Any, Any]


def overlaps(first: Any, second: Any) -> np.ndarray:
    """Intersection over union of each box (n, 4) with each of (m, 4): (n, m). Boxes are left, top, right, bottom."""
    a, b = np.asarray(first, float).reshape(-1, 1, 4), np.asarray(second, float).reshape(1, -1, 4)
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    both = sides.clip(min=0).prod(-1)
    areas = [(boxes[..., 2:] - boxes[..., :2]).prod(-1) for boxes in (a, b)]
    return both / (areas[0] + areas[1] - both)


def matched(boxes: Any, scores: Any, truth: Any, least: float = 0.5) -> np.ndarray:
    """Which true box each of (n, 4) predicted ones finds, (n,), or −1 for a false alarm.

    The best score chooses first: the free true box with the largest IoU, if that is at least `least`.
    """
    boxes, scores = np.asarray(boxes, float).reshape(-1, 4), np.asarray(scores, float)
    iou = overlaps(boxes, truth)
    found = np.full(len(boxes), -1)
    for index in np.argsort(-scores, kind="stable"):
        if iou.shape[1] and iou[index].max() >= least:
            found[index] = iou[index].argmax()
            iou[:, found[index]] = -1  # taken
    return found


def path(scores: Any, hits: Any, total: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores from the highest on, and the recall and precision, in [0, 1], of all boxes up to each of them."""
    scores, hits = np.asarray(scores, float), np.asarray(hits, bool)
    order = np.argsort(-scores, kind="stable")
    right = np.cumsum(hits[order])
    return scores[order], right / total, right / np.arange(1, len(right) + 1)


def envelope(recall: Any, precision: Any, at: Any = RECALLS) -> np.ndarray:
    """The highest precision at any recall of at least `at`; 0 where that recall is never reached."""
    reached = np.asarray(recall)[:, None] >= np.asarray(at) - 1e-9
    return np.where(reached, np.asarray(precision)[:, None], 0.0).max(0, initial=0.0)


def _frame(box: Any, colour: str, **style: Any) -> Rectangle:
    left, top, right, bottom = (float(side) for side in box)
    return Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor=colour, linewidth=2, **style)


@styled
def three_tasks(picture: Any, boxes: Any, pixels: Any, instances: Any, thing: str) -> Figure:
    """One picture uint8 (H, W, 3) for three tasks: boxes (n, 4), class and object of each pixel (H, W)."""
    height, width = np.shape(picture)[:2]
    base = grey(picture)
    fig, axes = canvas(3, height=8 / 3 * height / width + 0.55)
    number = f"{len(boxes)} {thing}{'' if len(boxes) == 1 else 's'}"
    images = {
        f"detection\n{number}: a box each": base,
        "semantic segmentation\na class for each pixel": painted(base, pixels),
        f"instance segmentation\n{number}: a mask each": painted(base, instances),
    }
    for ax, (title, image) in zip(axes, images.items(), strict=True):
        bare(ax).imshow(image, interpolation="nearest")
        ax.set_title(title, fontsize=11)
    for box, colour in zip(boxes, cycle(COLOURS), strict=False):
        axes[0].add_patch(_frame(box, colour))
    return fig


@styled
def two_boxes(across: float = 8.0, down: float = 0.0, scale: float = 1.0) -> Figure:
    """A true box and a predicted one that is moved and scaled, beside their IoU against how far it is moved (§6.1).

    `across` and `down` are px that its middle is off, `scale` the ratio of the sides. `redraw(across, down, scale)`.
    """
    left, top, right, bottom = TRUE_BOX
    width, height = right - left, bottom - top
    fig, (boxes, curve) = canvas(2)
    boxes.add_patch(Rectangle((left, top), width, height, facecolor=PALE, edgecolor=INK, linewidth=2))
    both = boxes.add_patch(Rectangle((0, 0), 0, 0, color=COLOURS[0], alpha=0.7, animated=True))
    moved = boxes.add_patch(_frame(TRUE_BOX, COLOURS[1], animated=True))
    words = boxes.text(0.02, 0.03, "", transform=boxes.transAxes, va="bottom", linespacing=1.4, animated=True)
    words.set_bbox({"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1})
    boxes.set(xlim=(0, 160), ylim=(170, 0), aspect="equal", xlabel="px", ylabel="px", title=" ")

    grid = np.linspace(-REACH, REACH, 201)
    (line,) = curve.plot([], [], color=COLOURS[0], animated=True)
    (point,) = curve.plot([], [], "o", color=COLOURS[1], markersize=9, animated=True, clip_on=False)
    for level in (0.5, 0.75):
        curve.axhline(level, color=GREY, linestyle="--", linewidth=1)
        curve.text(REACH, level + 0.01, f"{level:g}", ha="right", va="bottom", color=GREY)
    curve.set(xlabel="moved across, px", ylabel="IoU", title="How fast it falls", xlim=(-REACH, REACH), ylim=(0, 1.03))
    handles = [
        Line2D([], [], color=INK, linewidth=2, label="true box"),
        Line2D([], [], color=COLOURS[1], linewidth=2, label="predicted box"),
        Line2D([], [], color=COLOURS[0], alpha=0.7, linewidth=7, label="intersection"),
    ]
    fig.legend(handles=handles, loc="outside upper left", ncols=3)

    def predicted(across: Any, down: float, scale: float) -> np.ndarray:
        middles = np.add.outer(across, (left + right) / 2), np.full(np.shape(across), (top + bottom) / 2 + down)
        half = scale * width / 2, scale * height / 2
        return np.stack([middles[0] - half[0], middles[1] - half[1], middles[0] + half[0], middles[1] + half[1]], -1)

    def redraw(across: float = across, down: float = down, scale: float = scale) -> None:
        box = predicted(across, down, scale)
        corner, far = np.maximum(box[:2], TRUE_BOX[:2]), np.minimum(box[2:], TRUE_BOX[2:])
        sides = (far - corner).clip(min=0)
        area = float(sides.prod())
        both.set_bounds(*corner, *(sides if area else (0, 0)))
        moved.set_bounds(*box[:2], *(box[2:] - box[:2]))
        iou = float(overlaps(box, TRUE_BOX)[0, 0])
        union = width * height * (1 + scale**2) - area
        words.set_text(f"intersection {area:,.0f} px\nunion {union:,.0f} px\nIoU {iou:.3f}")
        line.set_data(grid, overlaps(predicted(grid, down, scale), TRUE_BOX)[:, 0])
        point.set_data([across], [iou])

    return with_redraw(fig, redraw, across, down, scale)


@styled
def five_boxes(boxes: Any, scores: Any, truth: Any) -> Figure:
    """True boxes (m, 4), numbered, and predicted ones (n, 4) with their scores, in the colour of their fate."""
    boxes, truth = np.asarray(boxes, float), np.asarray(truth, float)
    found = matched(boxes, scores, truth)
    fig, ax = canvas(height=3.6)
    for number, box in enumerate(truth, start=1):
        colour = INK if number - 1 in found else FATES["missed"]
        ax.add_patch(Rectangle(box[:2], *(box[2:] - box[:2]), facecolor=PALE, edgecolor=colour))
        ax.text(*(box[:2] + box[2:]) / 2, f"true {number}", ha="center", va="center", color=INK)
    for box, score, match in zip(boxes, scores, found, strict=True):
        colour = FATES["found" if match >= 0 else "false alarm"]
        ax.add_patch(_frame(box, colour))
        above = min(box[1], truth[match, 1]) - 1.5
        at: Any = {"y": above, "va": "bottom"} if match >= 0 else {"y": box[3] + 2, "va": "top"}
        ax.text(box[2], s=f"{score:.2f}", ha="right", color=colour, fontweight="bold", **at)
    everything = np.concatenate([boxes, truth])
    ax.set(xlim=(everything[:, 0].min() - 5, everything[:, 2].max() + 5), aspect="equal", xlabel="px", ylabel="px")
    ax.set(ylim=(everything[:, 3].max() + 9, everything[:, 1].min() - 9))
    fates_legend(fig)
    return fig


@styled
def ranking(scores: Any, hits: Any, total: int, threshold: float = 0.5, *, caption: str = "") -> Figure:
    """Precision and recall against the score threshold, and against each other, with the area under the envelope.

    `scores` and `hits` (n,) are of the predicted boxes of all pictures, `total` counts the true ones.
    `redraw(threshold)` moves the point of what is kept.
    """
    ranked, recall, precision = path(scores, hits, total)
    fig, (left, right) = canvas(2, caption=caption)
    values = {"precision": precision, "recall": recall}
    points = []
    for (label, value), colour in zip(values.items(), COLOURS, strict=False):
        at = np.r_[1.0, ranked, 0.0]
        start = np.nan if label == "precision" else 0  # nothing is kept
        left.step(at, np.r_[start, value, value[-1] if len(value) else start], where="post", color=colour, label=label)
        (point,) = left.plot([], [], "o", color=colour, markersize=8, animated=True)
        points.append((point, value))
    cut = left.axvline(threshold, color=GREY, linestyle="--", linewidth=1.5, animated=True)
    left.set(xlabel="score threshold", ylabel="precision, recall", xlim=(1.02, -0.02), ylim=(0, 1.05))
    words = heading(left, fontsize=11)

    edges = np.unique(np.r_[0.0, recall])
    top = envelope(recall, precision, edges[1:])
    shape: Any = {"facecolor": (COLOURS[0], 0.15), "edgecolor": COLOURS[0], "linewidth": 2}
    right.stairs(top, edges, fill=True, label="highest precision at this recall or more", **shape)
    few = {"marker": "o", "markersize": 5} if len(ranked) < 20 else {}
    right.plot(recall, precision, color=GREY, linewidth=1, label="box after box", **few)
    (kept,) = right.plot([], [], "o", color=COLOURS[1], markersize=9, animated=True, label="kept at this threshold")
    area = float((top * np.diff(edges)).sum())
    right.set(xlabel="recall", ylabel="precision", xlim=(0, 1.02), ylim=(0, 1.05), title=f"Area: {area:.3f}")
    fig.legend(loc="outside upper left", ncols=3)

    def redraw(threshold: float = threshold) -> None:
        count = int((ranked >= threshold).sum())
        cut.set_xdata([threshold, threshold])
        for point, value in points:
            point.set_data([threshold] if count else [], [value[count - 1]] if count else [])
        kept.set_data([recall[count - 1]] if count else [], [precision[count - 1]] if count else [])
        right_ones = round(recall[count - 1] * total) if count else 0
        words.set_text(f"{count} boxes kept, {right_ones} right, {total - right_ones} of {total} missed")

    return with_redraw(fig, redraw, threshold)


@styled
def precision_recall(curves: Mapping[str, Sequence[Sequence[float]]], *, caption: str = "") -> Figure:
    """Highest precision at each of COCO's 101 recalls: label -> (seeds, 101) in [0, 1]. Mean, and range over seeds.

    The mean of the 101 values is the average precision that the legend has (§6.1).
    """
    from seaborn import lineplot

    fig, ax = canvas(caption=caption)
    for (label, seeds), colour in zip(curves.items(), cycle(COLOURS), strict=False):
        style = {**INTERVAL, "errorbar": ("pi", 100), "label": f"{label}: AP {100 * np.mean(seeds):.1f} %"}
        lineplot(x=np.tile(RECALLS, len(seeds)), y=np.ravel(seeds), color=colour, ax=ax, **style)
    ax.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.03))
    outlined(ax)
    fig.legend(loc="outside upper left", ncols=3)
    return fig


@styled
def boxes_side_by_side(
    pictures: Sequence[Any],
    truths: Sequence[Any],
    predictions: Mapping[str, Sequence[BoxesAndScores]],
    picture: int = 0,
    threshold: float = 0.8,
    *,
    caption: str = "",
) -> Figure:
    """Boxes of several detectors on one picture: those whose score is at least a threshold, in their fate's colour.

    `pictures` uint8 (H, W, 3), `truths` (m, 4), `predictions` detector -> ((n, 4), (n,) scores) for each picture.
    A box finds a true one at IoU ≥ 0.5. `redraw(picture, threshold)`.
    """
    widest = max(np.shape(image)[1] / np.shape(image)[0] for image in pictures)
    columns = len(predictions)
    fig, axes = canvas(columns, height=8 / columns / widest + 1.15, caption=caption, squeeze=False)
    greys, moving = [grey(image) for image in pictures], []
    for ax, (label, found) in zip(axes.flat, predictions.items(), strict=True):
        image = bare(ax).imshow(greys[0], interpolation="nearest", aspect="equal", animated=True)
        ax.autoscale(False)  # pictures of all shapes share the axes
        ax.set(xlim=(0, widest), ylim=(1, 0))
        frames = PolyCollection([], facecolor="none", linewidth=2, animated=True)
        ax.add_collection(frames, autolim=False)
        moving.append((label, found, image, frames, heading(ax, lines=2, fontsize=11)))
    fates_legend(fig)

    def redraw(picture: int = picture, threshold: float = threshold) -> None:
        height, width = np.shape(pictures[picture])[:2]
        left = (widest - width / height) / 2
        truth = np.asarray(truths[picture], float).reshape(-1, 4)
        for label, found, image, frames, words in moving:
            boxes, scores = (np.asarray(part, float) for part in found[picture])
            boxes, scores = boxes[scores >= threshold].reshape(-1, 4), scores[scores >= threshold]
            match = matched(boxes, scores, truth)
            missed = np.setdiff1d(np.arange(len(truth)), match)
            shown = np.concatenate([truth[missed], boxes])
            fates = ["missed"] * len(missed) + ["found" if one >= 0 else "false alarm" for one in match]
            corners = shown[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2) / height + (left, 0)
            frames.set_verts(list(corners))
            frames.set_edgecolor([FATES[fate] for fate in fates])
            image.set_data(greys[picture])
            image.set_extent((left, left + width / height, 1, 0))
            found_ones, false_ones = (match >= 0).sum(), (match < 0).sum()
            kept = f"{false_ones} false alarms at scores ≥ {threshold:.2f}"
            words.set_text(f"{label}: {found_ones} of {len(truth)} found\n{kept}")

    return with_redraw(fig, redraw, picture, threshold)
