"""Plots of pictures and their colours."""

import re
from functools import partial

import numpy as np
import pytest

from tricks.figures import pictures

PICTURES = [np.full((24 + 4 * i, 32, 3), 20 * i, np.uint8) for i in range(7)]


def cloud(shift: float) -> np.ndarray:
    return np.random.default_rng(0).uniform(30, 220, (200, 3)) + shift


PLOTS = {
    "images_grid": partial(pictures.images_grid, PICTURES, [f"picture\n{i}" for i in range(7)], columns=4),
    "colour_clouds": partial(pictures.colour_clouds, cloud(0), cloud(20)),
}
REDRAWN = {"colour_clouds": (pictures.colour_clouds, (cloud(0), cloud(20)), (cloud(-10),), (cloud(0), cloud(-10)))}
WITHOUT_AXES = {"images_grid"}


@pytest.mark.parametrize(
    "image",
    [np.zeros((8, 8), np.uint8), np.zeros((3, 8, 8), np.uint8), np.full((8, 8, 3), 1.5), np.zeros((8, 8, 3), int)],
)
def test_images_grid_refuses_what_is_no_picture(image):
    with pytest.raises(ValueError, match=re.escape(f"got {image.shape} {image.dtype}")):
        pictures.images_grid([image])
