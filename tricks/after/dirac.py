"""Dirac initialisation: a residual block's 3 × 3 convolutions start by handing their input on."""

import torch
from torch import nn


@torch.no_grad()
def dirac_init_(model: nn.Module) -> None:
    """w[i, j] = 1 in the kernel's middle for i = j and else 0, in the first d_in filters of each block's 3 × 3.

    Partial identity initialisation (airbench, Jordan 2024, arXiv:2404.00498, §3.3, after DiracNet, Zagoruyko and
    Komodakis 2017). Filters beyond the d_in-th, of a convolution that widens, stay as they are. A block is what has a
    `last_bn`, as for zero γ. ValueError for a net without residual blocks.
    """
    blocks = [module for module in model.modules() if hasattr(module, "last_bn")]
    if not blocks:
        raise ValueError(f"Dirac initialisation needs residual blocks, and {type(model).__name__} has none")
    for conv in (module for block in blocks for module in block.modules() if isinstance(module, nn.Conv2d)):
        if conv.kernel_size == (3, 3):
            nn.init.dirac_(conv.weight[: conv.in_channels])
