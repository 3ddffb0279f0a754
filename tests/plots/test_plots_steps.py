"""The plot of single optimiser steps."""

from functools import partial

import numpy as np

from tricks.plots import steps
from tricks.plots.steps import Step

CLASSES = ("cat", "dog", "lorry")


def step(number, mixed=True, loss=2.0, rates=(0.1,)):
    rng = np.random.default_rng(number)
    pictures = rng.integers(0, 256, (3, 8, 8, 3)).astype(np.uint8)
    target, before, after = (rng.dirichlet((1.0, 1.0, 1.0)) for _ in range(3))
    updates = {name: float(10 ** rng.uniform(-3, -1)) for name in ("stem", "block", "head")}
    lam, seen = (0.7, pictures[:2]) if mixed else (None, pictures[:1])
    went_in = pictures[2, :4, :4] if number > 2 else pictures[2]  # progressive resizing
    return Step(number, rates, lam, seen, went_in, target, before, after, (2.2, 2.1), loss, 1.25, updates)


TAKEN = [step(1), step(2, loss=3.0, rates=(0.2, 12.8)), step(3, loss=1.0)]
ALONE = [step(1, mixed=False), step(2, mixed=False, loss=float("nan"))]

PLOTS = {
    "one_step": partial(steps.one_step, (TAKEN, 2), classes=CLASSES),
    "one_step, nothing mixed": partial(steps.one_step, (ALONE, 1)),
}
WITHOUT_AXES = tuple(PLOTS)  # pictures have none
REDRAWN = {
    "one_step": (steps.one_step, ((TAKEN, 1),), ((TAKEN, 3),), ((TAKEN, 3),)),
    "one_step, another run": (steps.one_step, ((TAKEN, 1),), ((ALONE, 1),), ((ALONE, 1),)),
}


def test_it_shows_every_number_of_the_step():
    fig = steps.one_step((TAKEN, 2), classes=CLASSES)
    first, second, mixture, loss, rate, update, guess = fig.axes
    here = TAKEN[1]
    for ax, picture in ((first, here.partners[0]), (second, here.partners[1]), (mixture, here.mixed)):
        np.testing.assert_array_equal(ax.images[0].get_array(), picture)
    widths = np.reshape([bar.get_width() for bar in guess.patches], (3, 3))
    np.testing.assert_allclose(widths, [here.target, here.before, here.after])
    assert [text.get_text() for text in guess.get_yticklabels()] == list(CLASSES)
    _, line, point = loss.lines
    assert list(line.get_ydata()) == [2.0, 3.0] and list(point.get_ydata()) == [3.0]
    assert list(rate.lines[1].get_ydata()) == [0.1, 0.2]
    tops = [bar.get_y() + bar.get_height() for bar in update.patches]
    np.testing.assert_allclose(tops, list(here.updates.values()))
    assert first.texts[0].get_text() == (
        "Step 2: learning rate 0.2 and 12.8 · λ = 0.70 · loss 3.000 · gradient norm 1.25"
    )
    assert "its loss 2.20 → 2.10" in [text.get_text() for text in guess.texts]


def test_without_mixing_there_is_no_partner_and_a_loss_that_is_no_number_is_left_out():
    fig = steps.one_step((ALONE, 2))
    _, second, _, loss, *_ = fig.axes
    assert not second.images[0].get_visible() and second.texts[0].get_visible()
    assert "nothing mixed" in fig.axes[0].texts[0].get_text()
    assert loss.get_ylim()[1] >= 2.0
    fig.redraw((TAKEN, 1))
    assert second.images[0].get_visible() and not second.texts[0].get_visible()


def test_all_labels_are_ten_points_or_more():
    fig = steps.one_step((TAKEN, 2), classes=CLASSES, caption="n = 1")
    fig.png(100)
    texts = [text for text in fig.findobj(lambda artist: hasattr(artist, "get_fontsize")) if text.get_text().strip()]
    assert len(texts) > 20 and min(text.get_fontsize() for text in texts) >= 10
