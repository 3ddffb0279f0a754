"""Archives, read in place and to their end. Nothing is ever extracted."""

import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from tricks.data.files import DataError, read_error

ARCHIVES = (".tar", ".tgz", ".tar.gz", ".zip")  # endings that `members` reads


def members(path: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    """Name and content of every file in an archive whose name is `wanted`, in the archive's order.

    A name is only ever a name: no path is made of it. DataError if the archive is truncated, damaged, not what its name
    says, or holds a name that points outside of it.
    """
    try:
        yield from _zip(path, wanted) if path.name.lower().endswith(".zip") else _tar(path, wanted)
    except DataError:
        raise
    except PermissionError as error:
        raise read_error(path, error) from error
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
        outside = f"{path} holds the name {name!r}, which points outside the archive; nothing was written"
        raise DataError(f"{outside}. Do not trust this file: pack the class folders again")
