"""The published CIFAR-10: pickles, opened only after their checksums match."""

import hashlib
import pickle
from pathlib import Path, PurePosixPath

from tricks.data.archive import members
from tricks.data.files import DataError
from tricks.data.folders import Picture, Tree

ARCHIVE = "cifar-10-python.tar.gz"
FOLDER = "cifar-10-batches-py"  # what the archive holds
ARCHIVE_MD5 = "c58f30108f718f92721af3b95e74349a"
TRAIN_MD5 = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
}
TEST_MD5 = {"test_batch": "40351d587109b95175f43aff81a1287e"}
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def read_batches(path: Path) -> Tree:
    """CIFAR-10 from the published archive or its unpacked folder, in its published order.

    A pickle can run any code, so each is loaded only if its md5 is the published one; DataError names the file that
    differs or is missing.
    """
    wanted = TRAIN_MD5 | TEST_MD5
    if path.is_dir():
        content = {name: (path / name).read_bytes() for name in wanted if (path / name).is_file()}
    else:
        content = {
            PurePosixPath(name).name: data
            for name, data in members(path, lambda name: PurePosixPath(name).name in wanted)
        }
    for name, md5 in wanted.items():
        if name not in content:
            raise DataError(f"{path} lacks {name}: it is incomplete. Delete it and fetch it again")
        found = hashlib.md5(content[name]).hexdigest()
        if found != md5:
            raise DataError(
                f"{path}: {name} has md5 {found}, the published file {md5}. It was not opened, because a pickle can "
                "run any code. Delete it and fetch it again"
            )
    return Tree(CLASSES, _pictures(content, TRAIN_MD5), _pictures(content, TEST_MD5))


def _pictures(content: dict[str, bytes], names: dict[str, str]) -> list[Picture]:
    pictures = []
    for name in names:
        batch = pickle.loads(content[name], encoding="latin1")
        pixels = batch["data"].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        pictures += [Picture(f, x, y) for f, x, y in zip(batch["filenames"], pixels, batch["labels"], strict=True)]
    return pictures
