"""Archives and files: read in place, checked, and replaced atomically. Nothing is ever extracted."""

import contextlib
import errno
import hashlib
import os
import shutil
import tarfile
import time
import uuid
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

ARCHIVES = (".tar", ".tgz", ".tar.gz", ".zip")
DAY = 86_400  # seconds


class DataError(RuntimeError):
    """Something is wrong with data on disk or on its way here: what, where, and what to do about it."""


def is_archive(path: Path) -> bool:
    """Whether the file's name is one that `members` reads."""
    return path.name.lower().endswith(ARCHIVES)


def members(path: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    """Name and content of every file in an archive whose name is `wanted`, in the archive's order.

    A name is only ever a name: no path is made of it. DataError if the archive is truncated, damaged, not what its name
    says, or holds a name that points outside of it.
    """
    try:
        yield from _zip(path, wanted) if path.name.lower().endswith(".zip") else _tar(path, wanted)
    except DataError:
        raise
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError) as error:
        reason = str(error).partition("\n")[0].rstrip(":")  # tarfile adds a line for every format it tried
        raise DataError(
            f"{path} cannot be read to its end ({reason}): it is truncated, damaged, or no archive. "
            "Delete it and fetch it again"
        ) from error


def _tar(path: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(path) as archive:
        for member in archive:
            _check_name(path, member.name)
            if member.isfile() and wanted(member.name) and (file := archive.extractfile(member)):
                yield member.name, file.read()
        # tarfile takes a damaged header for the end, and gzip checks its sum only at the end: read on over the zeros
        while archive.fileobj and (block := archive.fileobj.read(1 << 20)):
            if block.strip(b"\0"):
                raise tarfile.ReadError("damaged header")


def _zip(path: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            _check_name(path, info.filename)
            if not info.is_dir() and wanted(info.filename):
                yield info.filename, archive.read(info)


def _check_name(path: Path, name: str) -> None:
    pure = PurePosixPath(name.replace("\\", "/"))
    if pure.is_absolute() or ".." in pure.parts:
        raise DataError(
            f"{path} holds the name {name!r}, which points outside the archive; nothing was written. "
            "Do not trust this file: pack the class folders again"
        )


def digest(path: Path, kind: str = "sha256") -> str:
    """The checksum of a file's content in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, kind).hexdigest()


def build_once(folder: Path, build: Callable[[Path], None]) -> Path:
    """`folder`, made by `build(temporary folder)` if it is not there yet: whole or not at all.

    Two processes may do this at once; one result stays. DataError if the disk is full or cannot be written to.
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


def write_error(path: Path, error: OSError) -> DataError:
    """What to do when `path` could not be written."""
    if error.errno == errno.ENOSPC:
        return DataError(f"The disk is full: {path} was not written and nothing is left of it. Free some space first")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return DataError(
            f"{path.parent} cannot be written to ({error.strerror}): make it writable, or copy the course elsewhere"
        )
    return DataError(f"{path} was not written: {error}")
