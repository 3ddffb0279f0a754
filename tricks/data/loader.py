"""From a data set in memory to batches on the device, and from a recipe to its three loaders."""

from collections.abc import Iterator
from typing import Literal

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
from tricks.data.sets import Dataset, Split
from tricks.process import generator
from tricks.recipe import Recipe

Augment = Literal["none", "crop_flip", "paper"]
ORDER, DRAWS, NOISE = 101, 102, 103  # the purposes of this module's random streams
CLEAN_IMAGES = 2_000  # training images on which the clean training accuracy is measured
EVAL_BATCH = 256


class DeviceLoader:
    """Batches (x, y) of images that fit in memory, augmented per sample on the device.

    x is float32 (B, 3, S, S), normalised, channels last in memory; y int64 (B,). In training the order is random and a short
    last batch is dropped; otherwise the order is fixed, the picture's centre is taken and nothing is dropped. Process `rank` of
    `world` gets its slice of each batch; random numbers are drawn for whole batches, so 2 processes see what 1 would.
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        num_classes: int,
        *,
        image_size: int,
        batch_size: int,
        augment: Augment = "none",
        train: bool,
        seed: int = 0,
        device: torch.device | str,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        check_batch(batch_size, len(images), train=train, world=world)
        if images.shape[1] < image_size:
            raise ValueError(
                f"the images are {images.shape[1]} px wide, the net wants {image_size} px: "
                f"load the data set with image_size={image_size}"
            )
        self.images = torch.from_numpy(images).to(device)
        self.labels = torch.from_numpy(labels).to(device)
        self.num_classes = num_classes
        self.image_size, self.batch_size, self.augment, self.train = image_size, batch_size, augment, train
        self.seed, self.rank, self.world = seed, rank, world

    def __len__(self) -> int:
        whole, rest = divmod(len(self.images), self.batch_size)
        return whole if self.train else whole + (rest > 0)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return self.epoch(0)

    def epoch(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of this epoch; they depend on (seed, epoch) and nothing else."""
        n, device = len(self.images), self.images.device
        order = torch.randperm(n, generator=generator(self.seed, epoch, ORDER)) if self.train else torch.arange(n)
        order = order.to(device)
        draws = [draw.to(device) for draw in self._draw(n, generator(self.seed, epoch, DRAWS))]
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            mine = _share(start, min(start + self.batch_size, n), self.rank, self.world)
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
            return normalise(crop_flip(self.images, index, *draws, self.image_size))
        if self.augment == "paper":
            return paper(self.images, index, *draws, self.image_size)
        return normalise(centre_crop(self.images, index, self.image_size))


def _share(start: int, stop: int, rank: int, world: int) -> slice:
    """The part of batch [start, stop) that belongs to `rank`; shares differ by at most one image."""
    size = stop - start
    return slice(start + size * rank // world, start + size * (rank + 1) // world)


def check_batch(batch_size: int, images: int, *, train: bool, world: int) -> None:
    """ValueError when a batch cannot be filled or cannot be shared equally among `world` processes."""
    if train and batch_size > images:
        raise ValueError(
            f"batch_size = {batch_size} is more than the {images} training images: use at most {images}, or more images"
        )
    if train and batch_size % world:
        near = max(batch_size // world, 1) * world
        raise ValueError(
            f"batch_size = {batch_size} cannot be shared equally by {world} processes: use a multiple of {world}, such as {near}"
        )


def balanced_order(labels: np.ndarray) -> np.ndarray:
    """A fixed random order of all images in which every beginning has the classes in their overall proportions.

    int64 (N,). The k-th of a class's m images, in random order, stands at (k + ½) / m of the way.
    """
    shuffle = np.random.RandomState(0).permutation(len(labels))  # RandomState's numbers are frozen for ever, Generator's not
    place = np.empty(len(labels))
    for label in np.unique(labels):
        members = shuffle[labels[shuffle] == label]
        place[members] = (np.arange(len(members)) + 0.5) / len(members)
    return np.lexsort((labels, place))  # by place; classes in turn where places are equal


def hold_out(images: int) -> int:
    """How many training images `split="validation"` sets aside: 5,000, or a tenth of a set that has fewer than 50,000."""
    return 5_000 if images >= 50_000 else images // 10


def noisy_labels(labels: np.ndarray, share: float, num_classes: int, stream: torch.Generator) -> np.ndarray:
    """Labels of which round(share · N), drawn at random, are replaced by another class, each other class alike."""
    chosen = torch.randperm(len(labels), generator=stream)[: round(share * len(labels))].numpy()
    shift = torch.randint(1, num_classes, (len(chosen),), generator=stream).numpy()
    labels = labels.copy()
    labels[chosen] = (labels[chosen] + shift) % num_classes
    return labels


def loaders(
    recipe: Recipe, dataset: Dataset, *, seed: int, device: torch.device | str, rank: int = 0, world: int = 1
) -> tuple[DeviceLoader, DeviceLoader, DeviceLoader]:
    """What a recipe trains on, a clean sample of that, and what it is evaluated on.

    The training images are the first `train_images` of a fixed class-balanced order; the order's end is the hold-out that
    `split="validation"` evaluates on, and then never trains on. `clean_train` is the first 2,000 of the training images with
    their true labels and without augmentation. ValueError if there are fewer images than asked for, or a batch does not fit.
    """
    labels = dataset.train.labels
    order = balanced_order(labels)
    test = dataset.test
    if recipe.split == "validation":
        order, held = np.split(order, [len(order) - hold_out(len(order))])
        test = _subset(dataset.train, np.sort(held))
    if recipe.train_images > len(order):
        raise ValueError(f"train_images = {recipe.train_images}: {dataset.source} has {len(order)} to train on; 0 takes all")
    order = order[: recipe.train_images or len(order)]
    train = _subset(dataset.train, np.sort(order))
    clean = _subset(dataset.train, order[:CLEAN_IMAGES])
    noisy = noisy_labels(train.labels, recipe.label_noise, len(dataset.classes), generator(seed, NOISE))

    def loader(split: Split, labels: np.ndarray, batch_size: int, augment: str, train: bool) -> DeviceLoader:
        return DeviceLoader(
            split.images,
            labels,
            len(dataset.classes),
            image_size=recipe.image_size,
            batch_size=batch_size,
            augment=augment,
            train=train,
            seed=seed,
            device=device,
            rank=rank,
            world=world,
        )

    return (
        loader(train, noisy, recipe.batch_size, recipe.augment, True),
        loader(clean, clean.labels, EVAL_BATCH, "none", False),
        loader(test, test.labels, EVAL_BATCH, "none", False),
    )


def _subset(split: Split, index: np.ndarray) -> Split:
    """The images at these indices; without a copy when that is all of them in order."""
    if len(index) == len(split.labels) and (np.diff(index) == 1).all():
        return split
    return Split(split.images[index], split.labels[index])
