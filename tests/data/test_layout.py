"""The one rule: which names are classes, splits, a system's own or left out; and what is refused, with two examples."""

import re
import unicodedata
from pathlib import Path

import pytest

from tricks.data.files import DataError
from tricks.data.layout import FIFTH, arrange, decoded, is_picture, is_system, readable


def names(counts, ending=".jpg"):
    """{"train/cat": 2} -> ["train/cat/0.jpg", "train/cat/1.jpg"]."""
    return [f"{folder}/{i}{ending}".removeprefix("/") for folder, count in counts.items() for i in range(count)]


def layout(*listed):
    """What the rule makes of counts and names: the classes, and the folders to train and to test on."""
    report = arrange(
        Path("set"), [name for each in listed for name in (names(each) if isinstance(each, dict) else each)]
    )
    return report.report.classes, report.report.train, report.report.test


SPLITS = [("train", test) for test in ("test", "val", "valid", "validation", "dev", "eval", "testing", "TEST", "tst")]
SPLITS += [(train, "Test") for train in ("TRAIN", "training", "Training", "trn", "Train1", "trainval")]
SPLITS += [("training_set", "test_set"), ("seg_train", "seg_test"), ("train-images", "test-images")]
SPLITS += [("1.Training", "2.Validation"), ("birds_train", "birds_val"), ("train 64x64", "test 64x64")]
SPLITS += [("trainset", "testset"), ("Train Data", "Valid Data"), ("train2017", "val2017"), ("data.train", "data.test")]
SPLITS += [("ImagesTrain", "ImagesTest"), ("TrainingSet", "TestSet")]


@pytest.mark.parametrize(("train", "test"), SPLITS)
@pytest.mark.parametrize("outer", ["", "birds/", "a/test/b/"])
def test_splits_in_their_usual_spellings(train, test, outer):
    counts = {f"{outer}{split}/{name}": 2 for split in (train, test) for name in ("ant", "dog")}
    assert layout(counts) == (("ant", "dog"), outer + train, outer + test)


@pytest.mark.parametrize(
    "classes", [("train", "bus"), ("bullet_train", "steam_train"), ("valid", "invalid"), ("tests", "dev")]
)
def test_folders_are_splits_only_if_all_are(classes):
    assert layout(dict.fromkeys(classes, 2)) == (tuple(sorted(classes)), "all but the test set", FIFTH)
    assert layout({f"{split}/{name}": 2 for split in ("train", "val") for name in classes})[0] == tuple(sorted(classes))


@pytest.mark.parametrize(
    "outer", ["", "birds/", "birds/birds/", "train/", "a/b/c/", "training_set/training_set/", "my test/"]
)
def test_outer_folders_are_dropped(outer):
    _, train, test = layout({f"{outer}ant": 2, f"{outer}dog": 2}, ["README.md", f"{outer}labels.csv"])
    assert (train, test) == (f"{outer.rstrip('/')}, all but the test set".removeprefix(", "), FIFTH)


def test_an_inner_folder_that_repeats_its_split_is_dropped():
    counts = {f"{name}/{name.upper()}/{each}": 2 for name in ("train", "test") for each in ("ant", "dog")}
    assert layout(counts) == (("ant", "dog"), "train/TRAIN", "test/TEST")


def test_a_test_set_comes_before_a_validation_set_which_is_said_to_be_left_out():
    counts = {f"a/{split}/{name}": 2 for split in ("dev", "val", "test", "train") for name in ("ant", "dog")}
    report = arrange(Path("set"), names(counts)).report
    assert (report.train, report.test, report.splits) == ("a/train", "a/test", {"a/dev": 4, "a/val": 4})
    without = arrange(Path("set"), [name for name in names(counts) if "test" not in name]).report
    assert (without.test, without.splits) == ("a/val", {"a/dev": 4})


def test_what_is_left_out_is_counted():
    others = names({"ant": 3}, ".TXT") + names({"ant": 12, "": 1}, ".heic") + ["dog/a", "dog/Thumbs.db", "dog/._0.jpg"]
    others += ["@eaDir/ant/0.jpg", "@eaDir/ant/1.jpg", "ant/@eaDir/0.jpg/THUMB.jpg", ".git/", ".git/HEAD", "__MACOSX/"]
    report = arrange(Path("set"), names({"ant": 2, "dog": 2}) + others).report
    assert report.endings == {".heic": 13, ".txt": 3, "without an ending": 1}
    assert report.system == ("._0.jpg", ".git", "@eaDir", "@eaDir", "Thumbs.db", "__MACOSX")
    assert report.lines() == (
        "classes: ant, dog",
        "train: all but the test set",
        f"test: {FIFTH}",
        "left out: 13 .heic, 3 .txt, 1 without an ending",
        "passed over: 6 of the system's own (._0.jpg, .git, @eaDir, ...)",
    )


def test_ten_classes_are_named_and_the_others_counted():
    report = arrange(Path("set"), names({f"{i:02d}": 2 for i in range(13)})).report
    assert report.lines()[0] == "classes: 00, 01, 02, 03, 04, 05, 06, 07, 08, 09 ... and 3 more"


def test_folders_without_pictures_beside_splits_are_said_to_be_left_out():
    counts = {f"a/{split}/{name}": 2 for split in ("train", "test") for name in ("ant", "dog")}
    report = arrange(Path("set"), [*names(counts), "docs/", "a/docs/x.txt", "a/val/"]).report
    assert report.lines()[-1] == "left out: 1 .txt, folders without pictures (docs, docs, val)"


@pytest.mark.parametrize(
    "name",
    [".DS_Store", "._1.jpg", ".ipynb_checkpoints", "__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information"]
    + ["lost+found", "#recycle", "@Recycle", "Thumbs.db", "desktop.ini", "DESKTOP.INI", "Icon\r"],
)
def test_the_systems_own(name):
    assert is_system(name)
    assert not is_picture(f"{name}/1.jpg")
    counts = names({"ant": 2, "dog": 2})
    assert arrange(Path("set"), [*counts, f"{name}/", f"{name}/0.jpg", f"ant/{name}"]).report.endings == {}


CLASSES = {"ant": 2, "dog": 2}


def below(*folders):
    return {f"{folder}/{name}": 2 for folder in folders for name in CLASSES}


ALONE = "Wanted: train/ and test/, or class folders alone"
REFUSED = {
    "no pictures": ([["a/1.txt", "b/2.heic"]], r"holds no pictures \(.*\) in class folders; there are 1 .heic, 1 .txt"),
    "one class": ([{"birds/ant": 3}], "has one class, 'ant'"),
    "a stray picture": (
        [CLASSES, ["x.png"]],
        "x.png lies in no class folder; wanted is <class>/<picture> or <split>/<class>/<picture>, as is ant/0.jpg",
    ),
    "a stray picture in a split": (
        [below("train", "test"), ["test/x.png"]],
        "test/x.png lies in no class folder; .* as is test/ant/0.jpg. Without a class a picture cannot be used",
    ),
    "a stray picture beside splits": ([below("train", "test"), ["x.png"]], "x.png lies in no .* as is test/ant/0.jpg"),
    "a folder in a class": (
        [CLASSES, {"ant/old": 2}],
        "ant/old/0.jpg lies in a folder inside the class folder 'ant', ant/0.jpg does not.* as to ant/0.jpg",
    ),
    "images in every class": (
        [{"train/ant/images": 1, "train/dog/images": 1, "val/images": 2}],
        "train/ant/images/0.jpg lies in a folder inside the class folder 'ant', .* as to train/ant/0.jpg",
    ),
    "two depths": (
        [{"a/ant": 2, "a/dog": 2, "b": 2}],
        "a/ant/0.jpg lies in a folder inside the class folder 'a', b/0.jpg does not",
    ),
    "two sets": (
        [below("a", "b")],
        "a/ant/0.jpg lies in a folder inside the class folder .a.. Wanted is .* as to a/0.jpg, or away; or, if these "
        "are splits, call them train/ and test/",
    ),
    "the set in itself": (
        [CLASSES, below("birds")],
        "holds the set twice, such as ant/0.jpg and birds/ant/0.jpg: move birds/, or what is beside it, away",
    ),
    "the splits in themselves": (
        [below("train", "test", "x/train", "x/test")],
        "holds the set twice, such as test/ant/0.jpg and x/test/ant/0.jpg",
    ),
    "a split in itself": (
        [below("train", "test", "train/train")],
        "holds the set twice, such as train/ant/0.jpg and train/train/ant/0.jpg",
    ),
    "unlabelled beside splits": (
        [below("seg_train/seg_train", "seg_test/seg_test"), {"seg_pred/seg_pred": 3}],
        "holds seg_test, seg_train, and seg_pred beside them, such as seg_test/seg_test/ant/0.jpg and "
        f"seg_pred/seg_pred/0.jpg. {ALONE}. Pictures without a class cannot be used: move seg_pred away",
    ),
    "classes beside splits": (
        [below("train"), {"dog": 3}],
        f"holds train, and dog beside them, such as train/ant/0.jpg and dog/0.jpg. {ALONE}",
    ),
    "an unlabelled test set": (
        [below("train", "val"), {"test": 3}],
        r"test/0.jpg lies in no class folder; .* as is train/ant/0.jpg.* move test/ away",
    ),
    "an unlabelled test set, nested": (
        [below("train"), {"test1/test1": 3}],
        r"test1/test1/0.jpg lies in no class folder; .* as is train/ant/0.jpg.* move test1/ away",
    ),
    "splits without classes": (
        [{"train": 3, "test1": 3}],
        "no class folders in test1/ and train/, only test1/0.jpg and train/0.jpg and the like. Wanted is <split>",
    ),
    "nested splits without classes": (
        [{"a/train/train": 3, "a/test/test": 3}],
        "no class folders in test/ and train/, only a/test/test/0.jpg and a/train/train/0.jpg",
    ),
    "only a test set": ([below("val", "test")], f"holds test, val. {ALONE}. Rename a folder that is not meant so"),
    "two training sets": (
        [below("train", "training", "test")],
        "holds train and training, which both mean train: put them together, or move one away",
    ),
    "two test sets": ([below("train", "test", "Testing")], "holds Testing and test, which both mean test"),
    "an empty test set": ([below("train"), ["test/"]], "class 'ant' has no test picture. Add some, or remove"),
    "a class that is only tested": ([below("train", "test"), {"test/eel": 1}], "class 'eel' has no training picture"),
    "a class of other files": (
        [CLASSES, ["hen/1.heic", "hen/2.heic"]],
        r"class 'hen' has no training picture \(only 2 .heic\). Add some",
    ),
    "an empty class": ([CLASSES, ["hen/"]], r"class 'hen' has no training picture. Add some"),
    "a name twice": ([CLASSES, ["ant/0.jpg"]], "holds ant/0.jpg twice .*: rename or remove one"),
}


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("outer", ["", "around/them/"])
def test_anything_else_is_refused_with_examples(kind, outer):
    listed, message = REFUSED[kind]
    inside = [name for each in listed for name in (names(each) if isinstance(each, dict) else each)]
    with pytest.raises(DataError) as caught:
        arrange(Path("set"), [outer + name for name in inside])
    assert re.search(message, str(caught.value).replace(outer or "/no such folder/", "")), caught.value


def test_pictures_in_no_folder_are_refused():
    with pytest.raises(DataError, match="set: 0.jpg lies in no class folder; wanted is <class>/<picture>"):
        layout({"": 3})


def test_accents_are_compared_and_shown_in_one_form():
    forms = {split: unicodedata.normalize(form, "é강") for split, form in (("train", "NFC"), ("val", "NFD"))}
    listed = readable([f"{split}/{name}{k}/1.jpg" for split, name in forms.items() for k in range(2)])
    assert layout(listed) == (("é강0", "é강1"), "train", "val")
    with pytest.raises(DataError, match="holds ant/é강.jpg twice"):
        arrange(Path("set"), readable([f"ant/{name}.jpg" for name in forms.values()]))


def test_western_names_are_not_read_as_korean():
    names = ["fenêtre/1.jpg", "forêt/2.jpg", "a/3.jpg"]
    raw = [name.encode("cp437") for name in names]
    assert raw[0].decode("cp949") != names[0]  # it fits by chance
    assert decoded(raw) == names


def test_names_that_are_not_utf8_are_decoded_together():
    raw = [name.encode("cp949").decode("utf8", "surrogateescape") for name in ("강아지/1.jpg", "칼/2.jpg", "a/3.jpg")]
    assert readable(raw) == ["강아지/1.jpg", "칼/2.jpg", "a/3.jpg"]
    latin = [b"\x82t\x82/1.jpg".decode("utf8", "surrogateescape"), b"\xff/1.jpg".decode("utf8", "surrogateescape")]
    assert readable(latin) == ["été/1.jpg", "\xa0/1.jpg"]


def test_a_very_deep_folder_ends_well():
    deep = "/".join("a" * 5_000)
    assert layout([f"{deep}/{name}/{i}.jpg" for name in CLASSES for i in range(2)])[0] == ("ant", "dog")
