"""Progress bars: on stderr in a terminal, in a notebook where they are neither red nor kept."""

import sys
from typing import Any

from tqdm import tqdm


def progress_bar(**look: Any) -> tqdm:
    """A bar of tqdm. A notebook shows stderr as an error, so there it is on stdout, and gone when it is full."""
    if type(sys.stderr).__module__.startswith("ipykernel"):
        look |= {"file": sys.stdout, "leave": False}
    return tqdm(**look)
