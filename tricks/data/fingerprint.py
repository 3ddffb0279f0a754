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
from tricks.data.files import digest, write_atomic

SETTLED = 2  # seconds after which a change has another date, on every file system


def fingerprint(path: Path) -> str:
    """Hex digits that change with the content: of a file's bytes, or of the names, sizes and dates in a folder."""
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
    stats = ((name, (path / name).stat()) for name in (files_below(path) if path.is_dir() else [""]))
    listing = "\n".join(f"{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in stats)
    return hashlib.sha256(listing.encode()).hexdigest()


def files_below(folder: Path) -> Iterator[str]:
    """Names of all files below a folder, in a fixed order."""
    for parent, subfolders, files in os.walk(folder, followlinks=True):
        subfolders.sort()
        yield from (Path(parent, file).relative_to(folder).as_posix() for file in sorted(files))
