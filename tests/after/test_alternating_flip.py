"""Alternating flips: a coin in epoch 0, all turned over in odd ones, and everything else as without them."""

import numpy as np
import pytest
import torch
from PIL import Image

from tricks.after.alternating_flip import alternate
from tricks.data import stream
from tricks.data.loader import DeviceLoader
from tricks.data.stream import StreamLoader

LEFT = np.zeros((40, 40, 3), np.uint8)
LEFT[:, :20] = 255


def test_every_two_epochs_have_both_sides():
    coins = torch.tensor([True, False, True])
    assert [alternate(coins, epoch).tolist() for epoch in range(4)] == [[True, False, True], [False, True, False]] * 2


def loader(n, folder=None, **kwargs):
    """Pictures that are white on their left, labelled by their number."""
    options = {"image_size": 32, "batch_size": 8, "augment": "crop_flip", "train": True, "seed": 3, "device": "cpu"}
    if folder is None:
        return DeviceLoader(np.repeat(LEFT[None], n, 0), np.arange(n), n, **options | kwargs)
    Image.fromarray(LEFT).save(folder / "left.png")
    return StreamLoader(np.array([str(folder / "left.png")] * n), np.arange(n), n, **options | kwargs)


def mirrored(of, epoch):
    """Which pictures are mirrored, by number, and their pixels."""
    x, y = (torch.cat(part) for part in zip(*of.epoch(epoch), strict=True))
    x = x[y.argsort()]
    return x[:, 0, :, :8].mean((1, 2)) < x[:, 0, :, -8:].mean((1, 2)), x


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("augment", ["crop_flip", "paper"])
def test_the_loaders_turn_every_picture_over_from_epoch_to_epoch(augment, streamed, tmp_path, monkeypatch):
    monkeypatch.setattr(stream, "WORKERS", 0)
    folder = tmp_path if streamed else None
    ours = loader(64, folder, augment=augment, alternating_flip=True)
    seen = [mirrored(ours, epoch)[0] for epoch in range(4)]
    if augment == "paper":  # a box may show one side alone
        agree = torch.stack([a == ~b for a, b in zip(seen, seen[1:], strict=False)]).float().mean()
        assert agree > 0.8
    else:
        assert 16 < int(seen[0].sum()) < 48
        assert torch.equal(seen[0], ~seen[1]) and torch.equal(seen[0], seen[2]) and torch.equal(seen[1], seen[3])
        assert not torch.equal(seen[0], mirrored(loader(64, folder, alternating_flip=True, seed=4), 0)[0])


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("augment", ["crop_flip", "paper"])
def test_crops_and_colours_are_those_without_it(augment, streamed, tmp_path, monkeypatch):
    monkeypatch.setattr(stream, "WORKERS", 0)
    folder = tmp_path if streamed else None
    plain, ours = (mirrored(loader(16, folder, augment=augment, alternating_flip=on), 1)[1] for on in (False, True))
    same = [
        torch.allclose(a, b, atol=1e-4) or torch.allclose(a.flip(-1), b, atol=1e-4)
        for a, b in zip(plain, ours, strict=True)
    ]
    assert all(same) and not torch.equal(plain, ours)


def test_processes_share_the_batches_of_one():
    whole = [x for x, _ in loader(32, alternating_flip=True).epoch(1)]
    halves = [[x for x, _ in loader(32, alternating_flip=True, rank=rank, world=2).epoch(1)] for rank in range(2)]
    assert torch.equal(torch.cat(whole), torch.cat([torch.cat(parts) for parts in zip(*halves, strict=True)]))
