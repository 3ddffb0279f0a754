"""Which images, in which order, for which process: everything here depends on its arguments alone."""

from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tricks.process import Purpose, generator
from tricks.recipe import AUGMENTS


def epoch_order(images: int, *, train: bool, seed: int, epoch: int) -> Tensor:
    """Indices (N,) in the order of this epoch: random in training, as stored otherwise."""
    return torch.randperm(images, generator=generator(Purpose.ORDER, seed, epoch)) if train else torch.arange(images)


def batch_count(images: int, batch_size: int, *, train: bool) -> int:
    """How many batches an epoch has: training drops a short last one."""
    return images // batch_size if train else -(-images // batch_size)


def shares(images: int, batch_size: int, *, train: bool, rank: int, world: int) -> list[slice]:
    """For each batch, the part of the order that belongs to process `rank`; parts differ by at most one image."""
    starts = range(0, batch_count(images, batch_size, train=train) * batch_size, batch_size)
    sizes = [min(batch_size, images - start) for start in starts]
    return [
        slice(start + size * rank // world, start + size * (rank + 1) // world)
        for start, size in zip(starts, sizes, strict=True)
    ]


def check(images: int, *, batch_size: int, augment: str, train: bool, world: int) -> None:
    """ValueError for an unknown augmentation, and a training batch that cannot be filled or shared equally."""
    if augment not in AUGMENTS:
        raise ValueError(f"augment = {augment!r}: must be one of {', '.join(AUGMENTS)}")
    if train and batch_size > images:
        raise ValueError(
            f"batch_size = {batch_size} is more than the {images:,} training images: lower it, or raise train_images"
        )
    if train and batch_size % world:
        near = max(batch_size // world, 1) * world
        raise ValueError(
            f"batch_size = {batch_size} cannot be shared equally by {world} processes: use a multiple, such as {near}"
        )


def balanced_order(labels: np.ndarray) -> np.ndarray:
    """A fixed random order of all images in which every beginning has the classes in their overall proportions.

    int64 (N,). The k-th of a class's m images, in random order, stands at (k + ½) / m of the way.
    """
    shuffle = np.random.RandomState(0).permutation(len(labels))  # frozen for ever, unlike numpy's Generator
    place = np.empty(len(labels))
    for label in np.unique(labels):
        members = shuffle[labels[shuffle] == label]
        place[members] = (np.arange(len(members)) + 0.5) / len(members)
    return np.lexsort((labels, place))  # by place; classes in turn where places are equal


def hold_out(images: int) -> int:
    """How many training images `split="validation"` sets aside: 5,000, or a tenth of a set with fewer than 50,000."""
    return 5_000 if images >= 50_000 else images // 10


def noisy_labels(labels: np.ndarray, share: float, num_classes: int, stream: torch.Generator) -> np.ndarray:
    """Labels of which round(share · N), drawn at random, are replaced by another class, each other class alike."""
    chosen = torch.randperm(len(labels), generator=stream)[: round(share * len(labels))].numpy()
    shift = torch.randint(1, num_classes, (len(chosen),), generator=stream).numpy()
    labels = labels.copy()
    labels[chosen] = (labels[chosen] + shift) % num_classes
    return labels


@dataclass(eq=False, repr=False)
class Batches:
    """What the loaders share: as many batches as fill an epoch, of which process `rank` of `world` gets its share.

    In training the order is random and a short last batch is dropped; otherwise the order is as stored and nothing is
    dropped.
    """

    images: Any
    labels: Any  # int64 (N,), given as an array and kept as a tensor on the device
    num_classes: int
    _: KW_ONLY
    image_size: int
    batch_size: int
    train: bool
    device: torch.device | str
    augment: str = "none"
    alternating_flip: bool = False
    trivial_augment: bool = False
    seed: int = 0
    rank: int = 0
    world: int = 1

    def __post_init__(self) -> None:
        check(len(self.labels), batch_size=self.batch_size, augment=self.augment, train=self.train, world=self.world)
        self.labels = torch.from_numpy(self.labels).to(self.device)

    def __len__(self) -> int:
        return batch_count(len(self.labels), self.batch_size, train=self.train)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return self.epoch(0)

    def epoch(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of this epoch."""
        raise NotImplementedError
