"""A whitened first convolution: its filters are computed from pictures before the first step, and then stay.

In hlb-CIFAR10 (tysam-code 2023, after Page 2019); the form with both signs is that of airbench (Jordan 2024,
arXiv:2404.00498, §3.2). There the patches are 2 × 2 and their mean is not taken off; here a batch norm comes next,
which takes it off.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PER_SIDE = 16  # patches from a row and a column of a picture: 256 of each picture


def patches(images: Tensor, kernel: int = 3) -> Tensor:
    """Squares of the side `kernel` from an even grid over each of images (N, C, H, W): (N · positions, C · kernel²)."""
    step = max(min(images.shape[2:]) // PER_SIDE, 1)
    return F.unfold(images, kernel, stride=step).transpose(1, 2).flatten(0, 1)


def whitening_filters(patches: Tensor, channels: int, eps: float = 5e-4) -> Tensor:
    """Filters (channels, D) for patches (N, D): v / √(λ + ε) for the channels / 2 largest λ, then the same negated.

    λ and v are eigenvalues and eigenvectors of the patches' covariance, so the responses of the first half have the
    covariance I, but for ε, which keeps directions of hardly any variance from being blown up. A ReLU needs both signs
    to let a direction through. Of v and −v the first is the one whose largest entry is positive. ValueError for an odd
    number of channels, and for more of them than there are directions.
    """
    if channels % 2 or channels > 2 * patches.shape[1]:
        raise ValueError(
            f"whitening for a first convolution of {channels} channels: must be an even number, and at most "
            f"{2 * patches.shape[1]} for patches of {patches.shape[1]} numbers. Choose another net"
        )
    variances, directions = torch.linalg.eigh(patches.T.cov().cpu().double())  # ascending, in columns
    kept = directions.flip(1)[:, : channels // 2] / (variances.flip(0)[: channels // 2] + eps).sqrt()
    kept = kept * kept.gather(0, kept.abs().argmax(0, keepdim=True)).sign()
    return torch.cat([kept, -kept], dim=1).T.to(patches)


def first_conv(model: nn.Module) -> nn.Conv2d:
    """The convolution that reads the picture."""
    return next(module for module in model.modules() if isinstance(module, nn.Conv2d))


@torch.no_grad()
def whiten_(conv: nn.Conv2d, patches: Tensor) -> None:
    """Give a convolution the `whitening_filters` of patches (N, C · k²) and freeze it: no gradient, no decay."""
    conv.weight.copy_(whitening_filters(patches, conv.out_channels).view_as(conv.weight))
    conv.weight.requires_grad_(False)
