"""Learning rates as functions of the step: numbers in, number out. Plot one before you train with it."""

import math

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


def lr_at(recipe: Recipe | Transfer, step: int, steps_per_epoch: int) -> float:
    """The learning rate of optimiser step `step`, counted from 0: warm-up first, then the recipe's schedule.

    The cosine starts where the warm-up ends (§5.1: T ignores warm-up); the steps of the step schedule stay at their
    epochs whether or not there is a warm-up, as in Fig. 3a.
    """
    total = recipe.epochs * steps_per_epoch
    peak = peak_lr(recipe)
    warmup_steps = round(recipe.warmup_epochs * steps_per_epoch)
    if step < warmup_steps:
        return warmup(step, warmup_steps, peak)
    if recipe.schedule == "cosine":
        return cosine_lr(step - warmup_steps, total - warmup_steps, peak)
    return step_lr(step, total, peak, recipe.first_decay)
