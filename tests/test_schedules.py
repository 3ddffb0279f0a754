"""The schedules against PyTorch's own, the paper's curves, and the properties that a plot would show."""

import warnings
from dataclasses import replace

import pytest
import torch
from torch.optim import lr_scheduler

from tricks.recipe import BASELINE
from tricks.records import paper
from tricks.schedules import cosine_lr, linear_lr, lr_at, peak_lr, scaled_lr, step_lr, warmup

STEPS = 7  # per epoch; odd, so that halves of epochs are no whole steps


def curve_of(make_scheduler, peak: float, steps: int) -> list[float]:
    """The learning rates that one of PyTorch's schedulers sets, step by step."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=peak)
    scheduler = make_scheduler(optimizer)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def curve(recipe, steps_per_epoch=STEPS):
    return [lr_at(recipe, step, steps_per_epoch) for step in range(recipe.epochs * steps_per_epoch)]


def test_scaled_lr_is_the_papers_example():
    assert scaled_lr(0.1, 1024) == pytest.approx(0.4)  # §3.1, and the peak in Fig. 3a
    assert scaled_lr(0.1, 256) == pytest.approx(0.1)
    assert scaled_lr(0.1, 64, lr_batch=128) == pytest.approx(0.05)


def test_peak_is_scaled_only_when_the_recipe_asks():
    assert peak_lr(replace(BASELINE, lr=0.1, batch_size=1024, lr_batch=256)) == 0.1
    assert peak_lr(replace(BASELINE, lr=0.1, batch_size=1024, lr_batch=256, linear_scaling=True)) == pytest.approx(0.4)


def test_warmup_equals_pytorch_and_the_formula():
    m, peak = 35, 0.4
    ours = [warmup(step, m, peak) for step in range(m)]
    assert ours == pytest.approx([i * peak / m for i in range(1, m + 1)])
    assert ours == pytest.approx(
        curve_of(lambda o: lr_scheduler.LinearLR(o, start_factor=1 / m, end_factor=1.0, total_iters=m - 1), peak, m)
    )


def test_cosine_equals_pytorch():
    total, peak = 120, 0.4
    theirs = curve_of(lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=total), peak, total + 1)
    assert [cosine_lr(t, total, peak) for t in range(total + 1)] == pytest.approx(theirs, abs=1e-9)


def test_linear_equals_pytorch():
    total, peak = 120, 0.4
    theirs = curve_of(lambda o: lr_scheduler.LinearLR(o, 1.0, 0.0, total_iters=total), peak, total + 1)
    assert [linear_lr(t, total, peak) for t in range(total + 1)] == pytest.approx(theirs, abs=1e-9)


def test_cosine_at_start_half_and_end():
    assert cosine_lr(0, 100, 0.3) == 0.3
    assert cosine_lr(50, 100, 0.3) == pytest.approx(0.15)
    assert cosine_lr(100, 100, 0.3) == pytest.approx(0.0, abs=1e-15)


def test_step_decays_at_the_papers_epochs_as_pytorchs_multistep():
    theirs = curve_of(
        lambda o: lr_scheduler.MultiStepLR(o, milestones=[30 * STEPS, 60 * STEPS, 90 * STEPS], gamma=0.1),
        0.1,
        120 * STEPS,
    )
    recipe = replace(BASELINE, epochs=120, schedule="step", lr=0.1)
    assert curve(recipe) == pytest.approx(theirs, rel=1e-9)


@pytest.mark.parametrize(
    ("total", "first_decay", "milestones"),
    [
        (120, 0.25, (30, 60, 90)),
        (12, 0.5, (6, 8, 10)),
        (10, 0.4, (4, 6, 8)),
        (15, 0.2, (3, 7, 11)),  # 0.2 + 2 · 0.8 / 3 is a little above 11 / 15 in floating point
        (9, 0.0, (0, 3, 6)),
    ],
)
def test_step_milestones_fall_on_their_step(total, first_decay, milestones):
    seen = [step_lr(step, total, 1.0, first_decay) for step in range(total)]
    assert seen == pytest.approx([0.1 ** sum(step >= m for m in milestones) for step in range(total)])


def test_warmup_then_cosine_equals_pytorchs_sequence():
    recipe = replace(BASELINE, epochs=12, warmup_epochs=2.0, schedule="cosine", lr=0.2)
    m, total = 2 * STEPS, 12 * STEPS

    def make(optimizer):
        linear = lr_scheduler.LinearLR(optimizer, start_factor=1 / m, end_factor=1.0, total_iters=m - 1)
        cosine = lr_scheduler.CosineAnnealingLR(optimizer, T_max=total - m)
        with warnings.catch_warnings():  # PyTorch warns about itself here: SequentialLR steps its parts with an epoch
            warnings.simplefilter("ignore")
            return lr_scheduler.SequentialLR(optimizer, [linear, cosine], milestones=[m])

    assert curve(recipe) == pytest.approx(curve_of(make, 0.2, total), abs=1e-9)


@pytest.mark.parametrize("series", ["cosine", "step"])
def test_figure_3a(series):
    """Fig. 3a draws one point per epoch and reaches the peak of 0.4 at epoch 4; digitised to four decimals."""
    recipe = replace(
        BASELINE,
        epochs=120,
        warmup_epochs=4.0,
        schedule=series,
        lr=0.1,
        batch_size=1024,
        lr_batch=256,
        linear_scaling=True,
    )
    steps_per_epoch = 1251  # 1,281,167 images in batches of 1,024
    epochs, rates = paper.curve("3a", series)
    assert len(epochs) == 120
    ours = [lr_at(recipe, round(epoch) * steps_per_epoch, steps_per_epoch) for epoch in epochs]
    assert ours == pytest.approx(rates, abs=2e-4)


@pytest.mark.parametrize("warmup_epochs", [0.0, 0.5, 1.0, 5.0])
@pytest.mark.parametrize("schedule", ["step", "cosine", "linear"])
def test_shape(schedule, warmup_epochs):
    """Rises to the peak by the end of the warm-up, never exceeds it, never rises again, stays above zero."""
    recipe = replace(BASELINE, epochs=40, warmup_epochs=warmup_epochs, schedule=schedule, lr=0.1)
    rates = curve(recipe)
    seam = round(warmup_epochs * STEPS)
    assert max(rates) == 0.1 and min(rates) > 0
    assert all(a < b for a, b in zip(rates[:seam], rates[1:seam], strict=False))
    assert all(a >= b for a, b in zip(rates[seam:], rates[seam + 1 :], strict=False))
    if seam:
        assert rates[0] == pytest.approx(0.1 / seam)
        assert rates[seam - 1] == rates[seam] == 0.1  # continuous: the schedule starts at the warm-up's last value


def test_warmup_does_not_move_the_steps_of_the_step_schedule():
    plain = replace(BASELINE, epochs=12, schedule="step")
    warm = replace(plain, warmup_epochs=2.0)
    assert curve(plain)[2 * STEPS :] == curve(warm)[2 * STEPS :]


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_the_warmup_is_not_counted_in_T(schedule):
    """Half-way between the end of the warm-up and the end of training, not of training, the rate is half the peak."""
    recipe = replace(BASELINE, epochs=12, warmup_epochs=2.0, schedule=schedule, lr=0.1)
    assert lr_at(recipe, 7 * 10, steps_per_epoch=10) == pytest.approx(0.05)


def test_a_run_too_short_for_its_decays_starts_at_the_peak():
    assert step_lr(0, 1, 0.1) == 0.1
    assert [step_lr(step, 3, 0.1) for step in range(3)] == pytest.approx([0.1, 0.01, 0.001])
