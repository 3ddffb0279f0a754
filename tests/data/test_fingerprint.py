"""A fingerprint follows the content; what was found out about a file holds until the file or our code changes."""

import json
import os
import time

import pytest

from tricks.data import fingerprint as module
from tricks.data.files import DataError
from tricks.data.fingerprint import files_below, fingerprint, names_below, remembered


def test_a_fingerprint_follows_the_content(tmp_path, write, pictures):
    content = pictures({"ant": 2, "dog": 2})
    folder, archive = write(tmp_path / "set", content), write(tmp_path / "a.zip", content)
    before = fingerprint(folder), fingerprint(archive)
    assert (fingerprint(folder), fingerprint(archive)) == before
    (folder / "ant" / "000.jpg").write_bytes(b"longer than a picture" * 100)
    write(archive, content | {"ant/000.jpg": b"another"})
    assert fingerprint(folder) != before[0]
    assert fingerprint(archive) != before[1]


@pytest.fixture
def asked(course):
    """`asked(path)`: the answer about a path, and whether it was looked at again."""

    def ask(path, what="its size"):
        looks = []
        answer = remembered(what, path, lambda: looks.append(1) or str(path.stat().st_size))
        return answer, bool(looks)

    return ask


@pytest.fixture
def old(tmp_path):
    """`old(name, text, age)`: a file that was written `age` seconds ago."""

    def write(name, text, age=100):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        os.utime(path, (time.time() - age,) * 2)
        return path

    return write


def test_an_answer_is_remembered_until_the_file_changes(asked, old):
    path = old("a.zip", "abc")
    assert asked(path) == ("3", True)
    assert asked(path) == ("3", False)
    assert asked(path, "something else") == ("3", True)
    assert asked(old("b.zip", "abc")) == ("3", True)  # another file
    assert asked(old("a.zip", "abcd")) == ("4", True)  # another size
    assert asked(old("a.zip", "efgh", age=50)) == ("4", True)  # another date
    assert asked(path) == ("4", False)


def test_an_answer_about_a_folder_is_remembered_until_a_file_in_it_changes(asked, old, tmp_path):
    folder = old("set/a.txt", "abc").parent
    os.utime(folder, (time.time() - 100,) * 2)
    assert [asked(folder)[1] for _ in range(2)] == [True, False]
    old("set/a.txt", "abcd")
    assert asked(folder)[1]


def test_a_file_written_just_now_is_looked_at_again(asked, old):
    """A second content of the same size might get the same date."""
    path = old("a.zip", "abc", age=0)
    assert [asked(path)[1] for _ in range(2)] == [True, True]


def test_other_code_finds_out_for_itself(asked, old, monkeypatch):
    path = old("a.zip", "abc")
    assert asked(path)[1]
    later = module._code() + 1
    monkeypatch.setattr(module, "_code", lambda: later)
    assert [asked(path)[1] for _ in range(2)] == [True, False]


@pytest.mark.parametrize("damage", ["", "{", "[]", "null", '{"k": 1}', "\ufeff{}", "cut"])
def test_a_damaged_memory_is_ignored_and_replaced(asked, old, course, damage):
    path, memory = old("a.zip", "abc"), course / "data" / "cache" / "remembered.json"
    asked(path)
    text = memory.read_text() if damage == "cut" else damage
    memory.write_text(text[:-5] if damage == "cut" else text)
    assert [asked(path) for _ in range(2)] == [("3", True), ("3", False)]
    assert list(json.loads(memory.read_text()))[-1] == f"its size of {path.resolve()}"


def test_an_answer_that_is_no_text_is_ignored(asked, old, course):
    path, memory = old("a.zip", "abc"), course / "data" / "cache" / "remembered.json"
    asked(path)
    memory.write_text(memory.read_text().replace('"3"', "3"))
    assert asked(path) == ("3", True)


def test_without_room_for_it_nothing_is_remembered(asked, old, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    path = old("a.zip", "abc")
    monkeypatch.setattr("os.replace", full)
    assert [asked(path) for _ in range(2)] == [("3", True), ("3", True)]


def test_an_archive_is_digested_once(course, old, monkeypatch):
    path = old("a.zip", "abc")
    before = fingerprint(path)
    monkeypatch.setattr(module, "digest", lambda path: pytest.fail("digested again"))
    assert fingerprint(path) == before


# What lies below a folder


def test_files_are_named_in_a_fixed_order_without_a_systems_own(tmp_path, write):
    content = {name: b"" for name in ("b/2.jpg", "b/1.txt", "a/1.jpg", "@eaDir/a/1.jpg", "b/.DS_Store", "c/")}
    folder = write(tmp_path / "set", content)
    assert list(files_below(folder)) == list(files_below(folder))
    assert sorted(files_below(folder)) == ["a/1.jpg", "b/1.txt", "b/2.jpg"]
    found = {"a/", "b/", "c/", "@eaDir/", "a/1.jpg", "b/1.txt", "b/2.jpg", "b/.DS_Store"}
    assert {name for name, _ in names_below(folder)} == found  # a system's folder is not entered


def test_a_systems_own_does_not_change_the_fingerprint(tmp_path, write):
    folder = write(tmp_path / "set", {"a/1.jpg": b"", "@eaDir/1.jpg": b""})
    (folder / ".#notes.txt").symlink_to("me@host.1:2")
    (folder / "notes.txt").symlink_to("nowhere.txt")
    before = fingerprint(folder)
    write(folder, {"@eaDir/2.jpg": b"", "Thumbs.db": b""})
    assert fingerprint(folder) == before
    write(folder, {"a/2.jpg": b""})
    assert fingerprint(folder) != before


def test_names_that_are_not_utf8_have_a_fingerprint(tmp_path):
    name = os.fsdecode("강.jpg".encode("cp949"))
    (tmp_path / name).write_bytes(b"")
    assert list(files_below(tmp_path)) == [name]
    assert len(fingerprint(tmp_path)) == 64


def test_links_to_folders_and_files_elsewhere_are_followed(tmp_path, write):
    write(tmp_path / "elsewhere", {"crow/1.jpg": b"", "2.jpg": b""})
    folder = write(tmp_path / "set", {"owl/1.jpg": b""})
    (folder / "crow").symlink_to("../elsewhere/crow")
    (folder / "owl" / "2.jpg").symlink_to("../../elsewhere/2.jpg")
    assert sorted(files_below(folder)) == ["crow/1.jpg", "owl/1.jpg", "owl/2.jpg"]


@pytest.mark.parametrize(("link", "target"), [("crow/again", ".."), ("crow/again", "../../set"), ("again", "crow")])
def test_a_link_that_goes_round_or_names_a_folder_twice_is_named(tmp_path, write, link, target):
    folder = write(tmp_path / "set", {"crow/1.jpg": b"", "owl/1.jpg": b""})
    (folder / link).symlink_to(target)
    with pytest.raises(
        DataError, match=f"set/{link} is a link to a folder that is read already, or goes round: remove"
    ):
        list(files_below(folder))
    (folder / link).rename((folder / link).with_name(".again"))
    assert sorted(files_below(folder)) == ["crow/1.jpg", "owl/1.jpg"]


@pytest.mark.parametrize("name", ["crow/2.jpg", "hen"])
@pytest.mark.parametrize("target", ["nothing", "2.jpg", "hen"])
def test_a_link_to_nothing_in_a_pictures_or_classes_place_is_named(tmp_path, write, name, target):
    folder = write(tmp_path / "set", {"crow/1.jpg": b"", "owl/1.jpg": b""})
    (folder / name).symlink_to(target)
    with pytest.raises(DataError, match=f"set/{name} is a link to {target}, which is not there: remove it, or put"):
        list(files_below(folder))


def test_a_pipe_in_a_pictures_place_is_named_and_not_opened(tmp_path):
    os.mkfifo(tmp_path / "socket")
    assert list(files_below(tmp_path)) == []
    os.mkfifo(tmp_path / "1.jpg")
    with pytest.raises(DataError, match="1.jpg is no file but a device: remove it"):
        list(files_below(tmp_path))


def test_a_folder_that_cannot_be_read_is_named(tmp_path, write, monkeypatch):
    """Root can read everything, so the refusal is made here."""
    folder = write(tmp_path / "set", {"crow/1.jpg": b"", "owl/1.jpg": b""})
    scan = os.scandir

    def scandir(path):
        if str(path).endswith("owl"):
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(DataError, match="set/owl: Permission denied. Make it readable, or move it away"):
        list(files_below(folder))
