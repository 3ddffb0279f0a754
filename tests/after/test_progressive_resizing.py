"""Progressive resizing against torchvision's resize and the rule of Composer, and what a run with it costs."""

import copy
import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_train import TINY, dataset
from torchvision.transforms import v2

from tricks.after.progressive_resizing import resize, side_at, sides
from tricks.course import cost
from tricks.models import resnet
from tricks.recipe import Recipe
from tricks.records.make import prepare
from tricks.train import epochs


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
    shares = {16: 0.1, 20: 0.2, 24: 0.2, 28: 0.2, 32: 0.3}
    of_side = {side: resnet.multiply_adds(resnet.build("resnet8", 10), side) for side in shares}
    teacher = resnet.multiply_adds(resnet.build("resnet14", 10), 32)  # which sees the full size
    training, forward = cost.per_picture(Recipe(start_size=16, teacher="resnet14"), 10)
    assert training == pytest.approx(3 * sum(shares[side] * of_side[side] for side in shares) + teacher, rel=3e-3)
    assert forward == of_side[32]
    assert cost.per_picture(Recipe(), 10) == (3 * forward, forward)


def test_the_student_sees_pictures_that_grow_and_its_teacher_the_full_size():
    recipe = replace(TINY, epochs=5, start_size=16)
    parts, seen = prepare(recipe, 0, dataset()), {"student": [], "teacher": []}
    teacher = copy.deepcopy(parts.model).eval()
    for name, net in (("student", parts.model), ("teacher", teacher)):
        net.register_forward_hook(
            lambda net, x, _, name=name: seen[name].append(x[0].shape[2]) if net.training or name == "teacher" else None
        )
    list(epochs(recipe, parts._replace(teacher=teacher)))
    assert seen["student"] == [side_at(step / 20, 16, 32) for step in range(20)] and seen["student"][:2] == [16, 16]
    assert seen["teacher"] == [32] * 20
