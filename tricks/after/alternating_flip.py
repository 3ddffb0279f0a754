"""Alternating flips (Jordan 2024, arXiv:2404.00498): two epochs in a row see both sides of every picture."""

from torch import Tensor


def alternate(coins: Tensor, epoch: int) -> Tensor:
    """Which pictures are mirrored in this epoch: bool (N,), a picture's own coin, turned over in every odd epoch.

    A new coin in each epoch would show a picture the same way twice in a row half of the time.
    """
    return coins ^ bool(epoch % 2)
