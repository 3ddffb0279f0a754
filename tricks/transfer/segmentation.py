"""A fully convolutional network on our backbones (§6.2): dilation in stages 3 and 4, and torchvision's FCN head."""

from collections.abc import Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models._utils import IntermediateLayerGetter
from torchvision.models.segmentation.fcn import FCN, FCNHead

from tricks import metrics, process
from tricks.augment import normalise
from tricks.data.files import DataError
from tricks.data.scene import IGNORED, Scene, Scenes
from tricks.models.resnet import ResNet
from tricks.recipe import Transfer
from tricks.transfer.backbone import stage_channels, trunk

UNDILATED = 2  # stages that keep their stride


def build(recipe: Transfer, num_classes: int, backbone: ResNet) -> FCN:
    """The segmenter: a trained backbone without its head and with dilation, and a new head for each pixel's class."""
    dilate_(backbone)
    stages = trunk(backbone)
    channels = stage_channels(stages)
    features = IntermediateLayerGetter(stages, {f"stage{len(channels)}": "out"})
    return FCN(features, FCNHead(channels[-1], num_classes + 1))


def dilate_(model: ResNet) -> None:
    """Stride 1 in stages 3 and 4, and the holes of dilation in what comes after each stride that is gone (§6.2).

    A layer then does at every place what it did at every second or fourth one, with the same weights: a ResNet-50's
    last stage has 1/8 of the picture's size, and every fourth of its values is the one of the net without dilation.
    Path B's pooling of tweak D spreads in the same way. (GluonCV's ResNet-D drops it where it dilates.)
    """
    dilation = 1
    for stage in list(model.stages)[UNDILATED:]:
        for block in cast(nn.Sequential, stage):
            before = dilation
            for conv in block.children():  # path A, in order; path B is in a module of its own
                if isinstance(conv, nn.Conv2d):
                    dilation = _spread(conv, dilation)
            shortcut = cast(nn.Module, block.shortcut)
            for name, layer in list(shortcut.named_children()):
                if isinstance(layer, nn.AvgPool2d):
                    setattr(shortcut, name, SpreadPool(before))
                elif isinstance(layer, nn.Conv2d):
                    _spread(layer, before)


def _spread(conv: nn.Conv2d, dilation: int) -> int:
    """Give a convolution this dilation instead of its stride; returns the dilation of what follows."""
    stride = conv.stride[0]
    conv.stride = (1, 1)
    if conv.kernel_size != (1, 1):
        conv.dilation = (dilation, dilation)
        conv.padding = (dilation * (conv.kernel_size[0] // 2),) * 2
    return dilation * stride


class SpreadPool(nn.Module):
    """Mean of four pixels that are `dilation` apart, at every place: tweak D's pooling without its stride.

    At the right and the lower edge only of those inside, as in `make_shortcut`.
    """

    def __init__(self, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation

    def forward(self, x: Tensor) -> Tensor:
        for dim in (2, 3):
            side = x.shape[dim]
            reach = min(self.dilation, side)
            far = x.narrow(dim, reach, side - reach)
            edge = x.narrow(dim, side - reach, reach)  # has no partner but itself
            x = (x + torch.cat([far, edge], dim)) / 2
        return x


def loss(recipe: Transfer, model: nn.Module, scenes: Sequence[Scene], draws: Tensor) -> Tensor:
    """Cross-entropy of every pixel's class, on square crops of `image_size` px.

    `draws` (N, 3) are uniform in [0, 1): under ½ the scene is mirrored, the others place the crop.
    """
    crops = [example(scene, recipe.image_size, draw.tolist()) for scene, draw in zip(scenes, draws, strict=True)]
    x, y = (torch.stack(part) for part in zip(*crops, strict=True))
    logits = model(x.contiguous(memory_format=torch.channels_last))["out"]
    return F.cross_entropy(logits.float(), y, ignore_index=IGNORED)


def example(scene: Scene, size: int, draw: Sequence[float]) -> tuple[Tensor, Tensor]:
    """A crop's normalised picture (3, S, S) and classes int64 (S, S)."""
    mirror, across, down = draw
    x, y = resized(scene, size), pixels(scene)
    y = F.interpolate(y[None, None].float(), size=x.shape[1:], mode="nearest-exact")[0, 0].long()
    top, left = (int(place * (side - size + 1)) for place, side in zip((down, across), y.shape, strict=True))
    x, y = x[:, top : top + size, left : left + size], y[top : top + size, left : left + size]
    return (x.flip(2), y.flip(1)) if mirror < 0.5 else (x, y)


def resized(scene: Scene, size: int) -> Tensor:
    """The normalised picture (3, H, W) with a shorter side of `size` px."""
    x = normalise(torch.from_numpy(scene.picture).to(process.device())[None])
    height, width = x.shape[2:]
    scale = size / min(height, width)
    new = (size, round(width * scale)) if height <= width else (round(height * scale), size)
    return F.interpolate(x, size=new, mode="bilinear", antialias=True)[0]


def pixels(scene: Scene) -> Tensor:
    """Classes int64 (H, W) of a scene; DataError when it has none."""
    if scene.pixels is None:
        raise DataError(f"{scene.name} has no class for each pixel, which segmentation needs; its task is detection")
    return torch.from_numpy(scene.pixels).to(process.device()).long()


@torch.no_grad()
def predict(model: nn.Module, scene: Scene, size: int) -> Tensor:
    """The class of each pixel of the whole picture, int64 (H, W); the model is in eval mode and sees `size` px."""
    logits = model(resized(scene, size)[None])["out"]
    return F.interpolate(logits.float(), size=scene.picture.shape[:2], mode="bilinear")[0].argmax(0)


def evaluate(recipe: Transfer, model: nn.Module, scenes: Scenes, num_classes: int) -> dict[str, Any]:
    """Mean IoU, pixel accuracy and each class's IoU in percent over the pixels of all scenes; processes share them."""
    rank, size = process.world()
    matrix = torch.zeros(num_classes + 1, num_classes + 1, dtype=torch.int64, device=process.device())
    for index in range(rank, len(scenes), size):
        scene = scenes[index]
        matrix += metrics.confusion(predict(model, scene, recipe.image_size), pixels(scene), num_classes + 1)
    matrix = process.all_reduce(matrix).cpu()
    each = [None if iou != iou else 100 * iou for iou in metrics.class_iou(matrix).tolist()]
    return {"miou": metrics.mean_iou(matrix), "pixel_accuracy": metrics.pixel_accuracy(matrix), "iou": each}
