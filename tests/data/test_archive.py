"""Archives are read in place and to their end; every fault says what to do."""

import io
import os
import re
import stat
import struct
import tarfile
import zipfile
import zlib

import pytest

from tricks.data.archive import entries, members
from tricks.data.files import DataError

CONTENT = {f"cats/{i}.jpg": os.urandom(5_000) for i in range(20)}


def everything(path):
    return dict(members(path, lambda name: True))


@pytest.mark.parametrize("name", ["a.tar", "a.tgz", "a.tar.gz", "a.zip"])
def test_members_are_names_and_contents_in_order(tmp_path, write, name):
    path = write(tmp_path / name, CONTENT)
    assert list(members(path, lambda name: True)) == list(CONTENT.items())
    assert list(members(path, lambda name: name == "cats/7.jpg")) == [("cats/7.jpg", CONTENT["cats/7.jpg"])]


@pytest.fixture
def tar(tmp_path):
    """`tar(file, (name, kind, content or what a link points to), ...)`: an archive with these members; its path."""

    def write(file, *members):
        with tarfile.open(tmp_path / file, "w:gz" if file.endswith("z") else "w") as archive:
            for name, kind, content in members:
                info = tarfile.TarInfo(name)
                info.type = kind
                if kind == tarfile.REGTYPE:
                    info.size = len(content)
                elif isinstance(content, str):
                    info.linkname = content
                archive.addfile(info, io.BytesIO(content) if kind == tarfile.REGTYPE else None)
        return tmp_path / file

    return write


FILE, HARD, SOFT, PIPE = tarfile.REGTYPE, tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.FIFOTYPE


@pytest.mark.parametrize("file", ["a.tar", "a.tgz"])
def test_links_to_members_have_their_content(tar, file):
    path = tar(
        file,
        ("./cats/early.jpg", SOFT, "../blobs/2"),  # before what it points to, which is called nothing like a picture
        ("cats", tarfile.DIRTYPE, None),
        ("./cats/1.jpg", FILE, b"one"),
        ("cats/hard.jpg", HARD, "./cats/1.jpg"),
        ("cats/chain.jpg", SOFT, "early.jpg"),
        ("blobs/2", FILE, b"two"),
        ("cats/.#lock.jpg", SOFT, "me@host.1:2"),
        ("notes.txt", SOFT, "/nowhere"),
    )
    found = dict(members(path, lambda name: name.endswith(".jpg")))
    assert found == {"cats/1.jpg": b"one", "cats/early.jpg": b"two", "cats/hard.jpg": b"one", "cats/chain.jpg": b"two"}


@pytest.mark.parametrize(
    ("name", "kind", "target"),
    [
        ("cats/a.jpg", SOFT, "/etc/passwd"),
        ("cats/a.jpg", SOFT, "../../dogs/1.jpg"),
        ("cats/a.jpg", HARD, "cats/none.jpg"),
        ("cats/a.jpg", SOFT, "a.jpg"),
        ("lions", SOFT, "/data/lions"),
        ("lions", SOFT, "cats"),
    ],
)
def test_a_link_to_nothing_or_to_a_folder_is_named(tar, name, kind, target):
    path = tar("a.tar", ("cats/1.jpg", FILE, b"one"), (name, kind, target))
    with pytest.raises(DataError, match=rf"a.tar: {name} is a link to .*\. Pack it again .* tar --dereference"):
        list(members(path, lambda name: name.endswith(".jpg")))


def test_where_tar_was_called_is_no_folder_in_it(tar):
    path = tar("a.tar", (".", tarfile.DIRTYPE, None), ("./cats", tarfile.DIRTYPE, None), ("./cats/1.jpg", FILE, b"one"))
    assert list(entries(path, lambda name: True)) == [("cats/", None), ("cats/1.jpg", b"one")]


def test_a_pipe_in_the_place_of_a_picture_is_refused(tar):
    path = tar("a.tar", ("cats/1.jpg", PIPE, None), ("socket", PIPE, None))
    with pytest.raises(DataError, match="cats/1.jpg is no file but a device or a pipe"):
        everything(path)
    assert list(members(path, lambda name: False)) == []


def test_links_in_a_zip_are_links(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("cats/1.jpg", b"one")
        link = zipfile.ZipInfo("dogs/2.jpg")
        link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "../cats/1.jpg")
    assert everything(path) == {"cats/1.jpg": b"one", "dogs/2.jpg": b"one"}


class Raw(zipfile.ZipInfo):
    """A member whose name is written as these bytes, as zipfile itself never would."""

    def __init__(self, raw, flag=0, extra=b""):
        super().__init__(raw.hex())
        self.raw, self.flag, self.extra = raw, flag, extra

    def _encodeFilenameFlags(self):
        return self.raw, self.flag


def raw_zip(path, *infos):
    with zipfile.ZipFile(path, "w") as archive:
        for info in infos:
            archive.writestr(info, b"x")
    return path


@pytest.mark.parametrize(
    ("names", "encoding"),
    [
        (["강아지/1.jpg", "칼/2.jpg"], "cp949"),  # 칼 alone would be UTF-8, too
        (["강아지/1.jpg", "칼/2.jpg", "Žába/3.jpg"], "utf8"),
        (["Ägypten/1.jpg", "café/2.jpg"], "cp437"),
    ],
)
def test_names_in_a_zip_without_a_flag_are_read_in_one_encoding(tmp_path, names, encoding):
    path = raw_zip(tmp_path / "a.zip", *(Raw(name.encode(encoding)) for name in names))
    assert list(everything(path)) == names


def test_the_unicode_path_of_info_zip_is_the_name(tmp_path):
    raw, meant = b"?????/1.jpg", "強아지/1.jpg"
    for crc, expected in ((zlib.crc32(raw), meant), (7, raw.decode())):  # with another name's checksum it is stale
        content = b"\1" + struct.pack("<I", crc) + meant.encode()
        info = Raw(raw, extra=struct.pack("<HH", 0x7075, len(content)) + content)
        assert list(everything(raw_zip(tmp_path / "a.zip", info))) == [expected]


def test_backslashes_are_slashes(tmp_path):
    path = raw_zip(tmp_path / "a.zip", Raw(b"birds\\"), Raw(b"birds\\crow\\1.jpg"), Raw(b".\\birds\\2.jpg"))
    found = list(entries(path, lambda name: True))
    assert found == [("birds/", None), ("birds/crow/1.jpg", b"x"), ("birds/2.jpg", b"x")]


def test_a_name_that_is_not_the_utf8_it_says_is_damage(tmp_path):
    with pytest.raises(DataError, match="cannot be read to its end"):
        everything(raw_zip(tmp_path / "a.zip", Raw(b"\xff/1.jpg", flag=0x800)))


def changed_zip(path, write, at, value):
    """A zip with a byte of each member's two headers changed: `at` bytes into the first, two more into the second."""
    data = bytearray(write(path, CONTENT).read_bytes())
    for sign, offset in ((b"PK\3\4", at), (b"PK\1\2", at + 2)):
        start = data.find(sign)
        while start >= 0:
            data[start + offset] = value
            start = data.find(sign, start + 4)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("at", "value", "message"),
    [
        (6, 1, "cats/0.jpg is encrypted. Unpack it and give the folder, or pack it anew without a password"),
        (8, 9, r"cats/0.jpg is packed with method 9 \(Deflate64\), .* or pack it anew with normal Deflate"),
        (8, 98, r"method 98 \(Ppmd\)"),
        (8, 200, r"method 200 \(Unknown\)"),
    ],
)
def test_a_zip_that_is_whole_but_not_readable_says_what_to_do(tmp_path, write, at, value, message):
    path = changed_zip(tmp_path / "a.zip", write, at, value)
    with pytest.raises(DataError, match=message) as caught:
        everything(path)
    assert "fetch it again" not in str(caught.value)
    assert dict(members(path, lambda name: False)) == {}  # what is not wanted may be packed as it likes


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
@pytest.mark.parametrize(
    "name", ["../outside.jpg", "cats/../../outside.jpg", "/tmp/outside.jpg", "..\\outside.jpg", "C:\\outside.jpg"]
)
def test_a_name_that_points_outside_is_refused(tmp_path, write, archive, name):
    path = write(tmp_path / archive, {"cats/1.jpg": b"1", name: b"2"})
    with pytest.raises(
        DataError, match=re.escape(repr(name)) + ", which points outside the archive; nothing was written"
    ):
        everything(path)
    assert [file.name for file in tmp_path.iterdir()] == [archive]
