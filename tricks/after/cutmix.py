"""CutMix (Yun et al. 2019, arXiv:1905.04899, §3): paste a box of one picture into another, and mix targets by area."""

import math

from torch import Tensor


def box(height: int, width: int, lam: float, place: tuple[float, float]) -> tuple[int, int, int, int]:
    """(top, left, bottom, right) in px of what is pasted: √(1 − λ) of each side, cut off at the picture's edge.

    `place` has its middle, (down, across) in [0, 1) of the sides.
    """
    half = math.sqrt(1 - lam) / 2
    (top, bottom), (left, right) = (
        (max(int(at * side) - int(half * side), 0), min(int(at * side) + int(half * side), side))
        for at, side in zip(place, (height, width), strict=True)
    )
    return top, left, bottom, right


def cutmix(x: Tensor, targets: Tensor, lam: float, perm: Tensor, place: tuple[float, float]) -> tuple[Tensor, Tensor]:
    """Each picture of x (N, C, H, W) with a box of its partner x[perm], and targets (N, K) mixed by area (eq. 1).

    x̃ = M ⊙ x + (1 − M) ⊙ x[perm], ỹ = λ y + (1 − λ) y[perm], where M is 0 inside the `box` and 1 outside, and λ the
    share outside it: the one that was drawn from Beta(α, α), but for whole pixels and what the edge cut off.
    """
    top, left, bottom, right = box(x.shape[2], x.shape[3], lam, place)
    lam = 1 - (bottom - top) * (right - left) / (x.shape[2] * x.shape[3])
    mixed = x.clone()  # keeps the order in memory
    mixed[:, :, top:bottom, left:right] = x[perm, :, top:bottom, left:right]
    return mixed, lam * targets + (1 - lam) * targets[perm]
