"""The paper's own sets for section 6, for those who have them: PASCAL VOC and ADE20K, read picture by picture."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from tricks.data.fetch import at_hand
from tricks.data.files import DataError
from tricks.data.scene import Read, Scene, SceneSet

VOC_CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog"),
    *("horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
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
    listed = [kind(str(folder.parent), year, part) for year, part in parts]
    return Read(read, [pair for each in listed for pair in zip(each.images, each.targets, strict=True)])


def _read_boxes(pair: tuple[str, str]) -> Scene:
    objects = ElementTree.parse(pair[1]).findall("object")

    def numbers(*names: str) -> np.ndarray:
        found = [[float(each.findtext(name, "")) for name in names] for each in objects]
        return np.array(found, dtype=np.float32).reshape(-1, len(names))

    boxes = numbers("bndbox/xmin", "bndbox/ymin", "bndbox/xmax", "bndbox/ymax")
    boxes[:, :2] -= 1  # they count from 1
    labels = np.array([VOC_CLASSES.index(each.findtext("name", "")) + 1 for each in objects], dtype=np.int64)
    with Image.open(pair[0]) as image:
        picture = np.array(image.convert("RGB"))
    return Scene(Path(pair[0]).stem, picture, boxes, labels, difficult=numbers("difficult")[:, 0] > 0)


def _read_pixels(pair: tuple[str, str]) -> Scene:
    with Image.open(pair[0]) as image, Image.open(pair[1]) as mask:
        picture, pixels = np.array(image.convert("RGB")), np.array(mask)
    return Scene(Path(pair[0]).stem, picture, np.zeros((0, 4), np.float32), np.zeros(0, np.int64), pixels)


def _ade20k(folder: Path, part: str) -> Read:
    pictures = sorted((folder / "images" / part).glob("*.jpg"))
    if not pictures:
        raise DataError(f"{folder / 'images' / part} holds no pictures: ADE20K is incomplete")
    return Read(_read_ade20k, [(path, folder / "annotations" / part / f"{path.stem}.png") for path in pictures])


def _read_ade20k(pair: tuple[str, str]) -> Scene:
    scene = _read_pixels(pair)
    assert scene.pixels is not None
    return replace(scene, pixels=scene.pixels - np.uint8(1))  # and 0 wraps to IGNORED
