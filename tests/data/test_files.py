"""Files and folders appear whole or not at all; every fault says what to do."""

import errno
import os
import signal
import subprocess
import sys
import time

import pytest

from tricks.data.files import DAY, DataError, WriteError, build_once, write_atomic


def test_writing_leaves_no_half_file_when_the_disk_is_full(tmp_path, monkeypatch):
    target = tmp_path / "record.json"
    write_atomic(target, b"old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="The disk is full: .*record.json was not written and holds what it did before"):
        write_atomic(target, b"new")
    assert target.read_bytes() == b"old" and list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (
            errno.ENOSPC,
            "The disk is full: .*own/record.json was not written and nothing is left of it. Free some space",
        ),
        (errno.EDQUOT, "The disk is full"),
        (errno.EROFS, "own cannot be written to .*: make it writable, or copy the course elsewhere"),
        (errno.EIO, "record.json was not written: "),
    ],
)
def test_a_file_that_cannot_be_written_is_named(tmp_path, monkeypatch, number, message):
    def fail(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(WriteError, match=message) as caught:
        write_atomic(tmp_path / "own" / "record.json", b"new")
    assert isinstance(caught.value, OSError) and isinstance(caught.value, DataError)
    assert "Errno" not in str(caught.value) or number == errno.EIO


def test_a_file_that_another_program_has_open_may_be_the_reason(tmp_path, monkeypatch):
    def locked(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    (tmp_path / "deck.pptx").touch()
    monkeypatch.setattr("os.replace", locked)
    with pytest.raises(WriteError, match="close deck.pptx if a program has it open"):
        write_atomic(tmp_path / "deck.pptx", b"new")


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
        "import os, signal, sys; from pathlib import Path; from tricks.data.files import build_once\n"
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
