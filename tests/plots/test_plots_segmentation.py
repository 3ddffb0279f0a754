"""Plots of masks: each pixel has the colour of its fate, and numbers are those of an independent count."""

from functools import partial

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.text import Annotation
from torchmetrics.functional.classification import binary_jaccard_index, multiclass_confusion_matrix

from tricks.plots import segmentation as plots
from tricks.plots.style import COLOURS
from tricks.records import paper


def street(height: int = 40, width: int = 56, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A picture of noise and a mask of two upright boxes, numbered."""
    picture = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    mask = np.zeros((height, width), int)
    mask[8:36, 10:18] = 1
    mask[12:38, 30:40] = 2
    return picture, mask


def surely(mask: np.ndarray, seed: int) -> np.ndarray:
    """Made-up probabilities, higher where the mask is."""
    return np.clip(0.5 * (mask > 0) + np.random.default_rng(seed).uniform(0, 0.5, mask.shape), 0, 1)


PICTURE, MASK = street()
TALL, TALL_MASK = street(64, 48, seed=1)
TRUTH = np.array([[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 2], [0, 1, 1, 2]])
PREDICTED = np.array([[0, 0, 0, 0], [0, 0, 1, 0], [0, 1, 1, 1], [0, 1, 1, 2]])
CLASSES = ("background", "person", "bicycle")
WEIGHTS = np.pad(np.outer((1, 2, 3, 2, 1), (1, 2, 3, 2, 1)), 4)
FINE = np.arange(8 * 11.0).reshape(8, 11)
MAPS = {"strided": (FINE[::4, ::4], 4), "dilated": (FINE, 1)}
GRIDS = {1: MASK > 0, 8: np.roll(MASK, 2, axis=1) > 0, 32: MASK > 1}
SCORES = {"mIoU": {1: 100.0, 8: 92.0, 32: 60.0}, "pixel accuracy": {1: 100.0, 8: 97.0, 32: 88.0}}
PAIR = ([PICTURE, TALL], [MASK > 0, TALL_MASK > 0])
NETS = {"random": [surely(MASK, 1), surely(TALL_MASK, 2)], "pretrained": [surely(MASK, 3), surely(TALL_MASK, 4)]}
PAPER = {row: ([values["ImageNet_top1"]], [values["mIoU"]]) for row, values in paper.table("9").items()}
OURS = {row: ([x[0] - 2, x[0]], [y[0] - 1, y[0] + 1]) for row, (x, y) in PAPER.items()}
PANELS = {"paper": ("mIoU, %", PAPER), "ours": ("mIoU, %", OURS)}
PLOTS = {
    "masks": partial(plots.masks, PICTURE, {"pixel labels": MASK > 0, "instances": MASK}),
    "counted": partial(plots.counted, TRUTH, PREDICTED, CLASSES),
    "windows": partial(plots.windows, {"strided": (WEIGHTS, 4), "dilated": (WEIGHTS, 1)}),
    "feature_maps": partial(plots.feature_maps, PICTURE, MAPS),
    "coarse_truth": partial(plots.coarse_truth, PICTURE, MASK > 0, GRIDS, SCORES),
    "side_by_side": partial(plots.side_by_side, *PAIR, NETS),
    "classifier_and_task": partial(plots.classifier_and_task, PANELS, "top-1 accuracy, %"),
}
REDRAWN = {
    "coarse_truth": (
        plots.coarse_truth,
        (PICTURE, MASK > 0, GRIDS, SCORES),
        (8,),
        (PICTURE, MASK > 0, GRIDS, SCORES, 8),
    ),
    "side_by_side": (plots.side_by_side, (*PAIR, NETS), (1, 0.75), (*PAIR, NETS, 1, 0.75)),
}
WITHOUT_AXES = {"masks", "feature_maps", "coarse_truth", "side_by_side"}


def headings(fig) -> list[str]:
    return [text.get_text() for ax in fig.axes for text in ax.texts if isinstance(text, Annotation)]


def test_a_mask_paints_its_pixels_and_leaves_the_others_grey():
    image = plots.painted(plots.grey(PICTURE), MASK)
    assert image.shape == PICTURE.shape and image.min() >= 0 and image.max() <= 1
    background = image[MASK == 0]
    assert np.array_equal(background, plots.grey(PICTURE)[MASK == 0]) and (np.ptp(background, axis=1) == 0).all()
    grey = plots.grey(PICTURE)[20, 35]  # inside the second box
    assert image[20, 35] == pytest.approx(0.4 * grey + 0.6 * np.array(to_rgb(COLOURS[1])))
    luma = PICTURE[20, 35] @ np.array([0.299, 0.587, 0.114]) / 255
    assert grey == pytest.approx([luma] * 3, abs=0.5 / 31 + 1e-9)  # to the nearest of 32 levels


def test_fates_are_found_false_alarm_and_missed_in_the_order_of_their_names():
    truth, predicted = np.array([[0, 1], [0, 1]]), np.array([[0, 1], [1, 0]])
    assert plots.fates(predicted, truth).tolist() == [[0, 1], [2, 3]]
    assert list(plots.FATES) == ["found", "false alarm", "missed"]


def test_masks_shows_the_picture_first_and_a_panel_for_each_mask():
    fig = plots.masks(PICTURE, {"pixel labels": MASK > 0, "instances": MASK})
    assert [ax.get_title("left") for ax in fig.axes] == ["the picture", "pixel labels", "instances"]
    assert np.array_equal(fig.axes[0].images[0].get_array(), PICTURE)
    merged, apart = (ax.images[0].get_array() for ax in fig.axes[1:])
    assert np.array_equal(merged[MASK == 1], apart[MASK == 1])  # the first colour
    assert (np.abs(merged[MASK == 2] - apart[MASK == 2]).max(axis=1) > 0.1).all()


def test_counted_frames_the_mistakes_and_counts_as_torchmetrics_does():
    import torch

    fig = plots.counted(TRUTH, PREDICTED, CLASSES)
    _, middle, right = fig.axes
    framed = {(int(patch.get_y()), int(patch.get_x())) for patch in middle.patches}
    assert framed == {(1, 1), (2, 3)}
    expected = multiclass_confusion_matrix(torch.from_numpy(PREDICTED), torch.from_numpy(TRUTH), 3).numpy()
    written = {(int(y), int(x)): int(text.get_text()) for text in right.texts for x, y in [text.get_position()]}
    assert written == {place: number for place, number in np.ndenumerate(expected)}


def test_windows_say_how_many_rows_are_read_and_where_outputs_stand():
    strided, dilated = plots.windows({"strided": (WEIGHTS, 4), "dilated": (WEIGHTS, 1)}).axes
    assert strided.get_title("left") == "strided\nreads 5 rows"
    dots = strided.lines[0].get_xydata()
    assert sorted(set(dots[:, 0])) == [2, 6, 10]  # the middle, 6, is one of them
    assert len(dilated.lines[0].get_xydata()) == WEIGHTS.size
    drawn = strided.images[0].get_array()
    assert np.array_equal(drawn.mask, WEIGHTS == 0) and drawn.max() == 1


def test_feature_maps_lie_on_each_other_and_frame_the_places_of_the_coarsest():
    picture, strided, dilated = plots.feature_maps(PICTURE, MAPS).axes
    assert np.array_equal(dilated.images[0].get_array(), FINE)
    assert np.array_equal(strided.images[0].get_array(), FINE[::4, ::4])
    assert strided.get_title("left") == "strided\n2 × 3 places"
    for ax in (strided, dilated):
        assert sorted(map(tuple, ax.lines[0].get_xydata())) == [(x, y) for x in (0, 4, 8) for y in (0, 4)]
        assert ax.get_xlim() == picture.get_xlim() and ax.get_ylim() == picture.get_ylim()
    assert strided.images[0].get_extent() == [-2, 10, 6, -2]  # a value covers 4 places, its own in the middle
    assert dilated.images[0].get_extent() == [-0.5, 10.5, 7.5, -0.5]
    assert strided.images[0].get_clim() == dilated.images[0].get_clim()


def test_coarse_truth_names_grid_and_scores():
    fig = plots.coarse_truth(PICTURE, MASK > 0, GRIDS, SCORES, 8)
    assert headings(fig) == ["output stride 8: 5 × 7 places"]
    left, right = fig.axes
    assert [text.get_text() for text in right.texts] == ["mIoU 92.0 %", "pixel accuracy 97.0 %"]
    expected = plots.painted(plots.grey(PICTURE), plots.fates(GRIDS[8], MASK > 0), list(plots.FATES.values()))
    assert np.array_equal(left.images[0].get_array(), expected)
    assert [line.get_ydata().tolist() for line in right.lines[::2]] == [[100, 92, 60], [100, 97, 88]]
    assert [line.get_xydata().tolist() for line in right.lines[1::2]] == [[[8, 92]], [[8, 97]]]


def test_side_by_side_shows_each_networks_own_mask_and_its_iou():
    import torch

    fig = plots.side_by_side(*PAIR, NETS, 1, 0.6)
    for ax, (name, maps), words in zip(fig.axes, NETS.items(), headings(fig), strict=True):
        predicted = maps[1] >= 0.6
        reference = float(binary_jaccard_index(torch.from_numpy(predicted), torch.from_numpy(TALL_MASK > 0)))
        assert words == f"{name}: IoU {100 * reference:.0f} % at p ≥ 0.60"
        expected = plots.painted(plots.grey(TALL), plots.fates(predicted, TALL_MASK > 0), list(plots.FATES.values()))
        assert np.array_equal(ax.images[0].get_array(), expected)
        left, right, low, high = ax.images[0].get_extent()
        assert (right - left) / (high - low) == pytest.approx(48 / 64)  # not stretched into the wider one's frame
        assert ax.get_xlim() == (0, 56 / 40)


def test_a_redraw_of_two_pictures_draws_nothing_else(monkeypatch):
    fig = plots.side_by_side(*PAIR, NETS)
    fig.png(100)
    monkeypatch.setattr(fig.canvas, "draw", lambda: pytest.fail("the whole figure was drawn again"))
    before = fig.png(100)
    fig.redraw(1, 0.9)
    assert fig.png(100) != before


def test_iou_of_masks():
    import torch

    a, b = GRIDS[8], MASK > 0
    assert plots.iou(a, b) == pytest.approx(100 * float(binary_jaccard_index(*map(torch.from_numpy, (a, b)))))
    assert plots.iou(b, b) == 100 and plots.iou(~b, b) == 0 and plots.iou(b & ~b, b & ~b) == 100


def test_classifier_and_task_puts_each_backbone_at_its_means():
    fig = plots.classifier_and_task(PANELS, "top-1 accuracy, %")
    left, right = fig.axes
    for ax, scores in ((left, PAPER), (right, OURS)):
        across, up = np.concatenate([dots.lines[0].get_xydata() for dots in ax.containers]).T
        expected = [np.mean(x) for x, _ in scores.values()]
        assert across == pytest.approx(expected, abs=0.05 * np.ptp(expected))  # those that are too close move aside
        assert min(np.diff(np.sort(across))) > 0.08 * np.ptp(expected) > min(np.diff(np.sort(expected)))
        assert up == pytest.approx([np.mean(y) for _, y in scores.values()])
        assert [text.get_text() for text in ax.texts] == [str(n) for n in range(1, 8)]
    lines = [[line for line in ax.lines if len(line.get_xdata()) > 1] for ax in (left, right)]
    assert [line.get_xydata()[:, 1].tolist() for line in lines[0]] == [[y for _, (y,) in PAPER.values()]]
    assert not lines[1]  # with intervals it would join what they do not tell apart
    assert left.get_ylabel() == "mIoU, %" and left.get_xlabel() == "top-1 accuracy, %"
    (bars,) = right.containers[0].lines[2]
    half = 12.706204736  # Student's t at 97.5 % for one degree of freedom, times sd / √2 = 1
    assert np.ptp(bars.get_segments()[0][:, 1]) == pytest.approx(2 * half)
    assert not np.isfinite(left.containers[0].lines[2][0].get_segments()).any()  # one run has no interval
    names = [text.get_text() for text in fig.legends[0].get_texts()]
    assert names[0] == "1 B-standard" and names[2] == "3 + cosine" and len(names) == 7
