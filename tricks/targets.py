"""What the network is asked to say. Dense targets (N, K) are the one currency, so the tricks on them commute."""

import torch.nn.functional as F
from torch import Tensor


def one_hot(y: Tensor, num_classes: int) -> Tensor:
    """Class numbers (N,) as rows (N, K) with a single 1."""
    return F.one_hot(y, num_classes).float()


def soft_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """−Σ_i p_i log q_i with q = softmax(logits), averaged over the N rows (§5.2; eq. 3 as printed swaps p and q)."""
    return -(targets * F.log_softmax(logits, dim=1)).sum(dim=1).mean()
