"""Files and folders that are whole or not there. Everything may stand on this module, which imports nothing of ours."""

import contextlib
import errno
import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Callable
from pathlib import Path

DAY = 86_400  # seconds


class DataError(RuntimeError):
    """Something is wrong with data on disk or on its way here: what, where, and what to do about it."""


class WriteError(DataError, OSError):
    """A file or a folder could not be written; what was there before is as it was."""


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file so that a reader, a full disk or a killed process never sees half of it; its folder is made.

    One process at a time may write a path: its callers hold a lock. What a killed process left is overwritten.
    WriteError with the path and what to do, and then what the file held before is still there.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
        os.replace(part, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise write_error(path, error) from error


def digest(path: Path, kind: str = "sha256") -> str:
    """The checksum of a file's content in hex. DataError if it may not be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, kind).hexdigest()
    except PermissionError as error:
        raise read_error(path, error) from error


def build_once(folder: Path, build: Callable[[Path], None]) -> Path:
    """`folder`, made by `build(temporary folder)` if it is not there yet: whole or not at all.

    Two processes may do this at once; one result stays. WriteError if the disk is full or cannot be written to.
    """
    if folder.is_dir():
        return folder
    temporary = folder.with_name(f".{folder.name}-{uuid.uuid4().hex[:8]}")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(folder.parent)
        temporary.mkdir()
        build(temporary)
        try:
            os.replace(temporary, folder)
        except OSError:
            if not folder.is_dir():  # else another process was first
                raise
    except OSError as error:
        raise write_error(folder, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _remove_abandoned(parent: Path) -> None:
    """Remove temporary folders that a killed process left here."""
    for temporary in parent.glob(".*"):
        with contextlib.suppress(OSError):  # its process may finish just now
            if time.time() - temporary.stat().st_mtime > DAY:
                shutil.rmtree(temporary)


def read_error(path: Path, error: OSError) -> DataError:
    """What to do when `path` could not be read."""
    return DataError(f"{path} cannot be read ({error.strerror}): make it readable for you, or ask whoever owns it")


def write_error(path: Path, error: OSError) -> WriteError:
    """What to do when `path` could not be written."""
    old = os.path.exists(path)  # unlike Path's, False where the folder may not be looked into
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        left = "holds what it did before" if old else "nothing is left of it"
        return WriteError(f"The disk is full: {path} was not written and {left}. Free some space first")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        mend = "make it writable, or copy the course elsewhere"
        mend = f"close {path.name} if a program has it open, {mend}" if old else mend
        return WriteError(f"{path.parent} cannot be written to ({error.strerror}): {mend}")
    return WriteError(f"{path} was not written: {error}")
