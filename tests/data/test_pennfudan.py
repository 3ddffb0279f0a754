"""Penn-Fudan: its boxes are the published ones, and an archive that is not whole is refused with a reason."""

import hashlib
import io
import os
import re
import zipfile

import numpy as np
import pytest
from PIL import Image

from tricks.data import pennfudan
from tricks.data.files import DataError

needs_data = pytest.mark.skipif(
    not os.environ.get("TRICKS_DATA") and not pennfudan.find(), reason="Penn-Fudan is not here"
)


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def street(number, people=1, mask_size=(20, 30)):
    """Two files: a picture of 20 x 30 px, and its mask with people of 2 x 6 px side by side."""
    picture = np.random.RandomState(number).randint(0, 256, (20, 30, 3), dtype=np.uint8)
    mask = np.zeros(mask_size, dtype=np.uint8)
    for person in range(people):
        mask[5:11, 4 * person + 3 : 4 * person + 5] = person + 1
    name = f"FudanPed{number:05d}"
    return {
        f"PennFudanPed/PNGImages/{name}.png": png(picture),
        f"PennFudanPed/PedMasks/{name}_mask.png": png(mask),
    }


@pytest.fixture
def three(monkeypatch):
    """The files of a set of three pictures, whose count and checksum are the published ones in this test."""
    files = street(1) | street(2, people=0) | street(3, people=2)
    expect(monkeypatch, files)
    return files


def expect(monkeypatch, files):
    ordered = sorted(name for name in files if "PNGImages" in name)
    pairs = [(name, name.replace("PNGImages", "PedMasks").replace(".png", "_mask.png")) for name in ordered]
    content = b"".join(files[name] for pair in pairs for name in pair)
    monkeypatch.setattr(pennfudan, "COUNT", len(ordered))
    monkeypatch.setattr(pennfudan, "CONTENT", hashlib.sha256(content).hexdigest())


def test_boxes_are_those_around_the_masks(course, write, three):
    one, none, two = pennfudan.read(write(course / "data" / pennfudan.FILE, three))
    assert one.boxes.tolist() == [[3, 5, 5, 11]] and one.labels.tolist() == [1]
    assert two.boxes.tolist() == [[3, 5, 5, 11], [7, 5, 9, 11]]
    assert one.pixels.sum() == 12 and one.picture.shape == (20, 30, 3)
    assert set(np.unique(two.instances)) == {0, 1, 2} and two.pixels.max() == 1
    assert none.boxes.shape == (0, 4) and none.labels.shape == (0,)  # a picture with nobody in it


def test_another_packing_of_the_same_files_is_accepted(course, write, three):
    path = write(
        course / "data" / pennfudan.FILE, dict(reversed(three.items())) | {"PennFudanPed/readme.txt": b"hello"}
    )
    assert [scene.name for scene in pennfudan.read(path)] == ["FudanPed00001", "FudanPed00002", "FudanPed00003"]
    assert pennfudan.status().endswith("verified, 3 pictures, in records called 'Penn-Fudan'")


def test_a_mask_of_another_size_is_named(course, write, monkeypatch):
    files = street(1) | street(2, mask_size=(21, 30))
    expect(monkeypatch, files)
    with pytest.raises(DataError, match="FudanPed00002: the mask has 30 x 21 px, its picture 30 x 20: no pair"):
        pennfudan.read(write(course / "data" / pennfudan.FILE, files))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda files: {n: d for n, d in files.items() if "00003" not in n}, "2 pictures, Penn-Fudan has 3"),
        (lambda files: {n: d for n, d in files.items() if "00003_mask" not in n}, "FudanPed00003 has no mask"),
        (lambda files: files | {next(iter(files)): png(np.zeros((20, 30, 3), np.uint8))}, "have sha256 .* published"),
    ],
)
def test_a_set_that_is_not_the_published_one_says_why(course, write, three, damage, message):
    path = write(course / "data" / pennfudan.FILE, damage(three))
    with pytest.raises(DataError, match=message) as caught:
        pennfudan.read(path)
    assert str(path) in str(caught.value)
    assert "not usable" in pennfudan.status()


def test_a_truncated_archive_is_refused(course, write, three):
    path = write(course / "data" / pennfudan.FILE, three)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match="truncated, damaged, or no archive"):
        pennfudan.read(path)


def test_a_download_of_something_else_is_deleted(course, monkeypatch, three):
    target = course / "data" / pennfudan.FILE

    def arrive(urls, path, md5):
        assert md5 is None and path == target
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("index.html", "moved")
        return path

    monkeypatch.setattr(pennfudan, "download", arrive)
    with pytest.raises(DataError, match="0 pictures, Penn-Fudan has 3"):
        pennfudan.fetch()
    assert not target.exists()


def test_without_network_it_says_where_to_put_the_file(course):
    with pytest.raises(
        DataError, match="no route to host(.|\n)*Put the file into .*data, or set the variable TRICKS_DATA"
    ):
        pennfudan.fetch()
    assert pennfudan.status() == "pennfudan    not here; ./course data pennfudan --fetch gets it"


@needs_data
def test_real_boxes_are_the_published_ones_within_a_pixel():
    """The archive's own annotation, which counts pixels from 1 and includes the last one.

    Four people are partly covered by another one: a mask holds what is seen of them, the annotation is wider.
    """
    path = pennfudan.find()
    assert path is not None
    scenes = pennfudan.read(path)
    with zipfile.ZipFile(path) as archive:
        texts = {
            n.rsplit("/")[-1][:-4]: archive.read(n).decode("latin1") for n in archive.namelist() if "Annotation/" in n
        }
    compared, covered = 0, set()
    for scene in scenes:
        corners = re.findall(r": \((\d+), (\d+)\) - \((\d+), (\d+)\)", texts[scene.name])
        theirs = np.array(corners, dtype=float)
        assert len(theirs) == len(scene.boxes), scene.name
        ours = scene.boxes + [1, 1, 0, 0]
        covered |= {(scene.name, k) for k in np.flatnonzero((np.abs(ours - theirs) > 1).any(1)).tolist()}
        assert np.abs(ours - theirs).max() <= 6, scene.name
        compared += len(theirs)
    assert len(scenes) == 170 and compared == 423
    assert covered == {("PennPed00019", 5), ("PennPed00021", 1), ("PennPed00027", 0), ("PennPed00090", 0)}
