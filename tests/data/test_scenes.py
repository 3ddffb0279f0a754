"""Scenes: refused when picture and annotation are no pair, divided into folds, drawn, read as VOC has them."""

from dataclasses import replace
from functools import partial
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
        (lambda: scene([(0, 0, np.nan, 5)]), "nan, 5.0. .* has no area"),
        (lambda: scene([(0, 0, np.inf, 5)]), "inf, 5.0. .* leaves the picture of 10 x 8 px"),
        (lambda: scene([(0, -2, 3, 5)]), "leaves the picture"),
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
    assert drawn.name == "shapes" and "`./course data pennfudan --fetch` gets it" in drawn.note
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
    with pytest.raises(DataError, match=f"{path.name} cannot be read .*truncated"):
        first[0]
    assert opened and all(image.fp is None for image in opened)


def test_a_set_that_is_not_there_says_where_to_put_it(course):
    with pytest.raises(DataError, match="voc is not here: unpack it to data/VOCdevkit"):
        scenes.load(Transfer(dataset="voc"))


def corrupt(devkit, change, task="detection", folder="Annotations", ending="xml"):
    """The first training scene's annotation, changed, and read."""
    year = "2007" if task == "detection" else "2012"
    name = "2007_trainval" if task == "detection" else "2012_train"
    path = devkit / "data" / "VOCdevkit" / f"VOC{year}" / folder / f"{name}.{ending}"
    change(path)
    return scenes.load(Transfer(dataset="voc", task=task)).train[0]


def put(old, new):
    assert old in XML
    return lambda path: path.write_text(XML.replace(old, new, 1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("<xmin>1</xmin>", ""), "an <object> has no <bndbox/xmin>"),
        (put("<xmin>1</xmin>", "<xmin></xmin>"), "<bndbox/xmin> '': must be a number of px"),
        (put("<ymax>8</ymax>", "<ymax>nan</ymax>"), "<bndbox/ymax> 'nan': must be a number of px"),
        (put("<ymax>8</ymax>", "<ymax>-inf</ymax>"), "<bndbox/ymax> '-inf': must be a number of px"),
        (put("<xmin>1</xmin>", "<xmin>1,5</xmin>"), "<bndbox/xmin> '1,5': must be a number of px"),
        (put("<name>dog</name>", ""), "an <object> has no <name>"),
        (put("<name>dog</name>", "<name>Dog</name>"), "<name> 'Dog': must be one of aeroplane, .* dog, "),
        (put("<difficult>0</difficult>", ""), "an <object> has no <difficult>"),
        (put("<difficult>0</difficult>", "<difficult>maybe</difficult>"), "<difficult> 'maybe': must be one of 0, 1"),
        (put("<xmax>4</xmax>", "<xmax>1</xmax>"), None),  # a box of one pixel
        (put("<xmax>4</xmax>", "<xmax>0</xmax>"), r"the box \[0.0, 1.0, 0.0, 8.0\] .* has no area"),
        (put("<xmax>4</xmax>", "<xmax>11</xmax>"), None),  # as some annotations do that count from 0
        (put("<xmax>4</xmax>", "<xmax>12</xmax>"), r"the box \[.*12.0, 8.0\] .* leaves the picture of 10 x 8 px"),
        (put("<ymin>2</ymin>", "<ymin>-1</ymin>"), "leaves the picture"),
        (lambda path: path.write_text(XML[:-20]), r"cannot be read \(.*line 5.*\): it is damaged"),
        (lambda path: path.write_bytes(b"\x00"), r"cannot be read \(.*\): it is damaged"),
        (lambda path: path.unlink(), "2007_trainval.xml is missing"),
    ],
)
def test_a_fault_in_a_voc_annotation_names_file_field_and_value(devkit, change, message):
    if message is None:
        assert len(corrupt(devkit, change).boxes) == 2
        return
    with pytest.raises(
        DataError, match=f"(?s)Annotations/2007_trainval.xml.*{message}" if "missing" not in message else message
    ):
        corrupt(devkit, change)


def save(pixels):
    return lambda path: Image.fromarray(pixels).save(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (save(np.full((8, 10), 21, np.uint8)), "the mask has pixels of number 21: must be 0 to 20, or 255"),
        (save(np.zeros((8, 10, 3), np.uint8)), "the mask is a picture of mode RGB: must be one number for each pixel"),
        (save(np.zeros((10, 8), np.uint8)), "the mask has 8 x 10 px, its picture 10 x 8: no pair"),
        (save(np.full((8, 10), 300, np.uint16)), "the mask has pixels of number 300"),
        (save(np.zeros((8, 10), bool)), None),
        (lambda path: path.write_bytes(b""), "cannot be read .*: it is damaged"),
        (lambda path: path.unlink(), "2012_train.png is missing"),
    ],
)
def test_a_fault_in_a_voc_mask_names_the_file_and_value(devkit, change, message):
    read = partial(corrupt, devkit, change, "segmentation", "SegmentationClass", "png")
    if message is None:
        assert read().pixels.dtype == np.uint8
        return
    with pytest.raises(DataError, match=f"(?s)SegmentationClass/.*{message}"):
        read()


@pytest.mark.parametrize("task", ["detection", "segmentation"])
def test_a_picture_that_is_missing_is_named(devkit, task):
    with pytest.raises(DataError, match="JPEGImages/20.*jpg is missing"):
        corrupt(devkit, lambda path: path.unlink(), task, "JPEGImages", "jpg")


def test_an_incomplete_voc_is_named(devkit):
    lists = devkit / "data" / "VOCdevkit" / "VOC2012" / "ImageSets"
    (lists / "Main" / "trainval.txt").write_text("")
    with pytest.raises(DataError, match="VOC2012, trainval: the list in ImageSets names no picture"):
        scenes.load(Transfer(dataset="voc", task="detection"))
    (lists / "Segmentation" / "val.txt").unlink()
    with pytest.raises(DataError, match="VOC2012, val: it is incomplete"):
        scenes.load(Transfer(dataset="voc", task="segmentation"))


def test_a_fault_in_ade20k_names_the_file(course):
    root = course / "data" / "ADEChallengeData2016"
    for part in ("training", "validation"):
        (root / "images" / part).mkdir(parents=True)
        (root / "annotations" / part).mkdir(parents=True)
        Image.fromarray(PICTURE).save(root / "images" / part / "a.jpg")
    read = partial(scenes.load, Transfer(dataset="ade20k", task="segmentation"))
    with pytest.raises(DataError, match="annotations/training/a.png is missing"):
        read().train[0]
    Image.fromarray(np.full((8, 10), 151, np.uint8)).save(root / "annotations" / "training" / "a.png")
    with pytest.raises(
        DataError, match="annotations/training/a.png: the mask has pixels of number 151: must be 0 to 150"
    ):
        read().train[0]
