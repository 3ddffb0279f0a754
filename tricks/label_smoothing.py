"""Label smoothing (§5.2): give the other classes a little probability."""

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # plots take the formulas without torch
    from torch import Tensor


def smooth(targets: "Tensor", eps: float) -> "Tensor":
    """Label smoothing: 1 − ε on the true class and ε / (K − 1) on each other one (§5.2, eq. 4).

    q_i = (1 − ε) p_i + ε (1 − p_i) / (K − 1) for each entry p_i of `targets` (N, K); mixed rows are smoothed alike.
    PyTorch's `label_smoothing` gives every class ε / K instead; `pytorch_eps` converts.
    """
    return (1 - eps) * targets + eps * (1 - targets) / (targets.shape[1] - 1)


def pytorch_eps(eps: float, num_classes: int) -> float:
    """The ε of `torch.nn.functional.cross_entropy(label_smoothing=…)` that equals the paper's ε: ε K / (K − 1)."""
    return eps * num_classes / (num_classes - 1)


def theoretical_gap(eps: float, K: int) -> float:
    """log((K−1)(1−ε)/ε): the true logit minus any other one where the smoothed loss is smallest (§5.2, eq. 5).

    Infinite at ε = 0, zero at ε = (K−1)/K. ValueError unless 0 ≤ ε < 1 and K ≥ 2.
    """
    if not (0 <= eps < 1 and K >= 2):
        raise ValueError(f"eps = {eps!r}, K = {K!r}: must be 0 <= eps < 1 and K >= 2")
    return math.log((K - 1) * (1 - eps) / eps) if eps else math.inf
