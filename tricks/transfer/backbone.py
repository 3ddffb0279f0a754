"""From a classifier's recipe to a backbone: its trained weights, without its head, stage by stage."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import cast

from torch import Tensor, nn
from torchvision.ops.misc import FrozenBatchNorm2d

from tricks.models.resnet import NETS, ResNet
from tricks.recipe import Transfer
from tricks.records.make import model_for, weights_for


def backbone_for(recipe: Transfer, seed: int, progress: Callable[[str], None] = print) -> ResNet:
    """The classifier that `recipe.backbone` and the seed end with, or with `pretrained=False` begin with.

    ValueError, before anything is trained, if it is no ResNet: the heads of section 6 take maps from its stages.
    """
    if recipe.net not in NETS:
        raise ValueError(
            f"backbone.net = {recipe.net!r}: must be a ResNet, whose stages section 6 takes: {', '.join(NETS)}"
        )
    if recipe.pretrained:
        weights = weights_for(recipe.backbone, seed, progress=progress)
        model = model_for(recipe.backbone, len(weights["head.weight"]), seed)
        load_weights_(model, weights)
    else:
        model = model_for(recipe.backbone, 1, seed)
    assert isinstance(model, ResNet)
    if recipe.freeze_bn:
        freeze_bn_(model)
    return model


def load_weights_(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Give a model these weights. ValueError names those that are missing, left over or of another shape."""
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(
            f"these weights are of another architecture: {error}\n"
            "Net and tweaks must be those of the recipe that the weights were trained with"
        ) from error


def freeze_bn_(model: nn.Module) -> None:
    """Replace each batch norm by one whose statistics, γ and β stay as they are: a step sees too few pictures."""
    for name, child in model.named_children():
        if isinstance(child, nn.BatchNorm2d):
            frozen = FrozenBatchNorm2d(child.num_features, child.eps).to(child.weight.device)
            frozen.load_state_dict(child.state_dict())
            setattr(model, name, frozen)
        else:
            freeze_bn_(child)


def trunk(model: ResNet) -> nn.Sequential:
    """The same layers without the head, as children named stem, stage1, stage2 and so on; nothing is copied."""
    stages = [(f"stage{number}", stage) for number, stage in enumerate(model.stages, start=1)]
    return nn.Sequential(OrderedDict([("stem", model.stem), *stages]))


def stage_channels(stages: nn.Sequential) -> list[int]:
    """Channels at the end of each stage of a trunk: those of the last convolution on path A."""
    blocks = [cast(nn.Sequential, stage)[-1] for stage in stages[1:]]
    return [[layer.out_channels for layer in block.children() if isinstance(layer, nn.Conv2d)][-1] for block in blocks]
