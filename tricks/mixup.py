"""Mixup (§5.4): train on weighted means of two examples."""

from typing import TYPE_CHECKING

from scipy.special import betainc

if TYPE_CHECKING:  # plots take the formulas without torch
    from torch import Tensor


def mixup(x: "Tensor", targets: "Tensor", lam: float, perm: "Tensor") -> "tuple[Tensor, Tensor]":
    """Each example and its partner, averaged with weights λ and 1 − λ (§5.4, eq. 7 and 8).

    x̂ = λ x + (1 − λ) x[perm], ŷ = λ y + (1 − λ) y[perm]; `lam` in [0, 1] is drawn from Beta(α, α), `perm` (N,) pairs
    the batch with itself.
    """
    return lam * x + (1 - lam) * x[perm], lam * targets + (1 - lam) * targets[perm]


def lighter_weight(alpha: float) -> float:
    """E[min(λ, 1 − λ)] for λ ~ Beta(α, α), the mean weight of the lighter picture: I_½(α + 1, α) (§5.4).

    I is the regularised incomplete beta function. ValueError unless α > 0.
    """
    return float(betainc(_positive(alpha) + 1, alpha, 0.5))


def near_ends(alpha: float) -> float:
    """The share of draws λ ~ Beta(α, α) within 0.1 of 0 or 1: 2 I_0.1(α, α). ValueError unless α > 0."""
    return float(2 * betainc(_positive(alpha), alpha, 0.1))


def _positive(alpha: float) -> float:
    if not alpha > 0:
        raise ValueError(f"alpha = {alpha!r}: Beta(α, α) needs α > 0")
    return alpha
