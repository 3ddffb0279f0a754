"""Properties of any tree: folder, zip and tar agree; every picture is used once or counted; none moves another."""

import re
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tricks.data.files import DataError
from tricks.data.folders import read_tree
from tricks.data.layout import is_picture

FOLDERS = st.sampled_from(
    [
        "ant",
        "dog",
        "강아지",
        "train",
        "Training",
        "test",
        "val",
        "test1",
        "images",
        "birds",
        "@eaDir",
        "__MACOSX",
        ".git",
    ]
)
FILES = st.sampled_from(
    ["0.jpg", "1.jpg", "2.PNG", "é.tif", "x.gif", "notes.txt", "a.heic", "README", "Thumbs.db", ".DS_Store", "._0.jpg"]
)
ANY = st.lists(
    st.tuples(st.lists(FOLDERS, max_size=4), FILES).map(lambda each: "/".join([*each[0], each[1]])), max_size=12
)


@st.composite
def sets(draw):
    """Mostly as it should be: splits or none, classes, pictures; now and then something else."""
    outer = draw(st.sampled_from(["", "birds/", "a/train/", "x/y/"]))
    splits = draw(st.sampled_from([[""], ["train/"], ["train/", "val/"], ["Training/Training/", "Test_set/", "dev/"]]))
    classes = draw(
        st.lists(st.sampled_from(["ant", "dog", "eel", "강아지", "train"]), min_size=2, max_size=3, unique=True)
    )
    each = st.integers(2, 6)
    names = [f"{outer}{split}{name}/{i}.jpg" for split in splits for name in classes for i in range(draw(each))]
    return names + draw(st.one_of(st.just([]), ANY))


TREES = (
    st.one_of(sets(), ANY).map(lambda names: sorted({*names, *folders_of(names)})).filter(lambda names: clean(names))
)


def folders_of(names):
    return {f"{parent}/" for name in names for parent in map(str, Path(name).parents) if parent != "."}


def clean(names):
    """No file is called as a folder is, which no disk can hold."""
    return all(f"{name}/" not in names for name in names)


def read(path):
    """The data set without what depends on the kind of file, or why it is none."""
    try:
        tree = read_tree(path)
    except DataError as error:
        return str(error).replace(str(path), "set"), None
    parts = [[(picture.name, picture.label) for picture in part] for part in (tree.train, tree.test)]
    return (tree.classes, *parts), tree.report


@pytest.fixture(scope="module")
def written(write):
    """`written(names)`: paths of a folder, a zip and a tar that hold these names, for as long as the test looks."""

    def in_all_kinds(names, content=b"x"):
        with tempfile.TemporaryDirectory() as folder:
            places = [Path(folder, name) for name in ("set", "set.zip", "set.tar")]
            places[0].mkdir()
            yield [write(place, {name: b"" if name.endswith("/") else content for name in names}) for place in places]

    return in_all_kinds


@settings(max_examples=150, deadline=None)
@given(TREES)
def test_folder_zip_and_tar_are_the_same_data_set_or_the_same_refusal(written, names):
    for paths in written(names):
        first, *others = [read(path) for path in paths]
        assert all(other == first for other in others)


@settings(max_examples=150, deadline=None)
@given(TREES)
def test_every_picture_is_used_once_or_counted_as_left_out(written, names):
    for paths in written(names):
        found, report = read(paths[1])
        if report is None:
            continue
        _, train, test = found
        used = Counter(name for name, _ in train + test)
        assert set(used.values()) <= {1}
        files = [name for name in names if not name.endswith("/")]
        assert used.keys() <= {name for name in files if is_picture(name)}
        own = [
            name for name in files if any(re.match(r"\.|__MACOSX|@eaDir|Thumbs.db", part) for part in name.split("/"))
        ]
        left = sum(report.splits.values()) + sum(report.endings.values())
        assert len(used) + left + len(own) == len(files)


@settings(max_examples=60, deadline=None)
@given(st.sets(st.text("abc01é", min_size=1, max_size=4), min_size=3, max_size=20), st.data())
def test_a_picture_more_or_less_moves_no_other(written, stems, data):
    """But for a class so small that its one picture on a side is only there because one must be."""
    one = data.draw(st.sampled_from(sorted(stems)))

    def tested(stems):
        for paths in written([f"{name}/{stem}.jpg" for name in ("ant", "dog") for stem in stems]):
            (_, train, test), _ = read(paths[1])
            parts = [{Path(name).stem for name, label in part if label == 0} for part in (train, test)]
            return parts

    with_it, without = tested(stems), tested(stems - {one})
    moved = (with_it[0] & without[1]) | (with_it[1] & without[0])
    assert len(moved) <= 1
    if moved:
        assert 1 in map(len, with_it + without)
