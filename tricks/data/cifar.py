"""The published CIFAR-10: pickles, opened only after their checksums match."""

import hashlib
import pickle
from pathlib import Path, PurePosixPath

import numpy as np

from tricks.data.archive import members
from tricks.data.files import DataError, read_error

# torchvision has these as well, but takes seconds to import, and to look for a file must not
ARCHIVE = "cifar-10-python.tar.gz"
MD5 = "c58f30108f718f92721af3b95e74349a"
FOLDER = "cifar-10-batches-py"  # what the archive holds
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def read(path: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Images uint8 (N, 32, 32, 3) and classes int64 (N,) to train on, then to test on, in their published order.

    `path` is the published archive or its unpacked folder. A pickle can run any code, so each is loaded only if its md5
    is the published one; DataError names the file that differs or is missing.
    """
    from torchvision.datasets import CIFAR10

    wanted = dict(CIFAR10.train_list + CIFAR10.test_list)  # md5 by file name
    if path.is_dir():
        try:
            content = {name: (path / name).read_bytes() for name in wanted if (path / name).is_file()}
        except PermissionError as error:
            raise read_error(Path(error.filename), error) from error
    else:
        found = members(path, lambda name: PurePosixPath(name).name in wanted)
        content = {PurePosixPath(name).name: data for name, data in found}
    for name, md5 in wanted.items():
        if name not in content:
            raise DataError(f"{path} lacks {name}: it is incomplete. Delete it and fetch it again")
        if (has := hashlib.md5(content[name]).hexdigest()) != md5:
            raise DataError(
                f"{path}: {name} has md5 {has}, the published file {md5}. It was not opened, because a pickle can "
                "run any code. Delete it and fetch it again"
            )
    parts = []
    for part in (CIFAR10.train_list, CIFAR10.test_list):
        batches = [pickle.loads(content[name], encoding="latin1") for name, _ in part]
        rows = np.concatenate([batch["data"] for batch in batches])
        labels = np.concatenate([batch["labels"] for batch in batches], dtype=np.int64)
        parts.append((rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), labels))
    return parts
