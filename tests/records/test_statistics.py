"""Verdicts with the paper's noise in them, the best epoch against the last, and few seeds against many."""

import math
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tricks import ROOT
from tricks.recipe import BASELINE, Transfer
from tricks.records import paper
from tricks.records.paper import Effect
from tricks.records.statistics import (
    WORDS,
    Comparison,
    after_division,
    best_over_last,
    budget,
    by_arm,
    comparisons,
    few_seeds,
    headline,
    interaction,
)
from tricks.records.store import Run, load_all

CLEAR = Comparison((0, 1, 2), (1.0, 1.2, 0.8), "points")  # +1.00 ± 0.50
OPEN = Comparison((0, 1, 2), (1.0, -1.2, 0.8), "points")
ONE = Comparison((0,), (1.0,), "points")


def run(seed, *accuracies, recipe=BASELINE, source="made up", key="test_accuracy"):
    rows = [{"epoch": float(epoch), key: value} for epoch, value in enumerate(accuracies, 1)]
    return Run("arm", recipe, seed, rows, {"accuracy": accuracies[-1]}, {"source": source})


# Differences within and between arms


def test_after_a_division_counts_from_the_last_epoch_before_it():
    rates, runs = (0.4, 0.4, 0.04, 0.03, 0.004), [run(0, 50, 60, 75, 74, 80), run(1, 40, 60, 71, 72, 70)]
    for each in runs:
        for row, lr in zip(each.rows, rates, strict=True):
            row["lr"] = lr
    first, second = after_division(runs), after_division(runs, 1)
    assert first == Comparison((0, 1), (15, 11), "points") and second.differences == (6, -2)
    with pytest.raises(IndexError):
        after_division(runs, 2)


def test_an_interaction_is_what_both_gain_beyond_the_sum():
    none, a, b = [run(0, 60), run(1, 61)], [run(1, 63), run(0, 64)], [run(0, 61), run(1, 64), run(2, 60)]
    both = [run(0, 68), run(1, 65)]  # 8 − 4 − 1, and 4 − 2 − 3
    assert interaction(none, a, b, both) == Comparison((0, 1), (3, -1), "points")
    with pytest.raises(ValueError, match="no seed is in all arms"):
        interaction(none, a, b[2:], both)


# Verdicts


@pytest.mark.parametrize(
    ("ours", "theirs", "verdict"),
    [
        (CLEAR, Effect(0.4), "same sign (2.5 times the paper's)"),
        (CLEAR, Effect(0.4, sd=0.2), "same sign (2.5 times the paper's)"),  # its noise, 1.96 · 0.2, is 0.392
        (CLEAR, Effect(0.4, sd=0.21), "the paper's effect is within its own noise"),
        (CLEAR, Effect(-0.4, sd=0.2), "opposite sign"),
        (CLEAR, Effect(0.04), "same sign (25 times the paper's)"),  # one run: nobody knows its noise
        (CLEAR, Effect(0.1004), "same sign (10 times the paper's)"),
        (CLEAR, Effect(3.0), "same sign (0.33 times the paper's)"),
        (CLEAR, Effect(0.0), "the paper's effect is within its own noise"),
        (OPEN, Effect(0.4, sd=0.2), "not resolved here"),
        (OPEN, Effect(0.1, sd=0.2), "the paper's effect is within its own noise"),  # there is no sign to look for
        (ONE, Effect(0.4), "not resolved here (one seed, no interval)"),
        (CLEAR, Effect(0.4, unlike="two changes in one"), "no verdict (two changes in one)"),
        (OPEN, Effect(0.1, sd=0.2, unlike="two changes in one"), "no verdict (two changes in one)"),
        (ONE, Effect(0.4, unlike="two changes in one"), "no verdict (two changes in one)"),
    ],
)
def test_the_verdict_is_one_of_four_or_says_why_there_is_none(ours, theirs, verdict):
    found = ours.against(theirs)
    assert str(found) == verdict and verdict.startswith(found.word)
    assert (found.word in WORDS) is not bool(theirs.unlike)


numbers = st.floats(-20, 20, allow_nan=False)


@given(st.lists(numbers, min_size=1, max_size=6), numbers, st.none() | st.floats(0, 5))
def test_a_verdict_turns_with_both_signs_and_only_then(differences, delta, sd):
    seeds, flipped = tuple(range(len(differences))), {"same sign": "opposite sign", "opposite sign": "same sign"}
    ours, mirrored = (Comparison(seeds, tuple(s * d for d in differences), "points") for s in (1, -1))
    word = ours.against(Effect(delta, sd)).word
    assert word in WORDS
    assert mirrored.against(Effect(-delta, sd)).word == word
    assert mirrored.against(Effect(delta, sd)).word == flipped.get(word, word)
    if word in flipped:
        assert ours.clear and abs(delta) > Effect(delta, sd).noise
        assert (math.copysign(1, ours.mean) == math.copysign(1, delta)) == (word == "same sign")
    if ours.clear and abs(delta) > Effect(delta, sd).noise:
        assert word in flipped


@given(st.lists(numbers, min_size=2, max_size=6), numbers, st.floats(0, 5), st.floats(0, 5))
def test_more_noise_in_the_paper_never_makes_a_sign(differences, delta, sd, more):
    ours = Comparison(tuple(range(len(differences))), tuple(differences), "points")
    quiet, loud = ours.against(Effect(delta, sd)).word, ours.against(Effect(delta, sd + more)).word
    assert loud == quiet or loud == "the paper's effect is within its own noise"


def test_the_papers_effect_is_of_the_cvpr_versions_means_where_it_has_them():
    cosine = paper.effect("6", "+ cosine decay", "Efficient", "ResNet-50-D_top1")
    assert cosine.delta == 0.47 and not cosine.single  # 77.73 − 77.26
    assert cosine.sd == pytest.approx(math.sqrt(0.07**2 + 0.13**2))
    assert cosine.noise == pytest.approx(stats.norm.ppf(0.975) * cosine.sd, rel=1e-4)
    assert str(cosine) == "+0.47 ± 0.29"
    assert paper.effect("6", "+ distill w/ mixup", "+ mixup w/o distill", "ResNet-50-D_top1").delta == 0.32


def test_the_spread_that_is_lent_is_the_one_that_the_documentation_names():
    text = (ROOT / "docs" / "evidence.md").read_text(encoding="utf8")
    assert f"±{paper.resnet_50(0.5).noise:.2f} a difference" in text


def test_a_single_run_of_the_same_network_has_the_noise_of_the_cvpr_versions_rows():
    spreads = (0.07, 0.13, 0.09, 0.04, 0.09, 0.07)
    pooled = math.sqrt(2 * sum(s**2 for s in spreads) / 6)
    for effect in (
        paper.effect("4", "+ No bias decay", "+ Zero gamma", "BS256_top1"),
        paper.effect("5", "ResNet-50-C", "ResNet-50-B", "top1"),
        paper.resnet_50(-0.7),
    ):
        assert effect.single and effect.sd == pytest.approx(pooled)
    assert str(paper.effect("4", "+ No bias decay", "+ Zero gamma", "BS256_top1")) == "-0.03 ± 0.24, one run each"
    assert str(paper.resnet_50(-0.7, unlike="why")) == "-0.70 ± 0.24, one run each"


def test_nobody_knows_the_noise_of_another_network_or_task():
    for table, new, old, column in (
        ("6", "+ distill w/o mixup", "+ label smoothing", "MobileNet_top1"),
        ("4", "+ LR warmup", "Linear scaling", "BS1024_top5"),
        ("8", "+ cosine", "D-efficient", "mAP"),
        ("9", "+ cosine", "D-efficient", "mIoU"),
    ):
        effect = paper.effect(table, new, old, column, unlike="why")
        assert effect == Effect(paper.delta(table, new, old, column), unlike="why") and effect.sd is None
    assert str(effect) == "+0.45, one run each"


# Best epoch against last


def test_the_best_epoch_is_never_below_the_last():
    runs = [run(0, 50.0, 71.5, 70.0), run(1, 60.0, 65.0), run(2, math.nan, 40.0, 38.0)]
    assert best_over_last(runs) == [1.5, 0.0, 2.0]
    segmenter = Transfer(task="segmentation")
    assert best_over_last([run(0, 30.0, 20.0, recipe=segmenter, key="miou")]) == [10.0]


@given(st.lists(st.floats(0, 100), min_size=1, max_size=20))
def test_the_best_epoch_flatters_by_what_a_loop_over_the_epochs_finds(accuracies):
    best = accuracies[0]
    for accuracy in accuracies:
        best = accuracy if accuracy > best else best
    (gain,) = best_over_last([run(0, *accuracies)])
    assert gain == best - accuracies[-1] >= 0


# Few seeds against many


def test_one_pair_of_seeds_against_five_by_hand():
    # mean +0.6, s = 1.14: the interval holds 0
    unclear = Comparison((0, 1, 2, 3, 4), (2.0, 1.0, 1.0, -1.0, 0.0), "points")
    one = few_seeds([unclear], 1)
    assert (one.tries, one.same, one.clear, one.wrong) == (5, 3, 0, 0)  # 0 is no sign
    # mean +1.0: clear; of its ten pairs of seeds only (1.1, 1.2), (0.9, 1.1), ... are close enough for t = 12.7
    clear = Comparison((0, 1, 2, 3, 4), (1.0, 1.1, 0.9, 1.2, 0.8), "points")
    two = few_seeds([clear], 2)
    halves = [12.706 * abs(a - b) / 2 for a, b in combinations(clear.differences, 2)]
    means = [(a + b) / 2 for a, b in combinations(clear.differences, 2)]
    assert two.clear == sum(mean > half for mean, half in zip(means, halves, strict=True)) == 4
    assert (two.tries, two.same, two.wrong) == (10, 10, 0)
    both = few_seeds([unclear, clear], 1)
    assert (both.tries, both.same) == (10, 8)
    assert str(both) == "1 seed: 8 of 10 have the sign of all seeds"
    assert str(two) == "2 seeds: 10 of 10 have the sign of all seeds; 4 of 10 are clear, 0 of these with the other sign"


def test_few_seeds_that_are_clear_and_wrong_are_counted():
    lucky = Comparison((0, 1, 2, 3), (-1.0, -1.001, 9.0, 8.0), "points")
    assert few_seeds([lucky], 2).wrong == 1


@given(st.lists(numbers, min_size=2, max_size=6), st.data())
def test_few_seeds_count_every_choice_once(differences, data):
    n = data.draw(st.integers(1, len(differences)))
    whole = Comparison(tuple(range(len(differences))), tuple(differences), "points")
    found = few_seeds([whole], n)
    assert found.tries == math.comb(len(differences), n)
    assert 0 <= found.wrong <= found.clear <= found.tries and found.same + found.wrong <= found.tries
    if n == len(differences):
        assert (found.same, found.wrong) == (int(whole.mean != 0), 0) and found.clear == int(whole.clear)


def test_comparisons_are_of_every_two_arms_as_long_and_on_one_set_of_data_with_seeds_enough():
    one, two, three = (replace(BASELINE, label_smoothing=eps) for eps in (0.0, 0.1, 0.2))
    runs = [run(seed, 70.0 + seed, recipe=one) for seed in range(3)]
    runs += [run(seed, 71.0 + 2 * seed, recipe=two) for seed in (2, 1, 0)]
    runs += [run(seed, 50.0, recipe=three) for seed in range(2)]
    runs += [run(seed, 50.0, recipe=replace(three, lr=0.7), source="other data") for seed in range(3)]
    runs += [run(seed, 80.0, recipe=replace(one, epochs=10 * one.epochs)) for seed in range(3)]
    runs += [run(seed, 60.0, recipe=replace(one, train_images=5_000)) for seed in range(3)]
    assert [len(arm) for arm in by_arm(reversed(runs))] == [3, 3, 3, 2, 3, 3]
    (found,) = comparisons(runs, seeds=3)
    assert (sorted(found.seeds), found.mean) == ([0, 1, 2], 2.0)
    assert len(comparisons(runs, seeds=2)) == 3
    assert comparisons(runs, seeds=4) == []


def test_all_committed_records_can_be_asked():
    classified = [each for each in load_all() if each.recipe.metric == "accuracy"]
    assert len(best_over_last(classified)) == len(classified) and min(best_over_last(classified)) >= 0
    pairs = comparisons(classified)
    assert pairs and all(len(each.seeds) >= 5 for each in pairs)
    one = few_seeds(pairs, 1)
    assert one.tries == sum(len(each.seeds) for each in pairs) and one.clear == 0


# For slides


@pytest.mark.parametrize(
    ("ours", "theirs", "sentence", "numbers"),
    [
        (
            {"in 12 epochs": CLEAR},
            Effect(0.4, sd=0.2),
            "X brings a gain in 12 epochs; in the paper, a gain",
            "Here, points (95 % intervals): in 12 epochs +1.00 ± 0.50 · Paper: +0.40 ± 0.39, one run each",
        ),
        (
            {"in 12 epochs": CLEAR, "in 120": OPEN, "later": CLEAR},
            Effect(-0.4, single=False),
            "X brings a gain in 12 epochs and later, no clear difference in 120; in the paper, a loss",
            "Here, points (95 % intervals): in 12 epochs +1.00 ± 0.50; in 120 +0.20 ± 3.02; "
            "later +1.00 ± 0.50 · Paper: -0.40",
        ),
        (
            {"here": ONE},
            Effect(0.1, sd=0.2, single=False),
            "X brings no clear difference here; in the paper, no clear difference",
            "Here, points (95 % intervals): here +1.00 (one seed) · Paper: +0.10 ± 0.39",
        ),
        (
            {"here": CLEAR},
            Effect(0.4, single=False, unlike="two changes in one"),
            "X brings a gain here",
            "Here, points (95 % intervals): here +1.00 ± 0.50 · Paper: +0.40 (two changes in one)",
        ),
        ({"here": CLEAR}, None, "X brings a gain here", "Here, points (95 % intervals): here +1.00 ± 0.50"),
    ],
)
def test_a_headline_is_a_sentence_and_the_numbers_behind_it(ours, theirs, sentence, numbers):
    assert headline("X", ours, theirs) == (sentence, numbers)


def test_a_budget_is_said_in_plain_words():
    def trained(seed, epochs, source):
        meta = {"train_images": 10_000, "test_images": 2_000, "source": source}
        return Run("arm", replace(BASELINE, epochs=epochs), seed, [], {}, meta)

    short = [trained(seed, 12, "cifar10 (JPEG copy)") for seed in range(5)]
    said = "10,000 pictures of CIFAR-10 for 12 epochs and tested on 2,000 others"
    assert budget(short) == f"5 seeds, each trained on {said}"
    assert budget(short[:1]) == f"1 seed trained on {said}"
    long = [trained(seed, 120, "Penn-Fudan") for seed in range(3)]
    said = "10,000 pictures of Penn-Fudan or CIFAR-10 for 12 or 120 epochs and tested on 2,000 others"
    assert budget(long + short) == f"3 to 5 seeds, each trained on {said}"
    said = "10,000 pictures of Penn-Fudan or CIFAR-10 for 12 to 120 epochs and tested on 2,000 others"
    assert budget(long + short + [trained(0, 60, "Penn-Fudan")]) == f"1 to 5 seeds, each trained on {said}"
    with pytest.raises(ValueError, match="at least one run"):
        budget([])
