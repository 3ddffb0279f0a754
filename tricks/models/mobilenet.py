"""MobileNet, now called V1 (Howard et al., 2017, arXiv:1704.04861): the paper's third network (Table 6).

A 3x3 convolution over all channels becomes two: a depthwise 3x3, which looks at each channel by itself, and a pointwise
1x1, which mixes them. Of C channels to C that is 9 · C + C² products for each output position instead of 9 · C².
"""

from dataclasses import dataclass

from torch import Tensor, nn

from tricks.models.resnet import conv_bn_relu


@dataclass(frozen=True)
class Net:
    """A network's size: channels after the stem, and (channels, stride) of each block."""

    width: int
    blocks: tuple[tuple[int, int], ...]


NETS = {
    "mobilenet-v1": Net(  # for 224 px
        32,
        ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)),
    ),
    "mobilenet-small": Net(32, ((64, 1), (128, 2), (256, 1), (256, 1), (512, 2))),  # for 32 px
}


def build(net: str, num_classes: int) -> "MobileNet":
    """The network named `net` in `NETS`, with PyTorch's own initialisation."""
    return MobileNet(NETS[net], num_classes)


class MobileNet(nn.Module):
    """Stem, blocks, mean over the picture, linear head: (N, 3, H, W) pictures to (N, K) logits."""

    def __init__(self, net: Net, num_classes: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(*conv_bn_relu(3, net.width, 3, 2))
        blocks, channels = [], net.width
        for out_channels, stride in net.blocks:
            depthwise = conv_bn_relu(channels, channels, 3, stride, groups=channels)
            blocks.append(nn.Sequential(*depthwise, *conv_bn_relu(channels, out_channels, 1)))
            channels = out_channels
        self.stages = nn.Sequential(*blocks)
        self.head = nn.Linear(channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stages(self.stem(x))
        return self.head(x.mean(dim=(2, 3)))
