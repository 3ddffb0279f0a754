"""Plots: what they draw is what the data say, a redraw equals a new drawing, and an export is the same bytes."""

import io
import math
import re
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from matplotlib.transforms import Bbox
from PIL import Image

from tricks import figures
from tricks.figures import canvas, export, styled, theoretical_gap
from tricks.recipe import BASELINE
from tricks.runs import Comparison, Run, t_interval
from tricks.schedules import lr_at

CAPTION = (
    "n = 5 seeds · resnet8 · 20,000 images × 12 epochs · cifar10 (JPEG copy), 10,000 test images · some CPU, "
    "1 thread · code v1 · long enough to need a second line below the axes"
)
RECIPES = {"step": replace(BASELINE, epochs=10, warmup_epochs=1.0), "cosine": replace(BASELINE, schedule="cosine")}
EDGES = [0.5 * i for i in range(61)]


def final(seed: int = 0) -> dict:
    """Final metrics of a made-up run: four filled bins of fifteen, a triangle of logit gaps."""
    rng = np.random.default_rng(seed)
    count = [0] * 11 + [int(n) for n in rng.integers(50, 100, 4)]
    confidence = [0.0] * 11 + [0.75, 0.82, 0.9, 0.97]
    accuracy = [0.0] * 11 + [float(a) for a in rng.uniform(0.6, 0.9, 4)]
    density = np.maximum(0, 1 - np.abs(np.array(EDGES[:-1]) - 8 - seed / 4) / 5) / 5
    return {
        "accuracy": 75.0 + seed,
        "ece": 0.05 + 0.01 * seed,
        "reliability": {"confidence": confidence, "accuracy": accuracy, "count": count},
        "gap": {"edges": EDGES, "density": density.tolist(), "mean": 8 + seed / 4, "sd": 2.0},
    }


def rows(n: int, seed: int = 0) -> list[dict[str, float]]:
    """Rows of a made-up run."""
    return [
        {"epoch": e, "train_loss": 2 / e, "train_accuracy": 80 - 60 / e, "test_accuracy": 75 - 60 / e + seed}
        for e in range(1, n + 1)
    ]


def bowl(x, y):
    return x**2 + 10 * y**2


def path(turns: int) -> np.ndarray:
    t = np.linspace(0, 1, 20)
    return np.stack([4 * (1 - t), (1 - t) * np.cos(turns * 3 * t)], axis=1)


def cloud(shift: float) -> np.ndarray:
    return np.random.default_rng(0).uniform(30, 220, (200, 3)) + shift


ARMS = {"ε = 0": [final(s) for s in range(5)], "ε = 0.1": [final(s + 4) for s in range(5)]}
PICTURES = [np.full((24 + 4 * i, 32, 3), 20 * i, np.uint8) for i in range(7)]
COMPARISON = Comparison((0, 1, 2), (0.4, 0.6, 0.5), "points")

PLOTS = {
    "schedule": partial(figures.schedule, RECIPES, 10),
    "schedule, log": partial(figures.schedule, RECIPES, 10, log=True),
    "optimal_gap": partial(figures.optimal_gap, 0.1, 10),
    "optimal_gap, two classes": partial(figures.optimal_gap, 0.9, 2),
    "optimal_gap, ε = 0": partial(figures.optimal_gap, 0.0, 1000),
    "reliability": partial(figures.reliability, ARMS),
    "gap_histogram": partial(
        figures.gap_histogram, ARMS, paper={"smoothed": ([0, 5, 9, 12], [0, 0.1, 0.3, 0])}, theory={"ε = 0.1": 4.39}
    ),
    "response": partial(
        figures.response, [0, 0.1, 0.4], [[75.0, 75.4], [75.8, 76.1], [74.0, 74.2]], "ε", "accuracy, %"
    ),
    "curves": partial(figures.curves, {"a": [rows(6, s) for s in range(3)], "b": [rows(6, s + 2) for s in range(3)]}),
    "against_paper": partial(figures.against_paper, {"cosine": (COMPARISON, 0.75), "a longer label": (COMPARISON, -1)}),
    "progress": partial(figures.progress, rows(4), "4 of 12 epochs done", 12),
    "images_grid": partial(figures.images_grid, PICTURES, [f"picture\n{i}" for i in range(7)], columns=4),
    "preprocessing": partial(figures.preprocessing, [("as it is", PICTURES[0]), ("cropped,\nresized", PICTURES[3])]),
    "colour_clouds": partial(figures.colour_clouds, cloud(0), cloud(20)),
    "contour_paths": partial(figures.contour_paths, bowl, {"SGD": path(3)}, xlim=(-1, 5), ylim=(-2, 2)),
}
PICTURE_PLOTS = {"images_grid", "preprocessing"}

# plot, its first arguments, the arguments of a redraw, and the same as arguments of a new plot
REDRAWN = {
    "optimal_gap": (figures.optimal_gap, (0.1, 10), (0.4, 5), (0.4, 5)),
    "schedule": (
        figures.schedule,
        (RECIPES, 10),
        (faster := {**RECIPES, "step": replace(BASELINE, lr=0.9)},),
        (faster, 10),
    ),
    "progress": (figures.progress, (rows(2), "two", 8), (rows(9), "nine"), (rows(9), "nine", 8)),
    "colour_clouds": (figures.colour_clouds, (cloud(0), cloud(20)), (cloud(-10),), (cloud(0), cloud(-10))),
    "contour_paths": (
        partial(figures.contour_paths, bowl, xlim=(-1, 5), ylim=(-2, 2)),
        ({"SGD": path(3)},),
        ({"SGD": path(5)},),
        ({"SGD": path(5)},),
    ),
}


def picture(png: bytes) -> Image.Image:
    return Image.open(io.BytesIO(png))


def boxes(fig) -> tuple[Bbox, list[Bbox]]:
    """The caption's box and those of the axes with all their labels, in pixels."""
    fig.png()
    renderer = fig.canvas.get_renderer()
    caption = next(text for text in fig.texts if text.get_text())
    return caption.get_window_extent(renderer), [ax.get_tightbbox(renderer) for ax in fig.axes]


def test_importing_figures_loads_neither_torch_nor_pyplot():
    code = "import sys, tricks.figures; print('torch' in sys.modules, 'matplotlib.pyplot' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["False", "False"]


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_is_labelled_and_nothing_is_cut_off_or_covers_the_caption(name):
    fig = PLOTS[name](caption=CAPTION)
    assert fig.axes
    if name not in PICTURE_PLOTS:
        assert all(ax.get_xlabel() for ax in fig.axes if ax.get_subplotspec())
        assert all(ax.get_ylabel() or ax.get_yticklabels()[0].get_text() for ax in fig.axes)
    caption, axes = boxes(fig)
    assert caption.width > 0.5 * fig.bbox.width  # it is drawn, on a line that it fills
    assert caption.x1 <= fig.bbox.x1 and caption.y0 >= 0
    for box in axes:
        assert box.y0 > caption.y1
        assert fig.bbox.x0 <= box.x0 and box.x1 <= fig.bbox.x1 and box.y1 <= fig.bbox.y1


@pytest.mark.parametrize("name", PLOTS)
def test_a_picture_is_opaque_sized_and_the_same_each_time(name):
    fig = PLOTS[name]()
    image = picture(fig.png()).convert("RGB")
    assert image.size[0] == 1152
    assert image.getpixel((0, 0)) == (255, 255, 255)
    assert len(image.getcolors(2**24)) > 10  # something is drawn
    assert fig.png() == fig.png() == PLOTS[name]().png()


@pytest.mark.parametrize("name", REDRAWN)
def test_a_redraw_gives_the_picture_of_a_new_plot(name):
    plot, first, changed, whole = REDRAWN[name]
    fig = plot(*first)
    before = fig.png(100)
    fig.redraw(*changed)
    after = fig.png(100)
    assert after != before
    assert after == plot(*whole).png(100)


@pytest.mark.parametrize("plot, values", [("optimal_gap", [(0.01 * i, 5 + i) for i in range(1, 20)])])
def test_a_redraw_draws_only_what_moves_and_takes_milliseconds(plot, values, monkeypatch):
    fig = getattr(figures, plot)(*values[0])
    fig.png(100)
    monkeypatch.setattr(fig.canvas, "draw", lambda: pytest.fail("the whole figure was drawn again"))
    times = []
    for value in values:
        start = time.thread_time()  # the processor's time: other programs do not count
        fig.redraw(*value)
        fig.png(100, small=False)
        times.append(time.thread_time() - start)
    assert statistics.median(times) < 0.06


@pytest.mark.parametrize("name", PLOTS)
def test_packing_a_picture_changes_no_colour_that_an_eye_could_tell(name):
    fig = PLOTS[name]()
    small, exact = fig.png(100), fig.png(100, small=False)
    difference = np.asarray(picture(small).convert("RGB"), int) - np.asarray(picture(exact), int)
    assert np.abs(difference).max() <= 6  # of 255
    assert len(small) < len(exact)


def test_a_photo_keeps_all_its_colours():
    photo = np.random.default_rng(0).integers(0, 256, (100, 100, 3), dtype=np.uint8)
    assert picture(figures.images_grid([photo]).png()).mode == "RGB"
    assert picture(figures.optimal_gap().png()).mode == "P"


def test_a_change_outside_the_moving_artists_is_drawn():
    fig = figures.optimal_gap()
    before = fig.png()
    fig.axes[0].set_title("another title")
    assert fig.png() != before


def test_schedule_draws_the_learning_rate_of_every_step():
    fig = figures.schedule(RECIPES, 10)
    line = fig.axes[0].lines[0]
    steps = 10 * RECIPES["step"].epochs
    assert line.get_label() == "step"
    assert list(line.get_ydata()) == [lr_at(RECIPES["step"], step, 10) for step in range(steps)]
    assert list(line.get_xdata()) == [step / 10 for step in range(steps)]


def test_schedule_names_recipes_by_their_changes_and_keeps_its_labels():
    fig = figures.schedule([BASELINE, replace(BASELINE, schedule="cosine")], 5)
    assert [line.get_label() for line in fig.axes[0].lines] == ["baseline", "schedule = cosine"]
    with pytest.raises(ValueError, match="labels .*other.* are not those drawn: .*baseline"):
        fig.redraw({"other": BASELINE})


@pytest.mark.parametrize("eps, K", [(0.1, 10), (0.1, 1000), (0.5, 2), (0.9, 10), (0.95, 3)])
def test_theoretical_gap_is_that_of_the_logits_whose_softmax_is_the_target(eps, K):
    target = np.array([1 - eps] + [eps / (K - 1)] * (K - 1))
    logits = np.log(target)
    assert theoretical_gap(eps, K) == pytest.approx(logits[0] - logits[1], abs=1e-12)


def test_theoretical_gap_at_its_ends():
    assert theoretical_gap(0, 10) == math.inf
    assert theoretical_gap(0.9, 10) == pytest.approx(0, abs=1e-12)
    assert theoretical_gap(0.1, 1000) == pytest.approx(9.104, abs=5e-4)  # the paper: around 9.1
    for eps, K in ((1.0, 10), (-0.1, 10), (0.1, 1)):
        with pytest.raises(ValueError, match="must be 0 <= eps < 1 and K >= 2"):
            theoretical_gap(eps, K)


def test_optimal_gap_draws_the_target_and_the_gap():
    fig = figures.optimal_gap(0.2, 5)
    left, right = fig.axes
    assert [bar.get_height() for bar in left.patches[:5]] == pytest.approx([0.8, 0.05, 0.05, 0.05, 0.05])
    assert [bar.get_height() for bar in left.patches[5:]] == [0] * 5  # there are no more classes
    assert list(left.lines[0].get_ydata()) == pytest.approx([0.8, 0.05, 0.05, 0.05, 0.05])  # softmax meets target
    assert any(line.get_xydata().tolist() == [[0.2, theoretical_gap(0.2, 5)]] for line in right.lines)


def test_reliability_pools_the_seeds_by_their_counts_and_leaves_out_empty_bins():
    one, two = final(0), final(1)
    fig = figures.reliability({"arm": [one, two]})
    line = next(line for line in fig.axes[0].lines if line.get_label().startswith("arm"))
    hits = sum(r["reliability"]["accuracy"][12] * r["reliability"]["count"][12] for r in (one, two))
    total = sum(r["reliability"]["count"][12] for r in (one, two))
    assert len(line.get_xdata()) == 4
    assert line.get_xdata()[1] == pytest.approx(82)
    assert line.get_ydata()[1] == pytest.approx(100 * hits / total)
    mean, half = t_interval([5.0, 6.0])
    assert line.get_label() == f"arm: ECE {mean:.1f} ± {half:.1f} points"


def test_reliability_takes_records_and_refuses_none():
    runs = [Run("baseline", BASELINE, seed, [], final(seed)) for seed in range(3)]
    assert figures.reliability(runs).png() == figures.reliability([run.final for run in runs]).png()
    with pytest.raises(ValueError, match="no runs to draw for 'ε = 0.2'"):
        figures.reliability({"ε = 0.2": []})


def test_gap_histogram_draws_mean_and_range_over_seeds_and_refuses_mixed_bins():
    fig = figures.gap_histogram(ARMS, theory={"ε = 0.1": 4.5})
    mean = np.mean([r["gap"]["density"] for r in ARMS["ε = 0"]], axis=0)
    assert fig.axes[0].patches[0].get_data().values == pytest.approx(mean)
    band = fig.axes[0].patches[1].get_data()
    assert (band.baseline <= mean + 1e-12).all() and (mean <= band.values + 1e-12).all()
    assert [line.get_xdata()[0] for line in fig.axes[0].lines] == [4.5]
    labels = [text.get_text() for text in fig.axes[0].get_legend().get_texts()]
    assert "ε = 0: mean 8.5" in labels and "ε = 0.1: eq. 5 asks for 4.5" in labels
    other = final()
    other["gap"] = {**other["gap"], "edges": [2 * edge for edge in EDGES]}
    with pytest.raises(ValueError, match="different bins"):
        figures.gap_histogram({"arm": [final(), other]})


def test_response_draws_every_seed_and_the_t_interval():
    groups = [[75.0, 75.4, 75.9], [76.0]]
    ax = figures.response([0, 0.1], groups, "ε", "accuracy, %").axes[0]
    dots = sorted(y for line in ax.lines if line.get_alpha() for y in line.get_ydata())
    assert dots == sorted(groups[0] + groups[1])
    mean, half = t_interval(groups[0])
    bars = ax.containers[0].lines[2][0].get_segments()
    assert bars[0][:, 1].tolist() == pytest.approx([mean - half, mean + half])
    assert bars[1][:, 1].tolist() == [76.0, 76.0]  # one seed has no interval


def test_response_draws_several_series_and_references():
    ax = figures.response(
        [1, 2], {"a": [[1.0], [2.0]], "b": [[3.0], [4.0]]}, "x", "y", reference={"baseline": 2.5}
    ).axes[0]
    assert {text.get_text() for text in ax.get_legend().get_texts()} == {"a", "b", "baseline"}
    assert [line.get_ydata()[0] for line in ax.lines if line.get_label() == "baseline"] == [2.5]


def test_curves_draw_mean_interval_and_seeds_of_rows_or_records():
    groups = [rows(4, seed) for seed in range(3)]
    ax = figures.curves({"arm": groups}).axes[0]
    mean = next(line for line in ax.lines if line.get_label() == "arm")
    assert list(mean.get_xdata()) == [1, 2, 3, 4]
    assert list(mean.get_ydata()) == pytest.approx([row["test_accuracy"] for row in rows(4, 1)])
    assert len(ax.lines) == 1 + 3
    low, high = ax.collections[0].get_datalim(ax.transData).intervaly
    values = [row["test_accuracy"] for row in (group[0] for group in groups)]
    assert low == pytest.approx(t_interval(values)[0] - t_interval(values)[1])
    runs = [Run("arm", BASELINE, seed, groups[seed], {}) for seed in range(3)]
    assert figures.curves({"arm": runs}).png() == figures.curves({"arm": groups}).png()


def test_against_paper_draws_both_differences_and_the_verdict():
    fig = figures.against_paper({"cosine": (COMPARISON, 0.75), "mixup": (COMPARISON, -0.84)})
    ax = fig.axes[0]
    paper = next(line for line in ax.lines if line.get_label() == "paper")
    assert list(paper.get_xdata()) == [0.75, -0.84]
    assert [text.get_text() for text in ax.get_yticklabels()] == ["cosine", "mixup"]
    verdicts = ax.child_axes[0]
    assert [text.get_text() for text in verdicts.get_yticklabels()] == ["same sign", "opposite sign"]
    segment = ax.containers[0].lines[2][0].get_segments()[0]
    assert segment[:, 0].tolist() == pytest.approx([0.5 - COMPARISON.half, 0.5 + COMPARISON.half])


def test_progress_survives_a_loss_that_is_not_finite_and_missing_columns():
    fig = figures.progress()
    empty = fig.png()
    fig.redraw([{"epoch": 1, "train_loss": math.inf}, {"epoch": 2, "train_loss": math.nan}], "two")
    assert fig.png() != empty
    assert fig.axes[0].get_xlim() == (0, 2)


@pytest.mark.parametrize(
    "image",
    [np.zeros((8, 8), np.uint8), np.zeros((3, 8, 8), np.uint8), np.full((8, 8, 3), 1.5), np.zeros((8, 8, 3), int)],
)
def test_images_grid_refuses_what_is_no_picture(image):
    with pytest.raises(ValueError, match=re.escape(f"got {image.shape} {image.dtype}")):
        figures.images_grid([image])


def test_preprocessing_numbers_its_steps_and_says_their_size():
    fig = figures.preprocessing([("as it is", PICTURES[1]), ("cropped", PICTURES[2])])
    assert [ax.get_title() for ax in fig.axes] == ["0. as it is\n32 × 28 px", "1. cropped\n32 × 32 px"]


def test_style_does_not_depend_on_the_readers_settings():
    import matplotlib

    expected = figures.optimal_gap().png()
    with matplotlib.rc_context({"axes.facecolor": "black", "font.size": 20, "axes.spines.top": True}):
        assert figures.optimal_gap().png() == expected
    assert matplotlib.rcParams["font.size"] == matplotlib.rcParamsDefault["font.size"]


def test_a_figure_shows_itself_in_a_notebook_with_words_for_those_who_do_not_see_it():
    data, metadata = figures.optimal_gap(caption="no data")._repr_mimebundle_()
    assert metadata["image/png"] == {"width": 800, "height": 450}
    assert data["image/png"].startswith("iVBORw0KGgo")
    assert data["text/plain"].startswith("Plot. Target: probability against class")
    assert data["text/plain"].endswith(". no data")


def test_a_lessons_own_plot_has_the_style():
    @styled
    def own():
        fig, ax = canvas(caption="made up")
        ax.plot([1, 2], [3, 4])
        return fig

    ax = own().axes[0]
    assert ax.lines[0].get_color() == figures.COLOURS[0]
    assert not ax.spines["top"].get_visible()


@pytest.mark.parametrize("name", ["optimal_gap", "reliability", "contour_paths", "images_grid", "against_paper"])
def test_export_writes_the_same_bytes_each_time_and_leaves_the_figure_as_it_was(name, tmp_path):
    fig = PLOTS[name](caption=CAPTION)
    before = fig.png()
    paths = export(fig, "a_slide", tmp_path / "first")
    assert [path.name for path in paths] == ["a_slide.png", "a_slide.svg", "a_slide.pdf"]
    assert fig.png() == before
    again = export(fig, "a_slide", tmp_path / "again") + export(
        PLOTS[name](caption=CAPTION), "a_slide", tmp_path / "new"
    )
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in paths] * 2
    assert picture(paths[0].read_bytes()).size == (1920, 1080)
    assert paths[1].read_text().startswith("<?xml") and paths[2].read_bytes().startswith(b"%PDF")
    assert sorted(path.name for path in (tmp_path / "first").iterdir()) == ["a_slide.pdf", "a_slide.png", "a_slide.svg"]


def test_export_of_a_moved_figure_is_what_the_screen_shows(tmp_path):
    fig = figures.optimal_gap(0.1, 10)
    fig.png()
    fig.redraw(0.4, 5)
    moved = export(fig, "moved", tmp_path)[0].read_bytes()
    assert moved == export(figures.optimal_gap(0.4, 5), "new", tmp_path)[0].read_bytes()


@pytest.mark.parametrize("name", ["", "a b", "../up", "a/b", "name.png", "-x", "über", ".hidden"])
def test_export_refuses_names_that_are_not_plain(name, tmp_path):
    with pytest.raises(ValueError, match="letters, digits, _ and - only"):
        export(figures.optimal_gap(), name, tmp_path)
    assert not list(tmp_path.iterdir())


def test_export_says_where_it_cannot_write(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match=f"cannot write the slide 'gap' to {re.escape(str(tmp_path / 'file'))}"):
        export(figures.optimal_gap(), "gap", tmp_path / "file")


def test_an_export_that_fails_leaves_no_file_and_the_figure_as_it_was(tmp_path, monkeypatch):
    fig = figures.optimal_gap()
    before = fig.png()

    def full_disk(path, **options):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(fig, "savefig", full_disk)
    with pytest.raises(OSError, match="No space left on device"):
        export(fig, "gap", tmp_path)
    assert not list(tmp_path.iterdir())
    assert fig.png() == before


def test_exports_can_be_sent_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("TRICKS_FIGURES", str(tmp_path))
    assert export(figures.optimal_gap(), "gap")[0] == tmp_path / "gap.png"
