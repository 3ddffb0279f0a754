"""Data sets of scenes by name, divided into folds where they have no test set; and scenes drawn without any data."""

import math
from dataclasses import replace

import numpy as np

from tricks.data import pennfudan, shapes, voc
from tricks.data.fetch import no_such
from tricks.data.files import DataError
from tricks.data.order import balanced_order
from tricks.data.scene import Read, Scene, SceneSet, scene_of
from tricks.recipe import Transfer

DRAWN = ("circle", "square", "star")  # the classes of drawn scenes
DRAWN_COUNT = (160, 40)  # scenes to train and to test on
DRAWN_SIZE = (192, 256)  # px, height and width
NAMES = ("auto", "pennfudan", "shapes", *voc.NAMES)


def load(recipe: Transfer, seed: int = 0) -> SceneSet:
    """The training and test scenes of a recipe and a seed: the set's own, or those of fold `seed` modulo `folds`.

    "auto" is Penn-Fudan if it is at hand or can be fetched, else drawn scenes, and then `note` says why. With
    `split="validation"` the test part is held out of the training part. ValueError for an unknown name.
    """
    name = recipe.dataset
    if name == "auto":
        try:
            pennfudan.fetch()
        except DataError as error:
            reason = " ".join(" ".join(str(error).split("\n")[:2]).split())
            note = (
                "Penn-Fudan is not here: `./course data pennfudan --fetch` gets it (54 MB); until then lessons work on "
                "drawn scenes, and what they show does not carry over to photographs."
            )
            return replace(load(replace(recipe, dataset="shapes"), seed), note=f"{note}\n{reason}")
        name = "pennfudan"
    if name == "pennfudan":
        scenes = pennfudan.read(pennfudan.fetch())
        towns = [scene.name.startswith("Penn") for scene in scenes]  # the others are from Fudan
        train, test = fold(np.array(towns), seed, recipe.folds, recipe.split)
        train, test = ([scenes[index] for index in part] for part in (train, test))
        return SceneSet(name, pennfudan.SOURCE, pennfudan.CLASSES, train, test)
    if name == "shapes":
        train, test = (draw(count, seed=part) for part, count in enumerate(DRAWN_COUNT))
        found = SceneSet(name, "shapes (synthetic scenes)", DRAWN, train, test)
    elif name in voc.NAMES:
        found = voc.load(name, recipe.task)
    else:
        raise no_such("set of scenes", name, NAMES)
    if recipe.split == "test":
        return found
    held_out = fold(np.zeros(len(found.train)), seed, recipe.folds, "test")
    train, test = (Read(found.train.__getitem__, part.tolist()) for part in held_out)
    return replace(found, train=train, test=test)


def fold(groups: np.ndarray, seed: int, folds: int, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the scenes to train and to test on, from a fixed division in which every fold has each group's share.

    Fold `seed` modulo `folds` is the test set and never trained on; "validation" tests on the next one instead.
    """
    order = balanced_order(groups)
    place = np.empty(len(order), dtype=int)
    place[order] = np.arange(len(order)) % folds
    tested = (seed + (split == "validation")) % folds
    return np.flatnonzero(~np.isin(place, [seed % folds, tested])), np.flatnonzero(place == tested)


def draw(count: int, seed: int) -> list[Scene]:
    """Scenes of one to four coloured shapes on a sloping background, those drawn later before the others."""
    random = np.random.RandomState(seed)  # frozen for ever, unlike numpy's Generator
    return [_draw(f"scene {seed}-{index}", random) for index in range(count)]


def _draw(name: str, random: np.random.RandomState) -> Scene:
    height, width = DRAWN_SIZE
    y, x = np.mgrid[0:height, 0:width] + 0.5
    across, down = random.normal(0, 20, (2, 1, 1, 3))
    picture = random.uniform(70, 185) + across * (x / width - 0.5)[..., None] + down * (y / height - 0.5)[..., None]
    instances = np.zeros(DRAWN_SIZE, dtype=np.uint8)
    classes = random.randint(len(DRAWN), size=random.randint(1, 5))
    for number, label in enumerate(classes, start=1):
        radius = random.uniform(0.12, 0.3) * height
        left, top = random.uniform(radius, width - radius), random.uniform(radius, height - radius)
        angle = random.uniform(-math.pi / 8, math.pi / 8)
        u, v = (x - left) / radius, (y - top) / radius
        turned = u * math.cos(angle) + v * math.sin(angle), v * math.cos(angle) - u * math.sin(angle)
        inside = shapes.OUTLINES[DRAWN[label]](*turned) < 0
        instances[inside] = number
        picture[inside] = picture[inside].mean() + random.choice((-1, 1), 3) * random.uniform(40, 90, 3)
    noisy = picture + random.normal(0, 12, picture.shape)
    return scene_of(name, np.clip(noisy, 0, 255).astype(np.uint8), instances, (classes + 1).tolist())
