"""Downloads from a real server on this machine: checked, continued, and never half there."""

import errno
import hashlib
import http.server
import os
import threading

import pytest

from tricks.data import fetch
from tricks.data.files import DataError

CONTENT = os.urandom(300_000)
MD5 = hashlib.md5(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """/whole ignores ranges, /ranges honours them, /cut hangs up half-way, /wrong is another file."""

    asked: list[str] = []

    def do_GET(self):
        self.asked.append(f"{self.path} {self.headers.get('Range', '')}".strip())
        start = int(self.headers.get("Range", "bytes=0-")[6:-1]) if self.path != "/whole" else 0
        content = {"/wrong": os.urandom(1000)}.get(self.path, CONTENT)
        if self.path == "/missing":
            return self.send_error(404)
        if start >= len(content):
            return self.send_error(416)
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start : len(content) // 2 if self.path == "/cut" else None])

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


@pytest.fixture(autouse=True)
def asked(monkeypatch):
    monkeypatch.setattr(Handler, "asked", [])
    monkeypatch.setenv("no_proxy", "*")
    return lambda: Handler.asked


def test_a_download_shows_its_size_and_how_to_stop(server, tmp_path, capsys):
    path = fetch.download([f"{server}/whole"], tmp_path / "new" / "set.tgz", MD5)
    assert path.read_bytes() == CONTENT
    assert [file.name for file in path.parent.iterdir()] == ["set.tgz"]
    out, err = capsys.readouterr()
    assert "Stop with Ctrl-C, in a notebook with the ■ button; the next start continues from there." in out
    assert "300k/300k" in err
    assert "B/s" in err


@pytest.mark.parametrize(("address", "first"), [("ranges", "/ranges bytes=100000-"), ("whole", "/whole bytes=100000-")])
def test_an_interrupted_download_is_continued(server, tmp_path, asked, address, first):
    (tmp_path / "set.tgz.part").write_bytes(CONTENT[:100_000])
    fetch.download([f"{server}/{address}"], tmp_path / "set.tgz", MD5)
    assert asked() == [first]
    assert (tmp_path / "set.tgz").read_bytes() == CONTENT
    assert [file.name for file in tmp_path.iterdir()] == ["set.tgz"]


def test_a_part_that_is_complete_already_is_only_checked(server, tmp_path):
    (tmp_path / "set.tgz.part").write_bytes(CONTENT)
    assert fetch.download([f"{server}/ranges"], tmp_path / "set.tgz", MD5).read_bytes() == CONTENT


def test_a_lost_connection_is_continued_from_the_next_address(server, tmp_path, asked):
    fetch.download([f"{server}/cut", f"{server}/ranges"], tmp_path / "set.tgz", MD5)
    assert asked() == ["/cut", "/ranges bytes=150000-"]
    assert (tmp_path / "set.tgz").read_bytes() == CONTENT


def test_every_address_and_its_failure_are_listed(server, tmp_path):
    urls = [f"{server}/{name}" for name in ("cut", "wrong", "missing")] + ["http://127.0.0.1:9/nobody"]
    with pytest.raises(DataError) as caught:
        fetch.download(urls, tmp_path / "set.tgz", MD5)
    lines = str(caught.value).splitlines()
    assert lines[0] == "set.tgz could not be fetched:"
    assert "/cut: the connection ended at 150,000 of 300,000 bytes" in lines[1]
    assert "/wrong: " in lines[2]
    assert "/missing: Not Found" in lines[3]
    assert "/nobody: " in lines[4]
    assert "refused" in lines[4]
    assert not list(tmp_path.glob("*.part-*"))
    assert (
        lines[5] == f"Put the file (md5 {MD5}) into {tmp_path}, or set the variable TRICKS_DATA to a folder that has it"
    )


def test_an_address_that_answers_nothing_leaves_nothing(tmp_path):
    with pytest.raises(DataError, match="refused"):
        fetch.download(["http://127.0.0.1:9/nobody"], tmp_path / "set.tgz", MD5)
    assert list(tmp_path.iterdir()) == []


def test_a_file_with_the_wrong_checksum_is_deleted(server, tmp_path):
    with pytest.raises(DataError, match=f"/wrong: the file has md5 .*, not {MD5}; it was deleted"):
        fetch.download([f"{server}/wrong"], tmp_path / "set.tgz", MD5)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_part_does_not_spoil_the_next_address(server, tmp_path):
    (tmp_path / "set.tgz.part").write_bytes(b"damaged" * 100)
    fetch.download([f"{server}/ranges", f"{server}/whole"], tmp_path / "set.tgz", MD5)
    assert (tmp_path / "set.tgz").read_bytes() == CONTENT


def test_a_full_disk_ends_the_download_and_leaves_nothing(server, tmp_path, monkeypatch):
    def full(url, part):
        part.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(fetch, "_continue", full)
    with pytest.raises(DataError, match="The disk is full: .*set.tgz was not written and nothing is left of it"):
        fetch.download([f"{server}/whole", f"{server}/ranges"], tmp_path / "set.tgz", MD5)
    assert list(tmp_path.iterdir()) == []


def test_a_read_only_folder_is_named(server, tmp_path, monkeypatch):
    def refused(url, part):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(fetch, "_continue", refused)
    with pytest.raises(DataError, match=f"{tmp_path.name} cannot be written to .*: make it writable"):
        fetch.download([f"{server}/whole"], tmp_path / "set.tgz", MD5)


def test_stopping_keeps_what_was_loaded(server, tmp_path, monkeypatch):
    class Stop:
        def __init__(self, *args, **kwargs):
            self.blocks = 0

        def __enter__(self):
            return self

        def __exit__(self, *args):
            pass

        def update(self, count):
            self.blocks += 1
            if self.blocks == 2:
                raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(fetch, "progress_bar", Stop)
        fetch.download([f"{server}/whole"], tmp_path / "set.tgz", MD5)
    assert [file.name for file in tmp_path.iterdir()] == ["set.tgz.part"]
    assert (tmp_path / "set.tgz.part").read_bytes() == CONTENT[: 2 * fetch.BLOCK]
    assert fetch.download([f"{server}/ranges"], tmp_path / "set.tgz", MD5).read_bytes() == CONTENT
