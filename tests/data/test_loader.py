"""Batches: right in shape, type and content; random per sample; the same for any number of processes."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tricks import augment
from tricks.data.loader import DeviceLoader, loaders
from tricks.data.order import hold_out
from tricks.data.sets import Dataset, Split
from tricks.recipe import AUGMENTS, BASELINE, SAMPLE_IMAGES


def images(n, side=32):
    """Image i is filled with i (and i // 256), so that a batch says which images it holds."""
    pixels = np.zeros((n, side, side, 3), dtype=np.uint8)
    pixels[..., 0] = (np.arange(n) % 256)[:, None, None]
    pixels[..., 1] = (np.arange(n) // 256)[:, None, None]
    return pixels


def numbers(x):
    """Which images these are, from a batch that was cropped but not recoloured."""
    centre = x[:, :2, x.shape[2] // 2, x.shape[3] // 2].double()
    values = centre * torch.tensor(augment.STD[:2]).double() + torch.tensor(augment.MEAN[:2]).double()
    return (values @ torch.tensor([1.0, 256.0]).double()).round().long()


def loader(n=50, side=32, noise=False, **kwargs):
    pixels = np.random.RandomState(0).randint(0, 256, (n, side, side, 3), dtype=np.uint8) if noise else images(n, side)
    options = {"image_size": 32, "batch_size": 16, "augment": "crop_flip", "train": True, "seed": 3, "device": "cpu"}
    return DeviceLoader(pixels, np.arange(n) % 10, 10, **options | kwargs)


@pytest.mark.parametrize("kind", AUGMENTS)
@pytest.mark.parametrize("side", [32, 37])
def test_batches_have_the_shape_and_layout_that_the_net_wants(kind, side):
    batches = list(loader(side=side, augment=kind))
    assert len(batches) == len(loader(side=side)) == 3  # 50 // 16
    for x, y in batches:
        assert x.shape == (16, 3, 32, 32)
        assert x.dtype == torch.float32
        assert x.is_contiguous(memory_format=torch.channels_last)
        assert y.shape == (16,)
        assert y.dtype == torch.int64
        assert x.isfinite().all()


@pytest.mark.parametrize("kind", ["none", "crop_flip"])
def test_labels_belong_to_their_images(kind):
    for x, y in loader(n=600, augment=kind):
        assert torch.equal(numbers(x) % 10, y)


def test_training_sees_every_image_once_and_drops_the_short_batch():
    seen = torch.cat([numbers(x) for x, _ in loader(n=50)])
    assert len(seen) == 48
    assert len(seen.unique()) == 48


def test_evaluation_sees_every_image_in_order():
    batches = list(loader(n=50, train=False, augment="none"))
    assert [len(y) for _, y in batches] == [16, 16, 16, 2]
    assert torch.cat([numbers(x) for x, _ in batches]).tolist() == list(range(50))


def test_evaluation_takes_the_middle_of_the_picture():
    pixels = np.random.RandomState(0).randint(0, 256, (4, 37, 37, 3), dtype=np.uint8)
    ((x, _),) = DeviceLoader(pixels, np.arange(4), 4, image_size=32, batch_size=4, train=False, device="cpu")
    expected = augment.normalise(torch.from_numpy(pixels[:, 2:34, 2:34]))
    torch.testing.assert_close(x, expected)


@pytest.mark.parametrize("kind", AUGMENTS)
def test_an_epoch_depends_on_seed_and_epoch_and_nothing_else(kind):
    def epoch(number, seed=3):
        return torch.cat([x for x, _ in loader(noise=True, augment=kind, seed=seed).epoch(number)])

    again = loader(noise=True, augment=kind)
    for number in (0, 1):  # as an uninterrupted run sees it
        torch.manual_seed(number)
        assert torch.equal(torch.cat([x for x, _ in again.epoch(number)]), epoch(number))
    assert torch.equal(torch.cat([x for x, _ in again]), epoch(0))
    assert not torch.equal(epoch(0), epoch(1))
    assert not torch.equal(epoch(0), epoch(0, seed=4))


@pytest.mark.parametrize("kind", ["crop_flip", "paper"])
def test_every_sample_has_its_own_draw(kind):
    one = np.random.RandomState(0).randint(0, 256, (1, 32, 32, 3), dtype=np.uint8)
    same = DeviceLoader(
        np.repeat(one, 64, axis=0),
        np.zeros(64, np.int64),
        10,
        image_size=32,
        batch_size=64,
        augment=kind,
        train=True,
        device="cpu",
    )
    ((x, _),) = same
    assert len({sample.numpy().tobytes() for sample in x}) > 45  # crop_flip has 162 outcomes


@pytest.mark.parametrize("kind", AUGMENTS)
@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("world", [2, 4])
def test_processes_share_the_batches_of_one(kind, train, world):
    whole = list(loader(noise=True, augment=kind, train=train))
    ranks = [list(loader(noise=True, augment=kind, train=train, rank=rank, world=world)) for rank in range(world)]
    for (x, y), parts in zip(whole, zip(*ranks, strict=True), strict=True):
        torch.testing.assert_close(torch.cat([part for part, _ in parts]), x, atol=1e-6, rtol=1e-6)
        assert torch.equal(torch.cat([labels for _, labels in parts]), y)


def test_the_crops_of_two_recipes_agree_whatever_else_they_draw():
    """Order and crops of a seed are the same at every batch size, so arms that differ elsewhere see the same images."""
    small, large = (torch.cat([x for x, _ in loader(n=48, noise=True, batch_size=size)]) for size in (16, 48))
    assert torch.equal(small, large)


def test_images_smaller_than_the_net_wants_are_refused():
    with pytest.raises(
        ValueError, match="the images are 24 px wide, the net wants 32 px: load the data set with image_size=32"
    ):
        loader(side=24)


# From a recipe


def dataset(train=600, test=100, classes=10):
    def split(n):
        return Split(images(n), np.arange(n) % classes)

    return Dataset("test", "made up", tuple(map(str, range(classes))), split(train), split(test))


def from_recipe(data, seed=0, **changes):
    changes = {"augment": "none", "batch_size": 10} | changes
    return loaders(replace(BASELINE, **changes), data, seed=seed, device="cpu")


def held(loader):
    return torch.cat([numbers(x) for x, _ in loader]).tolist()


def test_the_hold_out_is_never_trained_on():
    data = dataset()
    train, clean, sample, validation = from_recipe(data, split="validation")
    assert len(validation.labels) == hold_out(600) == 60
    assert set(held(train)) | set(held(validation)) == set(range(600))
    assert set(held(train)) & set(held(validation)) == set()
    assert set(held(clean)) <= set(held(train))
    assert set(held(sample)) <= set(held(validation))
    assert np.bincount(validation.labels).tolist() == [6] * 10


def test_the_split_test_uses_all_training_images_and_the_test_set():
    train, _, _, test = from_recipe(dataset())
    assert sorted(held(train)) == list(range(600))
    assert held(test) == list(range(100))


@pytest.mark.parametrize("n", [10, 30, 200])
def test_fewer_training_images_are_a_balanced_part_of_more(n):
    few, more = (from_recipe(dataset(), train_images=count)[0] for count in (n, 2 * n))
    assert np.bincount(few.labels).tolist() == [n // 10] * 10
    assert set(held(few)) < set(held(more))
    validated = from_recipe(dataset(), train_images=n, split="validation")[0]
    assert held(validated) == held(few)  # the hold-out lies at the other end of the order


def test_samples_are_balanced_clean_parts():
    train, clean, sample, test = from_recipe(dataset(train=4_000, test=3_000), label_noise=0.5)
    assert len(clean.labels) == len(sample.labels) == SAMPLE_IMAGES
    assert np.bincount(clean.labels).tolist() == np.bincount(sample.labels).tolist() == [200] * 10
    for x, y in clean:
        assert torch.equal(numbers(x) % 10, y)  # true labels
    assert held(sample) == sorted(held(sample))
    assert set(held(sample)) < set(held(test))


def test_a_small_test_set_is_its_own_sample():
    _, _, sample, test = from_recipe(dataset())
    assert held(sample) == held(test)


def test_label_noise_changes_the_training_labels_alone():
    train, _, _, test = from_recipe(dataset(), label_noise=0.2, seed=1)
    wrong = sum(int((numbers(x) % 10 != y).sum()) for x, y in train)
    assert wrong == 120
    assert all(torch.equal(numbers(x) % 10, y) for x, y in test)
    assert torch.equal(from_recipe(dataset(), label_noise=0.2, seed=1)[0].labels, train.labels)
    assert not torch.equal(from_recipe(dataset(), label_noise=0.2, seed=2)[0].labels, train.labels)


@pytest.mark.parametrize("images", [1, 9])
def test_too_few_images_for_a_validation_split_are_counted(images):
    said = f"split = 'validation': made up has {images} training images, .* until there are 10, or use split = 'test'"
    with pytest.raises(ValueError, match=said):
        from_recipe(dataset(images), split="validation", batch_size=1)
    assert len(from_recipe(dataset(10), split="validation", batch_size=1)[3].labels) == 1


def test_more_images_than_there_are_is_refused():
    with pytest.raises(ValueError, match="train_images = 601: made up has 600 to train on; 0 takes all of them"):
        from_recipe(dataset(), train_images=601)
    with pytest.raises(ValueError, match="train_images = 541: made up has 540 to train on"):
        from_recipe(dataset(), train_images=541, split="validation")
    with pytest.raises(ValueError, match="batch_size = 64 is more than the 50 training images"):
        from_recipe(dataset(), train_images=50, batch_size=64)


def test_nothing_is_copied_when_all_images_are_used():
    data = dataset()
    train = from_recipe(data)[0]
    assert train.images.data_ptr() == data.train.images.ctypes.data


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("kind", AUGMENTS)
def test_a_gpu_makes_the_batches_of_the_cpu(kind):
    for (x, y), (x2, y2) in zip(
        loader(noise=True, augment=kind), loader(noise=True, augment=kind, device="cuda"), strict=True
    ):
        torch.testing.assert_close(x2.cpu(), x, atol=1e-3, rtol=1e-3)
        assert torch.equal(y2.cpu(), y)
