"""Penn-Fudan: 170 street pictures with a mask for each of the pedestrians in them, read from the published archive."""

import hashlib
import io
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

import tricks
from tricks.data.archive import members
from tricks.data.fetch import at_hand, download, report
from tricks.data.files import DataError
from tricks.data.scene import Scene, scene_of

FILE = "PennFudanPed.zip"
URLS = ("https://www.cis.upenn.edu/~jshi/ped_html/PennFudanPed.zip",)
CLASSES = ("person",)
COUNT = 170
# sha256 of the PNG files: by name, each picture followed by its mask
CONTENT = "d4860a7f73cbbecc29248f120f48de6ba5c3093c720bb34f90e33084a82d2029"
SOURCE = "Penn-Fudan"


def find() -> Path | None:
    """The archive in `data/` or in the folder TRICKS_DATA, or None."""
    return at_hand("pennfudan", FILE)


def fetch() -> Path:
    """Where the archive is; downloaded into `data/`, and kept there if its content is right, when it is nowhere yet."""
    if path := find():
        return path
    path = download(URLS, tricks.ROOT / "data" / FILE, md5=None)
    try:
        encoded(path)
    except DataError:
        path.unlink()
        raise
    return path


def status() -> str:
    """A line that says where the archive is and what a check of its content says."""
    return report("pennfudan", find, lambda path: f"{len(encoded(path))} pictures, in records called {SOURCE!r}")


def encoded(path: Path) -> dict[str, tuple[bytes, bytes]]:
    """PNG bytes of each picture and of its mask, by the picture's name.

    Whatever the archive was packed with, they must be the published ones: DataError if any is missing or different.
    """
    files = {PurePosixPath(name).parts[-2:]: data for name, data in members(path, lambda name: name.endswith(".png"))}
    names = sorted(name.removesuffix(".png") for folder, *rest in files if folder == "PNGImages" for name in rest)
    again = "Delete the file and fetch it again"
    pairs = {}
    for name in names:
        mask = files.get(("PedMasks", f"{name}_mask.png"))
        if mask is None:
            raise DataError(f"{path}: the picture {name} has no mask. {again}")
        pairs[name] = files["PNGImages", f"{name}.png"], mask
    if len(pairs) != COUNT:
        counts = f"{len(pairs)} pictures, Penn-Fudan has {COUNT}"
        raise DataError(f"{path} has {counts}: it is incomplete or another archive. {again}")
    found = hashlib.sha256(b"".join(data for pair in pairs.values() for data in pair)).hexdigest()
    if found != CONTENT:
        raise DataError(f"{path}: pictures and masks have sha256 {found}, the published ones {CONTENT}. {again}")
    return pairs


def read(path: Path) -> list[Scene]:
    """All scenes, by name; the mask's number k is the k-th person of the annotation."""
    scenes = []
    for name, (picture, mask) in encoded(path).items():
        with Image.open(io.BytesIO(picture)) as image, Image.open(io.BytesIO(mask)) as instances:
            numbers = np.array(instances)
            scenes.append(scene_of(name, np.array(image.convert("RGB")), numbers, [1] * int(numbers.max())))
    return scenes
