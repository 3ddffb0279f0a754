"""TrivialAugment against torchvision's `TrivialAugmentWide`: each change at each strength, pixel by pixel."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from tricks import augment
from tricks.after.trivial_augment import OPS, STEPS, draw_changes, group, trivial_augment
from tricks.data import stream
from tricks.data.loader import DeviceLoader
from tricks.data.stream import StreamLoader
from tricks.process import Purpose, generator

THEIRS = v2.TrivialAugmentWide()
SPACE = v2.TrivialAugmentWide._AUGMENTATION_SPACE
# How much may differ, in levels of 255 and in the share of pixels: floats are rounded down to whole levels, and a
# turned pixel may lie as near to two others as rounding can tell
ROUNDED = {"Brightness": (1, 0.02), "Color": (1, 0.02), "Contrast": (1, 0.02), "Sharpness": (1, 0.02)}
TOLERANCE = {name: (0, 0.0) for name in OPS} | ROUNDED | {"Rotate": (255, 0.01)}
MAGNITUDES = {  # torchvision's own are float32, in which half of 32 px is less than 16
    "TranslateX": lambda k: 32 * k / STEPS,
    "TranslateY": lambda k: 32 * k / STEPS,
    "Solarize": lambda k: 1 - k / STEPS,
}


def pictures(side):
    """Noise, a soft picture, one of a single colour per channel, ramps."""
    noise = torch.randint(0, 256, (4, 3, side, side), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    noise[1] = noise[1] // 4 + 60
    noise[2] = torch.tensor([7, 255, 0], dtype=torch.uint8)[:, None, None]
    noise[3] = torch.linspace(0, 255, side).byte()
    return noise.contiguous(memory_format=torch.channels_last)


def magnitude(name, k):
    """What torchvision calls the strength k / 30."""
    if name in MAGNITUDES:
        return MAGNITUDES[name](k)
    values = SPACE[name][0](STEPS + 1, 32, 32)
    return 0.0 if values is None else float(values[k])


def test_the_changes_are_torchvisions():
    assert list(OPS) == list(SPACE) and THEIRS.num_magnitude_bins == STEPS + 1


@pytest.mark.parametrize("side", [32, 45])
@pytest.mark.parametrize("name", OPS)
def test_each_change_at_each_strength_is_torchvisions(name, side):
    x = pictures(side)
    levels, share = TOLERANCE[name]
    for sign in (1, -1) if SPACE[name][1] else (1,):
        for k in range(STEPS + 1):
            expected = torch.stack(
                [
                    THEIRS._apply_image_or_video_transform(one, name, sign * magnitude(name, k), "nearest", {})
                    for one in x
                ]
            )
            ours = OPS[name](x, torch.full((len(x),), sign * k / STEPS))
            apart = (ours.int() - expected.int()).abs()
            assert ours.dtype == torch.uint8 and int(apart.max()) <= levels, (sign, k)
            assert float((apart > 0).float().mean()) <= share, (sign, k)


@pytest.mark.parametrize("name", [name for name in OPS if not SPACE[name][1]])
def test_where_there_is_no_direction_the_sign_means_nothing(name):
    x, s = pictures(32), torch.tensor([0.1, 0.5, 0.8, 1.0])
    assert torch.equal(OPS[name](x, s), OPS[name](x, -s))


def test_changes_and_strengths_are_uniform():
    n = 62_000
    ops, strengths = draw_changes(n, torch.Generator().manual_seed(0))
    steps = (strengths * STEPS).round().int()
    assert torch.allclose(steps / STEPS, strengths) and int(steps.abs().max()) == STEPS
    for counted, chances in (
        (ops.bincount(), torch.full((14,), 1 / 14)),
        ((steps + STEPS).bincount(), torch.tensor([1 / 62] * 30 + [1 / 31] + [1 / 62] * 30)),
    ):
        sd = (n * chances * (1 - chances)).sqrt()
        assert ((counted - n * chances).abs() < 4.5 * sd).all()
    again = draw_changes(n, torch.Generator().manual_seed(0))
    assert torch.equal(again[0], ops) and torch.equal(again[1], strengths)


def test_each_picture_has_its_own_change_and_the_batch_is_left_alone():
    x = torch.cat([pictures(32)] * 8)
    before = x.clone()
    ops, strengths = draw_changes(len(x), torch.Generator().manual_seed(1))
    ours = trivial_augment(x, group(ops, strengths))
    names = list(OPS)
    for one, op, s, changed in zip(x, ops, strengths, ours, strict=True):
        assert torch.equal(OPS[names[op]](one[None], s[None])[0], changed)
    assert torch.equal(x, before) and not torch.equal(ours, x)
    assert ours.is_contiguous(memory_format=torch.channels_last)


def loader(folder=None, **kwargs):
    pixels = np.random.RandomState(0).randint(0, 256, (48, 32, 32, 3), dtype=np.uint8)
    options = {"image_size": 32, "batch_size": 16, "augment": "crop_flip", "train": True, "seed": 3, "device": "cpu"}
    if folder is None:
        return DeviceLoader(pixels, np.arange(48), 48, **options | kwargs)
    Image.fromarray(pixels[0]).save(folder / "noise.png")
    return StreamLoader(np.array([str(folder / "noise.png")] * 48), np.arange(48), 48, **options | kwargs)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("kind", ["none", "crop_flip"])
def test_it_comes_after_the_crop_and_before_the_normalisation(kind, streamed, tmp_path, monkeypatch):
    monkeypatch.setattr(stream, "WORKERS", 0)
    folder = tmp_path if streamed else None
    with_it, without = (list(loader(folder, augment=kind, trivial_augment=on).epoch(2)) for on in (True, False))
    ops, strengths = draw_changes(48, generator(Purpose.TRIVIAL_AUGMENT, 3, 2))
    mean, sd = (torch.tensor(values)[:, None, None] for values in (augment.MEAN, augment.STD))
    for k, ((x, y), (clean, same_y)) in enumerate(zip(with_it, without, strict=True)):
        mine = slice(16 * k, 16 * k + 16)
        pixels = (clean * sd + mean).round().byte()
        expected = trivial_augment(pixels, group(ops[mine], strengths[mine]))
        torch.testing.assert_close(x, (expected - mean) / sd, atol=1e-5, rtol=1e-5)
        assert torch.equal(y, same_y) and x.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("world", [2, 4])
def test_processes_share_the_changes_of_one(world):
    whole = torch.cat([x for x, _ in loader(trivial_augment=True)])
    ranks = [[x for x, _ in loader(trivial_augment=True, rank=rank, world=world)] for rank in range(world)]
    assert torch.equal(whole, torch.cat([torch.cat(parts) for parts in zip(*ranks, strict=True)]))
