"""Data sets by name or path: found, verified, decoded once, then memory-mapped."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import tricks
from tricks.data.archive import DataError, build_once
from tricks.data.folders import fingerprint, read_tree, write_pictures


@dataclass(frozen=True)
class Split:
    """Images uint8 (N, H, W, 3) and their classes int64 (N,)."""

    images: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Dataset:
    """A data set, ready to train on. `source` is what records say about it; `note` is one line for the reader, or empty."""

    name: str
    source: str
    classes: tuple[str, ...]
    train: Split
    test: Split
    note: str = ""


@dataclass(frozen=True)
class Known:
    """A named data set: the names it goes by on disk, and how many training and test images it must have."""

    files: tuple[str, ...]
    counts: tuple[int, int]


KNOWN = {
    "cifar10": Known(("cifar10.tgz", "cifar10"), (50_000, 10_000)),
}


def places() -> list[Path]:
    """Where data sets are looked for: `data/` in the course folder, then the folder in the variable TRICKS_DATA."""
    extra = os.environ.get("TRICKS_DATA")
    return [tricks.ROOT / "data", *([Path(extra)] if extra else [])]


def find(name: str) -> Path | None:
    """The first file or folder that this named data set is known by, or None."""
    return next((path for place in places() for file in KNOWN[name].files if (path := place / file).exists()), None)


def load(name: str = "auto", image_size: int = 32) -> Dataset:
    path = find(name)
    if path is None:
        raise DataError("missing")
    side = 32 if name == "cifar10" and image_size == 32 else round(image_size * 256 / 224)
    return _cached(name, "cifar10 (JPEG copy)", path, side, KNOWN[name].counts)


def _cached(name: str, source: str, path: Path, side: int, counts: tuple[int, int] | None = None) -> Dataset:
    def build(folder: Path) -> None:
        tree = read_tree(path)
        found = len(tree.train), len(tree.test)
        if counts and found != counts:
            raise DataError(f"{path} has {found} wants {counts}")
        for part, pictures in (("train", tree.train), ("test", tree.test)):
            write_pictures(folder / f"{part}.npy", pictures, side, f"{name}, {part}")
            np.save(folder / f"{part}-labels.npy", np.array([picture.label for picture in pictures], np.int64))
        (folder / "classes.json").write_text(json.dumps(tree.classes))

    folder = build_once(tricks.ROOT / "data" / "cache" / f"{name}-{side}px-{fingerprint(path)[:16]}", build)
    train, test = (
        Split(np.load(folder / f"{part}.npy", mmap_mode="c"), np.load(folder / f"{part}-labels.npy"))
        for part in ("train", "test")
    )
    return Dataset(name, source, tuple(json.loads((folder / "classes.json").read_text())), train, test)
