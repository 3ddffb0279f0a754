"""Where data sets are, what a check of them says, and how they get here: downloads that go on where they stopped."""

import http.client
import os
import ssl
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

from tqdm import tqdm

import tricks
from tricks.data.files import DataError, digest, write_error
from tricks.data.fingerprint import files_below, remembered

TIMEOUT = 15  # seconds without a byte
BLOCK = 1 << 16  # bytes between two looks at the clock
NETWORK_ERRORS = (urllib.error.URLError, http.client.HTTPException, ssl.SSLError, TimeoutError, ConnectionError)


def places() -> list[Path]:
    """Where data sets are looked for: `data/` in the course folder, then the folder in the variable TRICKS_DATA."""
    extra = os.environ.get("TRICKS_DATA")
    if extra and not Path(extra).is_dir():
        raise DataError(f"TRICKS_DATA = {extra}: there is no such folder. Correct the variable or unset it")
    return [tricks.ROOT / "data", *([Path(extra)] if extra else [])]


def at_hand(*names: str) -> Path | None:
    """The first file or folder with one of these names, or None."""
    return next((path for place in places() for name in names if (path := place / name).exists()), None)


def report(name: str, find: Callable[[], Path | None], verify: Callable[[Path], str]) -> str:
    """A line that says where a data set is, its size, and what a check says, which is made once for each content."""
    try:
        path = find()
        if path is None:
            return f"{name:<12} not here; ./course data {name} --fetch gets it"
        files = map(path.joinpath, files_below(path)) if path.is_dir() else [path]
        size = sum(file.stat().st_size for file in files)
        said = remembered(f"check of {name}", path, lambda: verify(path))
        return f"{name:<12} {path} ({size / 1e6:,.0f} MB): verified, {said}"
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
        bar = tqdm(desc="download", total=have + length or None, initial=have, unit="B", unit_scale=True)
        with bar, part.open("ab" if have else "wb") as file:
            while block := response.read(BLOCK):
                file.write(block)
                bar.update(len(block))
        if length and part.stat().st_size < have + length:
            raise ConnectionError(f"the connection ended at {part.stat().st_size:,} of {have + length:,} bytes")
