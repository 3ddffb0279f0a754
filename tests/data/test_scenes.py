"""Scenes: refused when picture and annotation are no pair, divided into folds, drawn, read as VOC has them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tricks.data import scenes, voc
from tricks.data.files import DataError
from tricks.data.scene import Scene, scene_of
from tricks.data.scenes import fold
from tricks.recipe import Transfer

PICTURE = np.zeros((8, 10, 3), dtype=np.uint8)
RECIPE = Transfer(dataset="shapes")


def scene(boxes=(), **masks):
    boxes = np.array(boxes, dtype=np.float32).reshape(-1, 4)
    return Scene("corner.png", PICTURE, boxes, np.ones(len(boxes), dtype=np.int64), **masks)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: scene([(2, 3, 2, 6)]), r"corner.png: the box \[2.0, 3.0, 2.0, 6.0\] .* has no area"),
        (lambda: scene([(0, 0, 1, 1), (5, 6, 4, 7)]), r"the box \[5.0, 6.0, 4.0, 7.0\] .* has no area"),
        (lambda: scene(pixels=np.zeros((10, 8), np.uint8)), "the mask has 8 x 10 px, its picture 10 x 8: no pair"),
    ],
)
def test_an_annotation_that_cannot_be_right_names_the_picture(make, message):
    with pytest.raises(DataError, match=message):
        make()


def test_a_scene_may_be_empty():
    assert scene().counted.shape == (0,)
    assert scene_of("empty", PICTURE, np.zeros((8, 10), np.uint8), []).boxes.shape == (0, 4)


def test_boxes_hold_their_object_and_nothing_beside():
    instances = np.zeros((8, 10), dtype=np.uint8)
    instances[2, 3] = 4  # a single pixel has a box of area 1
    instances[0:8, 9] = 2
    found = scene_of("two", PICTURE, instances, [1, 2, 3, 4])
    assert found.labels.tolist() == [2, 4] and found.boxes.tolist() == [[9, 0, 10, 8], [3, 2, 4, 3]]


def test_folds_cover_everything_once_and_are_balanced():
    groups = np.arange(170) < 96
    parts = [fold(groups, seed, 5, "test") for seed in range(5)]
    assert sorted(np.concatenate([test for _, test in parts]).tolist()) == list(range(170))
    for train, test in parts:
        assert set(train) | set(test) == set(range(170)) and not set(train) & set(test)
        assert len(test) == 34 and 18 <= groups[test].sum() <= 20
    np.testing.assert_array_equal(fold(groups, 7, 5, "test")[1], parts[2][1])


def test_validation_never_touches_the_test_fold():
    groups = np.zeros(170)
    for seed in range(5):
        _, test = fold(groups, seed, 5, "test")
        train, held_out = fold(groups, seed, 5, "validation")
        assert not set(test) & (set(train) | set(held_out)) and not set(train) & set(held_out)
        assert len(train) == 102 and len(held_out) == 34


def test_drawn_scenes_never_change_and_hold_what_they_say(monkeypatch):
    drawn = scenes.draw(6, seed=0)
    again = scenes.draw(6, seed=0)
    for one, other in zip(drawn, again, strict=True):
        np.testing.assert_array_equal(one.picture, other.picture)
        assert one.picture.shape == (*scenes.DRAWN_SIZE, 3) and 1 <= len(one.boxes) <= 4
        assert set(np.unique(one.pixels)) - {0} == set(one.labels.tolist())
        assert one.labels.max() <= len(scenes.DRAWN)
    assert not np.array_equal(drawn[0].picture, scenes.draw(1, seed=1)[0].picture)
    monkeypatch.setattr(scenes, "DRAWN_COUNT", (10, 4))
    whole = scenes.load(RECIPE)
    assert (len(whole.train), len(whole.test), whole.classes) == (10, 4, scenes.DRAWN)
    held = scenes.load(replace(RECIPE, split="validation"))
    assert (len(held.train), len(held.test)) == (8, 2)
    assert {held.test[i].name for i in range(2)} < {s.name for s in whole.train}


def test_without_penn_fudan_auto_draws_and_says_so(course, monkeypatch):
    monkeypatch.setattr(scenes, "DRAWN_COUNT", (2, 1))
    drawn = scenes.load(replace(RECIPE, dataset="auto"))
    assert drawn.name == "shapes" and "because Penn-Fudan is not at hand" in drawn.note
    with pytest.raises(ValueError, match="No set of scenes 'penfudan'.* Nearest: 'pennfudan'"):
        scenes.load(replace(RECIPE, dataset="penfudan"))


XML = """<annotation>
<object><name>dog</name><difficult>0</difficult>
<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>4</xmax><ymax>8</ymax></bndbox></object>
<object><name>person</name><difficult>1</difficult>
<bndbox><xmin>5</xmin><ymin>5</ymin><xmax>6</xmax><ymax>6</ymax></bndbox></object>
</annotation>"""


@pytest.fixture
def devkit(course):
    """PASCAL VOC with one picture in each part."""
    for year, task, parts in (
        ("2007", "Main", ("trainval", "test")),
        ("2012", "Main", ("trainval",)),
        ("2012", "Segmentation", ("train", "val")),
    ):
        folder = course / "data" / "VOCdevkit" / f"VOC{year}"
        for name in ("JPEGImages", "Annotations", "SegmentationClass", f"ImageSets/{task}"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        for part in parts:
            name = f"{year}_{part}"
            (folder / "ImageSets" / task / f"{part}.txt").write_text(name + "\n")
            Image.fromarray(PICTURE).save(folder / "JPEGImages" / f"{name}.jpg")
            (folder / "Annotations" / f"{name}.xml").write_text(XML)
            Image.fromarray(np.full((8, 10), 255, np.uint8)).save(folder / "SegmentationClass" / f"{name}.png")
    return course


def test_voc_boxes_start_at_0_and_difficult_ones_do_not_count(devkit):
    found = scenes.load(Transfer(dataset="voc", task="detection"))
    assert [found.train[i].name for i in range(2)] == ["2007_trainval", "2012_trainval"] and len(found.test) == 1
    first = found.train[0]
    assert first.boxes.tolist() == [[0, 1, 4, 8], [4, 4, 6, 6]] and first.counted.tolist() == [True, False]
    assert [found.classes[k - 1] for k in first.labels] == ["dog", "person"]


def test_voc_and_ade20k_masks(devkit):
    found = scenes.load(Transfer(dataset="voc", task="segmentation"))
    assert (len(found.train), len(found.test), len(found.classes)) == (1, 1, 20)
    assert (found.train[0].pixels == 255).all()
    root = devkit / "data" / "ADEChallengeData2016"
    for part in ("training", "validation"):
        for kind in ("images", "annotations"):
            (root / kind / part).mkdir(parents=True)
        Image.fromarray(PICTURE).save(root / "images" / part / "a.jpg")
        Image.fromarray(np.arange(80, dtype=np.uint8).reshape(8, 10)).save(root / "annotations" / part / "a.png")
    ade = scenes.load(Transfer(dataset="ade20k", task="segmentation"))
    assert len(ade.classes) == 150 and ade.train[0].pixels[0, :3].tolist() == [255, 0, 1]  # nothing, class 1, class 2
    with pytest.raises(DataError, match="no boxes: its task is segmentation"):
        voc.load("ade20k", "detection")


@pytest.mark.parametrize("task", ["detection", "segmentation"])
def test_a_damaged_picture_is_not_left_open(devkit, monkeypatch, task):
    first = scenes.load(Transfer(dataset="voc", task=task)).train
    path = Path(first.sources[0][0])
    noise = np.random.RandomState(0).randint(0, 256, (200, 200, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:2000])
    opened = []
    monkeypatch.setattr(Image, "open", lambda path, open=Image.open: opened.append(open(path)) or opened[-1])
    with pytest.raises(OSError, match="truncated"):
        first[0]
    assert opened and all(image.fp is None for image in opened)


def test_a_set_that_is_not_there_says_where_to_put_it(course):
    with pytest.raises(DataError, match="voc is not here: unpack it to data/VOCdevkit"):
        scenes.load(Transfer(dataset="voc"))
