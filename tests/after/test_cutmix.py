"""CutMix against torchvision's, which draws by itself, and against the paper's formulas on a few pixels."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.transforms import v2

from tricks.after.cutmix import box, cutmix
from tricks.targets import one_hot

share = st.floats(0, 1, exclude_max=True, allow_subnormal=False)  # which `process.set_up` has flushed to 0


@given(st.integers(2, 40), st.integers(2, 40), st.floats(0, 1, allow_subnormal=False), st.tuples(share, share))
def test_the_box_is_torchvisions(height, width, lam, place):
    """torchvision draws λ and the middle in px; here they are given to it."""
    drawn = iter([int(place[1] * width), int(place[0] * height)])
    theirs = v2.CutMix(num_classes=2)
    theirs._dist = type("Fixed", (), {"sample": lambda self, size: torch.tensor([lam], dtype=torch.float64)})()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "randint", lambda *args, **kwargs: torch.tensor([next(drawn)]))
        found = theirs.make_params([torch.zeros(1, 3, height, width)])
    left, top, right, bottom = found["box"]
    assert box(height, width, lam, place) == (top, left, bottom, right)
    x, y = torch.zeros(2, 3, height, width), one_hot(torch.tensor([0, 1]), 2)
    _, targets = cutmix(x, y, lam, torch.tensor([1, 0]), place)
    assert float(targets[0, 0]) == pytest.approx(found["lam_adjusted"])


def test_what_lies_inside_the_box_is_the_partners_and_targets_follow_the_area():
    x = torch.arange(3.0)[:, None, None, None].expand(3, 2, 8, 8).contiguous(memory_format=torch.channels_last)
    y, perm = one_hot(torch.tensor([0, 1, 2]), 3), torch.tensor([1, 2, 0])
    mixed, targets = cutmix(x, y, 0.75, perm, (0.5, 0.5))
    assert mixed[0, 0].tolist() == [[float(2 <= r < 6 and 2 <= c < 6) for c in range(8)] for r in range(8)]
    assert targets[0].tolist() == [0.75, 0.25, 0.0]
    assert torch.equal(x[0], torch.zeros(2, 8, 8)) and mixed.is_contiguous(memory_format=torch.channels_last)


def test_a_box_at_the_edge_is_cut_off_and_lambda_is_what_is_left():
    x, y = torch.zeros(2, 1, 8, 8), one_hot(torch.tensor([0, 1]), 2)
    _, targets = cutmix(x, y, 0.75, torch.tensor([1, 0]), (0.0, 0.5))
    assert box(8, 8, 0.75, (0.0, 0.5)) == (0, 2, 2, 6)
    assert targets[0].tolist() == [1 - 8 / 64, 8 / 64]


@pytest.mark.parametrize(("lam", "first"), [(1.0, 1.0), (0.0, 0.0)])
def test_at_its_ends_nothing_or_everything_is_pasted(lam, first):
    x, y = torch.randn(2, 1, 6, 6), one_hot(torch.tensor([0, 1]), 2)
    perm = torch.tensor([1, 0])
    mixed, targets = cutmix(x, y, lam, perm, (0.5, 0.5))
    assert torch.equal(mixed, x if lam else x[perm]) and float(targets[0, 0]) == first
