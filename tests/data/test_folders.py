"""Class folders: what belongs to which class and split, how a picture is decoded, and what is refused."""

import io
import struct
import unicodedata
import zlib

import numpy as np
import pytest
from PIL import Image

from tricks.data.files import DataError
from tricks.data.folders import Picture, _split, decode, read_tree, upright_rgb, write_pictures
from tricks.data.layout import FIFTH, PICTURES


def names(pictures):
    return [picture.name for picture in pictures]


@pytest.mark.parametrize("archive", ["set", "set.tgz", "set.zip"])
@pytest.mark.parametrize("test", ["test", "val", "valid", "validation"])
def test_splits_classes_and_order(tmp_path, write, pictures, archive, test):
    content = pictures({f"{test}/dog": 1, "train/dog": 2, "train/ant": 2, f"{test}/ant": 1})
    tree = read_tree(write(tmp_path / archive, dict(reversed(content.items()))))
    assert tree.classes == ("ant", "dog")
    assert names(tree.train) == ["train/ant/000.jpg", "train/ant/001.jpg", "train/dog/000.jpg", "train/dog/001.jpg"]
    assert names(tree.test) == [f"{test}/ant/000.jpg", f"{test}/dog/000.jpg"]
    assert [picture.label for picture in tree.train + tree.test] == [0, 0, 1, 1, 0, 1]


def test_an_archive_may_have_a_folder_around_its_splits(tmp_path, write, pictures):
    content = pictures(
        {"./flowers/train/ant": 2, "./flowers/train/dog": 2, "./flowers/val/ant": 1, "./flowers/val/dog": 1}
    )
    tree = read_tree(write(tmp_path / "a.tar", content))
    assert tree.classes == ("ant", "dog")
    assert (len(tree.train), len(tree.test)) == (4, 2)


def test_without_splits_a_fixed_fifth_of_each_class_is_the_test_set(tmp_path, write, pictures):
    path = write(tmp_path / "set", pictures({"ant": 10, "dog": 21, "eel": 2}))
    tree = read_tree(path)
    assert np.bincount([picture.label for picture in tree.test]).tolist() == [3, 3, 1]  # about a fifth, one at least
    assert np.bincount([picture.label for picture in tree.train]).tolist() == [7, 18, 1]
    assert sorted(names(tree.train) + names(tree.test)) == sorted(
        path.relative_to(tmp_path / "set").as_posix() for path in path.rglob("*.jpg")
    )
    assert names(tree.test) != [f"ant/{i:03d}.jpg" for i in range(2)]  # not just the first ones
    assert read_tree(path) == tree
    archived = read_tree(write(tmp_path / "set.zip", pictures({"ant": 10, "dog": 21, "eel": 2})))
    assert names(archived.test) == names(tree.test)
    around = read_tree(write(tmp_path / "b.zip", pictures({"x/y/ant": 10, "x/y/dog": 21, "x/y/eel": 2})))
    assert names(around.test) == [f"x/y/{name}" for name in names(tree.test)]


def test_the_fifth_is_fixed_whatever_else_is_there(tmp_path):
    def part(count, names="{:04d}.jpg"):
        train, test = _split(tmp_path, {"a": [Picture(f"a/{names.format(i)}", b"") for i in range(count)]})
        assert len(train["a"]) + len(test["a"]) == count
        return {picture.name for picture in test["a"]}

    assert 450 < len(part(2500)) < 550
    assert part(500) == part(2500) & {f"a/{i:04d}.jpg" for i in range(500)}
    assert all(0 < len(part(2, f"{number}-{{}}.jpg")) < 2 for number in range(50))  # one on each side at the least
    accents = [Picture(unicodedata.normalize(form, f"é{i}.jpg"), b"") for form in ("NFC", "NFD") for i in range(40)]
    tested = [picture.name for picture in _split(tmp_path, {"a": accents})[1]["a"]]
    assert len({unicodedata.normalize("NFC", name) for name in tested}) * 2 == len(tested)  # both or none


def test_a_train_folder_alone_is_split_as_well(tmp_path, write, pictures):
    tree = read_tree(write(tmp_path / "set", pictures({"train/ant": 5, "train/dog": 5})))
    assert (len(tree.train), len(tree.test)) == (6, 4)
    assert (tree.report.train, tree.report.test) == ("train, all but the test set", FIFTH)


def test_hidden_copies_and_other_files_are_passed_over(tmp_path, write, pictures):
    content = pictures({"ant": 3, "dog": 3})
    others = {
        "__MACOSX/ant/._000.jpg": b"",
        "ant/._000.jpg": b"",
        ".cache/dog/1.png": b"",
        "ant/notes.txt": b"",
        "x.md": b"",
    }
    tree = read_tree(write(tmp_path / "a.zip", content | others))
    assert sorted(names(tree.train) + names(tree.test)) == sorted(content)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({}, r"set holds no pictures \(.jpg, .jpeg, .*, .png, .*\) in class folders"),
        ({"ant": 3}, "set has one class, 'ant': classification needs at least two class folders"),
        ({"ant": 3, "dog": 1}, "class 'dog' has 1 picture; it takes 2"),
        ({"train/ant": 3, "train/dog": 3, "test/ant": 1}, "class 'dog' has no test picture. Add some, or remove"),
        ({"train/ant": 3, "val/dog": 3, "val/ant": 1}, "class 'dog' has no training picture"),
        ({"test/ant": 3, "test/dog": 3}, "set holds test. Wanted: train/ and test/, or class folders alone"),
        ({"train/ant": 3, "dog": 3}, "set holds train, and dog beside them, such as .* Wanted: train/ and test/, or"),
    ],
)
@pytest.mark.parametrize("archive", ["set", "set.zip"])
def test_what_is_no_data_set_is_refused(tmp_path, write, pictures, archive, counts, message):
    (tmp_path / "set").mkdir()
    with pytest.raises(DataError, match=message.replace("set ", rf"{archive} ", 1)):
        read_tree(write(tmp_path / archive, pictures(counts)))


@pytest.mark.parametrize("archive", ["set", "set.zip", "set.tgz"])
def test_an_empty_class_folder_is_refused(tmp_path, write, pictures, archive):
    path = write(tmp_path / archive, pictures({"ant": 3, "dog": 3}) | {"eel/": b""})
    with pytest.raises(DataError, match="class 'eel' has no training picture. Add some, or remove the class folder"):
        read_tree(path)


def test_a_picture_outside_the_class_folders_is_refused(tmp_path, write, pictures, jpeg):
    path = write(tmp_path / "set", pictures({"ant": 3, "dog": 3}) | {"stray.jpg": jpeg()})
    with pytest.raises(DataError, match="stray.jpg lies in no class folder; wanted is <class>/<picture>"):
        read_tree(path)


# Decoding


def stripes(width=90, height=30):
    """Red, green and blue thirds."""
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    for k in range(3):
        pixels[:, k * width // 3 : (k + 1) * width // 3, k] = 255
    return Image.fromarray(pixels)


def encoded(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def test_the_middle_of_a_picture_is_kept():
    pixels = decode(Picture("", encoded(stripes())), 20)
    assert pixels.shape == (20, 20, 3)
    assert pixels.dtype == np.uint8
    assert (pixels[:, 2:-2] == [0, 255, 0]).all()  # the middle third is the square
    upright = decode(Picture("", encoded(stripes().transpose(Image.Transpose.ROTATE_90))), 20)
    assert (upright[2:-2] == [0, 255, 0]).all()


def test_a_picture_of_the_right_size_is_left_as_it_is(jpeg):
    data = jpeg(size=(32, 32))
    np.testing.assert_array_equal(decode(Picture("", data), 32), np.asarray(Image.open(io.BytesIO(data))))
    pixels = np.asarray(Image.open(io.BytesIO(data)))
    np.testing.assert_array_equal(decode(pixels, 32), pixels)


def test_a_large_jpeg_is_resized_with_antialiasing():
    """A fine checkerboard becomes grey, as it would not by picking pixels."""
    board = Image.fromarray((np.indices((640, 640)).sum(axis=0) % 2 * 255).astype(np.uint8))
    for data in (encoded(board, "JPEG", quality=95), encoded(board)):
        assert abs(decode(Picture("", data), 20).astype(float) - 127.5).max() < 12


RAMP = np.linspace(0, 65535, 64 * 64).reshape(64, 64)


def png16(values, colour, transparent=b""):
    """A PNG of 16 bits, which Pillow cannot write for colours: big-endian values (H, W, channels)."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width, _ = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0))
    clear = chunk(b"tRNS", transparent) if transparent else b""
    return b"\x89PNG\r\n\x1a\n" + header + clear + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "data",
    [
        *(encoded(Image.fromarray(RAMP.astype("uint16")), kind) for kind in ("PNG", "TIFF", "PPM")),
        b"MM\0*\0\0\0\x08\0\x08"  # TIFF with its bytes the other way round
        + b"".join(struct.pack(">HHIHH", tag, 3, 1, value, 0) for tag, value in ((256, 64), (257, 64), (258, 16)))
        + b"".join(struct.pack(">HHIHH", tag, 3, 1, value, 0) for tag, value in ((259, 1), (262, 1)))
        + struct.pack(">HHII", 273, 4, 1, 110)
        + struct.pack(">HHIHH", 278, 3, 1, 64, 0)
        + struct.pack(">HHII", 279, 4, 1, 8192)
        + b"\0" * 4
        + RAMP.astype(">u2").tobytes(),
        png16(RAMP[..., None].repeat(3, 2), colour=2),
    ],
    ids=["PNG", "TIFF", "PGM", "TIFF big-endian", "PNG RGB"],
)
def test_sixteen_bits_are_scaled_to_eight(data):
    np.testing.assert_allclose(decode(Picture("", data), 64)[..., 0], RAMP / 257, atol=1)


def test_older_pillows_have_sixteen_bits_of_a_png_in_32():
    image = Image.fromarray(RAMP.astype("int32"))
    image.format = "PNG"
    np.testing.assert_allclose(np.asarray(upright_rgb(image))[..., 0], RAMP / 257, atol=1)


def test_twelve_bits_of_a_tiff_are_scaled_to_eight():
    values = np.arange(0, 4096, 64).reshape(8, 8)
    packed = b"".join(bytes([a >> 4, (a & 15) << 4 | b >> 8, b & 255]) for a, b in values.reshape(-1, 2).tolist())
    tags = [(256, 8), (257, 8), (258, 12), (259, 1), (262, 1), (273, 110), (278, 8), (279, len(packed))]
    fields = b"".join(struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in tags)
    data = b"II*\0\x08\0\0\0\x08\0" + fields + b"\0" * 4 + packed
    np.testing.assert_array_equal(decode(Picture("", data), 8)[..., 0], values // 16)


@pytest.mark.parametrize(
    ("kind", "mode"), [("int32", "integers, mode I"), ("float32", "floating-point numbers, mode F")]
)
def test_pictures_of_unknown_range_are_refused_by_name(tmp_path, kind, mode):
    picture = Picture("a/x.tif", encoded(Image.fromarray(RAMP.astype(kind)), "TIFF"))
    with pytest.raises(DataError, match=f"a/x.tif .its pixels are 32-bit {mode}: convert it to 8 or 16 bits"):
        write_pictures(tmp_path / "x.npy", [picture], 16, "test")


def half_clear(mode):
    """Left half red, or white, right half transparent, over black."""
    image = Image.new("RGBA", (16, 16), (255, 0, 0, 255) if mode != "LA" else (255, 255, 255, 255))
    image.paste((0, 0, 0, 0), (8, 0, 16, 16))
    return image.quantize(8) if mode == "P" else image.convert(mode)


@pytest.mark.parametrize(
    "data",
    [
        *(encoded(half_clear(mode)) for mode in ("RGBA", "LA", "P")),
        encoded(half_clear("RGBA"), "GIF"),
        encoded(half_clear("RGBA"), "WEBP", lossless=True),
        encoded(half_clear("RGBA").convert("RGB"), transparency=(0, 0, 0)),
        encoded(half_clear("LA").convert("L"), transparency=0),
        png16(np.repeat([65535, 300], 8)[None, :, None].repeat(16, 0), colour=0, transparent=struct.pack(">H", 300)),
        png16(
            np.repeat([65535, 300], 8)[None, :, None].repeat(16, 0).repeat(3, 2),
            colour=2,
            transparent=struct.pack(">HHH", 300, 300, 300),
        ),
    ],
    ids=["RGBA", "LA", "P", "GIF", "WebP", "RGB tRNS", "L tRNS", "L 16 tRNS", "RGB 16 tRNS"],
)
def test_what_is_transparent_is_grey_and_the_rest_as_it_was(data):
    pixels = decode(Picture("", data), 16)
    assert (pixels[:, 8:] == 128).all()
    assert (pixels[:, :8, 0] == 255).all()


def test_what_is_opaque_is_as_it_was():
    random = Image.fromarray(np.random.RandomState(0).randint(0, 256, (16, 16, 3), dtype=np.uint8))
    for image in (random, random.convert("RGBA"), random.convert("P"), random.convert("L").convert("LA")):
        expected = np.asarray(image.convert("RGB"))
        np.testing.assert_array_equal(decode(Picture("", encoded(image)), 16), expected)


@pytest.mark.parametrize("ending", PICTURES)
def test_every_ending_is_one_that_is_read(tmp_path, write, ending):
    kind = Image.registered_extensions()[ending]
    image = stripes().convert("1" if ending == ".pbm" else "RGB")
    content = {f"{name}/{i}{ending.upper()}": encoded(image, kind) for name in ("ant", "dog") for i in range(2)}
    tree = read_tree(write(tmp_path / "set", content))
    assert len(tree.train + tree.test) == 4
    assert decode(tree.train[0], 16).shape == (16, 16, 3)


def test_an_ending_that_pillow_cannot_read_is_named(tmp_path, write, monkeypatch):
    content = {f"{name}/{i}.avif": b"" for name in ("ant", "dog") for i in range(2)}
    monkeypatch.delitem(Image.registered_extensions(), ".avif")
    with pytest.raises(
        DataError, match="ant/0.avif cannot be read, .* Pillow .* reads no .avif. Convert such pictures"
    ):
        read_tree(write(tmp_path / "set", content))


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "1"])
def test_every_colour_mode_becomes_rgb(mode):
    pixels = decode(Picture("", encoded(stripes().convert(mode), "TIFF" if mode == "CMYK" else "PNG")), 24)
    assert pixels.shape == (24, 24, 3)


def test_a_camera_held_sideways_is_turned_upright():
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    image = Image.fromarray(np.repeat(np.uint8([[[255] * 3], [[0] * 3]]), 20, axis=0).repeat(40, axis=1))  # white above
    pixels = decode(Picture("", encoded(image, "JPEG", exif=exif, quality=95)), 40)
    assert pixels[:, 25:].min() > 240  # white on the right
    assert pixels[:, :15].max() < 15


def test_pictures_that_do_not_decode_are_counted_and_named(tmp_path, jpeg):
    whole = jpeg()
    good = [Picture(f"ok/{i}.jpg", whole) for i in range(3)]
    broken = [
        Picture("bad/cut.jpg", whole[: len(whole) // 2]),
        Picture("bad/page.jpg", b"<html>"),
        Picture("bad/none.png", b""),
    ]
    with pytest.raises(
        DataError, match="3 of 6 pictures do not decode: bad/cut.jpg .*, bad/page.jpg .*, bad/none.png .*"
    ) as caught:
        write_pictures(tmp_path / "x.npy", good + broken, 16, "test")
    assert "no picture is left out silently" in str(caught.value)
    many = [Picture(f"bad/{i}.jpg", b"") for i in range(25)]
    with pytest.raises(DataError, match="25 of 25 pictures do not decode: .*bad/9.jpg .*, and 15 more"):
        write_pictures(tmp_path / "x.npy", many, 16, "test")


def test_written_pictures_are_an_ordinary_npy_file(tmp_path, jpeg, monkeypatch):
    monkeypatch.setattr("tricks.data.folders.CHUNK", 4)  # several chunks, the last one short
    pictures = [Picture(str(i), jpeg(i)) for i in range(10)]
    write_pictures(tmp_path / "x.npy", pictures, 16, "test")
    images = np.load(tmp_path / "x.npy", mmap_mode="r")
    np.testing.assert_array_equal(images, np.stack([decode(picture, 16) for picture in pictures]))


def test_pixels_of_the_right_size_are_written_as_decoded_pictures_are(tmp_path):
    pixels = np.random.RandomState(0).randint(0, 256, (5, 3, 16, 16), dtype=np.uint8).transpose(0, 2, 3, 1)
    pictures = [Picture(str(i), encoded(Image.fromarray(each))) for i, each in enumerate(pixels)]
    write_pictures(tmp_path / "decoded.npy", pictures, 16, "test")
    write_pictures(tmp_path / "direct.npy", pixels, 16, "test")
    assert (tmp_path / "direct.npy").read_bytes() == (tmp_path / "decoded.npy").read_bytes()
    write_pictures(tmp_path / "decoded.npy", pictures, 20, "test")
    write_pictures(tmp_path / "resized.npy", pixels, 20, "test")
    assert (tmp_path / "resized.npy").read_bytes() == (tmp_path / "decoded.npy").read_bytes()


def test_progress_is_shown(tmp_path, jpeg, capsys):
    write_pictures(tmp_path / "x.npy", [Picture("a", jpeg())] * 3, 16, "cifar10, train")
    assert "cifar10, train, decoded once: 100%" in capsys.readouterr().err
