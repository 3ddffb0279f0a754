"""Archives are read in place and to their end; every fault says what to do."""

import os
import re
import tarfile

import pytest

from tricks.data.archive import members
from tricks.data.files import DataError

CONTENT = {f"cats/{i}.jpg": os.urandom(5_000) for i in range(20)}


def everything(path):
    return dict(members(path, lambda name: True))


@pytest.mark.parametrize("name", ["a.tar", "a.tgz", "a.tar.gz", "a.zip"])
def test_members_are_names_and_contents_in_order(tmp_path, write, name):
    path = write(tmp_path / name, CONTENT)
    assert list(members(path, lambda name: True)) == list(CONTENT.items())
    assert list(members(path, lambda name: name == "cats/7.jpg")) == [("cats/7.jpg", CONTENT["cats/7.jpg"])]


def test_links_and_folders_are_passed_over(tmp_path):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        for name, kind in (("cats", tarfile.DIRTYPE), ("cats/link.jpg", tarfile.SYMTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    assert everything(path) == {}


@pytest.mark.parametrize("name", ["a.tar", "a.tgz", "a.zip"])
def test_a_truncated_archive_is_an_error(tmp_path, write, name):
    path = write(tmp_path / name, CONTENT)
    whole = path.read_bytes()
    for length in (len(whole) * 2 // 3, 300):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match=rf"{name} cannot be read to its end .* Delete it and fetch it again"):
            everything(path)


@pytest.mark.parametrize("name", ["a.tgz", "a.zip"])
def test_a_changed_byte_is_an_error(tmp_path, write, name):
    path = write(tmp_path / name, CONTENT)
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    path.write_bytes(damaged)
    with pytest.raises(DataError, match="cannot be read to its end"):
        everything(path)


def test_a_damaged_header_in_the_middle_is_not_taken_for_the_end(tmp_path, write):
    path = write(tmp_path / "a.tar", CONTENT)
    damaged = bytearray(path.read_bytes())
    start = damaged.index(b"cats/9.jpg")
    damaged[start : start + 300] = bytes(300 * [7])
    path.write_bytes(damaged)
    with pytest.raises(DataError, match="damaged header"):
        everything(path)


@pytest.mark.parametrize("name", ["a.tar", "a.tgz", "a.zip"])
def test_a_web_page_under_an_archives_name_is_an_error(tmp_path, name):
    (tmp_path / name).write_text("<html>Too many requests</html>")
    with pytest.raises(DataError, match="is truncated, damaged, or no archive"):
        everything(tmp_path / name)


@pytest.mark.parametrize("archive", ["a.tgz", "a.zip"])
@pytest.mark.parametrize("name", ["../outside.jpg", "cats/../../outside.jpg", "/tmp/outside.jpg", "..\\outside.jpg"])
def test_a_name_that_points_outside_is_refused(tmp_path, write, archive, name):
    path = write(tmp_path / archive, {"cats/1.jpg": b"1", name: b"2"})
    with pytest.raises(
        DataError, match=re.escape(repr(name)) + ", which points outside the archive; nothing was written"
    ):
        everything(path)
    assert [file.name for file in tmp_path.iterdir()] == [archive]
