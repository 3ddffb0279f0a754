"""A fingerprint follows the content; what was found out about a file holds until the file or our code changes."""

import json
import os
import time

import pytest

from tricks.data import fingerprint as module
from tricks.data.fingerprint import fingerprint, remembered


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
