"""Whether a file or folder is still the one it was, and what was found out about it when it was."""

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import tricks
from tricks.data.files import DataError, digest, write_atomic
from tricks.data.layout import is_picture, is_system

SETTLED = 2  # seconds after which a change has another date, on every file system


def fingerprint(path: Path) -> str:
    """Hex digits that change with the content: of a file's bytes, or of the names and stamps of files in a folder."""
    return _stamp(path) if path.is_dir() else remembered("sha256", path, lambda: digest(path))


def remembered(what: str, path: Path, find_out: Callable[[], str]) -> str:
    """`find_out()`, or what that said when names, sizes and dates at `path` were the same.

    `what` says what is found out. It is kept in data/cache/remembered.json, which may be deleted at any time.
    """
    file = tricks.ROOT / "data" / "cache" / "remembered.json"
    key, stamp = f"{what} of {path.resolve()}", f"{_stamp(path)} {_code()}"
    settled = time.time() - path.stat().st_mtime > SETTLED
    try:
        kept = json.loads(file.read_text(encoding="utf8"))
        said = kept.get(key, {}).get(stamp)
    except (OSError, ValueError, AttributeError):  # not there yet, or damaged
        kept, said = {}, None
    if not isinstance(said, str):
        said = find_out()
        if settled:
            with contextlib.suppress(OSError):  # full disk, read-only, another process at it: it is found out again
                write_atomic(file, json.dumps(kept | {key: {stamp: said}}, indent=1).encode())
    return said


@cache
def _code() -> int:
    """When the newest of these modules was changed: other code may find out otherwise."""
    return max(file.stat().st_mtime_ns for file in Path(__file__).parent.glob("*.py"))


def _stamp(path: Path) -> str:
    """Of names, sizes, dates, and the files' numbers: two folders of files of one size and date may change places."""
    # no Path for each file: that takes longer than to look at it
    files = ((name, f"{path}/{name}") for name in files_below(path)) if path.is_dir() else [("", path)]
    stats = ((name, os.stat(file)) for name, file in files)
    listing = "\n".join(f"{name} {stat.st_size} {stat.st_mtime_ns} {stat.st_ino}" for name, stat in stats)
    return hashlib.sha256(os.fsencode(listing)).hexdigest()


def files_below(folder: Path) -> Iterator[str]:
    """Names of all files below a folder, in a fixed order, without a system's own."""
    return (name for name, is_file in names_below(folder) if is_file and not is_system(name.rpartition("/")[2]))


def names_below(folder: Path) -> Iterator[tuple[str, bool]]:
    """Names of everything below a folder, in a fixed order, and whether it is a file; a folder's name ends in "/".

    Links are followed. A system's own folders are named and not entered. DataError for a folder that cannot be read, a
    link to a folder that is read already, and a link to nothing or a device that is called as a picture is.
    """
    waiting = [("", "")]  # folders, and the link that one is
    read: dict[tuple[int, int], str] = {}  # by their place on the disk
    while waiting:
        parent, link = waiting.pop()
        try:
            about = (folder / parent).stat()
            with os.scandir(folder / parent) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            raise DataError(f"{folder / parent}: {error.strerror}. Make it readable, or move it away") from error
        place = about.st_dev, about.st_ino
        if place in read and (link or read[place]):
            again = link or read[place]
            raise DataError(f"{folder / again} is a link to a folder that is read already, or goes round: remove it")
        read[place] = link
        for entry in entries:
            name, is_link = f"{parent}{entry.name}", entry.is_symlink()
            if os.path.isdir(entry.path) if is_link else entry.is_dir():
                yield f"{name}/", False
                if not is_system(entry.name):
                    waiting.append((f"{name}/", name if is_link else ""))
                continue
            is_file = os.path.isfile(entry.path) if is_link else entry.is_file()
            # a link without an ending may have been a class folder
            lost = is_picture(name) or (is_link and not is_system(entry.name) and "." not in entry.name)
            if lost and not is_file:
                what = f"a link to {os.readlink(entry.path)}, which is not there" if is_link else "no file but a device"
                raise DataError(f"{folder / name} is {what}: remove it, or put a file in its place")
            yield name, is_file
