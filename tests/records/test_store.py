"""Records and their statistics: found by value, paired by seed, whole or not there."""

import math
import re
import subprocess
from dataclasses import replace

import pytest
from scipy import stats

from tricks import ROOT
from tricks.data.files import WriteError
from tricks.plots.style import signed
from tricks.recipe import BASELINE, Recipe
from tricks.records import store
from tricks.records.statistics import (
    Comparison,
    caption,
    compare,
    errors_removed,
    overconfidence,
    paired,
    plus_minus,
    t_interval,
)
from tricks.records.store import Run, check_name, find, load_all, load_run, lookup, recorded
from tricks.studies.arms import ARMS, TRANSFERS

RECIPE = replace(BASELINE, epochs=1)


def make(accuracy, seed=0, recipe=RECIPE, name="baseline", **final):
    meta = {"train_images": 100, "test_images": 50, "source": "test data", "device": "cpu", "train_version": 1}
    return Run(name, recipe, seed, [{"epoch": 1.0, "test_accuracy": accuracy}], {"accuracy": accuracy, **final}, meta)


def test_a_lock_that_cannot_be_made_says_what_to_do(tmp_path, monkeypatch):
    """Someone else's checkout, or a disk that is full."""

    def refused(*_, **__):
        raise PermissionError(13, "Permission denied", "locks/a.lock")

    monkeypatch.setattr(store.FileLock, "acquire", refused)
    with (
        pytest.raises(WriteError, match="locks cannot be written to .*make it writable, or copy the course elsewhere"),
        store.locked(tmp_path / "locks" / "a.lock"),
    ):
        pytest.fail("must not run without the lock")


def test_a_record_survives_the_round_trip(tmp_path):
    run = make(71.23456789012345, nll=1 / 3)
    path = run.save(tmp_path)
    assert load_run(path) == run
    assert path.name == f"baseline-{RECIPE.hash}-seed0.json" and path.parent.name == "cifar10"


def test_runs_are_found_by_the_recipes_value_not_by_their_name(tmp_path):
    smooth = replace(RECIPE, label_smoothing=0.1)
    make(70, 1).save(tmp_path)
    make(71, 0).save(tmp_path)
    make(72, 0, smooth, name="anything").save(tmp_path)
    assert [r.accuracy for r in find(RECIPE, tmp_path)] == [71, 70]
    assert [r.accuracy for r in recorded(replace(RECIPE, label_smoothing=0.1), folder=tmp_path)] == [72]


def test_runs_of_a_folder_with_brackets_in_its_name_are_found(tmp_path):
    recipe = replace(RECIPE, dataset="/home/me/birds[1]")
    run = make(70, recipe=recipe)
    run.save(tmp_path)
    assert find(recipe, tmp_path) == [run] == load_all(tmp_path)


def test_a_run_is_looked_up_among_the_courses_and_the_readers_own(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "RUNS", tmp_path / "runs")
    theirs, mine = make(70, 0), make(71, 1)
    theirs.save()
    mine.save(tmp_path / "own")
    assert lookup(RECIPE, 0, tmp_path / "own") == (theirs, theirs.path())
    assert lookup(RECIPE, 1, tmp_path / "own") == (mine, mine.path(tmp_path / "own"))
    assert lookup(RECIPE, 2, tmp_path / "own") is None and lookup(RECIPE, 1, store.RUNS) is None
    assert recorded(RECIPE) == find(RECIPE) == load_all() == [theirs]


@pytest.mark.parametrize(
    "name", ["a/b", "../a", "", ".hidden", "-a", "a b", "a*", "a[1]", "a\\b", "a\n", "a:b", "a" * 61]
)
def test_a_name_that_no_record_can_have_is_refused(name):
    message = f"name {re.escape(repr(name))}: .* letters, digits, '.', '_' and '-'"
    with pytest.raises(ValueError, match=message):
        check_name(name)


def test_the_names_of_all_arms_and_of_ones_own_are_allowed():
    for name in (*ARMS, *TRANSFERS, "run", "lab", "grün_2.b"):
        check_name(name)


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="only in a git repository")
def test_git_ignores_the_readers_own_records():
    record = make(70).path(store.OWN_RUNS)
    assert subprocess.run(["git", "check-ignore", "-q", record], cwd=ROOT).returncode == 0


def test_a_recipe_changed_after_recording_is_an_error_with_the_differing_fields(tmp_path):
    make(70).save(tmp_path)
    with pytest.raises(LookupError, match=r"records of 'baseline' are of another recipe.*lr = 0\.2 \(recorded: 0\.1\)"):
        recorded(replace(RECIPE, lr=0.2), "baseline", tmp_path)
    with pytest.raises(LookupError, match=r"nearest is 'baseline'.*label_smoothing = 0\.3 \(recorded: 0\.0\)"):
        recorded(replace(RECIPE, label_smoothing=0.3), folder=tmp_path)
    with pytest.raises(LookupError, match="no run on imagenette is recorded yet"):
        recorded(replace(RECIPE, dataset="imagenette"), folder=tmp_path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[: len(text) // 2], "not a readable record"),
        (lambda text: text.replace('"lr": 0.1', '"lr": 0.3'), "do not belong together"),
        (lambda text: text.replace("70.5", "79.5"), "do not belong together"),
        (lambda text: text.replace('"lr": 0.1', '"lr": -1.0'), r"Recipe.lr = -1.0"),
        (lambda text: text.replace('"momentum"', '"momentun"'), "no field 'momentun'. Nearest: 'momentum'"),
        (lambda text: text.replace('"digest"', '"digestion"'), "digest"),
    ],
)
def test_a_record_edited_by_hand_or_cut_short_is_named(tmp_path, damage, message):
    path = make(70.5).save(tmp_path)
    path.write_text(damage(path.read_text()))
    with pytest.raises(ValueError, match=message) as caught:
        load_run(path)
    assert str(path) in str(caught.value)


def test_t_interval_against_scipy():
    values = [71.2, 70.4, 72.9, 71.8, 70.1]
    low, high = stats.t.interval(0.95, 4, loc=stats.tmean(values), scale=stats.sem(values))
    mean, half = t_interval(values)
    assert (mean - half, mean + half) == (pytest.approx(low), pytest.approx(high))
    assert t_interval([1.0]) == (1.0, math.inf)


def test_differences_are_paired_by_seed_and_match_scipys_paired_test():
    old = [make(a, s) for s, a in enumerate([70.0, 71.0, 69.5, 70.6])]
    new = [make(a, s) for s, a in ((3, 71.0), (1, 71.8), (0, 70.9), (9, 99.0))]  # seed 9 has no partner
    result = compare(new, old)
    assert sorted(result.seeds) == [0, 1, 3]
    reference = stats.ttest_rel([71.0, 71.8, 70.9], [70.6, 71.0, 70.0]).confidence_interval()
    assert (result.mean - result.half, result.mean + result.half) == (
        pytest.approx(reference[0]),
        pytest.approx(reference[1]),
    )


def test_arms_without_a_common_seed_cannot_be_compared():
    with pytest.raises(ValueError, match=r"nothing to pair: seeds \[0\] against \[1\]"):
        compare([make(70, 0)], [make(70, 1)])


def test_runs_on_other_data_are_not_paired():
    copy, published = (
        [replace(make(70, s), name=name, meta={"source": source}) for s in range(3)]
        for name, source in (("a", "cifar10 (JPEG copy)"), ("b", "cifar10"))
    )
    message = r"seed 2 .*'b' on 'cifar10'.*'a' on 'cifar10 \(JPEG copy\)'"
    for function in (paired, compare, errors_removed):
        with pytest.raises(ValueError, match=message):
            function(published[2:], copy)
        with pytest.raises(ValueError, match=message):  # one seed of three is enough
            function([*copy[:2], published[2]], copy)
    unknown = [replace(run, meta={}) for run in copy]
    assert compare(unknown, unknown).mean == 0
    with pytest.raises(ValueError, match="'a' on None, 'a' on 'cifar10"):
        compare(unknown, copy)


def test_the_sentence_says_no_clear_difference_when_the_interval_holds_0():
    old = [make(70, s) for s in range(3)]
    unclear = compare([make(70 + d, s) for s, d in enumerate((1.0, -1.2, 0.8))], old)
    assert str(unclear).startswith("no clear difference at this budget (+0.20 ± ") and "2 of 3 seeds" in str(unclear)
    clear = compare([make(70 + d, s) for s, d in enumerate((-1.0, -1.2, -0.8))], old)
    assert str(clear).startswith("-1.00 ± 0.50 points, higher for 0 of 3 seeds")


@pytest.mark.parametrize("differences", [(-0.001,), (-0.001, -0.001)])
def test_zero_has_no_minus_sign(differences):
    seeds = tuple(range(len(differences)))
    for unit in ("points", "nats"):
        digits, tiny = (2, 1) if unit == "points" else (3, 0.1)
        text = str(Comparison(seeds, tuple(tiny * d for d in differences), unit))
        assert f"+{0:.{digits}f}" in text and "-0.0" not in text
    assert plus_minus(differences).startswith("0.00") and signed(-0.001) == "+0.00"


def test_a_single_pair_has_no_interval():
    assert str(compare([make(71)], [make(70)])) == "+1.00 points for one seed, which has no interval"
    assert str(compare([make(71)], [make(70)], unit="")) == "+1.000 for one seed, which has no interval"


def test_plus_minus_is_the_t_interval_in_words():
    assert plus_minus([71.2, 70.4, 72.9, 71.8, 70.1], 1) == "71.3 ± 1.4"  # scipy: 71.28 ± 1.40
    assert plus_minus([70.0]) == "70.00"


def test_overconfidence_is_mean_confidence_above_accuracy():
    bins = {"confidence": [0.5, 0.9], "accuracy": [0.5, 0.8], "count": [1, 3]}
    assert overconfidence(make(72.5, reliability=bins)) == pytest.approx(100 * (0.5 + 3 * 0.9) / 4 - 72.5)


def test_a_nested_metric_has_a_dotted_name():
    old = [make(70, s, gap={"mean": 6.0}) for s in range(2)]
    new = [make(70, s, gap={"mean": 4.0 + s}) for s in range(2)]
    assert compare(new, old, "gap.mean", "logits").mean == -1.5


def test_caption_says_n_budget_data_and_device():
    text = caption([make(70, s) for s in range(3)])
    for part in ("n = 3 seeds", "resnet8", "100 images × 1 epoch ·", "test data, 50 test images", "cpu"):
        assert part in text
    assert caption([make(70)]).startswith("n = 1 seed ·")
    assert "50 of 50 test images" in caption([make(70)], curve=True)
    assert "2,000 of 10,000 test images" in caption(find(ARMS["cosine"]), curve=True)
    with pytest.raises(ValueError, match="at least one run"):
        caption([])


def test_committed_records_load_and_are_complete():
    committed = load_all()
    assert committed, "no committed record was found"
    for run in committed:
        assert [row["epoch"] for row in run.rows] == list(range(1, run.recipe.epochs + 1)), run.path()
        if isinstance(run.recipe, Recipe):
            assert abs(run.rows[-1]["test_accuracy"] - run.accuracy) < 4, run.path()  # 2,000 images against all
        assert run.meta["train_version"] >= 1, run.path()


def test_errors_removed_are_a_share_of_each_seeds_own_errors():
    old, new = [make(60.0, 0), make(80.0, 1)], [make(85.0, 1), make(70.0, 0), make(99.0, 2)]
    assert errors_removed(new, old) == [25.0, 25.0]
    assert errors_removed(old[:1], new) == pytest.approx([-100 / 3])
    with pytest.raises(ValueError, match="seed 1: 'baseline' makes no errors, so there is no share to remove"):
        errors_removed(new, [*old[:1], make(100.0, 1)])


def test_errors_removed_can_be_those_of_several_views():
    old, new = [make(60.0, crops={"accuracy": 75.0})], [make(60.0, crops={"accuracy": 80.0})]
    assert errors_removed(new, old, "crops.accuracy") == [20.0]
    with pytest.raises(ValueError, match="makes no errors"):
        errors_removed(new, [make(60.0, crops={"accuracy": 100.0})], "crops.accuracy")
