"""From a data set in memory to batches on the device, and from a recipe to its four loaders."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tricks import augment
from tricks.after.alternating_flip import alternate
from tricks.after.trivial_augment import Group, draw_changes, group, trivial_augment
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

    def __post_init__(self) -> None:
        super().__post_init__()
        have, want = self.images.shape[1], self.image_size
        if have < want:
            wide = f"the images are {have} px wide, the net wants {want} px"
            raise ValueError(f"{wide}: load the data set with image_size={want}")
        self.images = torch.from_numpy(self.images).to(self.device)

    def epoch(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        n, device = len(self.images), self.images.device
        order = epoch_order(n, train=self.train, seed=self.seed, epoch=epoch).to(device)
        draws = [draw.to(device) for draw in self._draw(n, generator(Purpose.AUGMENT, self.seed, epoch))]
        if self.alternating_flip:  # alternating flips
            draws[1] = alternate(augment.draw_flips(n, generator(Purpose.FLIP, self.seed)).to(device), epoch)[order]
        parts = shares(n, self.batch_size, train=self.train, rank=self.rank, world=self.world)
        changes: list[list[Group]] = [[]] * len(parts)
        if self.trivial_augment:  # TrivialAugment
            ops, strengths = draw_changes(n, generator(Purpose.TRIVIAL_AUGMENT, self.seed, epoch))
            changes = [group(ops[mine], strengths[mine], device) for mine in parts]
        for mine, groups in zip(parts, changes, strict=True):
            index = order[mine]
            yield self._batch(index, [draw[mine] for draw in draws], groups), self.labels[index]

    def _draw(self, n: int, stream: torch.Generator) -> list[Tensor]:
        """Random numbers for an epoch, in the order in which the function behind `augment` takes them."""
        side = self.images.shape[1]
        if self.augment == "crop_flip":
            return [augment.draw_offsets(n, side, self.image_size, stream), augment.draw_flips(n, stream)]
        if self.augment == "paper":
            boxes, flips = augment.draw_boxes(n, side, stream), augment.draw_flips(n, stream)
            return [boxes, flips, augment.draw_coefficients(n, stream), augment.draw_alphas(n, stream)]
        return []

    def _batch(self, index: Tensor, draws: list[Tensor], groups: list[Group]) -> Tensor:
        if self.augment == "paper":
            return augment.paper(self.images, index, *draws, image_size=self.image_size)
        crop = augment.crop_flip if self.augment == "crop_flip" else augment.centre_crop
        pixels = crop(self.images, index, *draws, image_size=self.image_size)
        if self.trivial_augment:
            pixels = trivial_augment(pixels.permute(0, 3, 1, 2), groups).permute(0, 2, 3, 1)
        return augment.normalise(pixels)


def loaders(
    recipe: Recipe, dataset: Dataset, *, seed: int, device: torch.device | str, rank: int = 0, world: int = 1
) -> tuple[Loader, Loader, Loader, Loader]:
    """What a recipe trains on, a clean sample of that, a sample of what it is evaluated on, and all of that.

    The training images are the first `train_images` of a fixed class-balanced order; the end of that order is the
    hold-out that `split="validation"` evaluates on, and then never trains on. The samples are the first
    2,000 of a class-balanced order; the training one has its true labels and no augmentation. ValueError if there are
    fewer images than asked for, or if a batch does not fit.
    """
    order, test = balanced_order(dataset.train.labels), dataset.test
    if recipe.split == "validation":
        if not hold_out(len(order)):
            have = f"{dataset.source} has {len(order)} training images, and this sets a tenth of them aside"
            raise ValueError(f"split = 'validation': {have}. Add pictures until there are 10, or use split = 'test'")
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
    how: Any = {"image_size": recipe.image_size, "seed": seed, "device": device, "rank": rank, "world": world}
    training: Any = {"batch_size": recipe.batch_size, "augment": recipe.augment, "train": True}
    training |= {"alternating_flip": recipe.alternating_flip, "trivial_augment": recipe.trivial_augment}
    first = Kind(train.images, noisy, len(dataset.classes), **training, **how)
    how |= {"batch_size": EVAL_BATCH, "train": False}
    clean, sample, test = (Kind(of.images, of.labels, first.num_classes, **how) for of in (clean, sample, test))
    return first, clean, sample, test


def _subset(split: Split, index: np.ndarray) -> Split:
    """The images at these indices; without a copy when that is all of them in order."""
    if len(index) == len(split.labels) and (np.diff(index) == 1).all():
        return split
    return Split(split.images[index], split.labels[index])
