"""Properties of any tree: folder, zip and tar agree; every picture is used once or counted; none moves another."""

import re
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import event, given, settings
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


def found(path):
    """The data set without what depends on the kind of file, or why it is none."""
    try:
        tree = read_tree(path)
    except DataError as error:
        return str(error).replace(str(path), "set"), None
    parts = [[(picture.name, picture.label) for picture in part] for part in (tree.train, tree.test)]
    return (tree.classes, *parts), tree.report


@pytest.fixture(scope="module")
def read(write):
    """`read(names, kind, ...)`: what is read from a folder or archive of each kind that holds these names."""

    def in_kinds(names, *kinds):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "set").mkdir()
            content = {name: b"" if name.endswith("/") else b"x" for name in names}
            return [found(write(Path(folder) / kind, content)) for kind in kinds]

    return in_kinds


@settings(max_examples=100, deadline=None)
@given(TREES)
def test_kinds_agree_and_every_picture_is_used_once_or_counted_as_left_out(read, names):
    first, *others = read(names, "set", "set.zip", "set.tar")
    assert all(other == first for other in others)
    data, report = first
    event("a data set" if report else "a refusal")
    if report:
        _, train, test = data
        used = Counter(name for name, _ in train + test)
        files = [name for name in names if not name.endswith("/")]
        own = [name for name in files if any(re.match(r"\.|__MACOSX|@eaDir|Thumbs", part) for part in name.split("/"))]
        assert set(used.values()) == {1}
        assert used.keys() <= set(filter(is_picture, files))
        left = sum(report.splits.values()) + sum(report.endings.values())
        assert len(used) + left + len(own) == len(files)


@settings(max_examples=50, deadline=None)
@given(st.sets(st.text("abc01é", min_size=1, max_size=4), min_size=3, max_size=20), st.data())
def test_a_picture_more_or_less_moves_no_other(read, stems, data):
    """But for a class so small that its one picture on a side is only there because one must be."""
    one = data.draw(st.sampled_from(sorted(stems)))

    def parts(stems):
        ((_, train, test), _) = read([f"{name}/{stem}.jpg" for name in ("ant", "dog") for stem in stems], "set.zip")[0]
        return [{name for name, _ in part} for part in (train, test)]

    more, less = parts(stems), parts(stems - {one})
    moved = (more[0] & less[1]) | (more[1] & less[0])
    assert len(moved) in (0, 2)  # none, or one of each class
    assert not moved or 2 in map(len, more + less)
