"""What the network is asked to say. Dense targets (N, K) are the one currency, so the tricks on them commute."""

import torch.nn.functional as F
from torch import Tensor


def one_hot(y: Tensor, num_classes: int) -> Tensor:
    """Class numbers (N,) as rows (N, K) with a single 1."""
    return F.one_hot(y, num_classes).float()


def smooth(targets: Tensor, eps: float) -> Tensor:
    """Label smoothing: 1 − ε on the true class and ε / (K − 1) on each other one (§5.2, eq. 4).

    q_i = (1 − ε) p_i + ε (1 − p_i) / (K − 1) for each entry p_i of `targets` (N, K); mixed rows are smoothed alike.
    PyTorch's `label_smoothing` gives every class ε / K instead; `pytorch_eps` converts.
    """
    return (1 - eps) * targets + eps * (1 - targets) / (targets.shape[1] - 1)


def pytorch_eps(eps: float, num_classes: int) -> float:
    """The ε of `torch.nn.functional.cross_entropy(label_smoothing=…)` that equals the paper's ε: ε K / (K − 1)."""
    return eps * num_classes / (num_classes - 1)


def mixup(x: Tensor, targets: Tensor, lam: float, perm: Tensor) -> tuple[Tensor, Tensor]:
    """Each example and its partner, averaged with weights λ and 1 − λ (§5.4, eq. 7 and 8).

    x̂ = λ x + (1 − λ) x[perm], ŷ = λ y + (1 − λ) y[perm]; `lam` in [0, 1] is drawn from Beta(α, α), `perm` (N,) pairs
    the batch with itself.
    """
    return lam * x + (1 - lam) * x[perm], lam * targets + (1 - lam) * targets[perm]


def soft_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """−Σ_i p_i log q_i with q = softmax(logits), averaged over the N rows (§5.2; eq. 3 as printed swaps p and q)."""
    return -(targets * F.log_softmax(logits, dim=1)).sum(dim=1).mean()
