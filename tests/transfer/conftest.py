"""A small net and a few small scenes, on which every step of section 6 runs in a moment."""

from dataclasses import replace

import pytest

from tricks.data import scenes
from tricks.data.scene import SceneSet
from tricks.recipe import Recipe, Transfer

SMALL = Recipe(net="bottleneck14-pool", tweak_b=True, tweak_c=True, tweak_d=True)


def make_scenes():
    """Eight drawn scenes to train on, one of them without any object, and three to test on."""
    train, test = scenes.draw(8, seed=0), scenes.draw(3, seed=1)
    train[3] = replace(
        train[3],
        boxes=train[3].boxes[:0],
        labels=train[3].labels[:0],
        pixels=train[3].pixels * 0,
        instances=train[3].instances * 0,
    )
    return SceneSet("shapes", "made up for a test", scenes.DRAWN, train, test)


def make_tiny(task):
    """A recipe that takes seconds."""
    return Transfer(
        task=task,
        dataset="shapes",
        backbone=SMALL,
        pretrained=False,
        image_size=64,
        head_width=8,
        regions=8,
        epochs=2,
        batch_size=4,
    )


@pytest.fixture(scope="session")
def drawn():
    """The scenes of `make_scenes`."""
    return make_scenes()


@pytest.fixture
def recipes():
    """A recipe of each task, by its name."""
    return {task: make_tiny(task) for task in ("detection", "segmentation")}


@pytest.fixture(params=["detection", "segmentation"])
def tiny(request, recipes):
    """One of them after the other."""
    return recipes[request.param]
