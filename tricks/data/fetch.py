"""Downloads: size and rate shown, continued after an interruption, checked before they count."""

import http.client
import os
import ssl
import urllib.error
import urllib.request
import uuid
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from tricks.data.files import DataError, digest, write_error

TIMEOUT = 15  # seconds without a byte
BLOCK = 1 << 16  # bytes between two looks at the clock
NETWORK_ERRORS = (urllib.error.URLError, http.client.HTTPException, ssl.SSLError, TimeoutError, ConnectionError)


def download(urls: Sequence[str], target: Path, md5: str | None) -> Path:
    """The file `target` with this md5, from the first address that delivers it; with None, the caller checks it.

    What an interrupted download left behind, `target` + ".part", is continued, from whichever address. DataError says
    why each address failed and what to do instead, or that the disk is full or cannot be written to.
    """
    failures = []
    for url in urls:
        # A name of its own for the part in progress: two processes never write into one file.
        mine = target.with_name(f"{target.name}.part-{uuid.uuid4().hex[:8]}")
        left = target.with_name(f"{target.name}.part")
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
    raise DataError(
        f"{target.name} could not be fetched:\n  "
        + "\n  ".join(failures)
        + f"\nPut {which} into {target.parent}, or set the variable TRICKS_DATA to a folder that has it"
    )


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
