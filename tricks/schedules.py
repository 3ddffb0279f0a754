"""Learning rates as functions of the step: numbers in, number out. Plot one before you train with it."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tricks.recipe import Recipe, Transfer


def scaled_lr(lr: float, batch_size: int, lr_batch: int = 256) -> float:
    """Linear scaling (§3.1): lr · b / lr_batch. `lr` was tuned at `lr_batch` images: the default is the paper's."""
    return lr * batch_size / lr_batch


def peak_lr(recipe: Recipe | Transfer) -> float:
    """The learning rate at the end of the warm-up: the recipe's `lr`, scaled to its batch if it asks for that."""
    return scaled_lr(recipe.lr, recipe.batch_size, recipe.lr_batch) if recipe.linear_scaling else recipe.lr


def warmup(step: int, warmup_steps: int, peak: float) -> float:
    """Linear warm-up over the first m steps: i · η / m for i = 1..m (§3.1). `step` counts from 0, so i = step + 1."""
    return peak * (step + 1) / warmup_steps


def step_lr(step: int, total: int, peak: float, first_decay: float = 0.25) -> float:
    """η divided by 10 three times: after `first_decay` of the run, then at each third of what is left.

    With 0.25 these are 30, 60 and 90 of 120 epochs (§2.1). The 1e-9 keeps rounding errors from moving a step.
    """
    decays = sum(step >= math.ceil(total * (first_decay + k * (1 - first_decay) / 3) - 1e-9) for k in range(3))
    return peak * 0.1**decays


def cosine_lr(step: int, total: int, peak: float) -> float:
    """½ (1 + cos(π t / T)) η (§5.1, eq. 1). T counts the steps after the warm-up."""
    return 0.5 * (1 + math.cos(math.pi * step / total)) * peak


def linear_lr(step: int, total: int, peak: float) -> float:
    """(1 − t / T) η, down to zero as the cosine (after the bag). T counts the steps after the warm-up."""
    return (1 - step / total) * peak


def lr_at(recipe: Recipe | Transfer, step: int, steps_per_epoch: int) -> float:
    """The learning rate of optimiser step `step`, counted from 0: warm-up first, then the recipe's schedule.

    Cosine and line start where the warm-up ends (§5.1: T ignores warm-up); the steps of the step schedule stay at their
    epochs whether or not there is a warm-up, as in Fig. 3a.
    """
    total = recipe.epochs * steps_per_epoch
    peak = peak_lr(recipe)
    warmup_steps = round(recipe.warmup_epochs * steps_per_epoch)
    if step < warmup_steps:
        return warmup(step, warmup_steps, peak)
    if recipe.schedule == "cosine":
        return cosine_lr(step - warmup_steps, total - warmup_steps, peak)
    if recipe.schedule == "linear":
        return linear_lr(step - warmup_steps, total - warmup_steps, peak)
    return step_lr(step, total, peak, recipe.first_decay)


def noisy_quadratic(rates: Sequence[float], curvatures: Sequence[float], noise: float) -> tuple[Any, Any]:
    """Expected loss of SGD on Σ ½ a w², exactly: (distance, noise), each (steps + 1,), the loss being their sum.

    w ← w − η (a w + σ ξ), ξ of mean 0 and variance 1, so mean and variance of w follow m ← (1 − ηa) m and
    v ← (1 − ηa)² v + η² σ². The parts are Σ ½ a m² and Σ ½ a v. Every direction starts at the loss 1.
    """
    lr = np.asarray(rates, float)
    distance, variance = np.zeros(len(lr) + 1), np.zeros(len(lr) + 1)
    for a in curvatures:
        shrink = (1 - lr * a) ** 2
        distance += np.concatenate([[1], np.cumprod(shrink)])
        v = [0.0]
        for factor, kick in zip(shrink.tolist(), ((lr * noise) ** 2).tolist(), strict=True):
            v.append(factor * v[-1] + kick)
        variance += 0.5 * a * np.array(v)
    return distance, variance


def noise_floor(lr: float, curvature: float, noise: float) -> float:
    """η σ² / (2 (2 − η a)): the loss at which SGD with a constant learning rate stops falling on ½ a w².

    It is ½ a v at the fixed point of `noisy_quadratic`'s recursion. ValueError unless 0 < η a < 2.
    """
    if not 0 < lr * curvature < 2:
        raise ValueError(f"lr * curvature = {lr * curvature!r}: must be between 0 and 2, or SGD does not settle")
    return lr * noise**2 / (2 * (2 - lr * curvature))
