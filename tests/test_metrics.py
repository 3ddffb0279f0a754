"""Metrics against torch, torchmetrics and plain loops."""

import contextlib
import io
import json
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_calibration_error,
    multiclass_jaccard_index,
)

from tricks import metrics


@pytest.fixture
def predictions():
    """(logits, labels) of an over-confident net that is right about half of the time."""
    generator = torch.Generator().manual_seed(0)
    y = torch.randint(10, (997,), generator=generator)
    logits = 4 * torch.randn(997, 10, generator=generator)
    logits[torch.arange(997), y] += 4
    return logits, y


def test_accuracy_counts_in_percent():
    logits = torch.tensor([[1.0, 2.0, 0.0], [3.0, 2.0, 0.0], [0.0, 0.0, 1.0]])
    y = torch.tensor([1, 1, 2])
    assert metrics.accuracy(logits, y) == pytest.approx(200 / 3)


def test_nll_is_cross_entropy(predictions):
    logits, y = predictions
    assert metrics.nll(logits, y) == pytest.approx(float(F.cross_entropy(logits, y)), rel=1e-6)


def test_brier_by_loop(predictions):
    logits, y = predictions
    probabilities = logits.softmax(1)
    total = 0.0
    for row, label in zip(probabilities.numpy().astype(float), y.tolist(), strict=True):
        total += sum((p - (k == label)) ** 2 for k, p in enumerate(row))
    assert metrics.brier(probabilities, y) == pytest.approx(total / len(y))


def test_brier_range():
    certain = torch.eye(2)
    assert metrics.brier(certain, torch.tensor([0, 1])) == 0
    assert metrics.brier(certain, torch.tensor([1, 0])) == 2


@pytest.mark.parametrize("bins", [1, 10, 15])
def test_ece_is_torchmetrics(predictions, bins):
    logits, y = predictions
    probabilities = logits.softmax(1)
    expected = multiclass_calibration_error(probabilities, y, num_classes=10, n_bins=bins, norm="l1")
    assert expected > 0.05
    assert metrics.ece(probabilities, y, bins) == pytest.approx(float(expected), abs=1e-6)


def test_reliability_by_loop(predictions):
    logits, y = predictions
    probabilities = logits.double().softmax(1).numpy()
    diagram = metrics.reliability(torch.from_numpy(probabilities), y)
    sure, hit = probabilities.max(1), probabilities.argmax(1) == y.numpy()
    for i, (low, high) in enumerate(zip(np.arange(15) / 15, np.arange(1, 16) / 15, strict=True)):
        inside = (sure > low) & (sure <= high)
        assert diagram["count"][i] == inside.sum()
        assert diagram["confidence"][i] == pytest.approx(sure[inside].mean() if inside.any() else 0)
        assert diagram["accuracy"][i] == pytest.approx(hit[inside].mean() if inside.any() else 0)
    assert sum(diagram["count"]) == len(y)
    assert diagram["count"][0] == 0  # no confidence is below 1 / K, and the empty bin is not NaN


def test_reliability_at_the_edges():
    probabilities = torch.tensor([[1.0, 0.0], [0.5, 0.5], [1.0 + 1e-12, 0.0]], dtype=torch.float64)
    assert metrics.reliability(probabilities, torch.tensor([0, 0, 1]), bins=2) == {
        "confidence": [0.5, pytest.approx(1.0)],
        "accuracy": [1.0, 0.5],
        "count": [1, 2],
    }


def test_logit_gap_by_loop(predictions):
    logits, _ = predictions
    expected = [max(row) - np.mean(sorted(row)[:-1]) for row in logits.double().tolist()]
    torch.testing.assert_close(metrics.logit_gap(logits), torch.tensor(expected, dtype=torch.float64))


def test_logit_gap_of_the_papers_optimum():
    """Eq. 5 at K = 1000, ε = 0.1: the logits that smoothing asks for are 9.1 apart (§5.2)."""
    logits = torch.zeros(1, 1000)
    logits[0, 3] = math.log(999 * 0.9 / 0.1)
    assert metrics.logit_gap(logits).item() == pytest.approx(9.104, abs=5e-4)


def test_gap_histogram_is_a_density(predictions):
    gap = metrics.logit_gap(predictions[0])
    histogram = metrics.gap_histogram(gap)
    density, edges = np.histogram(gap.numpy(), np.linspace(0, 30, 61), density=True)
    assert histogram["edges"] == edges.tolist()
    assert histogram["density"] == pytest.approx(density.tolist())
    assert histogram["mean"] == pytest.approx(gap.numpy().mean())
    assert histogram["sd"] == pytest.approx(gap.numpy().std())


def test_gap_histogram_leaves_out_what_is_above_its_last_edge():
    gap = metrics.logit_gap(torch.tensor([[0.1] * 7, [31.0] + [0.0] * 6, [30.0] + [0.0] * 6, [77.0] + [0.0] * 6]))
    histogram = metrics.gap_histogram(gap)
    assert gap[0] == 0  # not a rounding error below the first edge
    assert (histogram["density"][0], histogram["density"][-1]) == (0.5, 0.5)  # 1 of 4 in a bin of 0.5
    assert 0.5 * sum(histogram["density"]) == 0.5
    assert histogram["mean"] == pytest.approx(138 / 4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_summary_is_json_and_does_not_depend_on_the_order(predictions, dtype):
    logits, y = predictions[0].to(dtype), predictions[1]
    summary = metrics.summary(logits, y)
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    assert summary["accuracy"] == metrics.accuracy(logits, y)
    assert summary["ece"] == metrics.ece(logits.double().softmax(1), y)

    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(1))
    shuffled = metrics.summary(logits[order], y[order])
    for name in ("nll", "ece", "brier"):
        assert shuffled[name] == pytest.approx(summary[name], rel=1e-12)


@pytest.fixture
def masks():
    """Predicted and true classes of pixels, the half of them right; class 4 is in neither, 255 is unknown."""
    generator = torch.Generator().manual_seed(0)
    truth = torch.randint(4, (3, 20, 30), generator=generator)
    predicted = torch.where(torch.rand(truth.shape, generator=generator) < 0.5, truth, truth.roll(1))
    truth[0, :5] = 255
    return predicted, truth


def test_pixel_accuracy_and_mean_iou_are_torchmetrics(masks):
    predicted, truth = masks
    matrix = metrics.confusion(predicted, truth, 5)
    micro = multiclass_accuracy(predicted, truth, 5, average="micro", ignore_index=255)
    assert metrics.pixel_accuracy(matrix) == pytest.approx(100 * float(micro), abs=1e-4)
    # torchmetrics has an index of its own for classes that do not occur; they are out of the mean there, too
    each = multiclass_jaccard_index(predicted, truth, 5, average="none", ignore_index=255, zero_division=math.nan)
    ours = metrics.class_iou(matrix)
    torch.testing.assert_close(ours.float(), each, equal_nan=True)
    assert ours[4].isnan() and metrics.mean_iou(matrix) == pytest.approx(100 * float(each[:4].mean()), abs=1e-4)


def test_confusion_adds_up_and_leaves_out_what_is_not_known(masks):
    predicted, truth = masks
    matrix = metrics.confusion(predicted, truth, 5)
    assert matrix.sum() == 3 * 20 * 30 - 5 * 30
    halves = metrics.confusion(predicted[:1], truth[:1], 5) + metrics.confusion(predicted[1:], truth[1:], 5)
    assert torch.equal(matrix, halves)


def boxes(generator, n, jitter=0.0, like=None):
    if like is None:
        corner = 60 * torch.rand(n, 2, generator=generator)
        like = torch.cat([corner, corner + 10 + 40 * torch.rand(n, 2, generator=generator)], dim=1)
    return like + jitter * torch.randn(like.shape, generator=generator)


@pytest.fixture
def detections():
    """Predictions and targets of 12 pictures in two classes: near misses, duplicates, false alarms, empty pictures."""
    generator = torch.Generator().manual_seed(0)
    predictions, targets = [], []
    for picture in range(12):
        true = boxes(generator, picture % 4)
        labels = torch.randint(1, 3, (len(true),), generator=generator)
        found = torch.cat([boxes(generator, 0, 3.0, true), boxes(generator, 0, 8.0, true), boxes(generator, 2)])
        found_labels = torch.cat([labels, labels, torch.randint(1, 3, (2,), generator=generator)])
        predictions.append(
            {"boxes": found, "labels": found_labels, "scores": torch.rand(len(found), generator=generator)}
        )
        targets.append({"boxes": true, "labels": labels})
    return predictions, targets


def by_pycocotools(predictions, targets, recalls=None):
    """COCO's own evaluation: AP, AP50, AP75."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def entry(number, picture, box, label, **more):
        left, top, right, bottom = box
        size = [left, top, right - left, bottom - top]
        area = size[2] * size[3]
        return {"id": number, "image_id": picture, "bbox": size, "area": area, "category_id": label, **more}

    truth, found = [], []
    for picture, (prediction, target) in enumerate(zip(predictions, targets, strict=True)):
        for box, label in zip(target["boxes"].tolist(), target["labels"].tolist(), strict=True):
            truth.append(entry(len(truth) + 1, picture, box, label, iscrowd=0))
        scored = zip(*(prediction[name].tolist() for name in ("boxes", "labels", "scores")), strict=True)
        found += [entry(0, picture, box, label, score=score) for box, label, score in scored]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "info": {},
            "images": [{"id": picture} for picture in range(len(targets))],
            "annotations": truth,
            "categories": [{"id": 1}, {"id": 2}],
        }
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(found), "bbox")
        if recalls is not None:
            evaluation.params.recThrs = np.array(recalls)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [100 * value for value in evaluation.stats[:3]]


def test_average_precision_is_cocos(detections):
    ours = metrics.average_precision(*detections)
    theirs = by_pycocotools(*detections)
    assert [ours[name] for name in ("map", "map_50", "map_75")] == pytest.approx(theirs, abs=1e-4)  # of 100: 1e-6
    assert 5 < ours["map"] < ours["map_50"] < 95
    eleven = by_pycocotools(*detections, recalls=[step / 10 for step in range(11)])
    assert ours["map_voc"] == pytest.approx(eleven[1], abs=1e-4)
    assert len(ours["precision"]) == 101 and 100 * np.mean(ours["precision"]) == pytest.approx(ours["map_50"], abs=1e-4)


def test_perfect_boxes_score_100_and_none_score_0(detections):
    _, targets = detections
    perfect = [{**target, "scores": torch.linspace(1, 0.5, len(target["labels"]))} for target in targets]
    ours = metrics.average_precision(perfect, targets)
    assert [ours[name] for name in ("map", "map_50", "map_75", "map_voc")] == pytest.approx([100] * 4)
    nothing = [{name: value[:0] for name, value in each.items()} for each in perfect]
    assert metrics.average_precision(nothing, targets)["map"] == 0
    assert metrics.average_precision(nothing, nothing)["map"] == 0


@pytest.mark.parametrize("seed", range(3))
def test_a_recall_at_a_threshold_counts_as_in_coco(seed):
    """With 40 true boxes, 20 recalls are also thresholds: a rounding error there is a step of the curve."""
    generator = torch.Generator().manual_seed(seed)
    predictions, targets = [], []
    for _ in range(8):
        true = boxes(generator, 5)
        found = torch.cat([boxes(generator, 0, 2.0, true), boxes(generator, 3)])
        ones = torch.ones(8, dtype=torch.int64)
        predictions.append({"boxes": found, "labels": ones, "scores": torch.rand(8, generator=generator)})
        targets.append({"boxes": true, "labels": ones[:5]})
    ours = metrics.average_precision(predictions, targets)
    theirs = by_pycocotools(predictions, targets)
    assert [ours[name] for name in ("map", "map_50", "map_75")] == pytest.approx(theirs, abs=1e-4)


def test_a_class_that_is_never_there_is_not_in_the_mean_curve():
    """COCO leaves it out of its means; of nothing at all the curve is 0."""
    box = torch.tensor([[0.0, 0.0, 10.0, 10.0]])
    target = {"boxes": box, "labels": torch.tensor([1])}
    found = {"boxes": box.repeat(2, 1), "labels": torch.tensor([1, 2]), "scores": torch.tensor([0.5, 0.9])}
    ours = metrics.average_precision([found], [target])
    assert ours["map_50"] == pytest.approx(100) and ours["precision"] == pytest.approx([1.0] * 101)
    nothing = {name: value[:0] for name, value in target.items()}
    assert metrics.average_precision([found], [nothing])["precision"] == [0.0] * 101


def by_the_devkit(predictions, targets):
    """PASCAL VOC 2007's AP of one class, as its development kit counts: detections from the best score down."""
    scored = [
        (float(score), picture, box)
        for picture, prediction in enumerate(predictions)
        for box, score in zip(prediction["boxes"].tolist(), prediction["scores"], strict=True)
    ]
    found, hits = set(), []
    for _, picture, (left, top, right, bottom) in sorted(scored, reverse=True):
        best, at = 0.0, -1
        for index, (x0, y0, x1, y1) in enumerate(targets[picture]["boxes"].tolist()):
            both = max(0.0, min(right, x1) - max(left, x0)) * max(0.0, min(bottom, y1) - max(top, y0))
            iou = both / ((right - left) * (bottom - top) + (x1 - x0) * (y1 - y0) - both)
            if iou > best:
                best, at = iou, index
        if best < 0.5:
            hits.append(False)
        elif not targets[picture]["difficult"][at]:
            hits.append((picture, at) not in found)
            found.add((picture, at))
    right = np.cumsum(hits)
    recall = right / sum(int((~target["difficult"]).sum()) for target in targets)
    precision = right / np.arange(1, len(hits) + 1)
    return 100 * sum(max(precision[recall >= step / 10], default=0) for step in range(11)) / 11


def test_difficult_boxes_are_pascal_vocs():
    """Those of a picture do not touch, or COCO, which takes the next best box, would match some in another way."""
    generator = torch.Generator().manual_seed(0)
    predictions, targets = [], []
    corners = 100.0 * torch.cartesian_prod(torch.arange(3), torch.arange(3))
    for _ in range(8):
        true = torch.cat([corners, corners + 40 + 50 * torch.rand(9, 2, generator=generator)], dim=1)
        found = torch.cat([boxes(generator, 0, jitter, true) for jitter in (4.0, 10.0)] + [boxes(generator, 3)])
        ones = torch.ones(len(found), dtype=torch.int64)
        predictions.append({"boxes": found, "labels": ones, "scores": torch.rand(len(found), generator=generator)})
        difficult = torch.rand(9, generator=generator) < 0.4
        targets.append({"boxes": true, "labels": ones[:9], "difficult": difficult})
    expected = by_the_devkit(predictions, targets)
    assert metrics.average_precision(predictions, targets)["map_voc"] == pytest.approx(expected, abs=1e-4)
    easy = [{**target, "difficult": target["difficult"] & False} for target in targets]
    assert 10 < expected < by_the_devkit(predictions, easy) - 5 < 90


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([(30, 30, 60, 60), (20, 0, 120, 100)], 50),  # inside the difficult box, IoU 0.09: a false alarm
        ([(0, 0, 100, 50), (20, 0, 120, 100)], 100),  # IoU 0.5: on it
        ([(0, 0, 100, 49), (20, 0, 120, 100)], 50),
        ([(0, 0, 100, 100), (1, 0, 99, 100), (20, 0, 120, 100)], 100),  # any number of them
        ([(12, 0, 112, 100)], 100),  # IoU 0.79 with it, 0.85 with the one to be found
        ([(8, 0, 108, 100)], 0),  # the other way round
    ],
)
def test_what_lies_on_a_difficult_box_is_neither_right_nor_wrong(found, expected):
    truth = torch.tensor([[0.0, 0.0, 100.0, 100.0], [20.0, 0.0, 120.0, 100.0]])
    target = {"boxes": truth, "labels": torch.tensor([1, 1]), "difficult": torch.tensor([True, False])}
    ones = torch.ones(len(found), dtype=torch.int64)
    prediction = {"boxes": torch.tensor(found).float(), "labels": ones, "scores": torch.linspace(0.9, 0.5, len(found))}
    assert by_the_devkit([prediction], [target]) == pytest.approx(expected)
    ours = metrics.average_precision([prediction], [target])
    assert [ours["map_voc"], ours["map_50"]] == pytest.approx([expected] * 2)


def test_a_difficult_box_hides_no_other_class():
    box = torch.tensor([[0.0, 0.0, 100.0, 100.0], [200.0, 0.0, 300.0, 100.0]])
    target = {"boxes": box, "labels": torch.tensor([2, 1]), "difficult": torch.tensor([True, False])}
    prediction = {"boxes": box, "labels": torch.tensor([1, 1]), "scores": torch.tensor([0.9, 0.5])}
    assert metrics.average_precision([prediction], [target])["map_voc"] == pytest.approx(50)
