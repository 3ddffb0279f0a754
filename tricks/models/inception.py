"""Inception-V3 (Szegedy et al., 2015, arXiv:1512.00567), which the paper trains beside ResNet and MobileNet (Table 6).

A network is written down as data: a list of steps, one after the other. (channels, kernel) is a convolution with batch
norm and ReLU that keeps the size, (channels, kernel, stride) one without padding, "mean" and "max" a 3x3 pooling, and
a list of lists are paths side by side, whose outputs are concatenated. Channels are those of the full width.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tricks.models.resnet import conv_bn_relu

Steps = list[Any]


@dataclass(frozen=True)
class Net:
    """A network's size: what all channels are multiplied with, the steps before the first block, and the blocks."""

    width: float
    stem: Steps
    blocks: list[Steps]


def wide(pool: int) -> Steps:
    """A block for large maps: the 5x5 of Inception-V1, and beside it two 3x3 that see as far (Fig. 5 there)."""
    return [[(64, 1)], [(48, 1), (64, 5)], [(64, 1), (96, 3), (96, 3)], ["mean", (pool, 1)]]


def factored(n: int) -> Steps:
    """A block for middle maps: 7x7 convolutions in two steps, 1x7 and 7x1, of `n` channels inside (Fig. 6 there)."""
    row, column = (1, 7), (7, 1)
    twice = [(n, 1), (n, column), (n, row), (n, column), (192, row)]
    return [[(192, 1)], [(n, 1), (n, row), (192, column)], twice, ["mean", (192, 1)]]


CROSS: Steps = [[(384, (1, 3))], [(384, (3, 1))]]
SPREAD: Steps = [[(320, 1)], [(384, 1), CROSS], [(448, 1), (384, 3), CROSS], ["mean", (192, 1)]]  # small maps, Fig. 7
HALVE: Steps = [[(384, 3, 2)], [(64, 1), (96, 3), (96, 3, 2)], ["max"]]  # halves large maps, Fig. 10
HALVE_AGAIN: Steps = [  # halves middle maps
    [(192, 1), (320, 3, 2)],
    [(192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3, 2)],
    ["max"],
]
NETS = {
    "inception-v3": Net(  # for 299 px
        1.0,
        [(32, 3, 2), (32, 3, 1), (64, 3), "max", (80, 1), (192, 3, 1), "max"],
        [wide(32), wide(64), wide(64), HALVE]
        + [factored(128), factored(160), factored(160), factored(192), HALVE_AGAIN]
        + [SPREAD, SPREAD],
    ),
    # for 32 px, whose maps have sides of 15, 7 and 3 where those above have 35, 17 and 8
    "inception-small": Net(3 / 16, [(32, 3, 2), (64, 3)], [wide(32), HALVE, factored(128), HALVE_AGAIN, SPREAD]),
}


def build(net: str, num_classes: int) -> "Inception":
    """The network named `net` in `NETS`, with PyTorch's own initialisation.

    Without the auxiliary head, which is dropped after training, and without the dropout before the linear layer, of
    which the paper says nothing: both would be regularisers of one of the three networks alone.
    """
    return Inception(NETS[net], num_classes)


class Inception(nn.Module):
    """Stem, blocks of parallel paths, mean over the picture, linear head: (N, 3, H, W) pictures to (N, K) logits."""

    def __init__(self, net: Net, num_classes: int) -> None:
        super().__init__()
        self.stem, channels = sequence(net.stem, 3, net.width)
        self.stages, channels = sequence(net.blocks, channels, net.width)
        self.head = nn.Linear(channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stages(self.stem(x))
        return self.head(x.mean(dim=(2, 3)))


class Paths(nn.Module):
    """Several paths over the same input, their outputs concatenated along the channels."""

    def __init__(self, paths: list[nn.Sequential]) -> None:
        super().__init__()
        self.paths = nn.ModuleList(paths)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([path(x) for path in self.paths], dim=1)


def sequence(steps: Steps, in_channels: int, width: float) -> tuple[nn.Sequential, int]:
    """The layers that these steps describe, and how many channels come out of them."""
    layers: list[nn.Module] = []
    for step in steps:
        if step == "mean":
            layers.append(nn.AvgPool2d(3, stride=1, padding=1))
        elif step == "max":
            layers.append(nn.MaxPool2d(3, stride=2))
        elif isinstance(step, list):
            paths, channels = zip(*(sequence(path, in_channels, width) for path in step), strict=True)
            layers.append(Paths(list(paths)))
            in_channels = sum(channels)
        else:
            channels, kernel, *stride = step
            out_channels = round(channels * width)
            layers += conv_bn_relu(in_channels, out_channels, kernel, *stride, padded=not stride, eps=1e-3)
            in_channels = out_channels
    return nn.Sequential(*layers), in_channels
