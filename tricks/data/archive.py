"""Archives, read in place and to their end. Nothing is ever extracted."""

import lzma
import posixpath
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from tricks.data.files import DataError
from tricks.data.layout import decoded, is_system

ARCHIVES = (".tar", ".tgz", ".tar.gz", ".zip")  # endings that `members` reads
# ValueError: a name that is not in the encoding that it says, an offset before the file's start
DAMAGED = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    OSError,
    ValueError,
)
UTF8 = 0x800  # the flag of a name in UTF-8
UNICODE_PATH = 0x7075  # Info-ZIP's extra field: version, CRC-32 of the name that it is for, the name in UTF-8


@dataclass(frozen=True)
class _Member:
    """One entry: a folder, a link to `target`, a file that `read` reads, or, with none of these, a device or pipe."""

    name: str
    folder: bool = False
    target: str = ""
    read: Callable[[], bytes] | None = None


def members(path: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    """Name and content of every file in an archive whose name is `wanted`, in the archive's order, links at the end.

    A name is only ever a name: no path is made of it. DataError if the archive is truncated, damaged, not what its name
    says, or holds a name that points outside of it, or a link to nothing.
    """
    yield from ((name, data) for name, data in entries(path, wanted) if data is not None)


def entries(path: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes | None]]:
    """The same with all other names, which have no content; those of folders end in "/"."""
    try:
        if path.name.lower().endswith(".zip"):
            with zipfile.ZipFile(path) as archive:
                yield from _entries(path, _zip(path, archive), wanted)
        else:
            with tarfile.open(path) as archive:
                yield from _entries(path, _tar(archive), wanted)
    except DAMAGED as error:
        reason = str(error).partition("\n")[0].rstrip(":")  # tarfile adds a line for every format it tried
        damage = f"{path} cannot be read to its end ({reason}): it is truncated, damaged, or no archive"
        raise DataError(f"{damage}. Delete it and fetch it again, or pack it again") from error


def _entries(path: Path, found: Iterator[_Member], wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes | None]]:
    files, folders, links = {}, set(), {}
    for member in found:
        name = _plain(path, member.name)
        if name == ".":  # where tar was called
            continue
        if member.folder:
            folders.add(name)
            yield f"{name}/", None
        elif member.target:
            links[name] = member.target
        elif member.read:
            files[name] = member.read
            yield name, member.read() if wanted(name) else None
        elif wanted(name):
            raise DataError(
                f"{path}: {name} is no file but a device or a pipe. Pack it without, or with a file instead"
            )
        else:
            yield name, None
    if not links:
        return
    folders.update(str(parent) for name in files for parent in PurePosixPath(name).parents)
    position = {name: number for number, name in enumerate(files)}
    ends = {name: _end(links, name) for name in links}
    # in the order of the archive, because a tar.gz can only be read forwards
    for name, end in sorted(ends.items(), key=lambda link: position.get(link[1], -1)):
        lost = end in folders or (end not in files and (wanted(name) or not PurePosixPath(name).suffix))
        if lost and not any(map(is_system, PurePosixPath(name).parts)):
            what = "a folder" if end in folders else "which is no file in the archive"
            do = "Pack it again with files in the place of links, as tar --dereference does"
            raise DataError(f"{path}: {name} is a link to {links[name]}, {what}. {do}")
        yield name, files[end]() if end in files and wanted(name) else None


def _end(links: dict[str, str], name: str) -> str:
    """What a link, or a chain of them, comes to."""
    seen = {name}
    while (name := links.get(name, "")) and name in links and name not in seen:
        seen.add(name)
    return name


def _plain(path: Path, name: str) -> str:
    """The name with "/" between its parts, also from an old program for Windows, and without "./"."""
    pure = PurePosixPath(name.replace("\\", "/"))
    if pure.is_absolute() or ".." in pure.parts or re.match("[A-Za-z]:$", pure.parts[0] if pure.parts else ""):
        outside = f"{path} holds the name {name!r}, which points outside the archive; nothing was written"
        raise DataError(f"{outside}. Do not trust this file: pack the class folders again")
    return str(pure)


def _beside(name: str, target: str) -> str:
    """What a symbolic link at `name` points to, from the archive's top."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(posixpath.normpath(name)), target))


def _tar(archive: tarfile.TarFile) -> Iterator[_Member]:
    for member in archive:
        if member.isdir():
            yield _Member(member.name, folder=True)
        elif member.issym():
            yield _Member(member.name, target=_beside(member.name, member.linkname))
        elif member.islnk():
            yield _Member(member.name, target=posixpath.normpath(member.linkname))
        elif member.isfile():
            yield _Member(member.name, read=partial(_read_tar, archive, member))
        else:
            yield _Member(member.name)
    # tarfile takes a damaged header for the end, and gzip checks its sum only at the end: read on over the zeros
    while archive.fileobj and (block := archive.fileobj.read(1 << 20)):
        if block.strip(b"\0"):
            raise tarfile.ReadError("damaged header")


def _read_tar(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    return file.read() if file else b""


def _zip(path: Path, archive: zipfile.ZipFile) -> Iterator[_Member]:
    infos = archive.infolist()
    for info, name in zip(infos, _zip_names(infos), strict=True):
        read = partial(_read_zip, path, archive, info, name)
        if name.endswith(("/", "\\")):
            yield _Member(name, folder=True)
        elif stat.S_ISLNK(info.external_attr >> 16):
            yield _Member(name, target=_beside(name, read().decode(errors="surrogateescape")))
        else:
            yield _Member(name, read=read)


def _zip_names(infos: list[zipfile.ZipInfo]) -> list[str]:
    """Names as they were meant: zipfile takes those that do not say to be UTF-8 for cp437."""
    raw = {number: info.orig_filename.encode("cp437") for number, info in enumerate(infos) if not info.flag_bits & UTF8}
    names = dict(zip(raw, decoded(list(raw.values())), strict=True))
    names |= {number: better for number in raw if (better := _unicode_path(infos[number].extra, raw[number]))}
    return [names.get(number, info.filename) for number, info in enumerate(infos)]


def _unicode_path(extra: bytes, raw: bytes) -> str:
    """What Info-ZIP's extra field says for this name, or ""."""
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<HH", extra)
        content, extra = extra[4 : 4 + length], extra[4 + length :]
        if kind == UNICODE_PATH and content[:5] == b"\1" + zlib.crc32(raw).to_bytes(4, "little"):
            return content[5:].decode()
    return ""


def _read_zip(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> bytes:
    if info.flag_bits & 1:
        do = "Unpack it and give the folder, or pack it anew without a password"
        raise DataError(f"{path}: {name} is encrypted. {do}")
    try:
        return archive.read(info)
    except RuntimeError as error:  # NotImplementedError, or a module that this Python was built without
        kind = info.compress_type
        method = getattr(zipfile, "compressor_names", {}).get(kind, "unknown").capitalize()
        do = "which this Python cannot unpack. Unpack it and give the folder, or pack it anew with normal Deflate"
        raise DataError(f"{path}: {name} is packed with method {kind} ({method}), {do}") from error
