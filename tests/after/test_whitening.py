"""The whitened first convolution against NumPy's eigenvectors and covariance, in every stem, and through a run."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from test_train import TINY, dataset
from torch import nn

from tricks.after.whitening import first_conv, patches, whiten_, whitening_filters
from tricks.models.resnet import build
from tricks.records import make
from tricks.records.make import prepare
from tricks.train import epochs


@pytest.fixture(scope="module")
def squares() -> torch.Tensor:
    """4,000 patches of 27 numbers whose variances fall from 27² to 1, in directions of no axis."""
    rng = np.random.default_rng(0)
    rotation = np.linalg.qr(rng.standard_normal((27, 27)))[0]
    drawn = (rng.standard_normal((4_000, 27)) * np.arange(27, 0, -1)) @ rotation + rng.standard_normal(27)
    return torch.from_numpy(drawn.astype(np.float32))


def test_the_responses_to_the_patches_are_white(squares):
    filters = whitening_filters(squares, 32, eps=0.0).numpy()
    np.testing.assert_allclose(np.cov(filters[:16] @ squares.numpy().T), np.eye(16), atol=1e-4)
    np.testing.assert_array_equal(filters[16:], -filters[:16])


def test_they_are_numpys_principal_directions_largest_first(squares):
    """By the singular value decomposition of the patches, which forms no covariance."""
    centred = squares.numpy().astype(np.float64) - squares.numpy().mean(0)
    _, spread, rows = np.linalg.svd(centred, full_matrices=False)
    variances = spread**2 / (len(centred) - 1)
    rows *= np.sign(rows[np.arange(27), np.abs(rows).argmax(1)])[:, None]
    expected = rows[:8] / np.sqrt(variances[:8] + 0.5)[:, None]
    np.testing.assert_allclose(whitening_filters(squares, 16, eps=0.5)[:8], expected, atol=1e-5)


def test_all_directions_of_a_patch_may_be_taken_and_no_more(squares):
    assert whitening_filters(squares, 54).shape == (54, 27)
    for channels in (15, 56):
        with pytest.raises(ValueError, match=f"of {channels} channels: must be an even number, and at most 54"):
            whitening_filters(squares, channels)


def test_patches_are_what_a_convolution_reads():
    images, filters = torch.randn(2, 3, 32, 32), torch.randn(5, 3, 3, 3)
    read = nn.functional.conv2d(images, filters, stride=2).flatten(2).transpose(1, 2).reshape(-1, 5)
    torch.testing.assert_close(patches(images) @ filters.flatten(1).T, read)
    assert patches(torch.randn(2, 3, 224, 224), 7).shape == (2 * 16 * 16, 3 * 49)  # as many of a larger picture
    assert patches(torch.randn(2, 3, 8, 8)).shape == (2 * 6 * 6, 27)


@pytest.mark.parametrize(
    ("net", "tweak_c"), [("resnet8", False), ("resnet8", True), ("bottleneck14", False), ("bottleneck14-pool", False)]
)
def test_every_stem_is_whitened_and_frozen_and_nothing_else_is(net, tweak_c):
    model = build(net, 10, tweak_c=tweak_c)
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    images = torch.randn(8, 3, 32, 32)
    conv = first_conv(model)
    assert conv is model.stem[0]
    squares = patches(images, conv.kernel_size[0])
    whiten_(conv, squares)
    changed = {name for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])}
    assert changed == {"stem.0.weight"} == {name for name, p in model.named_parameters() if not p.requires_grad}
    found = squares @ conv.weight.detach().flatten(1).T
    torch.testing.assert_close(found.var(0), torch.ones(conv.out_channels), atol=5e-3, rtol=0)


@pytest.mark.parametrize("change", [{}, {"no_bias_decay": True, "ema_decay": 0.9}, {"optimizer": "muon"}], ids=str)
def test_training_neither_moves_nor_decays_it_and_it_is_the_same_for_all_seeds(change):
    recipe = replace(TINY, epochs=1, whitening=True, weight_decay=0.1, **change)
    runs = [prepare(recipe, seed, dataset()) for seed in (0, 1)]
    before = [first_conv(parts.model).weight.clone() for parts in runs]
    assert torch.equal(*before)
    plain = prepare(replace(recipe, whitening=False), 0, dataset())
    second = [parts.model.stages[0][0].conv1.weight for parts in (runs[0], plain)]
    assert torch.equal(*second)  # the other layers start as without it
    list(epochs(recipe, runs[0]))
    for network in {runs[0].model, runs[0].judged}:
        assert torch.equal(first_conv(network).weight, before[0])
    assert not torch.equal(second[0], second[1])


def test_it_is_made_from_pictures_that_are_trained_on():
    """Not from held-out ones, and before augmentation."""
    recipe = replace(TINY, whitening=True, split="validation", augment="paper", train_images=0)
    parts = prepare(recipe, 0, dataset())
    images = torch.cat([x for x, _ in parts.clean_sample])
    assert len(images) == len(parts.train.labels) == 87  # of 96, a tenth is held out
    expected = whitening_filters(nn.functional.unfold(images, 3, stride=2).transpose(1, 2).reshape(-1, 27), 32)
    torch.testing.assert_close(first_conv(parts.model).weight.flatten(1), expected)


def test_a_teacher_has_a_first_convolution_of_its_own(tmp_path, monkeypatch):
    """Whitened for its own channels, whose weights are kept and read like all others."""
    monkeypatch.setattr(make, "CACHE", tmp_path)
    recipe = replace(TINY, epochs=1, whitening=True, tweak_c=True, teacher="bottleneck14-pool")
    for _ in range(2):  # trained, then read
        parts = prepare(recipe, 0, dataset(), lambda _: None)
        assert parts.teacher is not None
        theirs = prepare(replace(recipe, teacher="", net="bottleneck14-pool"), 1, dataset()).model
        assert first_conv(parts.teacher).weight.shape == (8, 3, 3, 3)
        assert torch.equal(first_conv(parts.teacher).weight, first_conv(theirs).weight)
