"""Studies as views over records: what is missing, who records it, and what the summary says."""

import csv
import io
import multiprocessing
import re
from dataclasses import replace

import numpy as np
import pytest
from filelock import FileLock

from tricks.data.sets import Dataset, Split
from tricks.recipe import BASELINE, Transfer
from tricks.records import make, store
from tricks.records.store import Run, find, load_all
from tricks.studies import runner, studies
from tricks.studies.arms import ARMS, PILOTS, TRANSFERS
from tricks.studies.runner import missing, summary_text, work
from tricks.studies.studies import STUDIES, Study, recipe_of, study

TWO = Study("two", "Does it work?", "§0", ("off", "on"), "off", (0, 1))


NOTHING = Split(np.zeros((0, 32, 32, 3), np.uint8), np.zeros(0, np.int64))


def without_data(*_):
    """In place of `sets.load`: what the made-up runs say they were made on."""
    return Dataset("cifar10", "test", ("cat", "dog"), NOTHING, NOTHING)


def without_training(recipe, seed, name, dataset, checkpoint, progress):
    """In place of `train._run`: a made-up run, and a line in a log."""
    meta = {"train_images": 8, "test_images": 4, "source": "test", "device": "cpu", "train_version": 1}
    accuracy = 70.0 + seed + 10 * recipe.label_smoothing
    with open(store.RUNS.parent / "made.txt", "a") as log:
        log.write(f"{name} {seed}\n")
    return Run(name, recipe, seed, [{"test_accuracy": accuracy}], {"accuracy": accuracy}, meta)


@pytest.fixture
def two(tmp_path, monkeypatch):
    arms = {"off": replace(BASELINE, epochs=1), "on": replace(BASELINE, epochs=1, label_smoothing=0.1)}
    monkeypatch.setattr(studies, "ARMS", arms)
    monkeypatch.setattr(studies, "STUDIES", {"two": TWO})
    monkeypatch.setattr(runner, "STUDIES", {"two": TWO})
    monkeypatch.setattr(make, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(store, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(store, "OWN_RUNS", tmp_path / "own")
    monkeypatch.setattr(make, "_run", without_training)
    monkeypatch.setattr(make, "load", without_data)
    return tmp_path


def made(folder):
    return (folder / "made.txt").read_text().split("\n")[:-1]


def test_work_records_what_is_missing_seed_by_seed_and_only_once(two):
    work(TWO)
    assert made(two) == ["off 0", "on 0", "off 1", "on 1"]
    work(TWO)
    assert len(made(two)) == 4 and missing(TWO) == []


def test_shards_split_the_study_without_overlap(two):
    cells = [missing(TWO, (i, 3)) for i in range(3)]
    assert sorted(sum(cells, [])) == sorted(TWO.cells)


def test_an_arm_can_have_more_seeds_than_its_study(two, monkeypatch):
    more = replace(TWO, more={"on": (0, 1, 2)})
    monkeypatch.setattr(runner, "STUDIES", {"two": more})
    assert more.cells == [("off", 0), ("on", 0), ("off", 1), ("on", 1), ("on", 2)]
    assert sorted(missing(more, (0, 2)) + missing(more, (1, 2))) == sorted(more.cells)
    work(more)
    assert made(two) == ["off 0", "on 0", "off 1", "on 1", "on 2"] and missing(more) == []
    assert "off 2 of 2 seeds" in runner.status(more) and "on  3 of 3 seeds" in runner.status(more)
    assert [row["seeds"] for row in csv.DictReader(io.StringIO(summary_text()))] == ["2", "3"]


def test_a_readers_own_run_is_in_no_study_and_is_not_made_twice(two):
    recipe, messages = studies.ARMS["off"], []
    mine = make.run(recipe, 0, name="mine")
    assert find(recipe, store.OWN_RUNS) == [mine] and load_all() == []
    assert missing(TWO) == TWO.cells and "off 0 of 2 seeds" in runner.status(TWO)
    assert summary_text().count("\n") == 1  # the columns
    assert make.run(recipe, 0, name="again", progress=messages.append) == mine
    assert messages == [f"again, seed 0: already recorded in {mine.path(store.OWN_RUNS)}"]
    work(TWO)
    assert made(two) == ["mine 0", "off 0", "on 0", "off 1", "on 1"] and missing(TWO) == []
    (theirs,) = [run for run in find(recipe) if run.seed == 1]
    assert make.run(recipe, 1, name="mine", progress=messages.append) == theirs
    assert messages[1:] == [f"mine, seed 1: already recorded in {theirs.path()}"] and len(made(two)) == 5


def test_a_name_that_no_record_can_have_is_refused_before_training(two):
    with pytest.raises(ValueError, match="name 'a/b'"):
        make.run(studies.ARMS["off"], 0, name="a/b")
    assert not (two / "made.txt").exists()


def test_a_run_that_another_process_holds_is_left_to_it(two):
    recipe = studies.ARMS["off"]
    (two / "cache" / "locks").mkdir(parents=True)
    with FileLock(two / "cache" / "locks" / f"cifar10-{recipe.hash}-seed0.lock"):
        work(TWO)
        assert made(two) == ["on 0", "off 1", "on 1"]
        with pytest.raises(make.Busy, match="off, seed 0: another process is making this run"):
            make.run(recipe, 0, name="off")
    work(TWO)
    assert made(two)[-1] == "off 0"


def _work_in_a_process(folder):
    make.CACHE, store.RUNS, make._run, make.load = folder / "cache", folder / "runs", without_training, without_data
    studies.ARMS.update({"off": replace(BASELINE, epochs=1), "on": replace(BASELINE, epochs=1, label_smoothing=0.1)})
    work(Study("many", "Does it work?", "§0", ("off", "on"), "off", tuple(range(20))))


def test_two_processes_never_record_the_same_run_twice(tmp_path):
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_work_in_a_process, args=(tmp_path,)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    lines = made(tmp_path)
    assert len(lines) == 40 and len(set(lines)) == 40


def test_unknown_names_say_the_nearest():
    with pytest.raises(ValueError, match="no study 'smothing'. Nearest: 'smoothing'"):
        study("smothing")
    with pytest.raises(ValueError, match="no arm 'smoothing-0.3'. Nearest: 'smoothing-0"):
        studies.arm("smoothing-0.3")


def test_status_and_summary_pair_by_seed(two):
    work(TWO)
    text = runner.status(TWO)
    assert re.search(r"off +2 of 2 seeds", text) and "+1.00 ± 0.00 points" in text
    rows = list(csv.DictReader(io.StringIO(summary_text())))
    assert [row["arm"] for row in rows] == ["off", "on"]
    assert rows[1]["difference"] == "1.000" and rows[1]["seeds"] == "2" and rows[0]["difference"] == ""


def test_in_a_study_of_two_networks_each_has_its_own_reference(two, monkeypatch):
    arms = {f"{net}-{arm}": replace(r, net=net) for net in ("resnet8", "resnet14") for arm, r in studies.ARMS.items()}
    monkeypatch.setattr(studies, "ARMS", arms)
    second = ("resnet14-off",)
    both = Study("both", "Both?", "§0", tuple(arms), "resnet8-off", (0, 1), more_references=second)
    monkeypatch.setattr(runner, "STUDIES", {"both": both})
    work(both)
    assert [both.reference_for(arm) for arm in arms] == 2 * ["resnet8-off"] + 2 * ["resnet14-off"]
    assert runner.status(both).count("+1.00 ± 0.00 points") == 2
    rows = list(csv.DictReader(io.StringIO(summary_text())))
    assert [row["difference"] for row in rows] == ["", "1.000", "", "1.000"]


def test_an_arm_on_other_data_is_shown_and_not_compared(two):
    work(TWO)
    for run in find(studies.ARMS["on"]):
        replace(run, meta={**run.meta, "source": "other"}).save()
    text = runner.status(TWO)
    assert re.search(r"on +2 of 2 seeds +accuracy 71.50 ± [\d.]+ % +seed 0 cannot be paired", text)
    rows = list(csv.DictReader(io.StringIO(summary_text())))
    assert (rows[1]["dataset"], rows[1]["mean"], rows[1]["difference"]) == ("other", "71.500", "")


def test_every_study_has_its_reference_among_its_arms_and_a_recipe_for_each():
    for one in STUDIES.values():
        assert {one.reference, *one.more_references} <= set(one.arms) <= {*ARMS, *TRANSFERS}, one.name
        choice = one.name in PILOTS
        assert len(one.seeds) == len(set(one.seeds)) >= (1 if choice else 3)
        assert set(one.more) <= set(one.arms) and all(set(one.seeds) < set(seeds) for seeds in one.more.values())
        assert {recipe_of(arm).split for arm in one.arms} == {"validation" if choice else "test"}


def test_who_fine_tunes_a_seed_finds_the_backbone_that_was_pretrained_with_it():
    pretrained = STUDIES["pretrain"]
    for task in ("detection", "segmentation"):
        for arm, seed in STUDIES[task].cells:
            backbone = arm.replace(task, "pretrain")
            assert (backbone, seed) in pretrained.cells or backbone == "pretrain-random"


def test_arms_have_different_recipes():
    arms = {**ARMS, **TRANSFERS}
    assert len({recipe.hash for recipe in arms.values()}) == len(ARMS) + len(TRANSFERS)


def test_committed_summary_says_what_the_records_say():
    assert load_all(), "no committed record was found"
    assert runner.SUMMARY.read_text() == summary_text()


def test_committed_records_are_of_a_study_and_carry_its_arms_name():
    counted = 0
    for name in (*ARMS, *TRANSFERS):
        for run in find(recipe_of(name)):
            assert run.name == name
            counted += 1
    assert counted == len(load_all()) > 0


def test_an_arm_of_section_6_is_fine_tuned_and_compared_by_its_own_metric(two, monkeypatch):
    from tricks.transfer import loop

    def fine_tuned(recipe, seed, *, name, folder, progress):
        meta = {"train_images": 8, "test_images": 4, "source": "test", "device": "cpu", "train_version": 1}
        score = 30.0 + seed + 5 * recipe.pretrained
        Run(name, recipe, seed, [{"map_50": score}], {"map_50": score}, meta).save(folder)

    monkeypatch.setattr(studies, "TRANSFERS", {"no": Transfer(pretrained=False), "yes": Transfer()})
    monkeypatch.setattr(loop, "run", fine_tuned)
    boxes = Study("boxes", "Does it find them?", "§6", ("no", "yes"), "no", (0, 1))
    monkeypatch.setattr(studies, "STUDIES", {"boxes": boxes})
    monkeypatch.setattr(runner, "STUDIES", {"boxes": boxes})
    work(boxes)
    assert missing(boxes) == [] and len(find(Transfer())) == 2
    assert "map_50" in runner.status(boxes) and "+5.00 ± 0.00 points" in runner.status(boxes)
    row = list(csv.DictReader(io.StringIO(summary_text())))[1]
    assert (row["metric"], row["mean"], row["difference"]) == ("map_50", "35.500", "5.000")
