"""Plots of pictures."""

import re
from functools import partial

import numpy as np
import pytest

from tricks.plots import preprocessing

PICTURES = [np.full((24 + 4 * i, 32, 3), 20 * i, np.uint8) for i in range(7)]


PLOTS = {
    "images_grid": partial(preprocessing.images_grid, PICTURES, [f"picture\n{i}" for i in range(7)], columns=4),
}
REDRAWN = {}
WITHOUT_AXES = {"images_grid"}


@pytest.mark.parametrize(
    "image",
    [np.zeros((8, 8), np.uint8), np.zeros((3, 8, 8), np.uint8), np.full((8, 8, 3), 1.5), np.zeros((8, 8, 3), int)],
)
def test_images_grid_refuses_what_is_no_picture(image):
    with pytest.raises(ValueError, match=re.escape(f"got {image.shape} {image.dtype}")):
        preprocessing.images_grid([image])
