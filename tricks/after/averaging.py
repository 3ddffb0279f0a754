"""Averaged weights: what is evaluated is not where the last step ended but a mean over the steps before."""

import torch
from torch import nn


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
