"""Plots of the Trick Lab."""

from dataclasses import replace
from functools import partial

import numpy as np

from tricks.plots import lab
from tricks.plots.lab import Before
from tricks.recipe import BASELINE
from tricks.records.store import Run
from tricks.schedules import lr_at

CLASSES = ("cat", "dog", "lorry")
SMOOTH = replace(BASELINE, label_smoothing=0.2, schedule="cosine", lr=0.4, warmup_epochs=1.0)
MIXED = replace(SMOOTH, mixup_alpha=0.5, teacher="resnet14")


def before(recipe, target=(1.0, 0.0, 0.0), lam=1.0):
    pictures = np.random.default_rng(0).uniform(0, 255, (12, 8, 8, 3))
    return Before(recipe, 78, CLASSES, pictures, np.array(target), lam)


def run(name, shift, epochs=4, finished=True):
    rows = [
        {"epoch": e, "train_loss": 2 / e + shift / 100, "test_accuracy": 50 + 4 * e + shift}
        for e in range(1, epochs + 1)
    ]
    return Run(name, BASELINE, 0, rows, {"accuracy": 66.6 + shift} if finished else {})


RUNS = {"1  baseline: 66.60 %": run("a", 0), "2  schedule = cosine: now after 2 of 4 epochs": run("b", 3, 2, False)}
GREY = {"recorded: cosine, 2 seeds": [run("c", -2, 6), run("c", -3, 6)]}

PLOTS = {
    "before_training": partial(lab.before_training, before(SMOOTH, (0.8, 0.1, 0.1))),
    "before_training, everything": partial(lab.before_training, before(MIXED, (0.7, 0.2, 0.1), 0.9)),
    "overlay": partial(lab.overlay, RUNS, GREY),
    "overlay, nothing yet": partial(lab.overlay, {}, {}, 12),
}
WITHOUT_AXES = ("before_training", "before_training, everything")  # a batch of pictures has none
REDRAWN = {
    "before_training": (
        lab.before_training,
        (before(BASELINE),),
        (before(MIXED, (0.7, 0.2, 0.1), 0.9),),
        (before(MIXED, (0.7, 0.2, 0.1), 0.9),),
    ),
}


def test_before_training_shows_rate_target_and_batch():
    what = before(MIXED, (0.7, 0.2, 0.1), 0.9)
    left, middle, right = lab.before_training(what).axes
    share, rates = left.lines[0].get_data()
    total = MIXED.epochs * 78
    steps = np.round(np.asarray(share) / 100 * total).astype(int) - 1
    assert steps[0] == 0 and steps[-1] == total - 1
    np.testing.assert_allclose(rates, [lr_at(MIXED, int(step), 78) for step in steps])
    assert [bar.get_width() for bar in middle.patches] == [0.7, 0.2, 0.1]
    assert [text.get_text() for text in middle.get_yticklabels()] == list(CLASSES)
    picture = right.images[0].get_array()
    assert picture.shape == (24, 32, 3)
    np.testing.assert_allclose(picture[8:16, 16:24], what.pictures[6] / 255)  # row 1, column 2
    words = {ax.texts[0].get_text() for ax in (left, middle, right)}
    assert words == {"at most 0.4, 936 steps", "+ resnet14, T = 20, × 1", "α = 0.5, typical λ = 0.90"}


def test_dragging_draws_only_what_moves_but_for_few_learning_rates(monkeypatch):
    fig = lab.before_training(before(BASELINE))
    drawn = []
    fig.png(100)
    monkeypatch.setattr(fig.canvas, "draw", lambda: drawn.append(1))
    for lr in np.geomspace(0.01, 3, 25):
        for epochs in (1, 40):
            fig.redraw(before(replace(BASELINE, lr=float(lr), epochs=epochs)))
            assert fig.axes[0].get_ylim()[1] >= lr
            fig.png(100, small=False)
            fig.stale = False
    assert len(drawn) <= 6


def test_overlay_has_curves_of_samples_and_final_accuracies_apart():
    left, right = lab.overlay(RUNS, GREY).axes
    lines = {line.get_label(): line for line in right.lines}
    for label, of in RUNS.items():
        assert list(lines[label].get_ydata()) == [row["test_accuracy"] for row in of.rows]
    finals = {round(float(line.get_ydata()[0]), 6) for line in right.lines if line.get_marker() == "D"}
    assert finals == {66.6, 64.6, 63.6}  # the unfinished run has none
    assert len(left.lines) == 4
    assert len({lines[label].get_color() for label in (*RUNS, *GREY)}) == 3


def test_overlay_names_what_is_measured_and_is_as_wide_as_the_run():
    validation = Run("a", replace(BASELINE, split="validation"), 0, run("a", 0).rows, {})
    _, right = lab.overlay({"1": validation}, {}, 12).axes
    assert right.get_ylabel() == "validation accuracy, %"
    assert right.get_xlim()[1] >= 12
