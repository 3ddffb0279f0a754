"""How good the predictions are: (N, K) logits and (N,) labels of all pictures, on the CPU, summed in float64.

Below, the same for the other two tasks: a confusion matrix of pixels, and boxes with scores against true boxes.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

GAP_EDGES = [0.5 * i for i in range(61)]  # 0 to 30, Fig. 4b's range


def accuracy(logits: Tensor, y: Tensor) -> float:
    """Share of pictures whose largest logit is at the label, in percent."""
    return 100 * int((logits.argmax(1) == y).sum()) / len(y)


def nll(logits: Tensor, y: Tensor) -> float:
    """Negative log-likelihood, the mean of −log softmax(z)_y in nats: cross-entropy, however the net was trained."""
    return float(F.cross_entropy(logits.cpu().double(), y.cpu()))


def brier(probabilities: Tensor, y: Tensor) -> float:
    """Brier score, the mean of Σ_k (p_k − 1[k = y])²: from 0, certain and right, to 2, certain and wrong."""
    truth = F.one_hot(y, probabilities.shape[1])
    return float((probabilities.double() - truth).square().sum(1).mean())


def reliability(probabilities: Tensor, y: Tensor, bins: int = 15) -> dict[str, list[float]]:
    """The reliability diagram: pictures in equal bins of (0, 1] by their confidence, the predicted class's probability.

    Per bin: mean confidence and accuracy, both in [0, 1] and 0 where the bin is empty, and the count.
    """
    confidence, prediction = probabilities.double().max(1)
    # a confidence on an edge belongs to the bin below; rounding may have pushed the largest just over 1
    index = ((confidence * bins).ceil().long() - 1).clamp(0, bins - 1)
    count = torch.bincount(index, minlength=bins)
    confidence = torch.bincount(index, confidence, minlength=bins) / count.clamp(min=1)
    hits = torch.bincount(index, (prediction == y).double(), minlength=bins) / count.clamp(min=1)
    return {"confidence": confidence.tolist(), "accuracy": hits.tolist(), "count": count.tolist()}


def ece(probabilities: Tensor, y: Tensor, bins: int = 15) -> float:
    """Expected calibration error, Σ over bins of count / N · |accuracy − confidence|, in [0, 1]."""
    diagram = reliability(probabilities, y, bins)
    rows = zip(diagram["confidence"], diagram["accuracy"], diagram["count"], strict=True)
    return sum(n * abs(hit - sure) for sure, hit, n in rows) / len(y)


def logit_gap(logits: Tensor) -> Tensor:
    """Largest logit minus the mean of the K − 1 others, (N,) float64 (Fig. 4b). Smoothing aims at the one of eq. 5."""
    logits = logits.double()
    behind = logits.amax(1, keepdim=True) - logits
    return behind.sum(1) / (logits.shape[1] - 1)  # the largest is 0 behind itself


def gap_histogram(gap: Tensor) -> dict[str, Any]:
    """Density of the (N,) logit gaps in the bins of `GAP_EDGES`, and the mean and standard deviation of all of them.

    A gap above the last edge is in no bin but still counts in N and in the mean: the bars' area is 1 minus its share.
    """
    gap = gap.double()
    edges = torch.tensor(GAP_EDGES, dtype=torch.float64)
    density = torch.histogram(gap, edges).hist / (len(gap) * edges.diff())
    sd = float(gap.std(correction=0))
    return {"edges": GAP_EDGES, "density": density.tolist(), "mean": float(gap.mean()), "sd": sd}


def summary(logits: Tensor, y: Tensor) -> dict[str, Any]:
    """All metrics of one evaluation, ready for JSON: accuracy in percent, the others as their functions return them."""
    logits, y = logits.cpu().double(), y.cpu()  # not every accelerator has float64
    probabilities = logits.softmax(1)
    return {
        "accuracy": accuracy(logits, y),
        "nll": nll(logits, y),
        "ece": ece(probabilities, y),
        "brier": brier(probabilities, y),
        "reliability": reliability(probabilities, y),
        "gap": gap_histogram(logit_gap(logits)),
    }


def confusion(predicted: Tensor, truth: Tensor, num_classes: int) -> Tensor:
    """Pixels by true class (rows) and predicted class (columns), int64 (K, K). Pixels of other true classes are out."""
    counted = truth < num_classes
    index = truth[counted].long() * num_classes + predicted[counted].long()
    return torch.bincount(index, minlength=num_classes**2).reshape(num_classes, num_classes)


def pixel_accuracy(matrix: Tensor) -> float:
    """Share of pixels on the diagonal of the confusion matrix, in percent (§6.2)."""
    return 100 * float(matrix.diag().sum() / matrix.sum())


def class_iou(matrix: Tensor) -> Tensor:
    """Intersection over union of each class, n_kk / (row k + column k − n_kk), (K,); NaN if it never occurs."""
    both = matrix.diag().double()
    return both / (matrix.sum(0) + matrix.sum(1) - both)


def mean_iou(matrix: Tensor) -> float:
    """Mean of `class_iou` over the classes that occur, in truth or prediction, in percent (§6.2)."""
    return 100 * float(class_iou(matrix).nanmean())


def average_precision(predictions: Sequence[dict[str, Tensor]], targets: Sequence[dict[str, Tensor]]) -> dict[str, Any]:
    """Mean average precision in percent of boxes (n, 4), scores (n,) and labels (n,) in a list of pictures.

    `map` averages over the IoU thresholds 0.5, 0.55, ..., 0.95 (COCO), `map_50` and `map_75` are at one threshold,
    `map_voc` is at 0.5 with the eleven recalls of PASCAL VOC 2007 (§6.1). `precision` has the values at recall 0, 0.01,
    ..., 1 at IoU 0.5. All are means over the classes that are there, by torchmetrics. What a target marks `difficult`
    (n,) need not be found, and what is found on it is neither right nor wrong.
    """
    from torchmetrics.detection import MeanAveragePrecision  # here, because it takes seconds to import

    # COCO's thresholds to the last bit: torchmetrics rounds its own to float32
    ious, recalls = np.linspace(0.5, 0.95, 10).tolist(), np.linspace(0, 1, 101).tolist()
    eleven = [step / 10 for step in range(11)]
    coco = MeanAveragePrecision("xyxy", "bbox", ious, recalls, extended_summary=True, backend="faster_coco_eval")
    voc = MeanAveragePrecision("xyxy", "bbox", [0.5], eleven, backend="faster_coco_eval")
    for pair in zip(predictions, targets, strict=True):
        prediction, target = _without_difficult(*pair)
        coco.update([prediction], [target])
        voc.update([prediction], [target])
    found = coco.compute()
    scores = {name: max(0.0, 100 * float(found[name])) for name in ("map", "map_50", "map_75")}  # -1: nothing to find
    curves = found["precision"][0, :, :, 0, -1].double()  # IoU 0.5, all areas, 100 boxes per picture
    there = (curves >= 0).all(0)  # a class that is predicted and never there has -1
    return {
        **scores,
        "map_voc": max(0.0, 100 * float(voc.compute()["map"])),
        "precision": curves[:, there].mean(1).nan_to_num().tolist(),
    }


def _without_difficult(
    prediction: dict[str, Tensor], target: dict[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """A picture without its difficult boxes and the detections on them.

    As in PASCAL VOC 2007, those are the ones whose best box of their class is difficult, at an IoU of 0.5 or more.
    """
    from torchvision.ops import box_iou  # here, because it takes seconds to import

    difficult = target.get("difficult", torch.zeros(len(target["labels"]))).bool()
    if not difficult.any():
        return prediction, target
    same = prediction["labels"][:, None] == target["labels"]
    iou, best = (box_iou(prediction["boxes"], target["boxes"]) * same).max(1)
    kept = (iou < 0.5) | ~difficult[best]
    return (
        {name: value[kept] for name, value in prediction.items()},
        {name: value[~difficult] for name, value in target.items()},
    )
