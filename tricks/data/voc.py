"""The paper's own sets for section 6, for those who have them: PASCAL VOC and ADE20K, read picture by picture."""

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from tricks.data.fetch import places
from tricks.data.files import DataError
from tricks.data.scene import Read, Scene, SceneSet

VOC_CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog"),
    *("horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
ADE20K_COUNT = 150  # classes, from 1 on in the masks, where 0 is what is none of them
FOLDERS = {"voc": "VOCdevkit", "ade20k": "ADEChallengeData2016"}
NAMES = tuple(FOLDERS)
NO_BOXES = np.zeros((0, 4), dtype=np.float32)
NO_LABELS = np.zeros(0, dtype=np.int64)


def load(name: str, task: str) -> SceneSet:
    """`voc`: detection on 2007 and 2012 trainval, tested on 2007 test (§6.1), segmentation on 2012; `ade20k` (§6.2).

    DataError when the unpacked folder is neither in `data/` nor in the folder TRICKS_DATA, or has no such annotation.
    """
    folder = next((path for place in places() if (path := place / FOLDERS[name]).is_dir()), None)
    if folder is None:
        raise DataError(f"{name} is not here: unpack it to data/{FOLDERS[name]}, or to that name in TRICKS_DATA")
    if name == "voc" and task == "detection":
        train, test = (
            _voc_boxes(folder, ("2007", "trainval"), ("2012", "trainval")),
            _voc_boxes(folder, ("2007", "test")),
        )
        return SceneSet(name, "PASCAL VOC 07+12", VOC_CLASSES, train, test)
    if name == "voc":
        train, test = (_voc_pixels(folder, part) for part in ("train", "val"))
        return SceneSet(name, "PASCAL VOC 2012", VOC_CLASSES, train, test)
    if task == "detection":
        raise DataError("ade20k has a class for each pixel and no boxes: its task is segmentation")
    train, test = (_ade20k(folder, part) for part in ("training", "validation"))
    classes = tuple(f"class {k}" for k in range(1, ADE20K_COUNT + 1))
    return SceneSet(name, "ADE20K", classes, train, test, background=False)


def _voc_boxes(folder: Path, *parts: tuple[str, str]) -> Read:
    from torchvision.datasets import VOCDetection  # here, because torchvision takes seconds to import

    pairs = []
    for year, part in parts:
        listed = VOCDetection(str(folder.parent), year, part)
        pairs += list(zip(listed.images, listed.annotations, strict=True))
    return Read(_read_boxes, pairs)


def _read_boxes(pair: tuple[str, str]) -> Scene:
    objects = ElementTree.parse(pair[1]).findall("object")

    def number(element: ElementTree.Element, name: str) -> float:
        return float(element.findtext(name, ""))

    boxes = [[number(each, f"bndbox/{side}") for side in ("xmin", "ymin", "xmax", "ymax")] for each in objects]
    with Image.open(pair[0]) as image:
        picture = np.array(image.convert("RGB"))
    return Scene(
        Path(pair[0]).stem,
        picture,
        np.array(boxes, dtype=np.float32).reshape(-1, 4)
        - np.array([1, 1, 0, 0], dtype=np.float32),  # they count from 1
        np.array([VOC_CLASSES.index(each.findtext("name", "")) + 1 for each in objects], dtype=np.int64),
        difficult=np.array([number(each, "difficult") > 0 for each in objects], dtype=bool),
    )


def _voc_pixels(folder: Path, part: str) -> Read:
    from torchvision.datasets import VOCSegmentation

    listed = VOCSegmentation(str(folder.parent), "2012", part)
    return Read(_read_pixels, list(zip(listed.images, listed.masks, strict=True)))


def _read_pixels(pair: tuple[str, str]) -> Scene:
    with Image.open(pair[0]) as picture, Image.open(pair[1]) as mask:
        return Scene(Path(pair[0]).stem, np.array(picture.convert("RGB")), NO_BOXES, NO_LABELS, np.array(mask))


def _ade20k(folder: Path, part: str) -> Read:
    pictures = sorted((folder / "images" / part).glob("*.jpg"))
    if not pictures:
        raise DataError(f"{folder / 'images' / part} holds no pictures: ADE20K is incomplete")
    return Read(_read_ade20k, [(path, folder / "annotations" / part / f"{path.stem}.png") for path in pictures])


def _read_ade20k(pair: tuple[str, str]) -> Scene:
    scene = _read_pixels(pair)
    assert scene.pixels is not None
    return replace(scene, pixels=scene.pixels - np.uint8(1))  # and 0 wraps to IGNORED
