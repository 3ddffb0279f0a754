"""One picture with what is in it: boxes for detection, a class for each pixel for segmentation (section 6)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tricks.data.files import DataError

MARGIN = 1  # px that a box may leave its picture by: published ones count from 0 or from 1
IGNORED = 255  # the class of pixels that count neither in training nor in evaluation


@dataclass(frozen=True)
class Scene:
    """A picture and its annotation; DataError names the picture when the two do not belong together.

    Class 0 is the background, if there is one. A detection set may leave out `pixels`, a segmentation set has no boxes.
    """

    name: str
    picture: np.ndarray  # uint8 (H, W, 3)
    boxes: np.ndarray  # float32 (n, 4), px: left, top, right, bottom; right and bottom are the first ones outside
    labels: np.ndarray  # int64 (n,): class of each box, from 1 on
    pixels: np.ndarray | None = None  # uint8 (H, W): class of each pixel, or IGNORED
    instances: np.ndarray | None = None  # uint8 (H, W): number of the object that each pixel belongs to, 0 is none
    difficult: np.ndarray | None = None  # bool (n,): neither trained on nor counted, as in PASCAL VOC

    def __post_init__(self) -> None:
        height, width = self.picture.shape[:2]
        for mask in (self.pixels, self.instances):
            if mask is not None and mask.shape != (height, width):
                found = " x ".join(map(str, mask.shape[::-1]))
                raise DataError(f"{self.name}: the mask has {found} px, its picture {width} x {height}: no pair")
        beyond = self.boxes - (0, 0, width, height)
        faults = {
            "has no area": ~(self.boxes[:, 2:] > self.boxes[:, :2]).all(1),  # nor if a side is nan
            f"leaves the picture of {width} x {height} px": (beyond[:, :2].min(1, initial=0) < -MARGIN)
            | (beyond[:, 2:].max(1, initial=0) > MARGIN),
        }
        for fault, bad in faults.items():
            for box in self.boxes[bad].tolist():
                raise DataError(f"{self.name}: the box {box} (left, top, right, bottom) {fault}. Correct or remove it")

    @property
    def counted(self) -> np.ndarray:
        """Which boxes are trained on and must be found: bool (n,)."""
        return np.ones(len(self.labels), dtype=bool) if self.difficult is None else ~self.difficult


@dataclass(frozen=True)
class Read:
    """Scenes that are read from disk each time they are asked for."""

    read: Callable[[Any], Scene]
    sources: list[Any]  # what `read` takes

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, index: int) -> Scene:
        return self.read(self.sources[index])


Scenes = list[Scene] | Read


@dataclass(frozen=True)
class SceneSet:
    """A data set to fine-tune on; fields as in `sets.Dataset`, `classes` without the background."""

    name: str
    source: str
    classes: tuple[str, ...]
    train: Scenes
    test: Scenes
    note: str = ""
    background: bool = True  # class 0; in a set without it, 0 is the first of `classes`

    @property
    def about(self) -> dict[str, str]:
        """As `sets.Dataset.about`: a set of scenes has a name, and is told by its source."""
        return {"source": self.source}

    @property
    def num_classes(self) -> int:
        """How many classes there are beside class 0."""
        return len(self.classes) - (not self.background)


def scene_of(name: str, picture: np.ndarray, instances: np.ndarray, classes: Sequence[int]) -> Scene:
    """The scene of an instance mask (H, W) in which object k, from 1 on, has class `classes[k - 1]`, from 1 on.

    Each box is the smallest around what is seen of its object.
    """
    numbers = np.unique(instances[instances > 0])
    boxes = np.empty((len(numbers), 4), dtype=np.float32)
    for box, number in zip(boxes, numbers, strict=True):
        rows, columns = np.nonzero(instances == number)
        box[:] = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    table = np.array([0, *classes], dtype=np.uint8)
    return Scene(name, picture, boxes, table[numbers].astype(np.int64), table[instances], instances)
