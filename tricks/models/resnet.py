"""ResNet with the paper's tweaks B, C and D as independent switches (section 4), in the paper's and the course's sizes.

Path A is a block's stack of convolutions, path B its shortcut, as in Fig. 1. No convolution has a bias: the batch norm
after it has one.
"""

import copy
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

Kernel = int | tuple[int, int]  # side, or height and width


@dataclass(frozen=True)
class Net:
    """A network's size: kind of block, blocks in each stage, channels after the stem, and the kind of stem."""

    block: str  # basic: two 3x3; bottleneck: 1x1, 3x3, 1x1 with four times the channels
    depths: tuple[int, ...]
    width: int
    stem: str  # cifar: 3x3, stride 2; imagenet: 7x7, stride 2, then max pooling


NETS = {
    "resnet8": Net("basic", (1, 1, 1), 32, "cifar"),
    "resnet14": Net("basic", (2, 2, 2), 32, "cifar"),
    "resnet20": Net("basic", (3, 3, 3), 32, "cifar"),
    "bottleneck14": Net("bottleneck", (1, 1, 1, 1), 16, "cifar"),
    "bottleneck14-pool": Net("bottleneck", (1, 1, 1, 1), 16, "imagenet"),  # for 64 px and more
    "bottleneck26-pool": Net("bottleneck", (2, 2, 2, 2), 16, "imagenet"),
    "resnet50": Net("bottleneck", (3, 4, 6, 3), 64, "imagenet"),
    "resnet152": Net("bottleneck", (3, 8, 36, 3), 64, "imagenet"),
}


def build(
    net: str, num_classes: int, *, tweak_b: bool = False, tweak_c: bool = False, tweak_d: bool = False
) -> "ResNet":
    """The network named `net` in `NETS`, with PyTorch's own initialisation.

    Plain resnet50 is the original, stride 2 in the first 1x1 (3.8 G multiply-adds in Table 5). What most libraries call
    ResNet-50 has tweak B. ValueError on tweak B with basic blocks.
    """
    if tweak_b and NETS[net].block == "basic":
        raise ValueError(
            f"tweak_b does not exist for {net!r}: it moves the stride of path A from the first 1x1 convolution to the "
            "3x3, and a basic block has no 1x1 convolution on path A. Use a net of bottleneck blocks: "
            + ", ".join(name for name, spec in NETS.items() if spec.block == "bottleneck")
        )
    return ResNet(NETS[net], num_classes, tweak_b=tweak_b, tweak_c=tweak_c, tweak_d=tweak_d)


class ResNet(nn.Module):
    """Stem, stages of residual blocks, mean over the picture, linear head: (N, 3, H, W) pictures to (N, K) logits."""

    def __init__(self, net: Net, num_classes: int, *, tweak_b: bool, tweak_c: bool, tweak_d: bool) -> None:
        super().__init__()
        self.stem = make_stem(net, tweak_c)
        stages = []
        in_channels = net.width
        for stage, depth in enumerate(net.depths):
            blocks = []
            for index in range(depth):
                stride = 2 if index == 0 and stage > 0 else 1
                width = net.width * 2**stage
                if net.block == "basic":
                    block = Basic(in_channels, width, stride, tweak_d)
                else:
                    block = Bottleneck(in_channels, width, stride, tweak_b, tweak_d)
                blocks.append(block)
                in_channels = width * block.expansion
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.Sequential(*stages)
        self.head = nn.Linear(in_channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stages(self.stem(x))
        return self.head(x.mean(dim=(2, 3)))


class Basic(nn.Module):
    """relu(path A + path B), path A being two 3x3 convolutions, the first with the stride; `width` channels out."""

    expansion = 1  # output channels per unit of width

    def __init__(self, in_channels: int, width: int, stride: int, tweak_d: bool) -> None:
        super().__init__()
        self.conv1 = conv(in_channels, width, 3, stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv(width, width, 3)
        self.bn2 = nn.BatchNorm2d(width)
        self.shortcut = make_shortcut(in_channels, width, stride, tweak_d)
        self.relu = nn.ReLU(inplace=True)

    @property
    def last_bn(self) -> nn.BatchNorm2d:
        """The batch norm that ends path A: the one whose γ the zero-γ trick sets to 0 (§3.1)."""
        return self.bn2

    def forward(self, x: Tensor) -> Tensor:
        a = self.relu(self.bn1(self.conv1(x)))
        a = self.bn2(self.conv2(a))
        a += self.shortcut(x)  # in place: one pass over memory less, with the same bits
        return self.relu(a)


class Bottleneck(nn.Module):
    """relu(path A + path B), path A being a 1x1, a 3x3 and a 1x1 convolution; 4 · `width` channels out.

    Plain has the stride in the first 1x1, which then never reads three quarters of its input; tweak B, in the 3x3.
    """

    expansion = 4

    def __init__(self, in_channels: int, width: int, stride: int, tweak_b: bool, tweak_d: bool) -> None:
        super().__init__()
        out_channels = width * self.expansion
        self.conv1 = conv(in_channels, width, 1, 1 if tweak_b else stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv(width, width, 3, stride if tweak_b else 1)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = conv(width, out_channels, 1)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.shortcut = make_shortcut(in_channels, out_channels, stride, tweak_d)
        self.relu = nn.ReLU(inplace=True)

    @property
    def last_bn(self) -> nn.BatchNorm2d:
        """The batch norm that ends path A: the one whose γ the zero-γ trick sets to 0 (§3.1)."""
        return self.bn3

    def forward(self, x: Tensor) -> Tensor:
        a = self.relu(self.bn1(self.conv1(x)))
        a = self.relu(self.bn2(self.conv2(a)))
        a = self.bn3(self.conv3(a))
        a += self.shortcut(x)  # in place: one pass over memory less, with the same bits
        return self.relu(a)


def make_shortcut(in_channels: int, out_channels: int, stride: int, tweak_d: bool) -> nn.Module:
    """Path B: nothing where the shapes agree, else a 1x1 convolution with the stride and a batch norm.

    With tweak D, a stride of 2 becomes the mean of each 2x2 square before a 1x1 of stride 1, so no input goes unread.
    """
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    if tweak_d and stride > 1:
        # ceil_mode: an odd side halves to the same size as on path A, whose convolution pads
        layers["pool"] = nn.AvgPool2d(stride, ceil_mode=True, count_include_pad=False)
        stride = 1
    layers["conv"] = conv(in_channels, out_channels, 1, stride)
    layers["bn"] = nn.BatchNorm2d(out_channels)
    return nn.Sequential(layers)


def make_stem(net: Net, tweak_c: bool) -> nn.Sequential:
    """The layers before the first stage: one convolution of stride 2, or with tweak C three 3x3; then the max pooling.

    Of the three only the first has stride 2: so say Fig. 2b and the FLOPs of Table 5, though not the text of §4.2.
    """
    width = net.width
    if tweak_c:
        half = width // 2
        layers = conv_bn_relu(3, half, 3, 2) + conv_bn_relu(half, half, 3, 1) + conv_bn_relu(half, width, 3, 1)
    else:
        layers = conv_bn_relu(3, width, 3 if net.stem == "cifar" else 7, 2)
    if net.stem == "imagenet":
        layers.append(nn.MaxPool2d(3, stride=2, padding=1))
    return nn.Sequential(*layers)


def conv_bn_relu(
    in_channels: int, out_channels: int, kernel: Kernel, stride: int = 1, *, eps: float = 1e-5, **how: Any
) -> list[nn.Module]:
    """The three layers in a list, so that stems add up; `how` as for `conv`."""
    layer = conv(in_channels, out_channels, kernel, stride, **how)
    return [layer, nn.BatchNorm2d(out_channels, eps), nn.ReLU(inplace=True)]


def conv(
    in_channels: int, out_channels: int, kernel: Kernel, stride: int = 1, *, padded: bool = True, groups: int = 1
) -> nn.Conv2d:
    """A convolution without bias that, padded, keeps the size at stride 1 and halves it, rounded up, at stride 2."""
    height, width = kernel if isinstance(kernel, tuple) else (kernel, kernel)
    padding = (height // 2, width // 2) if padded else 0
    return nn.Conv2d(in_channels, out_channels, kernel, stride, padding, groups=groups, bias=False)


def multiply_adds(model: nn.Module, image_size: int) -> int:
    """Multiply-adds for one (3, image_size, image_size) picture, in convolutions and head. Table 5 says FLOPs."""
    shapes_only = copy.deepcopy(model).to("meta").eval()  # counts without computing, and leaves `model` as it is
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        shapes_only(torch.empty(1, 3, image_size, image_size, device="meta"))
    return counter.get_total_flops() // 2


def parameter_count(model: nn.Module) -> int:
    """How many numbers the model learns."""
    return sum(parameter.numel() for parameter in model.parameters())
