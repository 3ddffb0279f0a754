"""Archives are read in place and to their end; caches appear whole or not at all; every fault says what to do."""

import errno
import os
import re
import signal
import subprocess
import sys
import tarfile
import time

import pytest

from tricks.data.archive import DAY, DataError, build_once, members

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


# Caches


def test_a_folder_is_built_once(tmp_path):
    folder, calls = tmp_path / "cache" / "set", []

    def build(temporary):
        calls.append(temporary)
        (temporary / "a.npy").write_text("whole")

    assert build_once(folder, build) == build_once(folder, build) == folder
    assert len(calls) == 1
    assert [path.name for path in folder.parent.iterdir()] == ["set"]
    assert (folder / "a.npy").read_text() == "whole"


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "The disk is full: .*set was not written and nothing is left of it. Free some space"),
        (errno.EROFS, "cache cannot be written to .*: make it writable, or copy the course elsewhere"),
        (errno.EACCES, "cache cannot be written to"),
        (errno.EIO, "set was not written: "),
    ],
)
def test_what_cannot_be_written_leaves_nothing_behind(tmp_path, number, message):
    def build(temporary):
        (temporary / "a.npy").write_text("half")
        raise OSError(number, os.strerror(number))

    with pytest.raises(DataError, match=message):
        build_once(tmp_path / "cache" / "set", build)
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_named(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(DataError, match="cannot be written to"):
            build_once(tmp_path / "cache" / "set", lambda temporary: None)
    finally:
        tmp_path.chmod(0o700)


def test_an_interruption_leaves_nothing_behind(tmp_path):
    def build(temporary):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_once(tmp_path / "set", build)
    assert list(tmp_path.iterdir()) == []


def test_the_first_of_two_processes_wins(tmp_path):
    """The second finishes later, finds the first one's result, and takes it."""
    folder = tmp_path / "set"

    def build(temporary):
        build_once(folder, lambda other: (other / "by").write_text("first"))  # meanwhile, elsewhere
        (temporary / "by").write_text("second")

    build_once(folder, build)
    assert (folder / "by").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_what_a_killed_process_left_is_removed_a_day_later(tmp_path):
    code = (
        "import os, signal, sys; from pathlib import Path; from tricks.data.archive import build_once\n"
        f"build_once(Path({str(tmp_path)!r}, 'set'), lambda temporary: os.kill(os.getpid(), signal.SIGKILL))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".set-")
    build_once(tmp_path / "other", lambda temporary: None)
    assert left.exists()  # its process might still be at work
    os.utime(left, (time.time() - DAY - 60,) * 2)
    build_once(tmp_path / "set", lambda temporary: None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "set"]
