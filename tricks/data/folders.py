"""Pictures in class folders, `<class>/<picture>` or `<split>/<class>/<picture>`, in a folder or an archive."""

import hashlib
import io
import os
import unicodedata
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain
from operator import attrgetter
from pathlib import Path

import numpy as np
import PIL
from PIL import Image, ImageOps

from tricks.data.archive import entries
from tricks.data.bars import progress_bar
from tricks.data.files import DataError
from tricks.data.fingerprint import names_below
from tricks.data.layout import Report, arrange, is_picture, readable

CHUNK = 512  # pictures decoded ahead of the file that they go to
GROUND = (128, 128, 128, 255)  # under what is transparent
FIFTH = 2**256 // 5  # of all SHA-256


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
    report: Report


Classes = dict[str, list[Picture]]
BY_NAME = attrgetter("name")


def read_tree(path: Path) -> Tree:
    """The class folders in a folder or an archive, as `layout.arrange` finds them.

    Without a test set, a fixed fifth of each class becomes one. DataError for what is no such data set.
    """
    found = ((name, path / name) for name, _ in names_below(path)) if path.is_dir() else entries(path, is_picture)
    found = list(found)
    names = readable([name for name, _ in found])
    layout = arrange(path, names)
    data = {name: data for name, (_, data) in zip(names, found, strict=True) if data is not None}
    _refuse_undecodable(path, chain(*layout.train.values(), *(layout.test or {}).values()))

    def pictures(by_class: dict[str, list[str]]) -> Classes:
        return {name: [Picture(each, data[each]) for each in sorted(inside)] for name, inside in by_class.items()}

    def labelled(by_class: Classes) -> list[Picture]:
        pairs = ((label, each) for label, name in enumerate(layout.report.classes) for each in by_class[name])
        return [replace(picture, label=label) for label, picture in pairs]

    train = pictures(layout.train)
    train, test = (train, pictures(layout.test)) if layout.test else _split(path, train)
    return Tree(layout.report.classes, labelled(train), labelled(test), layout.report)


def _split(path: Path, by_class: Classes) -> tuple[Classes, Classes]:
    """About four fifths and one fifth of each class, by a hash of a picture's name, which no other picture changes.

    One picture at least goes to each side.
    """
    train, test = {}, {}
    for name, pictures in by_class.items():
        if len(pictures) < 2:
            raise DataError(f"{path}: class {name!r} has 1 picture; it takes 2, one to train on and one to test on")
        ranked = sorted(pictures, key=_hash)
        tested = min(max(sum(_hash(picture) < FIFTH for picture in pictures), 1), len(pictures) - 1)
        test[name], train[name] = (sorted(part, key=BY_NAME) for part in (ranked[:tested], ranked[tested:]))
    return train, test


def _hash(picture: Picture) -> int:
    """A number below 2^256 from the picture's name in its class folder."""
    name = unicodedata.normalize("NFC", picture.name.rpartition("/")[2])
    return int.from_bytes(hashlib.sha256(name.encode()).digest())


def _refuse_undecodable(path: Path, pictures: Iterable[str]) -> None:
    known = Image.registered_extensions()  # without those that this Pillow was built without
    for name in pictures:
        ending = os.path.splitext(name)[1].lower()
        if ending not in known:
            do = "Convert such pictures to .png or .jpg, or install a Pillow that can"
            raise DataError(
                f"{path}: {name} cannot be read, because the installed Pillow {PIL.__version__} reads no {ending}. {do}"
            )


def decode(picture: Picture | np.ndarray, side: int) -> np.ndarray:
    """The picture, or these pixels, with the shorter edge resized to `side` and the middle cut out: (side, side, 3)."""
    if isinstance(picture, Picture):
        opened = Image.open(io.BytesIO(picture.data) if isinstance(picture.data, bytes) else picture.data)
    else:
        opened = Image.fromarray(picture)
    with opened as image:
        image.draft("RGB", (2 * side, 2 * side))  # lets JPEG decode large photos at a fraction of their size
        image = upright_rgb(image)
    if image.size != (side, side):
        image = ImageOps.fit(image, (side, side), Image.Resampling.BILINEAR)
    return np.asarray(image)


def upright_rgb(image: Image.Image) -> Image.Image:
    """An opened picture as it was meant, in 8 bits: turned as its camera was held, on grey where it is transparent.

    Of 16 bits the upper 8 are taken, as Pillow does for colours. ValueError for 32-bit numbers, whose range is unknown.
    """
    raw = str(getattr(image, "tile", ""))  # says how the file stores a pixel
    deep = image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM"))  # for older Pillows
    image = ImageOps.exif_transpose(image)
    clear = image.info.get("transparency")
    if deep:
        values = np.asarray(image)
        image = Image.fromarray((values >> (4 if "I;12" in raw else 8)).astype(np.uint8))
        if clear is not None:  # the value of 16 bits that is transparent
            image.putalpha(Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8)))
    elif image.mode in ("I", "F"):
        kind = "integers" if image.mode == "I" else "floating-point numbers"
        raise ValueError(f"its pixels are 32-bit {kind}, mode {image.mode}: convert it to 8 or 16 bits")
    elif isinstance(clear, tuple) and ";16" in raw:
        image.info["transparency"] = tuple(value >> 8 for value in clear)
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    ground = Image.new("RGBA", image.size, GROUND)
    ground.alpha_composite(image)
    return ground.convert("RGB")


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
    bar = progress_bar(total=len(pictures), desc=f"{title}, decoded once", unit=" pictures")
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
            f"{title}: {len(broken)} of {len(pictures)} pictures do not decode: {', '.join(broken[:10])}{more}. "
            "Repair or remove them; no picture is left out silently"
        )
