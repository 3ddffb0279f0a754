"""Plots of learning rates and of an optimiser's way."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from tricks.figures import optimisation
from tricks.recipe import BASELINE
from tricks.schedules import lr_at

RECIPES = {"step": replace(BASELINE, epochs=10, warmup_epochs=1.0), "cosine": replace(BASELINE, schedule="cosine")}


def bowl(x, y):
    return x**2 + 10 * y**2


def path(turns: int) -> np.ndarray:
    t = np.linspace(0, 1, 20)
    return np.stack([4 * (1 - t), (1 - t) * np.cos(turns * 3 * t)], axis=1)


PLOTS = {
    "schedule": partial(optimisation.schedule, RECIPES, 10),
    "schedule, log": partial(optimisation.schedule, RECIPES, 10, log=True),
    "contour_paths": partial(optimisation.contour_paths, bowl, {"SGD": path(3)}, xlim=(-1, 5), ylim=(-2, 2)),
}
REDRAWN = {
    "schedule": (
        optimisation.schedule,
        (RECIPES, 10),
        (faster := {**RECIPES, "step": replace(BASELINE, lr=0.9)},),
        (faster, 10),
    ),
    "contour_paths": (
        partial(optimisation.contour_paths, bowl, xlim=(-1, 5), ylim=(-2, 2)),
        ({"SGD": path(3)},),
        ({"SGD": path(5)},),
        ({"SGD": path(5)},),
    ),
}


def test_schedule_draws_the_learning_rate_of_every_step():
    fig = optimisation.schedule(RECIPES, 10)
    line = fig.axes[0].lines[0]
    steps = 10 * RECIPES["step"].epochs
    assert line.get_label() == "step"
    assert list(line.get_ydata()) == [lr_at(RECIPES["step"], step, 10) for step in range(steps)]
    assert list(line.get_xdata()) == [step / 10 for step in range(steps)]


def test_schedule_names_recipes_by_their_changes_and_keeps_its_labels():
    fig = optimisation.schedule([BASELINE, replace(BASELINE, schedule="cosine")], 5)
    assert [line.get_label() for line in fig.axes[0].lines] == ["baseline", "schedule = cosine"]
    with pytest.raises(ValueError, match="labels .*other.* are not those drawn: .*baseline"):
        fig.redraw({"other": BASELINE})
