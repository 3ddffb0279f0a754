"""The paper's own sets for section 6, for those who have them: PASCAL VOC and ADE20K, read picture by picture."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from tricks.data.fetch import at_hand
from tricks.data.files import DataError
from tricks.data.scene import IGNORED, Read, Scene, SceneSet

VOC_CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog"),
    *("horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
VOC_PIXELS = (*range(len(VOC_CLASSES) + 1), IGNORED)  # in the masks
ADE20K_COUNT = 150  # classes, from 1 on in the masks, where 0 is what is none of them
FOLDERS = {"voc": "VOCdevkit", "ade20k": "ADEChallengeData2016"}
NAMES = tuple(FOLDERS)


def load(name: str, task: str) -> SceneSet:
    """`voc`: detection on 2007 and 2012 trainval, tested on 2007 test (§6.1), segmentation on 2012; `ade20k` (§6.2).

    DataError when the unpacked folder is neither in `data/` nor in the folder TRICKS_DATA, or has no such annotation.
    """
    folder = at_hand(name, FOLDERS[name])
    if folder is None:
        raise DataError(f"{name} is not here: unpack it to data/{FOLDERS[name]}, or to that name in TRICKS_DATA")
    if name == "voc":
        from torchvision.datasets import VOCDetection, VOCSegmentation  # here: torchvision takes seconds to import

        if task == "detection":
            parts = (("2007", "trainval"), ("2012", "trainval")), (("2007", "test"),)
            train, test = (_voc(VOCDetection, _read_boxes, folder, part) for part in parts)
            return SceneSet(name, "PASCAL VOC 07+12", VOC_CLASSES, train, test)
        train, test = (_voc(VOCSegmentation, _read_pixels, folder, [("2012", part)]) for part in ("train", "val"))
        return SceneSet(name, "PASCAL VOC 2012", VOC_CLASSES, train, test)
    if task == "detection":
        raise DataError("ade20k has a class for each pixel and no boxes: its task is segmentation")
    train, test = (_ade20k(folder, part) for part in ("training", "validation"))
    classes = tuple(f"class {k}" for k in range(1, ADE20K_COUNT + 1))
    return SceneSet(name, "ADE20K", classes, train, test, background=False)


def _voc(kind: Any, read: Callable[[Any], Scene], folder: Path, parts: Sequence[tuple[str, str]]) -> Read:
    pairs: list[tuple[str, str]] = []
    for year, part in parts:
        where = f"{folder}, VOC{year}, {part}"
        try:
            listed = kind(str(folder.parent), year, part)
        except (RuntimeError, OSError) as error:  # torchvision's, for a folder or a list that is not there
            raise DataError(f"{where}: it is incomplete ({error}). Unpack the archive of {year} again") from error
        pairs += zip(listed.images, listed.targets, strict=True)
        if not listed.images:
            raise DataError(f"{where}: the list in ImageSets names no picture. Unpack the archive of {year} again")
    return Read(read, pairs)


def _read_boxes(pair: tuple[str, str]) -> Scene:
    with _naming(pair[1]):
        objects = ElementTree.parse(pair[1]).findall("object")
        sides = ("bndbox/xmin", "bndbox/ymin", "bndbox/xmax", "bndbox/ymax")
        boxes = np.array([[_number(each, side) for side in sides] for each in objects], np.float32).reshape(-1, 4)
        boxes[:, :2] -= 1  # they count from 1
        labels = np.array([VOC_CLASSES.index(_field(each, "name", VOC_CLASSES)) + 1 for each in objects], np.int64)
        difficult = np.array([_field(each, "difficult", ("0", "1")) == "1" for each in objects], bool)
        return Scene(Path(pair[0]).stem, _picture(pair[0]), boxes, labels, difficult=difficult)


def _field(element: ElementTree.Element, name: str, allowed: Sequence[str] = ()) -> str:
    text = element.findtext(name)
    if text is None:
        raise DataError(f"an <object> has no <{name}>. Add it, or remove the object")
    text = text.strip()
    if allowed and text not in allowed:
        raise DataError(f"an <object> has <{name}> {text!r}: must be one of {', '.join(allowed)}")
    return text


def _number(element: ElementTree.Element, name: str) -> float:
    text = _field(element, name)
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"an <object> has <{name}> {text!r}: must be a number of px, from 1 on")
    return value


@contextmanager
def _naming(file: str | Path) -> Iterator[None]:
    """Say of a fault in an annotation, or of a file that cannot be read, which file it is in."""
    try:
        yield
    except FileNotFoundError as error:
        raise DataError(f"{error.filename} is missing, to which {file} belongs. Unpack the archive again") from error
    except (OSError, SyntaxError, ElementTree.ParseError) as error:  # Pillow's for damaged pictures, too
        raise DataError(f"{file} cannot be read ({error}): it is damaged. Unpack the archive again") from error
    except DataError as error:
        raise DataError(error if str(file) in str(error) else f"{file}: {error}") from error


def _picture(file: str | Path) -> np.ndarray:
    """uint8 (H, W, 3)"""
    with _naming(file), Image.open(file) as image:
        return np.array(image.convert("RGB"))


def _read_pixels(pair: tuple[str | Path, str | Path], allowed: Sequence[int] = VOC_PIXELS) -> Scene:
    with _naming(pair[1]):
        with Image.open(pair[1]) as mask:
            pixels, mode = np.array(mask), mask.mode
        if pixels.ndim != 2 or pixels.dtype.kind == "f":
            raise DataError(f"the mask is a picture of mode {mode}: must be one number for each pixel, mode L or P")
        for value in sorted(set(np.unique(pixels).tolist()) - set(allowed)):
            last = max(number for number in allowed if number != IGNORED)
            few = f"0 to {last}" + (f", or {IGNORED}" if IGNORED in allowed else "")
            raise DataError(f"the mask has pixels of number {value}: must be {few}")
        none = np.zeros((0, 4), np.float32), np.zeros(0, np.int64)
        return Scene(Path(pair[0]).stem, _picture(pair[0]), *none, pixels.astype(np.uint8))


def _ade20k(folder: Path, part: str) -> Read:
    pictures = sorted((folder / "images" / part).glob("*.jpg"))
    if not pictures:
        raise DataError(f"{folder / 'images' / part} holds no pictures: ADE20K is incomplete")
    return Read(_read_ade20k, [(path, folder / "annotations" / part / f"{path.stem}.png") for path in pictures])


def _read_ade20k(pair: tuple[Path, Path]) -> Scene:
    scene = _read_pixels(pair, range(ADE20K_COUNT + 1))
    assert scene.pixels is not None
    return replace(scene, pixels=scene.pixels - np.uint8(1))  # and 0 wraps to IGNORED
