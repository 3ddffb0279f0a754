"""The offline set: the same every time, balanced, and told apart by outline alone."""

import numpy as np
import pytest

from tricks.data import shapes


@pytest.mark.parametrize("size", [32, 64])
def test_pictures_have_the_size_asked_for_and_never_change(size):
    labels = np.arange(30) % 10
    images = shapes.draw(labels, size, seed=0)
    assert images.shape == (30, size, size, 3)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images, shapes.draw(labels, size, seed=0))
    assert (images != shapes.draw(labels, size, seed=1)).mean() > 0.9
    assert len({image.tobytes() for image in images}) == 30


def test_the_sets_are_balanced_and_disjoint(monkeypatch):
    monkeypatch.setattr(shapes, "TRAIN_IMAGES", 200)
    monkeypatch.setattr(shapes, "TEST_IMAGES", 100)
    (images, labels), (test_images, test_labels) = shapes.dataset(32)
    assert np.bincount(labels).tolist() == [20] * 10
    assert np.bincount(test_labels).tolist() == [10] * 10
    assert labels.dtype == np.int64
    assert not {image.tobytes() for image in images} & {image.tobytes() for image in test_images}


def test_colour_says_nothing_about_the_class():
    """Mean colours of classes differ by no more than chance: about as much as any means over 100 pictures."""
    labels = np.arange(1000) % 10
    colours = shapes.draw(labels, 32, seed=0).mean(axis=(1, 2))  # (N, 3)
    means = np.stack([colours[labels == k].mean(axis=0) for k in range(10)])
    assert (means.std(axis=0, ddof=1) < 2 * colours.std(axis=0) / np.sqrt(100)).all()


def test_every_outline_fits_the_unit_circle_and_is_about_as_large():
    y, x = np.mgrid[-1.5:1.5:300j, -1.5:1.5:300j]
    for name in shapes.CLASSES:
        inside = shapes.OUTLINES[name](x, y) < 0
        assert np.hypot(x, y)[inside].max() < 1.15, name
        assert 0.7 < inside.mean() * 9 < 2.5, name  # of an area of 9


@pytest.mark.parametrize(
    ("name", "area"),
    [
        ("circle", np.pi * 0.85**2),
        ("ring", np.pi * (0.9**2 - 0.5**2)),
        ("square", 1.44**2),
        ("frame", 1.54**2 - 0.86**2),
        ("cross", 4 * 0.95 * 0.52 - 0.52**2),
        ("triangle", 3 * np.sqrt(3) / 4),  # inscribed in the unit circle
        ("star", 5 * 0.42 * np.sin(np.pi / 5)),
    ],
)
def test_outlines_have_the_area_of_geometry(name, area):
    y, x = np.mgrid[-1.2:1.2:600j, -1.2:1.2:600j]
    assert (shapes.OUTLINES[name](x, y) < 0).mean() * 2.4**2 == pytest.approx(area, rel=0.01)
