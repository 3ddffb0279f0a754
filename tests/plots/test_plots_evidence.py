"""Plots of records: intervals, calibration, curves, live progress."""

import math
from functools import partial

import numpy as np
import pytest

from tricks.plots import evidence, schedules
from tricks.recipe import BASELINE
from tricks.records import statistics
from tricks.records.paper import Effect
from tricks.records.statistics import Comparison, t95, t_interval
from tricks.records.store import Run

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


def run(seed: int = 0) -> Run:
    return Run("arm", BASELINE, seed, [], final(seed))


ARMS = {"ε = 0": [run(s) for s in range(5)], "ε = 0.1": [run(s + 4) for s in range(5)]}


COMPARISON = Comparison((0, 1, 2), (0.4, 0.6, 0.5), "points")

PLOTS = {
    "reliability": partial(evidence.reliability, ARMS),
    "gap_histogram": partial(
        evidence.gap_histogram, ARMS, paper={"smoothed": ([0, 5, 9, 12], [0, 0.1, 0.3, 0])}, theory={"ε = 0.1": 4.39}
    ),
    "response": partial(
        evidence.response, [0, 0.1, 0.4], [[75.0, 75.4], [75.8, 76.1], [74.0, 74.2]], "ε", "accuracy, %"
    ),
    "curves": partial(evidence.curves, {"a": [rows(6, s) for s in range(3)], "b": [rows(6, s + 2) for s in range(3)]}),
    "curves, paper": partial(evidence.curves, {"a": [rows(6)], "b": [rows(6, 2)]}, paper={"b": ([0, 9], [10, 70])}),
    "leads": partial(schedules.leads, {"a − b": [[1, -2, 3], [2, -1, 2]]}, "ahead, points", paper={"paper": [0, -1]}),
    "against_paper": partial(
        evidence.against_paper, {"cosine": (COMPARISON, Effect(0.75, 0.1)), "a longer label": (COMPARISON, Effect(-1))}
    ),
    "against_paper, guesses": partial(
        evidence.against_paper, {"cosine": (COMPARISON, None)}, guesses={"your guess": 2.0, "Mina": -0.5}
    ),
    "progress": partial(evidence.progress, rows(4), "4 of 12 epochs done", 12, [3.0, 2.0, 1.5], 1, caption="made up"),
}
STEPS = [2.0 / (1 + step) for step in range(18)]
REDRAWN = {
    "progress": (evidence.progress, (rows(2), "two", 8), (rows(9), "nine", STEPS, 2), (rows(9), "nine", 8, STEPS, 2))
}


def test_reliability_pools_the_seeds_by_their_counts_and_leaves_out_empty_bins():
    one, two = final(0), final(1)
    fig = evidence.reliability({"arm": [run(0), run(1)]})
    line = next(line for line in fig.axes[0].lines if line.get_label().startswith("arm"))
    hits = sum(r["reliability"]["accuracy"][12] * r["reliability"]["count"][12] for r in (one, two))
    total = sum(r["reliability"]["count"][12] for r in (one, two))
    assert len(line.get_xdata()) == 4
    assert line.get_xdata()[1] == pytest.approx(82)
    assert line.get_ydata()[1] == pytest.approx(100 * hits / total)
    mean, half = t_interval([5.0, 6.0])
    assert line.get_label() == f"arm: ECE {mean:.1f} ± {half:.1f} points"


def test_an_arm_without_runs_is_refused():
    with pytest.raises(ValueError, match="no runs to draw for 'ε = 0.2'"):
        evidence.reliability({"ε = 0.2": []})


def test_gap_histogram_draws_mean_and_range_over_seeds_and_refuses_mixed_bins():
    fig = evidence.gap_histogram(ARMS, theory={"ε = 0.1": 4.5})
    mean = np.mean([r.final["gap"]["density"] for r in ARMS["ε = 0"]], axis=0)
    assert fig.axes[0].patches[0].get_data().values == pytest.approx(mean)
    band = fig.axes[0].patches[1].get_data()
    assert (band.baseline <= mean + 1e-12).all() and (mean <= band.values + 1e-12).all()
    assert [line.get_xdata()[0] for line in fig.axes[0].lines] == [4.5]
    labels = [text.get_text() for text in fig.axes[0].get_legend().get_texts()]
    assert "ε = 0: mean 8.5" in labels and "ε = 0.1: eq. 5 asks for 4.5" in labels
    other = run()
    other.final["gap"] = {**other.final["gap"], "edges": [2 * edge for edge in EDGES]}
    with pytest.raises(ValueError, match="different bins"):
        evidence.gap_histogram({"arm": [run(), other]})


def test_intervals_have_both_ends_and_one_value_has_none():
    mean, half = t_interval([70.0, 71.0, 73.0])
    assert t95([70.0, 71.0, 73.0]) == (mean - half, mean + half)
    assert t95([70.0]) == (-math.inf, math.inf)


def test_response_draws_every_seed_and_the_t_interval():
    groups = [[75.0, 75.4, 75.9], [76.0]]
    ax = evidence.response([0, 0.1], groups, "ε", "accuracy, %").axes[0]
    dots = sorted(y for line in ax.lines if line.get_fillstyle() == "none" for y in line.get_ydata())
    assert dots == sorted(groups[0] + groups[1])
    mean, half = t_interval(groups[0])
    bars = ax.containers[0].lines[2][0].get_segments()
    assert bars[0][:, 1].tolist() == pytest.approx([mean - half, mean + half])
    assert not np.isfinite(bars[1]).any()  # one seed has no interval


def test_response_draws_several_series_and_references():
    ax = evidence.response(
        [1, 2], {"a": [[1.0], [2.0]], "b": [[3.0], [4.0]]}, "x", "y", reference={"baseline": 2.5}
    ).axes[0]
    assert {text.get_text() for text in ax.get_legend().get_texts()} == {"a", "b", "baseline"}
    assert [line.get_ydata()[0] for line in ax.lines if line.get_label() == "baseline"] == [2.5]


def test_curves_draw_mean_interval_and_seeds_of_rows_or_records():
    groups = [rows(4, seed) for seed in range(3)]
    ax = evidence.curves({"arm": groups}).axes[0]
    mean = next(line for line in ax.lines if line.get_label() == "arm")
    assert list(mean.get_xdata()) == [1, 2, 3, 4]
    assert list(mean.get_ydata()) == pytest.approx([row["test_accuracy"] for row in rows(4, 1)])
    assert len(ax.lines) == 1 + 3
    low, high = ax.collections[0].get_datalim(ax.transData).intervaly
    values = [row["test_accuracy"] for row in (group[0] for group in groups)]
    assert low == pytest.approx(t_interval(values)[0] - t_interval(values)[1])
    runs = [Run("arm", BASELINE, seed, groups[seed], {}) for seed in range(3)]
    assert evidence.curves({"arm": runs}).png() == evidence.curves({"arm": groups}).png()


def test_curves_end_the_mean_where_a_seed_diverges():
    """The mean of those that are left would look like that of all."""
    groups = [rows(4, seed) for seed in range(3)]
    for row, loss in zip(groups[2][2:], (math.inf, math.nan), strict=True):
        row["train_loss"] = loss
    ax = evidence.curves({"arm": groups, "other": [rows(4, 5)]}, "train_loss").axes[0]
    lines = {line.get_label(): line for line in ax.lines}
    assert list(lines["arm"].get_xdata()) == [1, 2] and list(lines["other"].get_xdata()) == [1, 2, 3, 4]
    assert sorted(len(line.get_xdata()) for line in ax.lines) == [2, 2, 4, 4, 4, 4]


def test_curves_keep_the_axis_to_the_seeds_when_two_make_a_wide_band():
    two = [[{"epoch": 1, "test_accuracy": y}, {"epoch": 2, "test_accuracy": 90.0}] for y in (30.0, 50.0)]
    ax = evidence.curves({"arm": two}).axes[0]  # the interval of epoch 1 is 40 ± 127
    assert ax.get_ylim() == pytest.approx((30 - 15, 90 + 15))


def test_curves_with_the_papers_give_equal_labels_equal_colours():
    paper, ours = evidence.curves(
        {"a": [rows(4)], "b": [rows(4, 1)]}, paper={"b": ([0, 1], [5, 6]), "x": ([0], [1])}
    ).axes
    assert (paper.get_title("left"), ours.get_title("left")) == ("paper", "ours")
    colours = {line.get_label(): line.get_color() for line in ours.lines}
    assert [line.get_color() for line in paper.lines] == [colours["b"], "#666666"]
    assert list(paper.lines[0].get_ydata()) == [5, 6]


def test_lead_pairs_the_seeds_and_leads_draw_its_mean_against_the_share_of_the_run():
    new = [Run("new", BASELINE, seed, rows(4, 2 * seed), {}) for seed in (0, 1, 2)]
    old = [Run("old", BASELINE, seed, rows(4, 0), {}) for seed in (1, 2, 3)]
    ahead = statistics.lead(new, old)
    assert ahead.tolist() == [[2.0] * 4, [4.0] * 4]
    ax = schedules.leads({"new − old": ahead, "one seed": ahead[:1]}, "points", paper={"paper": [-1, -2]}).axes[0]
    lines = {line.get_label(): line for line in ax.lines}
    assert list(lines["new − old"].get_xdata()) == [25, 50, 75, 100]
    assert list(lines["new − old"].get_ydata()) == [3, 3, 3, 3]
    assert list(lines["paper"].get_xdata()) == [50, 100] and list(lines["paper"].get_ydata()) == [-1, -2]
    low, high = ax.collections[0].get_datalim(ax.transData).intervaly
    assert (low, high) == pytest.approx((3 - t_interval([2, 4])[1], 3 + t_interval([2, 4])[1]))
    assert not ax.collections[1].get_paths()  # one seed has no interval
    with pytest.raises(ValueError, match="nothing to pair"):
        statistics.lead(new[:1], old)


def test_against_paper_draws_both_differences_with_their_noise_and_the_verdict():
    effects = [
        Effect(0.75, 0.1),
        Effect(-0.84),
        Effect(0.1, 0.2),
        Effect(0.5, unlike="eighty epochs more in one of the two"),
    ]
    fig = evidence.against_paper({str(n): (COMPARISON, effect) for n, effect in enumerate(effects)})
    ax = fig.axes[0]
    ours, paper = ax.containers
    assert list(paper.lines[0].get_xdata()) == [0.75, -0.84, 0.1, 0.5]
    assert [text.get_text() for text in ax.get_yticklabels()] == ["0", "1", "2", "3"]
    verdicts = [text.get_text().replace("\n", " ") for text in ax.child_axes[0].get_yticklabels()]
    assert verdicts == [str(COMPARISON.against(effect)) for effect in effects]
    assert max(len(line) for text in ax.child_axes[0].get_yticklabels() for line in text.get_text().split("\n")) <= 30
    segment = ours.lines[2][0].get_segments()[0]
    assert segment[:, 0].tolist() == pytest.approx([0.5 - COMPARISON.half, 0.5 + COMPARISON.half])
    bars = [segment[:, 0].tolist() for segment in paper.lines[2][0].get_segments()]
    assert bars[0] == pytest.approx([0.75 - 0.196, 0.75 + 0.196]) and bars[1] == [-0.84, -0.84]  # nobody knows it


def test_guesses_stand_below_what_was_measured_over_its_interval():
    names = [f"{n} $x$" for n in range(30)]
    fig = evidence.against_paper(
        {"cosine": (COMPARISON, None), "b": (COMPARISON, Effect(1.0))}, guesses={name: 0.1 for name in names}
    )
    ax = fig.axes[0]
    (guesses,) = (line for line in ax.lines if line.get_label() == "guess")
    assert list(guesses.get_xdata()) == [0.1] * 30
    low, high = ax.get_ylim()
    assert low < min(guesses.get_ydata()) and max(guesses.get_ydata()) < -0.5
    labels = {place: text.get_text() for place, text in zip(ax.get_yticks(), ax.get_yticklabels(), strict=True)}
    assert [labels[y] for y in guesses.get_ydata()] == [name.replace("$", r"\$") for name in names]
    (band,) = ax.patches
    assert band.get_x() == pytest.approx(0.5 - COMPARISON.half)
    assert band.get_width() == pytest.approx(2 * COMPARISON.half)
    assert fig.get_size_inches()[1] < 8  # a class fits a page
    (paper,) = (bars for bars in ax.containers if bars.get_label() == "paper")
    assert list(paper.lines[0].get_ydata()) == [0]
    without = evidence.against_paper({"a": (Comparison((0,), (0.4,), "points"), None)}, guesses={"your guess": 1.0})
    assert not without.axes[0].patches  # one seed has no interval


def test_progress_of_another_metric_has_that_one_line():
    fig = evidence.progress([{"epoch": 1, "train_loss": 0.5, "miou": 40.0}], "one", 3, metric="miou")
    left, right = fig.axes
    assert [list(line.get_ydata()) for line in right.lines] == [[40.0]]
    assert [list(line.get_ydata()) for line in left.lines] == [[0.5], []]  # of epochs; of steps, which nobody gave
    assert right.get_ylabel() == "mIoU, %" and left.get_ylabel() == "training loss, nats" and not fig.legends
    assert "nats" not in evidence.progress(metric="map_50").axes[0].get_ylabel()  # boxes' distances are in it


def test_progress_names_the_curves_that_there_are_and_no_others():
    rows = [{"epoch": 1, "train_loss": 2.0, "test_accuracy": 40.0}]

    def named(rows):
        return [text.get_text() for text in evidence.progress(rows, "one", 3).axes[1].texts if text.get_text()]

    assert named([]) == []
    assert named(rows) == ["test pictures"]
    assert named([{**rows[0], "train_accuracy": 45.0}]) == ["test pictures", "dashed: training pictures, clean"]


def test_progress_draws_each_steps_loss_at_its_place_between_epochs_and_within_the_axis():
    fig = evidence.progress([{"epoch": 1, "train_loss": 2.0}], "one", 3, [9.0, 1.0, math.nan], 2, caption="made up")
    x, y = fig.axes[0].lines[1].get_data()
    assert list(x) == [0.5, 1.0, 1.5] and list(y)[:2] == [9.0, 1.0]
    assert fig.axes[0].get_ylim()[1] >= 9.0 and fig.axes[0].get_xlim() == (0, 3) and fig.caption == "made up"


def test_progress_survives_a_loss_that_is_not_finite_and_missing_columns():
    fig = evidence.progress()
    empty = fig.png()
    fig.redraw([{"epoch": 1, "train_loss": math.inf}, {"epoch": 2, "train_loss": math.nan}], "two")
    assert fig.png() != empty
    assert fig.axes[0].get_xlim() == (0, 2)
