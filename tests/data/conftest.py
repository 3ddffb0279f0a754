"""Small class folders and archives, in a course folder of their own, without a network."""

import io
import tarfile
import urllib.error
import urllib.request
import zipfile

import numpy as np
import pytest
from PIL import Image

import tricks


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course folder with an empty `data/`; no TRICKS_DATA, and every address unreachable."""

    def unreachable(request, timeout):
        raise urllib.error.URLError("no route to host")

    root = tmp_path / "course"
    (root / "data").mkdir(parents=True)
    monkeypatch.setattr(tricks, "ROOT", root)
    monkeypatch.setattr(urllib.request, "urlopen", unreachable)
    monkeypatch.delenv("TRICKS_DATA", raising=False)
    return root


@pytest.fixture(scope="session")
def jpeg():
    """`jpeg(seed)`: the bytes of a small picture that differs from every other seed's."""

    def encode(seed=0, size=(40, 36)):
        pixels = np.random.RandomState(seed).randint(0, 256, (4, 4, 3), dtype=np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels).resize(size).save(file, "JPEG")
        return file.getvalue()

    return encode


@pytest.fixture(scope="session")
def pictures(jpeg):
    """`pictures({"train/cat": 3, ...})`: names of picture files in these class folders, and their bytes."""

    def make(counts):
        names = [f"{folder}/{i:03d}.jpg" for folder, count in counts.items() for i in range(count)]
        return {name: jpeg(seed) for seed, name in enumerate(names)}

    return make


@pytest.fixture(scope="session")
def write():
    """`write(path, {name: bytes})`: a folder, or an archive if the path is called one; returns the path.

    A name that ends in "/" is a folder's.
    """

    def files(path, content):
        if path.suffix == ".zip":
            with zipfile.ZipFile(path, "w") as archive:
                for name, data in content.items():
                    archive.writestr(name, data)
        elif path.suffix in (".tar", ".tgz", ".gz"):
            with tarfile.open(path, "w" if path.suffix == ".tar" else "w:gz") as archive:
                for name, data in content.items():
                    info = tarfile.TarInfo(name)
                    info.size = len(data)
                    info.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
                    archive.addfile(info, io.BytesIO(data))
        else:
            for name, data in content.items():
                (path / name if name.endswith("/") else (path / name).parent).mkdir(parents=True, exist_ok=True)
                if not name.endswith("/"):
                    (path / name).write_bytes(data)
        return path

    return files
