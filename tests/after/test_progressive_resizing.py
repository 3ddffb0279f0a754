"""Progressive resizing against torchvision's resize and the rule of Composer, and what a run with it costs."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.transforms import v2

from tricks.after.progressive_resizing import resize, side_at, sides
from tricks.course import cost
from tricks.models import resnet
from tricks.recipe import Recipe


def composers(progress, start, full):
    """Composer's rule with finetune_fraction = 0.2, delay_fraction = 0 and size_increment = 4."""
    grown = min(progress / (1 - 0.2), 1.0)
    scale = start / full + (1 - start / full) * grown
    return round(full * scale / 4) * 4


@given(st.integers(0, 399), st.integers(2, 15), st.integers(1, 20))
def test_the_side_is_composers(step, quarter, more):
    start, full = 4 * quarter, 4 * (quarter + more)
    ours = side_at(step / 400, start, full)
    assert start <= ours <= full and ours % 4 == 0
    middle = (start + (full - start) * step / 400 / 0.8) / 4 % 1  # where it is just between, rounding decides
    assert ours == composers(step / 400, start, full) or math.isclose(middle, 0.5, abs_tol=1e-9)


def test_it_grows_and_ends_at_the_full_size():
    grown = [side_at(step / 1000, 16, 32) for step in range(1000)]
    assert grown == sorted(grown) and grown[0] == 16 and set(grown) == {16, 20, 24, 28, 32}
    assert set(grown[800:]) == {32}
    assert {side_at(p, 16, 30) for p in (0.8, 0.9, 1.0)} == {30} and max(
        side_at(p / 99, 16, 30) for p in range(99)
    ) == 30
    assert {side_at(step / 10, 0, 32) for step in range(10)} == {32}  # off


@pytest.mark.parametrize("side", [32, 24, 16, 12])
def test_resizing_is_torchvisions(side):
    x = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0)).contiguous(
        memory_format=torch.channels_last
    )
    ours = resize(x, side)
    torch.testing.assert_close(ours, v2.Resize(side, antialias=True)(x))
    assert ours.is_contiguous(memory_format=torch.channels_last) and (ours is x) == (side == 32)


def test_the_shares_of_the_sides_are_those_of_the_steps():
    assert sides(0, 32) == {32: 1.0}
    counted = sides(16, 32)
    assert sum(counted.values()) == pytest.approx(1)
    # linear over 80 %: each of the three inner sides has 4 / 16 of that, the first half as much
    assert counted == pytest.approx({16: 0.1, 20: 0.2, 24: 0.2, 28: 0.2, 32: 0.3}, abs=2e-3)


def test_multiply_adds_are_the_mean_over_the_run():
    recipe = Recipe(start_size=16, epochs=2, teacher="resnet14")
    shares = {16: 0.1, 20: 0.2, 24: 0.2, 28: 0.2, 32: 0.3}
    ours, teacher = (
        sum(share * resnet.multiply_adds(resnet.build(net, 10), side) for side, share in shares.items())
        for net in ("resnet8", "resnet14")
    )
    training, forward = cost.per_picture(recipe, 10)
    assert training == pytest.approx(3 * ours + teacher, rel=3e-3)
    assert forward == resnet.multiply_adds(resnet.build("resnet8", 10), 32)
    assert training < cost.per_picture(Recipe(teacher="resnet14"), 10)[0]
