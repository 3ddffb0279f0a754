"""Pictures in class folders, `<class>/<picture>` or `<split>/<class>/<picture>`, in a folder or an archive."""

import io
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image, ImageOps
from tqdm import tqdm

from tricks.data.archive import members
from tricks.data.files import DataError
from tricks.data.fingerprint import files_below

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
TEST_NAMES = ("test", "val", "valid", "validation")  # in the order of preference
CHUNK = 512  # pictures decoded ahead of the file that they go to


@dataclass(frozen=True)
class Picture:
    """One picture: its name in the folder or archive; its encoded bytes, or a path to them; its class."""

    name: str
    data: bytes | Path
    label: int = -1


@dataclass(frozen=True)
class Tree:
    """Class folders as read: class names in alphabetical order; pictures by class, then by name."""

    classes: tuple[str, ...]
    train: list[Picture]
    test: list[Picture]


Classes = dict[str, list[Picture]]
BY_NAME = attrgetter("name")


def read_tree(path: Path) -> Tree:
    """The class folders in a folder or an archive.

    `train/` may stand beside `test/`, `val/`, `valid/` or `validation/`; otherwise a fixed fifth of each class becomes
    the test set. DataError for fewer than two classes, a class without pictures in one of the splits, and a picture
    that lies in no class folder.
    """
    splits: dict[str, Classes] = {}
    for picture in _pictures(path):
        *folders, _ = PurePosixPath(picture.name).parts
        if not folders:
            raise DataError(f"{path}: {picture.name} lies in no class folder; wanted is <class>/<picture>")
        split = folders[-2].lower() if len(folders) > 1 else ""
        split = split if split in ("train", *TEST_NAMES) else ""
        splits.setdefault(split, {}).setdefault(folders[-1], []).append(picture)
    test_name = next((name for name in TEST_NAMES if name in splits), "")
    if "train" in splits and test_name:
        train, test = splits["train"], splits[test_name]
    elif len(splits) == 1 and not test_name:
        train, test = _split(path, *splits.values())
    elif not splits:
        raise DataError(f"{path} holds no pictures ({', '.join(PICTURES)}) in class folders")
    else:
        found = ", ".join(name or "class folders beside them" for name in sorted(splits, reverse=True))
        raise DataError(f"{path} holds {found}. Wanted: train/ and test/, or class folders alone")
    names = {*train, *test}
    if path.is_dir():  # empty class folders too, which no picture tells of
        parent = next((path / name for name in ("train", "Train") if (path / name).is_dir()), path)
        names |= {folder.name for folder in parent.iterdir() if folder.is_dir() and not folder.name.startswith(".")}
    classes = tuple(sorted(names))
    if len(classes) < 2:
        raise DataError(f"{path} has one class, {''.join(classes)!r}: classification needs at least two class folders")
    for name in classes:
        for part, pictures in (("training", train), ("test", test)):
            if not pictures.get(name):
                raise DataError(f"{path}: class {name!r} has no {part} picture. Add some, or remove the class folder")

    def labelled(by_class: Classes) -> list[Picture]:
        pairs = ((label, each) for label, name in enumerate(classes) for each in sorted(by_class[name], key=BY_NAME))
        return [replace(picture, label=label) for label, picture in pairs]

    return Tree(classes, labelled(train), labelled(test))


def _split(path: Path, by_class: Classes) -> tuple[Classes, Classes]:
    """Four fifths and one fifth of each class, the same ones every time."""
    train, test = {}, {}
    for name, pictures in by_class.items():
        if len(pictures) < 2:
            raise DataError(f"{path}: class {name!r} has 1 picture; it takes 2, one to train on and one to test on")
        pictures = sorted(pictures, key=BY_NAME)
        shuffled = [pictures[i] for i in np.random.RandomState(0).permutation(len(pictures))]
        fifth = max(1, len(pictures) // 5)
        train[name], test[name] = shuffled[fifth:], shuffled[:fifth]
    return train, test


def _pictures(path: Path) -> Iterator[Picture]:
    if path.is_dir():
        yield from (Picture(name, path / name) for name in files_below(path) if _is_picture(name))
    else:
        yield from (Picture(str(PurePosixPath(name)), data) for name, data in members(path, _is_picture))


def _is_picture(name: str) -> bool:
    """Whether the name is a picture's, and not of the hidden copies that some systems put into folders and archives."""
    parts = PurePosixPath(name).parts
    return name.lower().endswith(PICTURES) and not any(part.startswith((".", "__MACOSX")) for part in parts)


def decode(picture: Picture | np.ndarray, side: int) -> np.ndarray:
    """The picture, or these pixels, with the shorter edge resized to `side` and the middle cut out: (side, side, 3)."""
    if isinstance(picture, Picture):
        opened = Image.open(io.BytesIO(picture.data) if isinstance(picture.data, bytes) else picture.data)
    else:
        opened = Image.fromarray(picture)
    with opened as image:
        image.draft("RGB", (2 * side, 2 * side))  # lets JPEG decode large photos at a fraction of their size
        image = ImageOps.exif_transpose(image).convert("RGB")
    if image.size != (side, side):
        image = ImageOps.fit(image, (side, side), Image.Resampling.BILINEAR)
    return np.asarray(image)


def write_pictures(file: Path, pictures: Sequence[Picture] | np.ndarray, side: int, title: str) -> None:
    """Decode pictures into one array uint8 (N, side, side, 3), as .npy. DataError names those that are broken.

    Pixels uint8 (N, H, W, 3) in their place are resized, or if they have that size written as they are.
    """

    def decoded(picture: Picture | np.ndarray) -> np.ndarray | Exception:
        try:
            return decode(picture, side)
        except Exception as error:  # Pillow's decoders raise nearly every kind on damaged files
            return error

    broken = []
    bar = tqdm(total=len(pictures), desc=title, unit=" pictures")
    with file.open("wb") as out, ThreadPoolExecutor() as pool, bar:
        # written through a file, not a memory map: on a full disk that is an error and not a crash
        shape = (len(pictures), side, side, 3)
        np.lib.format.write_array_header_1_0(out, {"descr": "|u1", "fortran_order": False, "shape": shape})
        if isinstance(pictures, np.ndarray) and pictures.shape == shape:
            out.write(np.ascontiguousarray(pictures).data)
            bar.update(len(pictures))
            return
        for start in range(0, len(pictures), CHUNK):
            chunk = pictures[start : start + CHUNK]
            for picture, result in zip(chunk, pool.map(decoded, chunk), strict=True):
                if isinstance(result, Exception):
                    broken.append(f"{picture.name} ({result})")
                else:
                    out.write(result.tobytes())
            bar.update(len(chunk))
    if broken:
        more = f", and {len(broken) - 10} more" if len(broken) > 10 else ""
        raise DataError(
            f"{len(broken)} of {len(pictures)} pictures do not decode: {', '.join(broken[:10])}{more}. "
            "Repair or remove them; no picture is left out silently"
        )
