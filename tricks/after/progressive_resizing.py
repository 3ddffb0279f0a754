"""Progressive resizing (fast.ai's entry in DAWNBench, 2018): pictures are small at first and grow while training.

Small ones cost less, so that the same multiply-adds pay for more epochs. In the linear form of MosaicML's Composer.
"""

from collections import Counter

import torch
import torch.nn.functional as F
from torch import Tensor

FULL = 0.8  # share of the run after which pictures have their full size
GRAIN = 4  # px; sides are multiples of it


def side_at(progress: float, start: int, full: int) -> int:
    """Side in px after this share of the run: linear from `start` to `full` at 80 %, in steps of 4 px."""
    if not start or progress >= FULL:
        return full
    return min(round((start + (full - start) * progress / FULL) / GRAIN) * GRAIN, full)


def resize(x: Tensor, side: int) -> Tensor:
    """Pictures (N, C, S, S) as (N, C, side, side): bilinear, and smoothed before it, so that no pixel goes unread."""
    if x.shape[-1] == side:
        return x
    small = F.interpolate(x, size=(side, side), mode="bilinear", antialias=True)
    return small.contiguous(memory_format=torch.channels_last)


def sides(start: int, full: int) -> dict[int, float]:
    """Each side that a run has, with its share of the run, to a thousandth: what the run costs is their mean."""
    counted = Counter(side_at(thousandth / 1000, start, full) for thousandth in range(1000))
    return {side: n / 1000 for side, n in counted.items()}
