"""What the paper does to parameters before the first step: initialisation, zero γ, and which of them decay."""

import math
from typing import Any

import torch
from torch import nn


def xavier_init_(model: nn.Module, generator: torch.Generator | None = None) -> None:
    """Weights of convolutions and linear layers from U[-a, a], a = sqrt(6 / (d_in + d_out)); biases 0, γ 1, β 0 (§2.1).

    d_in and d_out are what one output reads and what one input feeds, so a k x k kernel counts k² times its channels,
    and a depthwise one k².
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            (d_out, d_in), groups = module.weight.shape[:2], getattr(module, "groups", 1)
            gain = math.sqrt((d_in + d_out) / (d_in + d_out / groups))  # torch takes an input to feed all groups
            nn.init.xavier_uniform_(module.weight, gain, generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)


def zero_last_gamma_(model: nn.Module) -> None:
    """γ = 0 in the batch norm that ends each residual block, so that every block starts as its shortcut (§3.1).

    A block names that batch norm `last_bn`. Its γ has a gradient from the first step on, so the block wakes up.
    ValueError for a net without residual blocks, where the trick does not exist.
    """
    last: list[Any] = [module.last_bn for module in model.modules() if hasattr(module, "last_bn")]
    if not last:
        what = f"zero γ needs residual blocks, and {type(model).__name__} has none"
        raise ValueError(f"{what}: leave zero_gamma off, or use a ResNet")
    for bn in last:
        nn.init.zeros_(bn.weight)


def decay_groups(model: nn.Module, weight_decay: float, no_bias_decay: bool) -> list[dict[str, Any]]:
    """Parameter groups for the optimiser. No bias decay: only weights of convolutions and linear layers decay (§3.1).

    Those are the parameters with two dimensions or more; biases, γ and β have one.
    """
    parameters = list(model.parameters())
    if not no_bias_decay:
        return [{"params": parameters, "weight_decay": weight_decay}]
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
