"""Data sets by name and by path: found, verified, cached once; every fault names the file and what to do."""

import errno
import hashlib
import json
import os
import pickle
import re
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from torchvision.datasets import CIFAR10, Imagenette

import tricks
from tricks.data import cifar, folders, sets
from tricks.data.fetch import places
from tricks.data.files import DataError
from tricks.data.layout import FIFTH
from tricks.data.sets import KNOWN, find, load, status

TRICKS_DATA = os.environ.get("TRICKS_DATA")
WNIDS = list(KNOWN["imagenette"].folders)


@pytest.fixture
def small(monkeypatch):
    """CIFAR-10 and Imagenette with 20 training and 10 test images."""
    for name in KNOWN:
        monkeypatch.setitem(KNOWN, name, replace(KNOWN[name], counts=(20, 10)))


@pytest.fixture
def no_decoding(monkeypatch):
    """`no_decoding()`: from now on, what is not in the cache is an error."""

    def forbid():
        monkeypatch.setattr(sets, "write_pictures", lambda *args: pytest.fail("decoded again"))

    return forbid


def parts(data):
    return data.train, data.test


def caches(course):
    """What is in data/cache besides what fingerprint.py remembers."""
    return [path for path in (course / "data" / "cache").iterdir() if path.name != "remembered.json"]


def cifar_folders(train=2, test=1):
    return {f"cifar10/train/{name}": train for name in cifar.CLASSES} | {
        f"cifar10/test/{name}": test for name in cifar.CLASSES
    }


def imagenette_folders(outer="imagenette2-160/"):
    return {f"{outer}train/{wnid}": 2 for wnid in WNIDS} | {f"{outer}val/{wnid}": 1 for wnid in WNIDS}


@pytest.fixture
def batches(monkeypatch):
    """The files of a published CIFAR-10 of 20 + 10 images, whose checksums are the published ones in this test."""
    names = [name for name, _ in CIFAR10.train_list + CIFAR10.test_list]
    random = np.random.RandomState(0)
    pixels = random.randint(0, 256, (30, 3, 32, 32), dtype=np.uint8)
    labels = [i % 10 for i in range(30)]
    files, checksums = {}, []
    for number, name in enumerate(names):
        part = slice(4 * number, 4 * number + 4) if number < 5 else slice(20, 30)
        numbers = range(30)[part]
        batch = {
            "data": pixels[part].reshape(-1, 3072),
            "labels": labels[part],
            "filenames": [f"{i}.png" for i in numbers],
        }
        files[name] = pickle.dumps(batch)
        checksums.append([name, hashlib.md5(files[name]).hexdigest()])
    monkeypatch.setattr(CIFAR10, "train_list", checksums[:5])
    monkeypatch.setattr(CIFAR10, "test_list", checksums[5:])
    return {f"{cifar.FOLDER}/{name}": data for name, data in files.items()}, pixels.transpose(0, 2, 3, 1), labels


# Paths


@pytest.mark.parametrize("name", ["flowers", "flowers.tgz", "flowers.zip"])
def test_class_folders_are_decoded_once_and_memory_mapped(course, tmp_path, write, pictures, no_decoding, name):
    path = write(tmp_path / name, pictures({"train/ant": 3, "train/dog": 2, "val/ant": 1, "val/dog": 2}))
    data = load(str(path), image_size=28)
    assert (data.name, data.source, data.classes, data.note) == ("flowers", name, ("ant", "dog"), "")
    assert data.train.images.shape == (5, 32, 32, 3)  # 28 · 256 / 224
    assert data.train.images.dtype == np.uint8
    assert isinstance(data.train.images, np.memmap)
    assert data.train.labels.tolist() == [0, 0, 0, 1, 1]
    assert data.test.labels.tolist() == [0, 1, 1]
    assert data.train.labels.dtype == np.int64
    tree = folders.read_tree(path)
    np.testing.assert_array_equal(data.train.images[3], folders.decode(tree.train[3], 32))
    no_decoding()
    again = load(str(path), image_size=28)
    np.testing.assert_array_equal(again.train.images, data.train.images)
    assert again.classes == data.classes


def test_the_cache_follows_content_and_size(course, tmp_path, write, pictures):
    content = pictures({"ant": 5, "dog": 5})
    path = write(tmp_path / "a.zip", content)
    first = load(str(path))
    assert load(str(path), image_size=64).train.images.shape[1] == 73
    write(path, content | {"ant/000.jpg": content["dog/000.jpg"]})
    second = load(str(path))
    assert not all(np.array_equal(a.images, b.images) for a, b in zip(parts(first), parts(second), strict=True))
    assert len(caches(course)) == 3


@pytest.mark.parametrize("streamed", [False, True])
def test_names_on_disk_need_not_be_utf8(course, tmp_path, write, pictures, monkeypatch, streamed):
    monkeypatch.setattr(sets, "STREAM_BYTES", 0 if streamed else 1 << 30)
    content = pictures({"강아지": 5, "고양이": 5})
    path = tmp_path / os.fsdecode("새".encode("cp949"))
    data = load(str(write(path, {os.fsdecode(name.encode("cp949")): each for name, each in content.items()})))
    assert (data.name, data.source, data.classes) == ("새", "새", ("강아지", "고양이"))
    "".join(data.taken).encode()
    assert len(data.train.labels) + len(data.test.labels) == 10
    assert not streamed or all(os.path.exists(each) for each in [*data.train.images, *data.test.images])


def test_a_written_array_changes_neither_cache_nor_source(course, tmp_path, write, pictures):
    path = write(tmp_path / "a.zip", pictures({"ant": 5, "dog": 5}))
    before = load(str(path)).train.images.copy()
    load(str(path)).train.images[:] = 0  # a copy on write
    np.testing.assert_array_equal(load(str(path)).train.images, before)


def test_a_path_may_be_relative_to_the_course(course, write, pictures):
    write(course / "data" / "flowers", pictures({"ant": 5, "dog": 5}))
    assert load("data/flowers").classes == ("ant", "dog")


def test_several_processes_may_fill_the_same_cache(course, tmp_path, write, pictures):
    path = write(tmp_path / "a.zip", pictures({"ant": 40, "dog": 40}))
    code = (
        "import pathlib, sys, tricks; tricks.ROOT = pathlib.Path(sys.argv[1]); from tricks.data.sets import load\n"
        "print(int(load(sys.argv[2], 64).train.images.astype(int).sum()))"
    )
    command = [sys.executable, "-c", code, str(course), str(path)]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) for _ in range(3)
    ]
    sums = {process.communicate(timeout=300)[0] for process in running}
    assert [process.returncode for process in running] == [0, 0, 0]
    assert sums == {f"{load(str(path), 64).train.images.astype(int).sum()}\n"}
    (cache,) = caches(course)
    assert sorted(file.name for file in cache.iterdir()) == [
        "set.json",
        "test-labels.npy",
        "test.npy",
        "train-labels.npy",
        "train.npy",
    ]


def test_a_full_disk_leaves_nothing_behind(course, tmp_path, write, pictures, monkeypatch):
    path = write(tmp_path / "a.zip", pictures({"ant": 5, "dog": 5}))

    def full(file, *args):
        file.write(b"half a header")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np.lib.format, "write_array_header_1_0", full)
    with pytest.raises(
        DataError, match="The disk is full: .*data/cache/a-37px-.* was not written and nothing is left of it"
    ):
        load(str(path))
    assert caches(course) == []


def test_a_damaged_cache_is_named(course, tmp_path, write, pictures):
    path = write(tmp_path / "a.zip", pictures({"ant": 5, "dog": 5}))
    load(str(path))
    (cache,) = caches(course)
    (cache / "train.npy").write_bytes((cache / "train.npy").read_bytes()[:1000])
    with pytest.raises(DataError, match=f"{cache.name} is damaged .* delete it, and it is made again"):
        load(str(path))


def test_a_broken_picture_is_named_and_nothing_is_cached(course, tmp_path, write, pictures):
    path = write(
        tmp_path / "a.zip",
        pictures({"train/ant": 3, "train/dog": 3, "test/ant": 1, "test/dog": 1}) | {"train/dog/001.jpg": b"x"},
    )
    with pytest.raises(DataError, match="a, train set: 1 of 6 pictures do not decode: train/dog/001.jpg"):
        load(str(path))
    assert caches(course) == []


def test_a_folder_too_large_to_decode_is_streamed(course, tmp_path, write, pictures, monkeypatch):
    monkeypatch.setattr(sets, "STREAM_BYTES", 10 * 37**2 * 3 - 1)
    content = pictures({"ant": 5, "dog": 5})
    data = load(str(write(tmp_path / "set", content)))
    assert data.train.images.shape == (6,)
    assert sorted(str(path.relative_to(tmp_path / "set")) for path in (tmp_path / "set").rglob("*.jpg")) == sorted(
        content
    )
    assert all(os.path.exists(path) for path in [*data.train.images, *data.test.images])
    assert data.train.labels.tolist() == [0] * 3 + [1] * 3
    assert data.taken[0] == "classes: ant, dog"
    assert not (course / "data" / "cache").exists()
    with pytest.raises(
        DataError, match="a.zip takes more than .* GiB decoded: unpack it and give the folder, which is streamed"
    ):
        load(str(write(tmp_path / "a.zip", content)))
    monkeypatch.setattr(sets, "STREAM_BYTES", 10 * 37**2 * 3)
    assert load(str(tmp_path / "set")).train.images.ndim == 4


@pytest.mark.parametrize(
    ("name", "near"),
    [("cifar-100", "cifar10"), ("imagnette", "imagenette"), ("shape", "shapes"), ("no/such/folder", "")],
)
def test_an_unknown_name_is_answered_with_the_nearest(course, name, near):
    message = f"No data set '{name}': there are auto, cifar10, imagenette, shapes, pennfudan. Nearest: '{near}"
    with pytest.raises(ValueError, match=message):
        load(name)


def test_a_file_that_is_no_archive_is_refused(course, tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(ValueError, match=r"notes.txt is neither a folder nor an archive \(.tar, .tgz, .tar.gz, .zip\)"):
        load(str(tmp_path / "notes.txt"))


# Names


def test_cifar10_from_class_folders_is_called_a_copy(course, small, write, pictures, no_decoding):
    write(course / "data" / "cifar10.tgz", pictures(cifar_folders()))
    data = load("cifar10")
    assert (data.name, data.source, data.classes) == ("cifar10", "cifar10 (JPEG copy)", cifar.CLASSES)
    assert data.train.images.shape == (20, 32, 32, 3)  # 32 px as they are, not 256/224 of it
    assert np.bincount(data.test.labels).tolist() == [1] * 10
    no_decoding()
    assert load("cifar10").source == "cifar10 (JPEG copy)"


@pytest.mark.parametrize("packed", [True, False])
def test_the_published_cifar10(course, small, write, batches, packed):
    files, pixels, labels = batches
    write(course / "data" / cifar.ARCHIVE if packed else course / "data", files)
    data = load("cifar10")
    assert (data.source, data.classes) == ("cifar10", cifar.CLASSES)
    np.testing.assert_array_equal(data.train.images, pixels[:20])
    np.testing.assert_array_equal(data.test.images, pixels[20:])
    assert [*data.train.labels, *data.test.labels] == labels
    assert load("cifar10", image_size=64).train.images.shape[1] == 73


class Payload:
    """What a pickle can do when it is opened."""

    def __reduce__(self):
        return (open, ("harm", "w"))


@pytest.mark.parametrize("packed", [True, False])
def test_a_pickle_with_another_checksum_is_never_opened(course, small, write, batches, packed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = batches[0] | {f"{cifar.FOLDER}/data_batch_3": pickle.dumps(Payload())}
    write(course / "data" / cifar.ARCHIVE if packed else course / "data", files)
    with pytest.raises(
        DataError, match="data_batch_3 has md5 .*, the published file .*. It was not opened, because a pickle can"
    ):
        load("cifar10")
    assert not (tmp_path / "harm").exists()
    pickle.loads(pickle.dumps(Payload())).close()  # the trap does work
    assert (tmp_path / "harm").exists()


@pytest.mark.parametrize("packed", [True, False])
def test_an_incomplete_cifar10_is_named(course, small, write, batches, packed):
    files = {name: data for name, data in batches[0].items() if not name.endswith("data_batch_5")}
    write(course / "data" / cifar.ARCHIVE if packed else course / "data", files)
    with pytest.raises(DataError, match="lacks data_batch_5: it is incomplete. Delete it and fetch it again"):
        load("cifar10")


def test_names_and_checksums_are_torchvisions():
    assert (CIFAR10.filename, CIFAR10.base_folder) == (cifar.ARCHIVE, cifar.FOLDER)
    assert (CIFAR10.url, CIFAR10.tgz_md5) == (KNOWN["cifar10"].urls[-1], KNOWN["cifar10"].md5)
    assert Imagenette._ARCHIVES["160px"] == (KNOWN["imagenette"].urls[-1], KNOWN["imagenette"].md5)
    assert {wnid: names[0] for wnid, names in Imagenette._WNID_TO_CLASS.items()} == KNOWN["imagenette"].folders


def test_imagenette_has_readable_names_and_an_honest_source(course, small, write, pictures, monkeypatch):
    path = write(course / "data" / "imagenette2-160.tgz", pictures(imagenette_folders()))
    data = load("imagenette", image_size=64)
    assert data.classes[:3] == ("tench", "English springer", "cassette player")
    assert data.source == "imagenette (160 px, re-encoded)"
    assert data.train.images.shape == (20, 73, 73, 3)
    assert data.train.labels.tolist() == [k // 2 for k in range(20)]
    md5 = hashlib.md5(path.read_bytes()).hexdigest()
    monkeypatch.setitem(KNOWN, "imagenette", replace(KNOWN["imagenette"], md5=md5))
    assert load("imagenette", image_size=32).source == "imagenette (160 px)"
    path.unlink()
    write(course / "data", pictures(imagenette_folders()))
    assert load("imagenette").source == "imagenette (unpacked class folders)"


def test_wrong_counts_are_named(course, small, write, pictures):
    write(course / "data" / "cifar10.tgz", pictures(cifar_folders(train=1)))
    with pytest.raises(
        DataError,
        match="cifar10.tgz has 10 training and 10 test images, cifar10 has 20 and 10: it is incomplete or",
    ):
        load("cifar10")


def test_a_swapped_archive_is_named(course, small, write, pictures):
    write(course / "data" / "cifar10.tgz", pictures(imagenette_folders()))
    with pytest.raises(
        DataError, match="cifar10.tgz is not cifar10: it has the class folders n01440764, .* and cifar10 has airplane"
    ):
        load("cifar10")


def test_a_truncated_archive_is_named(course, small, write, pictures):
    path = write(course / "data" / "cifar10.tgz", pictures(cifar_folders()))
    path.write_bytes(path.read_bytes()[:-2_000])
    with pytest.raises(DataError, match="cifar10.tgz cannot be read to its end .* truncated"):
        load("cifar10")
    assert caches(course) == []


def test_data_comes_before_the_variable(course, tmp_path, small, write, pictures, monkeypatch):
    monkeypatch.setenv("TRICKS_DATA", str(tmp_path))
    write(tmp_path / "cifar10.tgz", pictures(cifar_folders()))
    assert find("cifar10") == tmp_path / "cifar10.tgz"
    assert load("cifar10").source == "cifar10 (JPEG copy)"
    write(course / "data" / "cifar10.tgz", pictures(cifar_folders()))
    assert find("cifar10") == course / "data" / "cifar10.tgz"
    assert find("imagenette") is None


def test_a_variable_that_names_no_folder_is_an_error(course, monkeypatch):
    monkeypatch.setenv("TRICKS_DATA", "/no/such/folder")
    with pytest.raises(
        DataError, match="TRICKS_DATA = /no/such/folder: there is no such folder. Correct the variable or unset it"
    ):
        load("cifar10")
    assert "cifar10      not usable: TRICKS_DATA" in status()


def test_without_data_or_network_the_error_says_what_to_do(course):
    with pytest.raises(DataError) as caught:
        load("cifar10")
    text = str(caught.value)
    assert text.startswith("cifar-10-python.tar.gz could not be fetched:\n")
    assert text.count("no route to host") == len(KNOWN["cifar10"].urls)
    assert f"Put the file (md5 {CIFAR10.tgz_md5}) into {course / 'data'}, or set the variable TRICKS_DATA" in text


def test_auto_is_shapes_without_data_or_network_and_says_so(course, monkeypatch):
    monkeypatch.setattr("tricks.data.shapes.TRAIN_IMAGES", 40)
    monkeypatch.setattr("tricks.data.shapes.TEST_IMAGES", 20)
    data = load("auto")
    assert (data.name, data.source) == ("shapes", "shapes (synthetic)")
    sentence, why = data.note.split("\n")
    assert sentence.startswith("CIFAR-10 is not here: `./course data cifar10 --fetch` gets it (170 MB); until then")
    assert why.startswith("cifar-10-python.tar.gz could not be fetched:") and "no route to host" in why
    assert load("shapes").note == ""


def test_auto_is_cifar10_when_it_is_at_hand(course, small, write, pictures):
    write(course / "data" / "cifar10.tgz", pictures(cifar_folders()))
    data = load()
    assert (data.name, data.note) == ("cifar10", "")


def test_auto_does_not_hide_a_damaged_cifar10(course, small, write, pictures):
    path = write(course / "data" / "cifar10.tgz", pictures(cifar_folders()))
    path.write_bytes(b"<html>")
    with pytest.raises(DataError, match="cifar10.tgz cannot be read"):
        load()


def test_status_verifies_what_is_there(course, small, write, pictures):
    assert status().splitlines() == [
        "cifar10      not here; ./course data cifar10 --fetch gets it",
        "imagenette   not here; ./course data imagenette --fetch gets it",
        "shapes       built in",
    ]
    write(course / "data" / "cifar10.tgz", pictures(cifar_folders()))
    write(course / "data", pictures(imagenette_folders()) | {f"imagenette2-160/val/{WNIDS[0]}/more.jpg": b""})
    first, second, _ = status().splitlines()
    assert "verified, 20 training and 10 test images, in records called 'cifar10 (JPEG copy)'" in first
    assert "not usable: " in second
    assert "imagenette2-160 has 20 training and 11 test images" in second


def test_status_reads_nothing_again_until_it_changes(course, small, write, pictures, batches, monkeypatch):
    archive = write(course / "data" / cifar.ARCHIVE, batches[0])
    folder = write(course / "data" / "imagenette2-160", pictures(imagenette_folders(outer="")))
    for path in (archive, folder):
        os.utime(path, (time.time() - 100,) * 2)
    before = status()
    assert before.count("verified, 20 training and 10 test images, in records called ") == 2
    with monkeypatch.context() as patch:
        for module, function in ((cifar, "read"), (sets, "read_tree")):
            patch.setattr(module, function, lambda path: pytest.fail(f"{path} was read again"))
        assert status() == before
    (folder / "train" / WNIDS[0] / "more.jpg").write_bytes(b"")
    archive.write_bytes(archive.read_bytes()[:-100])
    first, second, _ = status().splitlines()
    assert "cannot be read to its end" in first
    assert "imagenette2-160 has 21 training and 10 test images" in second


def test_status_looks_at_each_file_once_when_nothing_changed(course, small, write, pictures, monkeypatch):
    content = imagenette_folders(outer="")
    folder = write(course / "data" / "imagenette2-160", pictures(content))
    os.utime(folder, (time.time() - 100,) * 2)
    before, stat, seen = status(), os.stat, []

    def counted(path, *args, **kwargs):
        seen.append(os.fspath(path) if not isinstance(path, int) else "")
        return stat(path, *args, **kwargs)

    monkeypatch.setattr(os, "stat", counted)
    assert status() == before
    pictures_seen = [path for path in seen if path.endswith(".jpg")]
    assert len(pictures_seen) == len(set(pictures_seen)) == 30


def test_set_json_is_what_the_cache_says_of_itself(course, tmp_path, write, pictures, monkeypatch):
    path = write(tmp_path / "a.zip", pictures({"ant": 5, "dog": 5}) | {"x.txt": b""})
    data = load(str(path))
    (about,) = (tricks.ROOT / "data" / "cache").glob("*/set.json")
    lines = ["classes: ant, dog", "train: all but the test set", f"test: {FIFTH}", "left out: 1 .txt"]
    kept = {"source": "a.zip", "classes": ["ant", "dog"], "taken": lines, "fingerprint": data.fingerprint}
    assert json.loads(about.read_text()) == kept
    monkeypatch.setattr(sets, "read_tree", lambda path: pytest.fail(f"{path} was read again"))
    assert load(str(path)).taken == tuple(lines)


# Names and places, as people give them


@pytest.mark.parametrize(
    ("name", "called"),
    [("CIFAR-10", "cifar10"), ("Cifar 10", "cifar10"), ("ImageNette", "imagenette"), ("Penn-Fudan", "pennfudan")]
    + [("PennFudan", "pennfudan"), ("Shapes", "shapes"), ("AUTO", "auto")],
)
def test_another_spelling_is_answered_with_the_name(course, name, called):
    with pytest.raises(ValueError, match=f"The data set '{name}' is called '{called}' here"):
        load(name)


def test_the_nearest_name_may_be_that_of_scenes(course):
    with pytest.raises(ValueError, match="No data set 'penfudan'.* Nearest: 'pennfudan'"):
        load("penfudan")
    with pytest.raises(ValueError, match="'pennfudan' has boxes and masks, and no classes"):
        load("pennfudan")


@pytest.mark.parametrize("folder", ["cifar10", "CIFAR-10", "CIFAR10"])
@pytest.mark.parametrize("packed", [True, False])
def test_cifar10_in_a_folder_of_its_name(course, tmp_path, small, write, batches, monkeypatch, packed, folder):
    monkeypatch.setenv("TRICKS_DATA", str(tmp_path / "sets"))
    place = tmp_path / "sets" / folder
    place.mkdir(parents=True)
    write(place / cifar.ARCHIVE if packed else place, batches[0])
    assert find("cifar10") == place / (cifar.ARCHIVE if packed else cifar.FOLDER)
    assert load("cifar10").source == "cifar10"


def test_imagenette_in_a_folder_of_its_name(course, small, write, pictures):
    (course / "data" / "imagenette").mkdir()
    write(course / "data" / "imagenette" / "imagenette2-160.tgz", pictures(imagenette_folders()))
    assert load("imagenette").source == "imagenette (160 px, re-encoded)"


def test_a_folder_of_class_folders_called_cifar10_is_still_a_copy(course, small, write, pictures):
    write(course / "data", pictures(cifar_folders()))
    assert load("cifar10").source == "cifar10 (unpacked class folders)"


@pytest.mark.parametrize("content", [{}, {"readme.txt": b"x"}, {"a/1.txt": b"x"}])
def test_a_folder_called_cifar10_with_something_else_says_so(course, write, content):
    (course / "data" / "cifar10").mkdir()
    write(course / "data" / "cifar10", content)
    with pytest.raises(
        DataError, match="data/cifar10 has the name of the data set cifar10 and is not it: .*no pictures"
    ):
        load("cifar10")


@pytest.mark.parametrize("file", [cifar.ARCHIVE, cifar.FOLDER, "cifar10.tgz", "imagenette2-160.tgz", "imagenette2-160"])
def test_a_named_set_by_its_path_is_answered_with_the_name(course, tmp_path, write, file):
    name = "cifar10" if file.startswith("cifar") else "imagenette"
    (tmp_path / file).mkdir()
    with pytest.raises(
        ValueError, match=f"{file} is the data set '{name}': set TRICKS_DATA={tmp_path}.* give that name"
    ):
        load(str(tmp_path / file))


@pytest.mark.parametrize("path", ["mine", "mine.zip", "mine.tar.gz"])
@pytest.mark.parametrize(
    ("files", "what"),
    [
        (["cifar-10-batches-py/data_batch_1", "cifar-10-batches-py/test_batch"], "It holds cifar10, as .*'cifar10'"),
        (["x/data_batch_1", "x/test_batch"], "It holds cifar10, as its batches.* give the name 'cifar10'"),
        ([cifar.ARCHIVE], "It holds cifar10, as cifar-10-python.tar.gz.* give the name 'cifar10'"),
        (["imagenette2-160.tgz"], "It holds imagenette, as imagenette2-160.tgz"),
        (["cifar-10-batches-bin/data_batch_1.bin"], "It holds cifar10, as another version. .* put cifar-10-python.tar"),
        (["cifar-10-batches-mat/data_batch_1.mat"], "It holds cifar10, as another version"),
        (["cifar-100-python/train", "cifar-100-python/test", "cifar-100-python/meta"], "It holds CIFAR-100, .*folders"),
        (["cifar-100-binary/train.bin", "cifar-100-binary/fine_label_names.txt"], "It holds CIFAR-100"),
    ],
)
def test_what_is_no_pictures_but_known_is_named(course, tmp_path, write, path, files, what):
    with pytest.raises(DataError, match=f"(?s){what}"):
        load(str(write(tmp_path / path, {file: pickle.dumps(Payload()) for file in files})))
    assert not list((course / "data" / "cache").glob("mine*"))


@pytest.mark.parametrize(
    ("pair", "refused"),
    [
        (("PNGImages", "PedMasks"), True),
        (("JPEGImages", "SegmentationClass"), True),
        (("images", "masks"), True),
        (("mask", "no mask"), False),
        (("images", "paintings"), False),
    ],
)
def test_masks_are_no_class(course, tmp_path, write, pictures, pair, refused):
    path = write(tmp_path / "a.zip", pictures({f"PennFudanPed/{folder}": 5 for folder in pair}))
    if refused:
        with pytest.raises(
            DataError, match=f"a folder {pair[0]} of pictures and a folder {pair[1]} of what is in them"
        ):
            load(str(path))
    else:
        assert load(str(path)).classes == pair


def test_the_variable_takes_what_a_shell_does_not_expand(course, tmp_path, monkeypatch):
    (tmp_path / "sets").mkdir()
    (tmp_path / "more").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for text in (
        "~/sets",
        "sets",
        "./sets/",
        '"sets"',
        " sets ",
        "$HOME/sets",
        f"'{tmp_path}/sets'\n",
        "sets:",
        ":sets",
    ):
        monkeypatch.setenv("TRICKS_DATA", text)
        assert places() == [course / "data", tmp_path / "sets"], text
    monkeypatch.setenv("TRICKS_DATA", os.pathsep.join(["~/more", "sets"]))
    assert places() == [course / "data", tmp_path / "more", tmp_path / "sets"]
    (tmp_path / "sets" / "cifar10.tgz").touch()
    assert find("cifar10") == tmp_path / "sets" / "cifar10.tgz"
    for text in ("", "  ", '""'):
        monkeypatch.setenv("TRICKS_DATA", text)
        assert places() == [course / "data"]


def test_a_variable_that_is_no_folder_says_what_it_is(course, tmp_path, monkeypatch):
    (tmp_path / "a.tgz").touch()
    monkeypatch.chdir(tmp_path)
    for text, what in (
        ("a.tgz", f"TRICKS_DATA = a.tgz, which is {tmp_path}/a.tgz: that is a file. Give the folder that holds it"),
        ("~/no", f"TRICKS_DATA = ~/no, which is {os.path.expanduser('~/no')}: there is no such folder"),
        (f"{tmp_path}:/no/such", "TRICKS_DATA = /no/such: there is no such folder. Correct the variable or unset it"),
    ):
        monkeypatch.setenv("TRICKS_DATA", text)
        with pytest.raises(DataError, match=re.escape(what)):
            places()


def test_an_archive_that_may_not_be_read_is_not_called_damaged(course, tmp_path, small, write, pictures, monkeypatch):
    def refuse(path, *args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    write(course / "data" / "cifar10.tgz", pictures(cifar_folders()))
    own = write(tmp_path / "own.zip", pictures({"ant": 5, "dog": 5}))
    monkeypatch.setattr(hashlib, "file_digest", refuse)
    for name, path in (("cifar10", course / "data" / "cifar10.tgz"), (str(own), own)):
        with pytest.raises(DataError, match=f"{path} cannot be read .Permission denied.: make it readable"):
            load(name)


# The real sets, where they are


@pytest.mark.skipif(not TRICKS_DATA, reason="TRICKS_DATA is not set")
def test_the_real_cifar10():
    data = load("cifar10")
    assert (data.train.images.shape, data.test.images.shape) == ((50_000, 32, 32, 3), (10_000, 32, 32, 3))
    assert np.bincount(data.train.labels).tolist() == [5_000] * 10
    assert np.bincount(data.test.labels).tolist() == [1_000] * 10
    mean = data.train.images[::10].mean(axis=(0, 1, 2))
    np.testing.assert_allclose(mean, [125.3, 123.0, 113.9], atol=1.5)  # CIFAR-10's published channel means


@pytest.mark.skipif(not TRICKS_DATA, reason="TRICKS_DATA is not set")
def test_the_real_imagenette_is_complete():
    found = sets._read_known("imagenette", find("imagenette"))
    assert (len(found.train.labels), len(found.test.labels)) == (9_469, 3_925)
    assert found.source.startswith("imagenette (160 px")
    assert folders.decode(found.test.images[-1], 73).shape == (73, 73, 3)
