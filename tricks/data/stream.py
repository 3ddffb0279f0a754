"""The same batches for folders that do not fit in memory: worker processes read, decode and crop the files."""

import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
import torch.utils.data
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2

from tricks import augment
from tricks.after.alternating_flip import alternate
from tricks.after.trivial_augment import draw_changes, group, trivial_augment
from tricks.data.files import DataError
from tricks.data.folders import upright_rgb
from tricks.data.order import Batches, epoch_order, shares
from tricks.process import Purpose, generator

WORKERS = 8  # at most, per process
SHARED = Path("/dev/shm")  # where worker processes leave what they read
T = TypeVar("T")


def workers(world: int) -> int:
    """How many processes read pictures for each of `world` that train: one for each core of its share."""
    return min(WORKERS, (os.cpu_count() or 1) // world)


def read_ahead(batches: Iterable[T]) -> Iterator[T]:
    """The batches of a DataLoader, whose worker processes' ends are explained.

    DataError of a worker as if it were raised here; MemoryError if one was killed or had no room in /dev/shm.
    """
    try:
        yield from batches
    except RuntimeError as error:
        text = str(error)
        if isinstance(error, DataError):  # torch puts the worker's traceback before it
            raise DataError(text.rpartition(f"{DataError.__name__}: ")[2].strip()) from error
        if "DataLoader worker" not in text and "shared memory" not in text:
            raise
        room = f" ({shutil.disk_usage(SHARED).total >> 20} MB)" if SHARED.is_dir() else ""
        raise MemoryError(
            f"a process that reads pictures ended: {text.strip().splitlines()[-1]} They hand them over in shared "
            f"memory, {SHARED}{room}. In a container start it with more, docker run --shm-size=8g or --ipc=host; "
            "else lower batch_size"
        ) from error


class StreamLoader(Batches):
    """`DeviceLoader`'s batches from picture files: geometry in worker processes by torchvision, colour on the device.

    `images` (N,) are paths. Each picture is augmented from a seed of its own, so that batches depend on (seed, epoch)
    alone and not on the number of workers. DataError names a file that does not decode.
    """

    def epoch(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        n, device = len(self.images), self.labels.device
        order = epoch_order(n, train=self.train, seed=self.seed, epoch=epoch)
        stream = generator(Purpose.AUGMENT, self.seed, epoch)
        coefficients, alphas = augment.draw_coefficients(n, stream), augment.draw_alphas(n, stream)
        seeds = torch.randint(1 << 62, (n,), generator=stream)
        coins = augment.draw_flips(n, generator(Purpose.FLIP, self.seed))
        ops, strengths = draw_changes(n, generator(Purpose.TRIVIAL_AUGMENT, self.seed, epoch))
        parts = shares(n, self.batch_size, train=self.train, rank=self.rank, world=self.world)
        parts = [part for part in parts if part.start < part.stop]  # a short last batch may leave this process nothing
        batches = torch.utils.data.DataLoader(
            _Files(self.images, _geometry(self.augment, self.image_size, 0.0 if self.alternating_flip else 0.5)),
            batch_sampler=[list(zip(order[mine].tolist(), seeds[mine].tolist(), strict=True)) for mine in parts],
            num_workers=workers(self.world),
            pin_memory=device.type == "cuda",
            generator=stream,  # else it would draw from torch's global stream
        )
        for mine, pixels in zip(parts, read_ahead(batches), strict=True):
            pixels = pixels.to(device, non_blocking=True)
            if self.alternating_flip:  # alternating flips
                mirrored = alternate(coins, epoch)[order[mine]].to(device)
                pixels = torch.where(mirrored[:, None, None, None], pixels.flip(2), pixels)
            if self.trivial_augment:  # TrivialAugment
                groups = group(ops[mine], strengths[mine], device)
                pixels = trivial_augment(pixels.permute(0, 3, 1, 2), groups).permute(0, 2, 3, 1)
            if self.augment == "paper":
                colours = augment.colour_map(coefficients[mine].to(device), alphas[mine].to(device))
                x = augment.recolour(pixels.permute(0, 3, 1, 2).float(), *augment.with_normalise(*colours))
                x = x.contiguous(memory_format=torch.channels_last)
            else:
                x = augment.normalise(pixels)
            yield x, self.labels[order[mine].to(device)]


def _geometry(kind: str, size: int, mirrored: float = 0.5) -> v2.Transform:
    """Steps 2 and 3 of §2.1, or what the augmentation has in their place, on uint8 (3, H, W) of any size.

    `mirrored` is the share of pictures that are.
    """
    flip, side = v2.RandomHorizontalFlip(mirrored), round(size * 256 / 224)
    if kind == "paper":
        return v2.Compose([v2.RandomResizedCrop(size, augment.AREA, augment.ASPECT, antialias=True), flip])
    resize = v2.Resize(side, antialias=True)
    if kind == "crop_flip":
        crop = v2.RandomCrop(size, augment.PAD, padding_mode="reflect")
        return v2.Compose([resize, v2.CenterCrop(side), crop, flip])
    return v2.Compose([resize, v2.CenterCrop(size)])


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
                pixels = torch.from_numpy(np.array(upright_rgb(image))).permute(2, 0, 1)
        except Exception as error:  # Pillow's decoders raise nearly every kind on damaged files
            raise DataError(f"{self.paths[index]} does not decode ({error}). Repair or remove it") from error
        with torch.random.fork_rng(devices=[]):  # torchvision draws from torch's global stream
            torch.manual_seed(seed)
            return self.geometry(pixels).permute(1, 2, 0).contiguous()
