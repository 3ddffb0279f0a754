"""What a run costs before it is made: parameters, multiply-adds, seconds on this machine."""

import time
from dataclasses import replace
from functools import cache

import torch

from tricks import process
from tricks.after.progressive_resizing import sides
from tricks.after.test_time import VIEWS
from tricks.models import nets, resnet
from tricks.parameters import zero_last_gamma_
from tricks.recipe import BASELINE, SAMPLE_IMAGES, Recipe, teacher_of
from tricks.targets import soft_cross_entropy


def size(recipe: Recipe, classes: int) -> tuple[int, int]:
    """(parameters, multiply-adds for one picture) of a recipe's network. ValueError if there is no such network."""
    tweaks = recipe.tweak_b, recipe.tweak_c, recipe.tweak_d
    return _size(recipe.net, *tweaks, recipe.zero_gamma, classes, recipe.image_size)


@cache
def _size(
    net: str, tweak_b: bool, tweak_c: bool, tweak_d: bool, zero_gamma: bool, classes: int, side: int
) -> tuple[int, int]:
    with torch.device("meta"):  # shapes without numbers
        model = nets.build(net, classes, tweak_b=tweak_b, tweak_c=tweak_c, tweak_d=tweak_d)
    if zero_gamma:
        zero_last_gamma_(model)  # which refuses a network that has none
    return resnet.parameter_count(model), resnet.multiply_adds(model, side)


def per_picture(recipe: Recipe, classes: int) -> tuple[int, int]:
    """Multiply-adds for one picture in training and in evaluation: backward takes twice as many as forward.

    Where pictures grow, the mean over the run; a teacher sees all of them in full size.
    """
    shares = sides(recipe.start_size, recipe.image_size)
    of_side = {side: size(replace(recipe, start_size=0, image_size=side), classes)[1] for side in shares}
    teacher = size(teacher_of(recipe), classes)[1] if recipe.teacher else 0
    return round(3 * sum(shares[side] * of_side[side] for side in shares)) + teacher, of_side[recipe.image_size]


def training_work(recipe: Recipe, classes: int, images: int, tested: int) -> int:
    """Multiply-adds of a run's epochs: training on `images`, and samples of them and of `tested` after each epoch."""
    training, forward = per_picture(recipe, classes)
    samples = min(images, SAMPLE_IMAGES) * (2 if recipe.ema_bn else 1) + min(tested, SAMPLE_IMAGES)
    return recipe.epochs * (images * training + samples * forward)


def work(recipe: Recipe, classes: int, images: int, tested: int) -> int:
    """Multiply-adds of a whole run: its epochs, and all `tested` images at the end."""
    looks = len(VIEWS) if recipe.test_views else 1
    return training_work(recipe, classes, images, tested) + looks * tested * per_picture(recipe, classes)[1]


@cache
def speed() -> float:
    """Multiply-adds a second in training on this machine, from a few steps of the default network."""
    classes, device = 10, process.device()
    model = nets.build(BASELINE.net, classes).to(device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    x = torch.zeros(BASELINE.batch_size, 3, BASELINE.image_size, BASELINE.image_size, device=device)
    targets = torch.full((len(x), classes), 1 / classes, device=device)
    seconds = []
    for _ in range(4):
        start = time.perf_counter()
        loss = soft_cross_entropy(model(x.to(memory_format=torch.channels_last)), targets)
        loss.backward()
        loss.item()  # waits for the device
        seconds.append(time.perf_counter() - start)
    return len(x) * per_picture(BASELINE, classes)[0] / min(seconds[1:])
