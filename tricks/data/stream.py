"""The same batches for folders that do not fit in memory: worker processes read, decode and crop the files."""

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.utils.data
from PIL import Image, ImageOps
from torch import Tensor
from torchvision.transforms import v2

from tricks.augment import (
    AREA,
    ASPECT,
    PAD,
    colour_map,
    draw_alphas,
    draw_coefficients,
    normalise,
    recolour,
    with_normalise,
)
from tricks.data.files import DataError
from tricks.data.order import Batches, epoch_order, shares
from tricks.process import Purpose, generator

WORKERS = 8  # at most, per process


def workers(world: int) -> int:
    """How many processes read pictures for each of `world` that train: one for each core of its share."""
    return min(WORKERS, (os.cpu_count() or 1) // world)


class StreamLoader(Batches):
    """`DeviceLoader`'s batches from picture files: geometry in worker processes by torchvision, colour on the device.

    `images` (N,) are paths. Each picture is augmented from a seed of its own, so that batches depend on (seed, epoch)
    alone and not on the number of workers. DataError names a file that does not decode.
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray, num_classes: int, **options: Any) -> None:
        super().__init__(labels, num_classes, **options)
        self.files = _Files(images, _geometry(self.augment, self.image_size))

    def epoch(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        n, device = len(self.files), self.labels.device
        order = epoch_order(n, train=self.train, seed=self.seed, epoch=epoch)
        stream = generator(Purpose.AUGMENT, self.seed, epoch)
        coefficients, alphas = draw_coefficients(n, stream), draw_alphas(n, stream)
        seeds = torch.randint(1 << 62, (n,), generator=stream)
        parts = shares(n, self.batch_size, train=self.train, rank=self.rank, world=self.world)
        parts = [part for part in parts if part.start < part.stop]  # a short last batch may leave this process nothing
        batches = torch.utils.data.DataLoader(
            self.files,
            batch_sampler=[list(zip(order[mine].tolist(), seeds[mine].tolist(), strict=True)) for mine in parts],
            num_workers=workers(self.world),
            pin_memory=device.type == "cuda",
            generator=stream,  # else it would draw from torch's global stream
        )
        for mine, pixels in zip(parts, batches, strict=True):
            pixels = pixels.to(device, non_blocking=True)
            if self.augment == "paper":
                colours = colour_map(coefficients[mine].to(device), alphas[mine].to(device))
                x = recolour(pixels.permute(0, 3, 1, 2).float(), *with_normalise(*colours))
                x = x.contiguous(memory_format=torch.channels_last)
            else:
                x = normalise(pixels)
            yield x, self.labels[order[mine].to(device)]


def _geometry(augment: str, image_size: int) -> v2.Transform:
    """Steps 2 and 3 of §2.1, or what `augment` has in their place, on uint8 (3, H, W) of any size."""
    side = round(image_size * 256 / 224)
    resize = v2.Resize(side, antialias=True)
    if augment == "paper":
        steps = [v2.RandomResizedCrop(image_size, AREA, ASPECT, antialias=True), v2.RandomHorizontalFlip()]
    elif augment == "crop_flip":
        steps = [
            resize,
            v2.CenterCrop(side),
            v2.RandomCrop(image_size, PAD, padding_mode="reflect"),
            v2.RandomHorizontalFlip(),
        ]
    else:
        steps = [resize, v2.CenterCrop(image_size)]
    return v2.Compose(steps)


class _Files(torch.utils.data.Dataset):
    """Picture number `index`, cropped with the random numbers of `seed`: uint8 (S, S, 3)."""

    def __init__(self, paths: np.ndarray, geometry: v2.Transform) -> None:
        self.paths, self.geometry = paths, geometry

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, key: tuple[int, int]) -> Tensor:
        index, seed = key
        try:
            with Image.open(self.paths[index]) as image:
                pixels = torch.from_numpy(np.array(ImageOps.exif_transpose(image).convert("RGB"))).permute(2, 0, 1)
        except Exception as error:  # Pillow's decoders raise nearly every kind on damaged files
            raise DataError(f"{self.paths[index]} does not decode ({error}). Repair or remove it") from error
        with torch.random.fork_rng(devices=[]):  # torchvision draws from torch's global stream
            torch.manual_seed(seed)
            return self.geometry(pixels).permute(1, 2, 0).contiguous()
