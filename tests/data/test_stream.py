"""Batches from files: the face of the on-device loader, independent of workers, and faults that name the file."""

import os
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from tricks import augment
from tricks.data import sets, stream
from tricks.data.files import DataError
from tricks.data.folders import Picture, decode
from tricks.data.loader import DeviceLoader, loaders
from tricks.data.stream import StreamLoader
from tricks.recipe import AUGMENTS, BASELINE


@pytest.fixture
def files(tmp_path, write, jpeg):
    """Paths of 22 pictures of several sizes."""
    content = {f"{i:02d}.jpg": jpeg(i, size=(50 + i, 60 - i)) for i in range(22)}
    write(tmp_path / "set", content)
    return np.array([str(tmp_path / "set" / name) for name in content])


def loader(files, **kwargs):
    options = {"image_size": 32, "batch_size": 8, "augment": "paper", "train": True, "seed": 3, "device": "cpu"}
    return StreamLoader(files, np.arange(len(files)) % 10, 10, **options | kwargs)


def pixels(batches):
    return torch.cat([x for x, _ in batches])


@pytest.mark.parametrize("kind", AUGMENTS)
def test_batches_look_like_the_device_loaders(files, kind):
    batches = list(loader(files, augment=kind))
    assert len(batches) == len(loader(files)) == 2  # 22 // 8
    for x, y in batches:
        assert x.shape == (8, 3, 32, 32)
        assert x.dtype == torch.float32
        assert x.is_contiguous(memory_format=torch.channels_last)
        assert y.shape == (8,)
        assert y.dtype == torch.int64


def test_evaluation_equals_torchvisions_resize_and_crop(files):
    batches = list(loader(files, augment="none", train=False))
    assert [len(y) for _, y in batches] == [8, 8, 6]
    assert torch.cat([y for _, y in batches]).tolist() == [i % 10 for i in range(22)]
    transform = v2.Compose([v2.Resize(37), v2.CenterCrop(32), v2.PILToTensor()])  # 37 = 32 · 256 / 224
    for x, path in zip(pixels(batches), files, strict=True):
        expected = transform(Image.open(path)).float()  # Pillow resizes, and not torch
        ours = x * torch.tensor(augment.STD)[:, None, None] + torch.tensor(augment.MEAN)[:, None, None]
        torch.testing.assert_close(ours, expected, atol=1.01, rtol=0)  # rounding, of 255


@pytest.mark.parametrize("kind", ["crop_flip", "paper"])
def test_an_epoch_depends_on_seed_and_epoch_and_not_on_the_workers(files, kind, monkeypatch):
    first = pixels(loader(files, augment=kind).epoch(1))
    torch.manual_seed(9)
    monkeypatch.setattr(stream, "WORKERS", 0)
    state = torch.get_rng_state()
    assert torch.equal(pixels(loader(files, augment=kind).epoch(1)), first)
    assert torch.equal(torch.get_rng_state(), state)  # the caller's own stream is left alone
    assert not torch.equal(pixels(loader(files, augment=kind).epoch(0)), first)
    assert not torch.equal(pixels(loader(files, augment=kind, seed=4).epoch(1)), first)


@pytest.mark.parametrize("kind", ["crop_flip", "paper"])
def test_every_sample_has_its_own_draw(files, kind, monkeypatch):
    monkeypatch.setattr(stream, "WORKERS", 0)
    x = pixels(loader(files[:1].repeat(16), augment=kind, batch_size=16))
    assert len({sample.numpy().tobytes() for sample in x}) > 10


def test_processes_share_the_batches_of_one(files, monkeypatch):
    monkeypatch.setattr(stream, "WORKERS", 0)
    whole = list(loader(files))
    ranks = [list(loader(files, rank=rank, world=2)) for rank in range(2)]
    for (x, y), parts in zip(whole, zip(*ranks, strict=True), strict=True):
        torch.testing.assert_close(torch.cat([part for part, _ in parts]), x)
        assert torch.equal(torch.cat([labels for _, labels in parts]), y)


def test_a_last_batch_may_be_smaller_than_the_processes_are_many(files, monkeypatch):
    monkeypatch.setattr(stream, "WORKERS", 0)
    ranks = [torch.cat([y for _, y in loader(files[:9], train=False, rank=rank, world=4)]) for rank in range(4)]
    assert sorted(torch.cat(ranks).tolist()) == list(range(9))


def test_a_picture_of_16_bits_is_read_as_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(stream, "WORKERS", 0)
    values = np.linspace(0, 65535, 37 * 37).reshape(37, 37).astype("uint16")
    Image.fromarray(values).save(tmp_path / "x.png")
    x = pixels(loader(np.array([str(tmp_path / "x.png")]), augment="none", train=False))
    ours = x * torch.tensor(augment.STD)[:, None, None] + torch.tensor(augment.MEAN)[:, None, None]
    middle = decode(Picture("", tmp_path / "x.png"), 37)[2:34, 2:34].astype("float32")
    torch.testing.assert_close(ours[0].permute(1, 2, 0), torch.from_numpy(middle), atol=0.01, rtol=0)


def test_a_file_that_does_not_decode_is_named(files, monkeypatch):
    monkeypatch.setattr(stream, "WORKERS", 0)
    with open(files[5], "wb") as file:
        file.write(b"<html>")
    with pytest.raises(DataError, match="05.jpg does not decode .* Repair or remove it"):
        list(loader(files))


def test_a_file_that_a_worker_cannot_decode_is_named_without_its_traceback(files, monkeypatch):
    monkeypatch.setattr(stream, "workers", lambda _: 1)
    with open(files[5], "wb") as file:
        file.write(b"<html>")
    with pytest.raises(DataError) as caught:
        list(loader(files))
    said = str(caught.value)
    assert said.startswith(files[5]) and said.endswith("Repair or remove it") and "\n" not in said


class Ends(torch.utils.data.Dataset):
    """In a worker process, what happens there when shared memory is full."""

    def __init__(self, how):
        self.how = how

    def __len__(self):
        return 2

    def __getitem__(self, _):
        if self.how == "no room":
            raise RuntimeError("unable to write to file </torch_1>: No space left on device (28)")
        os.kill(os.getpid(), self.how)


@pytest.mark.skipif(not hasattr(signal, "SIGBUS"), reason="no such signal")
@pytest.mark.parametrize("how", [signal.SIGBUS, signal.SIGKILL, "no room"], ids=["bus error", "killed", "no room"])
def test_a_worker_that_ends_says_how_it_gets_more_shared_memory(how):
    with pytest.raises(MemoryError, match="shared memory, /dev/shm .*docker run --shm-size=8g") as caught:
        list(stream.read_ahead(torch.utils.data.DataLoader(Ends(how), num_workers=1)))
    assert "\n" not in str(caught.value)


def test_other_errors_of_a_worker_stay_what_they_are():
    def broken():
        raise RuntimeError("something else")
        yield

    with pytest.raises(RuntimeError, match="something else"):
        list(stream.read_ahead(broken()))


def test_a_batch_that_does_not_fit_is_refused(files):
    with pytest.raises(ValueError, match="batch_size = 23 is more than the 22 training images"):
        loader(files, batch_size=23)


def test_a_large_folder_is_streamed_and_a_small_one_is_not(course, tmp_path, write, pictures, monkeypatch):
    path = str(write(tmp_path / "set", pictures({"ant": 10, "dog": 10})))
    recipe = replace(BASELINE, dataset=path, batch_size=4)
    monkeypatch.setattr(stream, "WORKERS", 0)
    for limit, kind in ((1 << 30, DeviceLoader), (1_000, StreamLoader)):
        monkeypatch.setattr(sets, "STREAM_BYTES", limit)
        parts = loaders(recipe, sets.load(path), seed=0, device="cpu")
        assert {type(part) for part in parts} == {kind}
        assert [len(part.labels) for part in parts] == [14, 14, 6, 6]
        assert next(iter(parts[0]))[0].shape == (4, 3, 32, 32)
