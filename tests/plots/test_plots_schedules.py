"""Plots of learning rates and of an optimiser's way."""

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from tricks.plots import large_batch, preprocessing, schedules
from tricks.recipe import BASELINE
from tricks.schedules import lr_at, noise_floor, noisy_quadratic

RECIPES = {"step": replace(BASELINE, epochs=10, warmup_epochs=1.0), "cosine": replace(BASELINE, schedule="cosine")}


def bowl(x, y):
    return x**2 + 10 * y**2


def path(turns: int) -> np.ndarray:
    t = np.linspace(0, 1, 20)
    return np.stack([4 * (1 - t), (1 - t) * np.cos(turns * 3 * t)], axis=1)


CALM = [2.3 / (1 + 0.1 * step) for step in range(40)]
TRACES = {"no warm-up": [2.3, 40.0, 1e7, math.inf], "warm-up": CALM}
WAKING = {"γ = 0": np.linspace(0, 0.3, 30)[:, None] * [1, 2, 3], "γ = 1": np.ones((30, 3))}
traces = partial(large_batch.loss_traces, steps=40, chance=math.log(10), warmup_steps=20)

PLOTS = {
    "gradient_noise": partial(large_batch.gradient_noise, [8, 16, 32], {"resnet8": [4, 2, 1], "other": [9, 5, 2]}),
    "loss_traces": partial(traces, TRACES),
    "block_growth": partial(large_batch.block_growth, WAKING, WAKING),
    "schedule": partial(schedules.schedule, RECIPES, 10),
    "schedule, log": partial(schedules.schedule, RECIPES, 10, log=True),
    "distance_and_noise": schedules.distance_and_noise,
    "contour_paths": partial(preprocessing.contour_paths, bowl, {"SGD": path(3)}, xlim=(-1, 5), ylim=(-2, 2)),
}
REDRAWN = {
    "loss_traces": (traces, (TRACES,), ({**TRACES, "no warm-up": CALM},), ({**TRACES, "no warm-up": CALM},)),
    "schedule": (
        schedules.schedule,
        (RECIPES, 10),
        (faster := {**RECIPES, "step": replace(BASELINE, lr=0.9)},),
        (faster, 10),
    ),
    "schedule, log": (
        partial(schedules.schedule, log=True),
        (RECIPES, 10),
        ({**RECIPES, "cosine": replace(BASELINE, schedule="cosine", warmup_epochs=2.0)},),
        ({**RECIPES, "cosine": replace(BASELINE, schedule="cosine", warmup_epochs=2.0)}, 10),
    ),
    "distance_and_noise": (schedules.distance_and_noise, (), (0.2, 0.5, 0.01), (0.2, 0.5, 0.01)),
    "contour_paths": (
        partial(preprocessing.contour_paths, bowl, xlim=(-1, 5), ylim=(-2, 2)),
        ({"SGD": path(3)},),
        ({"SGD": path(5)},),
        ({"SGD": path(5)},),
    ),
}


def test_schedule_draws_the_learning_rate_of_every_step():
    fig = schedules.schedule(RECIPES, 10)
    line = fig.axes[0].lines[0]
    steps = 10 * RECIPES["step"].epochs
    assert line.get_label() == "step"
    assert list(line.get_ydata()) == [lr_at(RECIPES["step"], step, 10) for step in range(steps)]
    assert list(line.get_xdata()) == [step / 10 for step in range(steps)]


def test_schedule_keeps_its_labels():
    fig = schedules.schedule({"baseline": BASELINE, "cosine": replace(BASELINE, schedule="cosine")}, 5)
    assert [line.get_label() for line in fig.axes[0].lines] == ["baseline", "cosine"]
    with pytest.raises(ValueError, match="labels .*other.* are not those drawn: .*baseline"):
        fig.redraw({"other": BASELINE})


def test_gradient_noise_states_the_fitted_slope():
    b = np.array([8, 16, 32, 64, 128])
    fig = large_batch.gradient_noise(b.tolist(), {"steep": (5 * b**-1.25).tolist(), "1/b": (300 / b).tolist()})
    steep, its_guide, exact, guide, _ = fig.axes[0].lines
    assert steep.get_label() == "steep: slope −1.25" and exact.get_label() == "1/b: slope −1.00"
    assert np.allclose(guide.get_ydata(), 300 / b)
    assert np.allclose(its_guide.get_ydata() * b, its_guide.get_ydata()[0] * b[0])  # slope −1 whatever is measured


def test_loss_traces_mark_the_first_step_that_is_not_finite():
    fig = traces(TRACES)
    ax = fig.axes[0]
    lines = {line.get_label(): line for line in ax.lines}
    crosses = [line for line in ax.lines if line.get_marker() == "X"]
    assert list(lines["warm-up"].get_ydata()) == CALM
    assert list(lines["no warm-up"].get_ydata())[:3] == [2.3, 40.0, 1e7] and math.isnan(
        lines["no warm-up"].get_ydata()[3]
    )
    assert [list(cross.get_xdata()) for cross in crosses] == [[3], []]
    assert [text.get_text() for text in ax.texts] == ["not finite from step 3 on", ""]
    assert ax.get_ylim()[1] == 1e5
    fig.redraw({"no warm-up": CALM, "warm-up": [*CALM[:30], math.nan]})
    assert [list(cross.get_xdata()) for cross in crosses] == [[], [30]]
    assert [text.get_text() for text in ax.texts] == ["", "not finite from step 30 on"]
    fig.redraw({"no warm-up": CALM, "warm-up": CALM})
    assert ax.get_ylim()[1] == 10


def test_block_growth_draws_every_block_of_every_start():
    ratio = {"γ = 0": np.zeros((30, 3)), "γ = 1": np.full((30, 3), 2.0)}
    left, right = large_batch.block_growth(WAKING, ratio).axes
    drawn = {line.get_label(): list(line.get_ydata()) for line in left.lines}
    assert len(drawn) == 6
    assert drawn["γ = 0, block 3"] == WAKING["γ = 0"][:, 2].tolist()
    assert {tuple(line.get_ydata()) for line in right.lines} == {(0.0,) * 30, (2.0,) * 30}
    assert [line.get_linestyle() for line in left.lines] == ["-"] * 3 + ["--"] * 3


def test_schedule_with_log_draws_the_same_rates_on_both_axes():
    linear, log = schedules.schedule(RECIPES, 10, log=True).axes
    assert [ax.get_yscale() for ax in (linear, log)] == ["linear", "log"]
    for one, other in zip(linear.lines, log.lines, strict=True):
        assert list(one.get_ydata()) == list(other.get_ydata())


def test_schedule_has_its_legend_above_the_axes():
    recipes = {f"first drop at {share}": replace(BASELINE, first_decay=share) for share in (0.25, 0.4, 0.5, 0.6)}
    fig = schedules.schedule(recipes, 10)
    fig.draw_without_rendering()
    assert [text.get_text() for text in fig.legends[0].get_texts()] == list(recipes)
    assert fig.legends[0].get_window_extent().y0 >= fig.axes[0].get_window_extent().y1


def test_noisy_quadratic_is_the_mean_of_many_runs_and_settles_at_the_floor():
    rates, curvatures, sigma = [0.5] * 30 + [0.1] * 30, (1.0, 0.1), 0.3
    rng, a = np.random.default_rng(0), np.array(curvatures)
    w = np.ones((20_000, 2)) * np.sqrt(2 / a)
    losses = [(0.5 * a * w**2).sum(1)]
    for lr in rates:
        w = w - lr * (a * w + sigma * rng.standard_normal(w.shape))
        losses.append((0.5 * a * w**2).sum(1))
    simulated, error = np.mean(losses, 1), np.std(losses, 1) / math.sqrt(len(w))
    distance, noise = noisy_quadratic(rates, curvatures, sigma)
    assert distance[0] == 2 and noise[0] == 0
    assert (np.abs(distance + noise - simulated) < 4.5 * error + 1e-12).all()
    _, settled = noisy_quadratic([0.7] * 2_000, [0.5], 0.3)
    assert settled[-1] == pytest.approx(noise_floor(0.7, 0.5, 0.3))
    with pytest.raises(ValueError, match="between 0 and 2"):
        noise_floor(2.0, 1.0, 0.3)


def test_distance_and_noise_adds_up_and_states_the_area():
    fig = schedules.distance_and_noise(0.4, 0.25, 0.02)
    left, middle, right = fig.axes
    for parts in zip(left.lines, middle.lines, right.lines, strict=True):
        distance, noise, total = (line.get_ydata() for line in parts)
        assert np.allclose(distance + noise, total)
    step, cosine, constant = left.lines
    # the flat direction keeps Π (1 − ηa) of its way: about exp(−a Σ η), squared
    assert constant.get_ydata()[-1] == pytest.approx((1 - 0.4 * 0.02) ** 2400)
    assert step.get_ydata()[-1] == pytest.approx(math.exp(-2 * 0.02 * 0.4 * 1200 * (0.25 + 0.25 * 0.111)), rel=0.03)
    assert left.texts[0].get_text() == "step: Σ lr = 133\ncosine: Σ lr = 240\nconstant: Σ lr = 480"
    assert cosine.get_ydata()[-1] < step.get_ydata()[-1]
