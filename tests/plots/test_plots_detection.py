"""Plots of boxes: IoU, matches and average precision are those of torchvision and torchmetrics."""

from functools import partial

import numpy as np
import pytest
import torch
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgba
from matplotlib.patches import Rectangle
from matplotlib.text import Annotation
from torchvision.ops import box_iou

from tricks import metrics
from tricks.plots import detection as plots
from tricks.plots.segmentation import FATES
from tricks.plots.style import COLOURS

TRUTH = np.array([[10, 10, 30, 50], [40, 10, 60, 50], [70, 10, 90, 50], [100, 10, 120, 50]], float)
BOXES = np.array([[12, 10, 32, 50], [6, 16, 26, 56], [40, 14, 60, 54], [70, 10, 94, 50], [110, 10, 130, 50]], float)
SCORES = np.array([0.95, 0.85, 0.75, 0.6, 0.4])
HITS = np.array([1, 0, 1, 1, 0], bool)


def street(height: int = 40, width: int = 56, seed: int = 0) -> np.ndarray:
    """A picture of noise."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def boxes_in(height: int, width: int, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Boxes anywhere in a picture, with scores in no order."""
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, (width / 2, height / 2), (count, 2))
    return np.hstack([corners, corners + rng.uniform(4, (width / 2, height / 2), (count, 2))]), rng.uniform(size=count)


PICTURES = [street(), street(64, 48, seed=1)]
TRUTHS = [boxes_in(40, 56, 3, 0)[0], boxes_in(64, 48, 2, 1)[0]]
NETS = {
    "random": [boxes_in(40, 56, 4, 2), (np.zeros((0, 4)), np.zeros(0))],
    "pretrained": [(TRUTHS[0] + 1, np.array([0.9, 0.3, 0.7])), boxes_in(64, 48, 5, 3)],
}
MASK = np.zeros((40, 56), int)
MASK[8:36, 10:18], MASK[12:38, 30:40] = 1, 2
ANNOTATED = (PICTURES[0], [[10, 8, 18, 36], [30, 12, 40, 38]], MASK > 0, MASK, "person")
CURVES = {"random": [np.linspace(0.6, 0, 101)], "standard": [np.linspace(1, 0, 101), np.linspace(0.8, 0.2, 101)]}

PLOTS = {
    "three_tasks": partial(plots.three_tasks, *ANNOTATED),
    "two_boxes": partial(plots.two_boxes, 8, 0, 1.0),
    "two_boxes, apart": partial(plots.two_boxes, 50, -30, 0.5),
    "five_boxes": partial(plots.five_boxes, BOXES, SCORES, TRUTH),
    "ranking": partial(plots.ranking, SCORES, HITS, 4),
    "ranking, nothing kept": partial(plots.ranking, SCORES, HITS, 4, 0.99),
    "ranking, nothing found": partial(plots.ranking, SCORES, HITS & False, 4),
    "ranking, no boxes": partial(plots.ranking, SCORES[:0], HITS[:0], 4),
    "precision_recall": partial(plots.precision_recall, CURVES),
    "boxes_side_by_side": partial(plots.boxes_side_by_side, PICTURES, TRUTHS, NETS, 0, 0.5),
}
REDRAWN = {
    "two_boxes": (plots.two_boxes, (8, 0, 1.0), (-20, 15, 1.3), (-20, 15, 1.3)),
    "ranking": (plots.ranking, (SCORES, HITS, 4), (0.7,), (SCORES, HITS, 4, 0.7)),
    "boxes_side_by_side": (
        plots.boxes_side_by_side,
        (PICTURES, TRUTHS, NETS),
        (1, 0.2),
        (PICTURES, TRUTHS, NETS, 1, 0.2),
    ),
}
WITHOUT_AXES = {"three_tasks", "boxes_side_by_side"}  # their pictures have none


def tensors(**arrays: np.ndarray) -> dict[str, torch.Tensor]:
    """What torchmetrics wants of one picture whose boxes all have class 1."""
    labels = torch.ones(len(arrays["boxes"]), dtype=torch.int64)
    return {"labels": labels, **{name: torch.tensor(array, dtype=torch.float32) for name, array in arrays.items()}}


@pytest.mark.parametrize("seed", range(3))
def test_overlaps_are_torchvisions(seed):
    first, second = boxes_in(100, 100, 9, seed)[0], boxes_in(100, 100, 7, seed + 10)[0]
    expected = box_iou(torch.from_numpy(first), torch.from_numpy(second))
    np.testing.assert_allclose(plots.overlaps(first, second), expected.numpy(), atol=1e-12)
    assert plots.overlaps(first[:0], second).shape == (0, 7)


def test_the_better_score_chooses_first_and_a_second_box_on_the_same_object_is_a_false_alarm():
    assert plots.matched(BOXES, SCORES, TRUTH).tolist() == [0, -1, 1, 2, -1]
    assert plots.matched(BOXES, [0.8, 0.9, 0.75, 0.6, 0.4], TRUTH).tolist() == [-1, 0, 1, 2, -1]
    assert plots.matched(BOXES, SCORES, TRUTH, least=0.3).tolist() == [0, -1, 1, 2, 3]
    assert plots.matched(BOXES, SCORES, TRUTH[:0]).tolist() == [-1] * 5
    assert plots.matched(BOXES[:0], SCORES[:0], TRUTH).tolist() == []


@pytest.mark.parametrize("seed", range(6))
def test_match_rank_and_envelope_give_the_average_precision_of_torchmetrics(seed):
    """Several pictures, of which some have nothing in them; near misses on both sides of IoU 0.5."""
    rng = np.random.default_rng(seed)
    predictions, targets, hits, scores, total = [], [], [], [], 0
    for picture in range(6):
        truth = boxes_in(200, 200, int(rng.integers(0, 5)) if picture else 3, 10 * seed + picture)[0]
        noise = rng.normal(0, 9, (len(truth), 4)).round(1)
        boxes = np.concatenate([truth + noise, boxes_in(200, 200, 3, 10 * seed + picture + 1000)[0]])
        boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
        score = rng.permutation(len(boxes)) / 97 + picture / 997
        found = plots.matched(boxes.astype(np.float32), score, truth.astype(np.float32))
        hits, scores, total = [*hits, *(found >= 0)], [*scores, *score], total + len(truth)
        predictions.append(tensors(boxes=boxes, scores=score))
        targets.append(tensors(boxes=truth))
    theirs = metrics.average_precision(predictions, targets)
    _, recall, precision = plots.path(scores, hits, total)
    ours = plots.envelope(recall, precision, plots.RECALLS)
    assert 0.05 < ours.mean() < 1
    np.testing.assert_allclose(ours, theirs["precision"], atol=1e-6)
    assert 100 * ours.mean() == pytest.approx(theirs["map_50"], abs=1e-6 * 100)


def test_two_boxes_draw_the_intersection_and_the_iou():
    fig = plots.two_boxes(0)
    fig.redraw(10, -20, 1.0)
    boxes, curve = fig.axes
    both = next(patch for patch in boxes.patches if patch.get_alpha() == 0.7)
    assert isinstance(both, Rectangle)
    assert (*both.get_xy(), both.get_width(), both.get_height()) == (70, 30, 30, 60)
    iou = 30 * 60 / (2 * 40 * 80 - 30 * 60)
    assert boxes.texts[0].get_text() == f"intersection 1,800 px\nunion 4,600 px\nIoU {iou:.3f}"
    line, point = curve.lines[:2]
    assert point.get_xydata().tolist() == [[10, pytest.approx(iou)]]
    assert np.interp(10, *line.get_data()) == pytest.approx(iou)


def test_two_boxes_that_do_not_touch_have_no_intersection():
    fig = plots.two_boxes(50)
    both = next(patch for patch in fig.axes[0].patches if patch.get_alpha() == 0.7)
    assert both.get_width() == both.get_height() == 0
    assert fig.axes[0].texts[0].get_text().endswith("IoU 0.000")


def test_five_boxes_have_the_colour_of_their_fate():
    ax = plots.five_boxes(BOXES, SCORES, TRUTH).axes[0]
    frames = [patch.get_edgecolor() for patch in ax.patches if isinstance(patch, Rectangle) and not patch.get_fill()]
    assert frames == [to_rgba(FATES["found" if hit else "false alarm"]) for hit in HITS]
    truths = [patch.get_edgecolor() for patch in ax.patches if isinstance(patch, Rectangle) and patch.get_fill()]
    assert [edge == to_rgba(FATES["missed"]) for edge in truths] == [False, False, False, True]


def test_a_ranking_draws_precision_recall_and_the_area():
    fig = plots.ranking(SCORES[::-1], HITS[::-1], 4)  # whatever their order
    left, right = fig.axes
    line = next(line for line in right.lines if line.get_label() == "box after box")
    np.testing.assert_allclose(line.get_xdata(), [0.25, 0.25, 0.5, 0.75, 0.75])
    np.testing.assert_allclose(line.get_ydata(), [1, 1 / 2, 2 / 3, 3 / 4, 3 / 5])
    steps = {line.get_label(): np.stack(line.get_data()) for line in left.lines if len(line.get_xdata()) > 2}
    for label, value in (
        ("precision", [np.nan, 1, 1 / 2, 2 / 3, 3 / 4, 3 / 5, 3 / 5]),
        ("recall", [0, 1, 1, 2, 3, 3, 3]),
    ):
        expected = np.array(value) / (4 if label == "recall" else 1)
        np.testing.assert_allclose(steps[label], [[1, *SCORES, 0], expected])
    assert all(line.get_drawstyle() == "steps-post" for line in left.lines if line.get_label() in steps)
    assert right.get_title("left") == f"Area: {0.25 * 1 + 0.5 * 0.75:.3f}"
    fig.redraw(0.6)
    assert [text.get_text() for text in left.texts] == ["4 boxes kept, 3 right, 1 of 4 missed"]
    assert [line.get_xydata().tolist() for line in right.lines if line.get_animated()] == [[[0.75, 0.75]]]


def test_precision_recall_draws_the_mean_and_the_average_precision():
    ax = plots.precision_recall(CURVES).axes[0]
    assert [line.get_label() for line in ax.lines] == ["random: AP 30.0 %", "standard: AP 50.0 %"]
    np.testing.assert_allclose(ax.lines[1].get_ydata(), np.linspace(0.9, 0.1, 101))


def test_three_tasks_frame_the_objects_in_the_colours_of_their_masks():
    axes = plots.three_tasks(*ANNOTATED).axes
    assert [patch.get_bbox().extents.tolist() for patch in axes[0].patches] == ANNOTATED[1]
    assert [patch.get_edgecolor() for patch in axes[0].patches] == [to_rgba(colour) for colour in COLOURS[:2]]
    classes, objects = (np.asarray(ax.images[0].get_array()) for ax in axes[1:])
    assert not np.allclose(classes[8:36, 10:18], axes[0].images[0].get_array()[8:36, 10:18])
    np.testing.assert_array_equal(classes[MASK == 0], axes[0].images[0].get_array()[MASK == 0])
    np.testing.assert_array_equal(classes[MASK < 2], objects[MASK < 2])
    assert not np.allclose(classes[MASK == 2], objects[MASK == 2])


@pytest.mark.parametrize("picture, threshold", [(0, 0.5), (0, 0.0), (1, 0.0)])
def test_boxes_side_by_side_frame_what_is_kept_and_what_is_missed(picture, threshold):
    fig = plots.boxes_side_by_side(PICTURES, TRUTHS, NETS)
    fig.redraw(picture, threshold)
    widest, (height, width) = 56 / 40, PICTURES[picture].shape[:2]
    for ax, (label, found) in zip(fig.axes, NETS.items(), strict=True):
        boxes, scores = found[picture]
        boxes = boxes[scores >= threshold]
        match = plots.matched(boxes, scores[scores >= threshold], TRUTHS[picture])
        frames = next(each for each in ax.collections if isinstance(each, PolyCollection))
        count = len(boxes) + len(TRUTHS[picture]) - int((match >= 0).sum())
        assert len(frames.get_paths()) == count
        assert [tuple(colour) for colour in frames.get_edgecolor()].count(to_rgba(FATES["found"])) == sum(match >= 0)
        if len(boxes):
            corners = frames.get_paths()[-1].vertices
            drawn = [*corners.min(0), *corners.max(0)]
            left = (widest - width / height) / 2
            np.testing.assert_allclose(drawn, boxes[-1] / height + (left, 0, left, 0))
        words = next(text for text in ax.texts if isinstance(text, Annotation)).get_text()
        found_ones, false_ones = sum(match >= 0), sum(match < 0)
        kept = f"{false_ones} false alarms at scores ≥ {threshold:.2f}"  # also where no box is left, a slider must show
        assert words == f"{label}: {found_ones} of {len(TRUTHS[picture])} found\n{kept}"
