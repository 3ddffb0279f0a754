"""Faster R-CNN on our backbones (§6.1). Anchors, heads and losses are torchvision's; ours is what they stand on."""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FasterRCNN, FastRCNNPredictor, TwoMLPHead

from tricks import metrics, process
from tricks.augment import MEAN, STD
from tricks.data.scene import Scene, Scenes
from tricks.models.resnet import ResNet
from tricks.recipe import Transfer
from tricks.transfer.backbone import stage_channels, trunk

LONG_SIDE = 5 / 3  # the longer side may be this much longer than image_size, as in torchvision: 1333 to 800 px
POOLED = 7  # px, what a region is pooled to


def build(recipe: Transfer, num_classes: int, backbone: ResNet) -> FasterRCNN:
    """The detector: a trained backbone without its head, and new heads for `num_classes` classes and the background.

    With `fpn`, regions come from a pyramid over all stages; without, from the last stage alone.
    """
    stages = trunk(backbone)
    channels = stage_channels(stages)
    if recipe.fpn:
        levels = {f"stage{number}": str(number - 1) for number in range(1, len(channels) + 1)}
        features: nn.Module = BackboneWithFPN(stages, levels, channels, recipe.head_width)
        width, sizes = recipe.head_width, tuple((32 * 2**level,) for level in range(len(channels) + 1))
    else:
        features, width, sizes = stages, channels[-1], ((32, 64, 128, 256, 512),)
        features.out_channels = width  # pyright: ignore[reportArgumentType]  where torchvision looks for it
    return FasterRCNN(
        features,
        rpn_anchor_generator=AnchorGenerator(sizes, ((0.5, 1.0, 2.0),) * len(sizes)),
        box_head=TwoMLPHead(width * POOLED**2, 4 * recipe.head_width),
        box_predictor=FastRCNNPredictor(4 * recipe.head_width, num_classes + 1),
        box_batch_size_per_image=recipe.regions,
        min_size=recipe.image_size,
        max_size=round(recipe.image_size * LONG_SIDE),
        image_mean=list(MEAN),
        image_std=list(STD),
    )


def loss(recipe: Transfer, model: nn.Module, scenes: Sequence[Scene], draws: Tensor) -> Tensor:
    """The sum of torchvision's four losses: anchors and regions, each with a class and a box.

    `draws` (N, 3) are uniform in [0, 1); a scene whose first one is under ½ is mirrored.
    """
    device = process.device()
    pairs = [example(scene, bool(mirrored), device) for scene, mirrored in zip(scenes, draws[:, 0] < 0.5, strict=True)]
    losses = model([picture for picture, _ in pairs], [target for _, target in pairs])
    return torch.stack(list(losses.values())).sum()


def example(scene: Scene, mirrored: bool, device: torch.device) -> tuple[Tensor, dict[str, Tensor]]:
    """A picture float32 (3, H, W) in [0, 255] with its boxes (n, 4) and labels (n,), as torchvision wants."""
    picture = torch.from_numpy(scene.picture).to(device).permute(2, 0, 1).float()
    boxes = torch.from_numpy(scene.boxes[scene.counted]).to(device)
    labels = torch.from_numpy(scene.labels[scene.counted]).to(device)
    if mirrored:
        width = picture.shape[2]
        picture = picture.flip(2)
        boxes = torch.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], dim=1)
    return picture, {"boxes": boxes, "labels": labels}


@torch.no_grad()
def predict(model: nn.Module, scene: Scene) -> dict[str, Tensor]:
    """Boxes (n, 4) in the picture's pixels, labels (n,) and scores (n,), the best first; the model is in eval mode."""
    picture, _ = example(scene, False, process.device())
    return cast(list[dict[str, Tensor]], model([picture]))[0]


def evaluate(recipe: Transfer, model: nn.Module, scenes: Scenes, num_classes: int) -> dict[str, Any]:
    """`metrics.average_precision` of all scenes, shared out among the processes."""
    rank, size = process.world()
    found, there = [torch.zeros(0, 7)], [torch.zeros(0, 7)]  # picture, label, score or difficult, box
    for index in range(rank, len(scenes), size):
        scene = scenes[index]
        theirs = predict(model, scene)
        labels, scores, boxes = (theirs[name].cpu() for name in ("labels", "scores", "boxes"))
        found.append(torch.column_stack((torch.full_like(labels, index), labels, scores, boxes)))
        labels, difficult, boxes = map(torch.from_numpy, (scene.labels, ~scene.counted, scene.boxes))
        there.append(torch.column_stack((torch.full_like(labels, index), labels, difficult, boxes)))
    found, there = (process.gather(torch.cat(rows).to(process.device())).cpu() for rows in (found, there))
    predictions, targets = [], []
    for index in range(len(scenes)):
        mine, true = (rows[rows[:, 0] == index] for rows in (found, there))
        predictions.append({"boxes": mine[:, 3:], "labels": mine[:, 1].long(), "scores": mine[:, 2]})
        targets.append({"boxes": true[:, 3:], "labels": true[:, 1].long(), "difficult": true[:, 2].bool()})
    return metrics.average_precision(predictions, targets)
