"""From a data set in memory to batches on the device, and from a recipe to its three loaders."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tricks.augment import (
    centre_crop,
    crop_flip,
    draw_alphas,
    draw_boxes,
    draw_coefficients,
    draw_flips,
    draw_offsets,
    normalise,
    paper,
)
from tricks.data.order import Batches, balanced_order, epoch_order, hold_out, noisy_labels, shares
from tricks.data.sets import Dataset, Split
from tricks.process import Purpose, generator
from tricks.recipe import SAMPLE_IMAGES, Recipe
from tricks.train import Loader

EVAL_BATCH = 256


class DeviceLoader(Batches):
    """Batches (x, y) of images that fit in memory, augmented per sample on the device.

    x is float32 (B, 3, S, S), normalised, channels last in memory; y int64 (B,). Random numbers are drawn for all
    images, so that 2 processes see what 1 would.
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray, num_classes: int, **options: Any) -> None:
        super().__init__(labels, num_classes, **options)
        if images.shape[1] < self.image_size:
            raise ValueError(
                f"the images are {images.shape[1]} px wide, the net wants {self.image_size} px: "
                f"load the data set with image_size={self.image_size}"
            )
        self.images = torch.from_numpy(images).to(self.labels.device)

    def epoch(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        n, device = len(self.images), self.images.device
        order = epoch_order(n, train=self.train, seed=self.seed, epoch=epoch).to(device)
        draws = [draw.to(device) for draw in self._draw(n, generator(Purpose.AUGMENT, self.seed, epoch))]
        for mine in shares(n, self.batch_size, train=self.train, rank=self.rank, world=self.world):
            index = order[mine]
            yield self._batch(index, [draw[mine] for draw in draws]), self.labels[index]

    def _draw(self, n: int, stream: torch.Generator) -> list[Tensor]:
        """Random numbers for an epoch, in the order in which the function behind `augment` takes them."""
        side = self.images.shape[1]
        if self.augment == "crop_flip":
            return [draw_offsets(n, side, self.image_size, stream), draw_flips(n, stream)]
        if self.augment == "paper":
            boxes, flips = draw_boxes(n, side, stream), draw_flips(n, stream)
            return [boxes, flips, draw_coefficients(n, stream), draw_alphas(n, stream)]
        return []

    def _batch(self, index: Tensor, draws: list[Tensor]) -> Tensor:
        if self.augment == "crop_flip":
            return normalise(crop_flip(self.images, index, *draws, image_size=self.image_size))
        if self.augment == "paper":
            return paper(self.images, index, *draws, image_size=self.image_size)
        return normalise(centre_crop(self.images, index, self.image_size))


def loaders(
    recipe: Recipe, dataset: Dataset, *, seed: int, device: torch.device | str, rank: int = 0, world: int = 1
) -> tuple[Loader, Loader, Loader, Loader]:
    """What a recipe trains on, a clean sample of that, a sample of what it is evaluated on, and all of that.

    The training images are the first `train_images` of a fixed class-balanced order; the end of that order is the
    hold-out that `split="validation"` evaluates on, and then never trains on. The samples are the first
    2,000 of a class-balanced order; the training one has its true labels and no augmentation. ValueError if there are
    fewer images than asked for, or if a batch does not fit.
    """
    labels = dataset.train.labels
    order = balanced_order(labels)
    test = dataset.test
    if recipe.split == "validation":
        order, held = np.split(order, [len(order) - hold_out(len(order))])
        test = _subset(dataset.train, np.sort(held))
    if recipe.train_images > len(order):
        have = f"{dataset.source} has {len(order):,} to train on"
        raise ValueError(f"train_images = {recipe.train_images}: {have}; 0 takes all of them")
    order = order[: recipe.train_images or len(order)]
    train = _subset(dataset.train, np.sort(order))
    clean = _subset(dataset.train, order[:SAMPLE_IMAGES])
    sample = _subset(test, np.sort(balanced_order(test.labels)[:SAMPLE_IMAGES]))
    noisy = noisy_labels(train.labels, recipe.label_noise, len(dataset.classes), generator(Purpose.NOISE, seed))

    if train.images.ndim == 1:  # paths
        from tricks.data.stream import StreamLoader as Kind  # here, because torchvision takes seconds to import
    else:
        Kind = DeviceLoader
    size, classes = recipe.image_size, len(dataset.classes)
    common: dict[str, Any] = {"image_size": size, "seed": seed, "device": device, "rank": rank, "world": world}
    return (
        Kind(train.images, noisy, classes, batch_size=recipe.batch_size, augment=recipe.augment, train=True, **common),
        Kind(clean.images, clean.labels, classes, batch_size=EVAL_BATCH, train=False, **common),
        Kind(sample.images, sample.labels, classes, batch_size=EVAL_BATCH, train=False, **common),
        Kind(test.images, test.labels, classes, batch_size=EVAL_BATCH, train=False, **common),
    )


def _subset(split: Split, index: np.ndarray) -> Split:
    """The images at these indices; without a copy when that is all of them in order."""
    if len(index) == len(split.labels) and (np.diff(index) == 1).all():
        return split
    return Split(split.images[index], split.labels[index])
