"""How good the predictions are: (N, K) logits and (N,) labels of all pictures, on the CPU, summed in float64."""

from typing import Any

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
