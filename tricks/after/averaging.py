"""Averaged weights: what is evaluated is not where the last step ended but a mean over the steps before."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm


def decay_at(step: int, decay: float) -> float:
    """min(d, (1 + t) / (10 + t)) for step t from 0 on: a short memory at first, so that the random start is forgotten.

    TensorFlow's `ExponentialMovingAverage` has this rule when it is told the step.
    """
    return min(decay, (1 + step) / (10 + step))


@torch.no_grad()
def average_(average: nn.Module, model: nn.Module, decay: float) -> None:
    """θ̄ ← d θ̄ + (1 − d) θ for each parameter of `average`; statistics of batch norm are the model's own.

    An exponential moving average of the weights (Polyak and Juditsky 1992, in the form of Tarvainen and Valpola 2017).
    It remembers about 1 / (1 − d) steps.
    """
    for ours, theirs in zip(average.parameters(), model.parameters(), strict=True):
        ours.lerp_(theirs, 1 - decay)
    for ours, theirs in zip(average.buffers(), model.buffers(), strict=True):
        ours.copy_(theirs)


@torch.no_grad()
def reestimate_bn_(model: nn.Module, batches: Iterable[Tensor]) -> None:
    """Give each batch norm the statistics that these batches have under the model's weights: the mean over batches.

    Those that `average_` copies belong to the model's weights of the last steps. It is in training mode afterwards.
    """
    norms = [layer for layer in model.modules() if isinstance(layer, BatchNorm)]
    momenta = [layer.momentum for layer in norms]
    for layer in norms:
        layer.reset_running_stats()
        layer.momentum = None  # all batches count alike
    model.train()
    for x in batches:
        model(x)
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum
