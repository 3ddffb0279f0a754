"""Test-time views: a picture is judged by the mean of what the network says about it, its mirror image, its shifts.

In the form of airbench (Jordan 2024, arXiv:2404.00498). Training knows nothing of it, so any network may have it.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

VIEWS = tuple((shift, mirrored) for shift in (0, -1, 1) for mirrored in (False, True))  # as `view` takes them
WEIGHTS = {"flip": (1 / 2, 1 / 2), "crops": (1 / 4, 1 / 4, 1 / 8, 1 / 8, 1 / 8, 1 / 8)}  # of the first views


def view(x: Tensor, shift: int, mirrored: bool) -> Tensor:
    """Pictures (N, C, S, S) seen `shift` px further down and right, continued by reflection, and then mirrored."""
    if shift:
        pad = abs(shift)
        top, (height, width) = pad + shift, x.shape[2:]
        x = F.pad(x, (pad,) * 4, mode="reflect")[:, :, top : top + height, top : top + width]
    return x.flip(-1) if mirrored else x


def mean_logits(logits: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Σ_v w_v · logits of view v (N, K), over as many views as there are weights."""
    return torch.stack([weight * of_view for weight, of_view in zip(weights, logits, strict=False)]).sum(0)
