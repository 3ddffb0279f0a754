"""Each preprocessing step of §2.1 against an independent reference, and per sample rather than per batch."""

import colorsys
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torchvision.transforms import v2

from tricks import augment


def stream(seed=0):
    return torch.Generator().manual_seed(seed)


def pictures(n=20, side=32, seed=0):
    return torch.randint(0, 256, (n, side, side, 3), dtype=torch.uint8, generator=stream(seed))


def channels_first(x):
    return x.permute(0, 3, 1, 2).float()


def apply(matrices, x):
    """One 3 × 3 matrix per picture on float (B, 3, H, W)."""
    return augment.recolour(x, matrices, torch.zeros(len(x), 3))


# Geometry


@pytest.mark.parametrize(("side", "image_size"), [(32, 32), (37, 32), (20, 24)])
def test_crop_flip_equals_torchs_reflection_padding_cropped_and_mirrored(side, image_size):
    images, index = pictures(30, side), torch.randperm(30, generator=stream())
    offsets = augment.draw_offsets(30, side, image_size, stream())
    flips = augment.draw_flips(30, stream())
    assert 0 < flips.sum() < 30
    padded = F.pad(channels_first(images), [augment.PAD] * 4, mode="reflect").byte()
    crops = augment.crop_flip(images, index, offsets, flips, image_size)
    assert crops.dtype == torch.uint8
    for crop, i, (top, left), flip in zip(crops, index, offsets + augment.PAD, flips, strict=True):
        expected = padded[i, :, top : top + image_size, left : left + image_size]
        assert torch.equal(crop.permute(2, 0, 1), expected.flip(2) if flip else expected)


def test_offsets_reach_both_ends_and_no_further():
    offsets = augment.draw_offsets(5_000, 37, 32, stream())
    assert offsets.amin(dim=0).tolist() == [-4, -4]
    assert offsets.amax(dim=0).tolist() == [9, 9]  # 37 + 4 − 32


def test_crops_and_flips_differ_within_a_batch():
    one = pictures(1)
    crops = augment.crop_flip(
        one,
        torch.zeros(64, dtype=torch.int64),
        augment.draw_offsets(64, 32, 32, stream(1)),
        augment.draw_flips(64, stream(2)),
        32,
    )
    assert len({crop.numpy().tobytes() for crop in crops}) > 40  # of 64 draws from 162 outcomes


def test_centre_crop_equals_torchvisions():
    images, index = pictures(6, 37), torch.tensor([4, 0])
    expected = v2.functional.center_crop(images.permute(0, 3, 1, 2), [32, 32])[index]
    assert torch.equal(augment.centre_crop(images, index, 32).permute(0, 3, 1, 2), expected)


@pytest.mark.parametrize(("side", "image_size"), [(32, 32), (48, 40), (32, 50)])
def test_resized_crop_equals_torchvisions(side, image_size):
    x = channels_first(pictures(40, side))
    boxes, flips = augment.draw_boxes(40, side, stream()), augment.draw_flips(40, stream())
    crops = augment.resized_crop(x, boxes, flips, image_size)
    for crop, picture, box, flip in zip(crops, x, boxes, flips, strict=True):
        size = [image_size, image_size]
        expected = v2.functional.resized_crop(picture, *box.tolist(), size, antialias=False)
        torch.testing.assert_close(crop, expected.flip(2) if flip else expected, atol=0.01, rtol=0)  # of 255


def test_boxes_are_drawn_as_torchvision_draws_them():
    """Means of area, log aspect and position against 2,000 draws of RandomResizedCrop."""
    n, side = 2_000, 64
    ours = augment.draw_boxes(n, side, stream()).double()
    torch.manual_seed(0)
    transform, picture = v2.RandomResizedCrop(side), torch.empty(3, side, side)
    draws = [transform.make_params([picture]) for _ in range(n)]
    theirs = torch.tensor([[draw[key] for key in ("top", "left", "height", "width")] for draw in draws]).double()
    for of in (lambda b: b[:, 2] * b[:, 3] / side**2, lambda b: (b[:, 3] / b[:, 2]).log(), lambda b: b[:, 0] / side):
        a, b = of(ours), of(theirs)
        error = math.sqrt((a.var() + b.var()) / n)
        assert abs(a.mean() - b.mean()) < 4 * error
        assert abs(a.std() / b.std() - 1) < 0.1


def test_boxes_stay_inside_the_picture_and_within_the_papers_limits():
    top, left, height, width = augment.draw_boxes(5_000, 100, stream()).unbind(dim=1)
    assert min(top.min(), left.min()) >= 0
    assert max((top + height).max(), (left + width).max()) <= 100
    area, aspect = height * width / 100**2, width / height
    assert 0.075 < area.min() < 0.1
    assert area.max() <= 1
    assert 0.72 < aspect.min() < 0.8  # 3/4, up to rounding to whole pixels
    assert 1.25 < aspect.max() < 1.38


def test_a_box_that_never_fits_is_the_whole_picture(monkeypatch):
    monkeypatch.setattr(augment, "AREA", (4.0, 5.0))
    assert augment.draw_boxes(3, 32, stream()).tolist() == [[0, 0, 32, 32]] * 3


# Colour


def test_brightness_equals_torchvisions():
    x, c = channels_first(pictures(4)) / 255 * 0.6, torch.tensor([0.6, 0.9, 1.1, 1.4])  # nothing reaches 1
    for ours, picture, factor in zip(apply(augment.brightness(c), x), x, c.tolist(), strict=True):
        torch.testing.assert_close(ours, v2.functional.adjust_brightness(picture, factor))


def test_saturation_equals_torchvisions():
    x = 0.3 + channels_first(pictures(4)) / 255 * 0.4  # in [0.3, 0.7], so that nothing is clamped
    c = torch.tensor([0.6, 0.9, 1.1, 1.4])
    for ours, picture, factor in zip(apply(augment.saturation(c), x), x, c.tolist(), strict=True):
        expected = v2.functional.adjust_saturation(picture, factor)
        torch.testing.assert_close(ours, expected, atol=1e-4, rtol=0)  # torchvision rounds the weights to 4 digits


def test_hue_turns_the_colour_plane_of_yiq():
    """colorsys has the conversion with weights of two digits, so it agrees to about a hundredth."""
    rgb = torch.rand(6, 3, generator=stream())
    c = torch.tensor([0.6, 0.8, 0.95, 1.05, 1.2, 1.4])
    turned = apply(augment.hue(c), rgb[:, :, None, None])[:, :, 0, 0]
    for before, after, factor in zip(rgb.tolist(), turned.tolist(), c.tolist(), strict=True):
        (y, i, q), (y2, i2, q2) = colorsys.rgb_to_yiq(*before), colorsys.rgb_to_yiq(*after)
        angle = (factor - 1) * math.pi
        assert y2 == pytest.approx(y, abs=0.01)
        assert complex(i2, q2) == pytest.approx(complex(i, q) * complex(math.cos(angle), math.sin(angle)), abs=0.01)


def test_hue_is_a_rotation():
    """Exactly: grey stays, c = 1 changes nothing, and turning twice adds the angles."""
    matrix = augment.hue(torch.tensor([0.7]))
    torch.testing.assert_close(matrix.sum(dim=2), torch.ones(1, 3))  # (1, 1, 1) is mapped to itself
    torch.testing.assert_close(augment.hue(torch.ones(1))[0], torch.eye(3))
    torch.testing.assert_close(matrix @ augment.hue(torch.tensor([1.2])), augment.hue(torch.tensor([0.9])))


def test_the_three_colour_matrices_commute():
    c = augment.draw_coefficients(8, stream())
    h, s, b = augment.hue(c[:, 0]), augment.saturation(c[:, 1]), augment.brightness(c[:, 2])
    for product in (h @ s @ b, s @ h @ b, b @ h @ s):
        torch.testing.assert_close(product, augment.colour_map(c, torch.zeros(8, 3))[0], atol=1e-5, rtol=0)


def test_pca_noise_equals_the_formula_in_numpy():
    alphas = augment.draw_alphas(5, stream())
    vectors = np.array([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]])
    values = np.array([55.46, 4.794, 1.148])
    for ours, alpha in zip(augment.pca_noise(alphas).numpy(), alphas.numpy(), strict=True):
        expected = sum(alpha[k] * values[k] * vectors[:, k] for k in range(3))
        np.testing.assert_allclose(ours, expected, rtol=1e-5)
    assert abs(augment.draw_alphas(20_000, stream()).std() - 0.1) < 0.002


def test_the_principal_components_are_orthonormal():
    vectors = torch.tensor(augment.PCA_VECTORS)
    torch.testing.assert_close(vectors.T @ vectors, torch.eye(3), atol=2e-4, rtol=0)


def test_coefficients_are_uniform_in_the_papers_interval():
    c = augment.draw_coefficients(20_000, stream())
    assert 0.6 <= c.min() < 0.601
    assert 1.399 < c.max() < 1.4001
    assert (c.mean(dim=0) - 1).abs().max() < 0.01
    assert c.std(dim=0).sub(0.8 / math.sqrt(12)).abs().max() < 0.01


def test_normalise_equals_torchvisions():
    images = pictures(3)
    x = augment.normalise(images)
    expected = v2.functional.normalize(channels_first(images), list(augment.MEAN), list(augment.STD))
    torch.testing.assert_close(x, expected)
    assert x.dtype == torch.float32
    assert x.is_contiguous(memory_format=torch.channels_last)


# The pipeline


def test_paper_equals_its_steps_one_after_the_other():
    """One affine map of the colours against float steps in the paper's order, each on its own."""
    n = 16
    images, index = pictures(20, 37), torch.randperm(20, generator=stream())[:n]
    boxes, flips = augment.draw_boxes(n, 37, stream(1)), augment.draw_flips(n, stream(2))
    coefficients, alphas = augment.draw_coefficients(n, stream(3)), augment.draw_alphas(n, stream(4))
    x = augment.resized_crop(channels_first(images)[index], boxes, flips, 32)
    for step, c in zip((augment.hue, augment.saturation, augment.brightness), coefficients.T, strict=True):
        x = apply(step(c), x)
    x = x + augment.pca_noise(alphas)[:, :, None, None]
    x = v2.functional.normalize(x, list(augment.MEAN), list(augment.STD))
    ours = augment.paper(images, index, boxes, flips, coefficients, alphas, 32)
    torch.testing.assert_close(ours, x, atol=1e-4, rtol=1e-4)
    assert ours.is_contiguous(memory_format=torch.channels_last)


def test_draws_depend_on_the_generator_alone():
    for draw in (
        lambda s: augment.draw_offsets(9, 32, 32, s),
        lambda s: augment.draw_flips(9, s),
        lambda s: augment.draw_boxes(9, 32, s),
        lambda s: augment.draw_coefficients(9, s),
        lambda s: augment.draw_alphas(9, s),
    ):
        torch.manual_seed(1)
        first = draw(stream(5))
        torch.manual_seed(2)
        assert torch.equal(first, draw(stream(5)))
        assert not torch.equal(first, draw(stream(6)))
        assert len(set(map(str, first.tolist()))) > 1  # per sample
