"""Where data sets are, what a check of them says, and how they get here: downloads that go on where they stopped."""

import difflib
import errno
import http.client
import os
import re
import ssl
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

import tricks
from tricks.data.bars import progress_bar
from tricks.data.files import DataError, digest, read_error, write_error
from tricks.data.fingerprint import files_below, remembered

TIMEOUT = 15  # seconds without a byte
BLOCK = 1 << 16  # bytes between two looks at the clock
NETWORK_ERRORS = (urllib.error.URLError, http.client.HTTPException, ssl.SSLError, TimeoutError, ConnectionError)


def places() -> list[Path]:
    """Where data sets are looked for: `data/` in the course folder, then the folders in the variable TRICKS_DATA.

    They are separated as in PATH; `~` and names of variables are expanded, a relative one is below the caller's folder.
    """
    found, text = [tricks.ROOT / "data"], os.environ.get("TRICKS_DATA", "")
    for part in [text] if os.path.isdir(text) else text.split(os.pathsep):
        if not (part := part.strip(" \t\r\n'\"")):
            continue
        place = Path(os.path.expandvars(os.path.expanduser(part))).absolute()
        meant = f"TRICKS_DATA = {part}" + (f", which is {place}" if str(place) != part else "")
        if place.is_file():
            raise DataError(f"{meant}: that is a file. Give the folder that holds it, {place.parent}")
        if not place.is_dir():
            raise DataError(f"{meant}: there is no such folder. Correct the variable or unset it")
        if not os.access(place, os.R_OK | os.X_OK):
            raise read_error(place, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))
        found.append(place)
    return found


def at_hand(known: str, *names: str) -> Path | None:
    """The first file or folder with one of these names, or None.

    It may also lie in a folder that has the name of the data set, `known`, in any spelling: torchvision keeps it so.
    """
    for place in places():
        inside = (
            [place / name for name in sorted(os.listdir(place)) if spelling(name) == known] if place.is_dir() else []
        )
        paths = [folder / name for folder in (place, *inside) for name in names if name != known]
        paths += [place / name for name in names if name == known]  # a folder of this name may itself be the data set
        if found := next((path for path in paths if path.exists()), None):
            return found
    return None


def spelling(name: str) -> str:
    """A name without what spellings differ in: upper case, hyphens, spaces."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def no_such(what: str, name: str, names: Sequence[str]) -> ValueError:
    """What to say when `name` is none of these names: the one that is meant."""
    for known in names:
        if spelling(known) == spelling(name):
            return ValueError(f"The {what} {name!r} is called {known!r} here")
    near = difflib.get_close_matches(spelling(name), names, n=1, cutoff=0.0)[0]
    return ValueError(f"No {what} {name!r}: there are {', '.join(names)}. Nearest: {near!r}")


def report(name: str, find: Callable[[], Path | None], verify: Callable[[Path], str]) -> str:
    """A line that says where a data set is, its size, and what a check says, which is made once for each content."""
    try:
        path = find()
        if path is None:
            return f"{name:<12} not here; ./course data {name} --fetch gets it"

        def check() -> str:
            files = map(path.joinpath, files_below(path)) if path.is_dir() else [path]
            size = sum(file.stat().st_size for file in files)
            return f"({size / 1e6:,.0f} MB): verified, {verify(path)}"

        return f"{name:<12} {path} {remembered(f'check of {name}', path, check)}"
    except (DataError, OSError) as error:
        return f"{name:<12} not usable: {error}"


def download(urls: Sequence[str], target: Path, md5: str | None) -> Path:
    """The file `target` with this md5, from the first address that delivers it; with None, the caller checks it.

    What an interrupted download left behind, `target` + ".part", is continued, from whichever address. DataError says
    why each address failed and what to do instead, or that the disk is full or cannot be written to.
    """
    failures = []
    left = target.with_name(f"{target.name}.part")
    mine = left.with_name(f"{left.name}-{uuid.uuid4().hex[:8]}")  # two processes never write into one file
    for url in urls:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            mine.touch()
            if left.exists():
                os.replace(left, mine)
            _continue(url, mine)
            found = digest(mine, "md5")
            if md5 in (found, None):
                os.replace(mine, target)
                return target
            mine.unlink()
            failures.append(f"{url}: the file has md5 {found}, not {md5}; it was deleted")
        except NETWORK_ERRORS as error:
            failures.append(f"{url}: {getattr(error, 'reason', error)}")
        except OSError as error:
            mine.unlink(missing_ok=True)
            raise write_error(target, error) from error
        finally:
            if mine.exists() and mine.stat().st_size:
                os.replace(mine, left)
            mine.unlink(missing_ok=True)
    which = f"the file (md5 {md5})" if md5 else "the file"
    last = f"Put {which} into {target.parent}, or set the variable TRICKS_DATA to a folder that has it"
    raise DataError("\n".join([f"{target.name} could not be fetched:", *(f"  {each}" for each in failures), last]))


def _continue(url: str, part: Path) -> None:
    """Append to `part` what the server has beyond it. ConnectionError when the connection ends early."""
    have = part.stat().st_size
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing beyond it: complete, or not this file at all, which the checksum tells
            return
        raise
    with response:
        if response.status != 206:  # the server sends the whole file, whatever was asked for
            have = 0
        length = int(response.headers.get("Content-Length") or 0)
        print(f"{url}\nStop with Ctrl-C, in a notebook with the ■ button; the next start continues from there.")
        bar = progress_bar(desc="download", total=have + length or None, initial=have, unit="B", unit_scale=True)
        with bar, part.open("ab" if have else "wb") as file:
            while block := response.read(BLOCK):
                file.write(block)
                bar.update(len(block))
        if length and part.stat().st_size < have + length:
            raise ConnectionError(f"the connection ended at {part.stat().st_size:,} of {have + length:,} bytes")
