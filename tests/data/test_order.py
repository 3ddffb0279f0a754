"""Which images, in which order, with which labels: fixed by the arguments, balanced, and never leaking."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tricks.data.order import balanced_order, batch_count, check, epoch_order, hold_out, noisy_labels, shares
from tricks.process import Purpose, generator


@given(counts=st.lists(st.integers(1, 40), min_size=2, max_size=6), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_every_beginning_of_the_balanced_order_has_the_classes_in_proportion(counts, seed):
    labels = np.random.RandomState(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    order = balanced_order(labels)
    assert sorted(order) == list(range(len(labels)))
    seen = np.cumsum(np.eye(len(counts))[labels[order]], axis=0)  # (N, K): images of each class so far
    share = np.arange(1, len(labels) + 1)[:, None] * np.array(counts) / len(labels)
    assert np.abs(seen - share).max() < len(counts) / 2 + 0.5


def test_equal_classes_come_in_turn():
    labels = np.repeat(np.arange(10), 50)
    order = balanced_order(labels)
    np.testing.assert_array_equal(labels[order], np.tile(np.arange(10), 50))
    assert (np.diff(order[::10]) < 0).any()  # within a class the order is random
    np.testing.assert_array_equal(order, balanced_order(labels))


def test_the_balanced_order_never_changes():
    """Records name their images by it: these numbers must stay what they are."""
    assert balanced_order(np.repeat(np.arange(3), 4)).tolist() == [2, 6, 11, 1, 4, 10, 3, 7, 8, 0, 5, 9]


def test_the_hold_out_is_5000_or_a_tenth():
    assert [hold_out(n) for n in (100, 9_469, 49_999, 50_000, 60_000)] == [10, 946, 4_999, 5_000, 5_000]


@given(images=st.integers(1, 60), batch_size=st.integers(1, 70), world=st.integers(1, 4), train=st.booleans())
@settings(max_examples=80, deadline=None)
def test_the_shares_of_all_processes_are_the_batches_of_one(images, batch_size, world, train):
    ranks = [shares(images, batch_size, train=train, rank=rank, world=world) for rank in range(world)]
    assert {len(parts) for parts in ranks} == {batch_count(images, batch_size, train=train)}
    order = np.arange(images)
    for batch, parts in enumerate(zip(*ranks, strict=True)):
        whole = order[batch * batch_size : (batch + 1) * batch_size]
        np.testing.assert_array_equal(np.concatenate([order[part] for part in parts]), whole)
        sizes = [len(order[part]) for part in parts]
        assert max(sizes) - min(sizes) <= 1
    covered = batch_count(images, batch_size, train=train) * batch_size
    assert images - batch_size < covered <= images if train else covered >= images


def test_a_training_order_depends_on_seed_and_epoch():
    orders = [epoch_order(50, train=True, seed=seed, epoch=epoch).tolist() for seed in (0, 1) for epoch in (0, 1)]
    assert len(set(map(tuple, orders))) == 4
    assert all(sorted(order) == list(range(50)) for order in orders)
    torch.manual_seed(3)  # nothing else matters
    assert epoch_order(50, train=True, seed=0, epoch=1).tolist() == orders[1]
    assert epoch_order(50, train=False, seed=0, epoch=1).tolist() == list(range(50))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_noisy_labels_are_other_classes_in_the_share_asked_for(share):
    labels = np.arange(10_000) % 10
    noisy = noisy_labels(labels, share, 10, generator(Purpose.NOISE, 0))
    changed = noisy != labels
    assert changed.sum() == round(share * 10_000)  # a replaced label is never the old one
    assert labels.tolist() == [i % 10 for i in range(10_000)]  # the argument is as it was
    if share:
        shift = (noisy - labels)[changed] % 10
        counts = np.bincount(shift, minlength=10)
        assert counts[0] == 0
        assert counts[1:].min() > 0.7 * changed.sum() / 9  # every other class alike
        assert abs(np.bincount(labels[changed], minlength=10) / changed.sum() - 0.1).max() < 0.03
        assert (noisy_labels(labels, share, 10, generator(Purpose.NOISE, 1)) != noisy).any()
        np.testing.assert_array_equal(noisy_labels(labels, share, 10, generator(Purpose.NOISE, 0)), noisy)


def test_more_noise_keeps_the_labels_that_less_noise_replaced():
    labels = np.arange(1_000) % 10
    few, many = (noisy_labels(labels, share, 10, generator(Purpose.NOISE, 0)) != labels for share in (0.1, 0.3))
    assert many[few].all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 101}, "batch_size = 101 is more than the 100 training images: lower it, or raise train_images"),
        ({"batch_size": 30, "world": 4}, "batch_size = 30 cannot be shared equally by 4 processes: .* such as 28"),
        ({"batch_size": 2, "world": 4}, "batch_size = 2 cannot be shared equally by 4 processes: .* such as 4"),
        ({"augment": "crop-flip"}, "augment = 'crop-flip': must be one of none, crop_flip, paper"),
    ],
)
def test_a_batch_that_does_not_fit_is_refused(change, message):
    fits = {"batch_size": 32, "augment": "none", "train": True, "world": 4}
    check(100, **fits)
    with pytest.raises(ValueError, match=message):
        check(100, **fits | change)


def test_an_evaluation_may_have_any_batch_size():
    check(100, batch_size=101, augment="none", train=False, world=3)
