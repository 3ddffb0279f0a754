"""Trick Lab without a browser: controls make recipes, runs can be stopped and saved, and every error shows."""

import re
import threading
import time
from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from tricks.course import cost, lab, lab_run, lab_steps
from tricks.course.lab import BUTTONS, Lab
from tricks.course.lab_controls import CONTROLS, COPY, GONE, in_words
from tricks.course.missions import MISSIONS
from tricks.course.steps import load_steps
from tricks.course.steps import record as record_steps
from tricks.data.files import DataError, WriteError
from tricks.data.loader import DeviceLoader
from tricks.data.sets import Dataset, Split
from tricks.label_smoothing import smooth
from tricks.mixup import mixup
from tricks.models import resnet
from tricks.plots.lab import overlay
from tricks.plots.schedules import schedule
from tricks.recipe import BASELINE, Recipe, changes, teacher_of
from tricks.records import make, store
from tricks.records.make import prepare
from tricks.records.store import Run, find, load_run
from tricks.studies import arms
from tricks.studies.arms import ARMS, STACK
from tricks.targets import one_hot
from tricks.train import epochs

TINY = {"train_images": 0, "epochs": 2, "batch_size": 16, "lr": 0.05}


def made_up(name="cifar10", image_size=32):
    """Noise whose brightness tells the class, 160 pictures to train on."""
    rng = np.random.default_rng(0)

    def split(n):
        y = np.arange(n) % 10
        images = rng.integers(0, 120, (n, image_size, image_size, 3)) + 13 * y[:, None, None, None]
        return Split(images.astype(np.uint8), y.astype(np.int64))

    return Dataset("cifar10", "made up", tuple(f"class {k}" for k in range(10)), split(160), split(48), "")


@pytest.fixture
def panel(monkeypatch, tmp_path):
    """A lab on a small set, with records of its own: one of the arm `cosine`."""
    monkeypatch.setattr(lab, "load", made_up)
    monkeypatch.setattr(cost, "speed", lambda: 1e9)
    monkeypatch.setattr(store, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(store, "OWN_RUNS", tmp_path / "own")
    monkeypatch.setattr(make, "CACHE", tmp_path / "cache")
    monkeypatch.setenv("TRICKS_BUDGET", "quick")
    monkeypatch.setenv("TRICKS_FIGURES", str(tmp_path / "figures"))
    record("cosine", 0)
    panel = Lab()
    panel.set(**TINY)
    yield panel
    panel.stop()
    panel.wait()


def record(name, seed):
    """A made-up record of an arm."""
    row = {"epoch": 12, "train_loss": 1.0, "train_accuracy": 72.0, "test_accuracy": 70.0, "test_nll": 1.0}
    meta = {"train_images": 10_000, "test_images": 10_000, "source": "made up", "device": "cpu", "train_version": 1}
    Run(name, ARMS[name], seed, [row], {"accuracy": 70.0}, meta).save()


def run(panel, **values):
    panel.set(**values)
    panel.buttons["train"].click()
    panel.wait()
    return panel.runs[-1]


def save(panel):
    """Press Save runs, and in its question Save these: what was asked."""
    panel.buttons["ask"].click()
    (question,) = panel.asked.children
    if panel.asked.layout.display != "none":
        question.children[-1].children[0].click()
    return question.children[1:-1]


# What the controls say


def of(images):
    """A data set with so many training pictures, all of them black."""
    train = Split(np.broadcast_to(np.uint8(0), (images, 32, 32, 3)), np.arange(images) % 10)
    return lambda *_: replace(made_up(), train=train)


def test_it_starts_at_the_recorded_baseline_which_is_a_minute_on_two_cores(panel, monkeypatch):
    monkeypatch.setattr(lab, "load", of(50_000))
    assert Lab().recipe == ARMS["baseline"]
    assert cost.work(ARMS["baseline"], 10, 10_000, 10_000) < 6e12  # 60 s at 100 G multiply-adds a second


def test_a_small_set_is_taken_whole_in_smaller_batches(panel):
    panel.reset()
    assert panel.recipe == replace(ARMS["baseline"], train_images=0, batch_size=32)  # of 160 pictures


def test_in_the_smoke_budget_it_starts_with_seconds(monkeypatch, panel):
    monkeypatch.setenv("TRICKS_BUDGET", "smoke")
    monkeypatch.setattr(lab, "load", of(20_000))
    start = Lab("shapes").start
    assert (start.dataset, start.train_images, start.epochs, start.batch_size) == ("shapes", 512, 1, 128)


CHANGES = {
    "dataset": ("shapes", {"dataset": "shapes"}),
    "train_images": (512, {"train_images": 512}),
    "epochs": (5, {"epochs": 5}),
    "split": ("validation", {"split": "validation"}),
    "net": ("bottleneck14", {"net": "bottleneck14"}),
    "tweak_b": (True, {"tweak_b": True}),
    "tweak_c": (True, {"tweak_c": True}),
    "tweak_d": (True, {"tweak_d": True}),
    "zero_gamma": (True, {"zero_gamma": True}),
    "lr": (0.4, {"lr": 0.4}),
    "batch_size": (64, {"batch_size": 64}),
    "warmup_epochs": (0.75, {"warmup_epochs": 0.75}),
    "schedule": ("cosine", {"schedule": "cosine"}),
    "first_decay": (0.1 + 0.2, {"first_decay": 0.3}),  # what a slider may say for 0.3
    "weight_decay": (1e-3, {"weight_decay": 1e-3}),
    "linear_scaling": (True, {"linear_scaling": True}),
    "no_bias_decay": (True, {"no_bias_decay": True}),
    "amp": (True, {"amp": True}),
    "label_smoothing": (0.1, {"label_smoothing": 0.1}),
    "mixup_alpha": (0.2, {"mixup_alpha": 0.2}),
    "teacher": (True, {"teacher": "resnet14"}),
    "temperature": (4.0, {"temperature": 4.0}),
    "distill_weight": (0.5, {"distill_weight": 0.5}),
    "optimizer": ("muon", {"optimizer": "muon"}),
    "muon_lr": (0.05, {"muon_lr": 0.05}),
    "bias_lr": (64.0, {"bias_lr": 64.0}),
    "ema_decay": (0.99, {"ema_decay": 0.99}),
    "cutmix_alpha": (1.0, {"cutmix_alpha": 1.0}),
    "start_size": (16, {"start_size": 16}),
    "whitening": (True, {"whitening": True}),
    "dirac": (True, {"dirac": True}),
    "alternating_flip": (True, {"alternating_flip": True}),
    "trivial_augment": (True, {"trivial_augment": True}),
}


UNLIKE = ("dataset", "tweak_b", "cutmix_alpha")  # no recipe has them with all others


def test_every_control_has_a_test_and_a_label(panel):
    assert {*CHANGES, "seed"} == set(panel.controls) == {name for part in CONTROLS.values() for name in part}
    assert set(panel.controls) - {"seed"} <= {field.name for field in fields(Recipe)}
    assert all(control.description for control in panel.controls.values())


def test_each_control_changes_its_field_and_nothing_else(panel, monkeypatch):
    monkeypatch.setattr(lab, "load", of(50_000))
    panel = Lab()
    for name, (value, expected) in CHANGES.items():
        panel.controls[name].value = value
        assert changes(panel.recipe, panel.start) == expected
        panel.set(**{name: getattr(panel.start, name)})
        assert panel.recipe == panel.start


def test_reset_goes_back_to_the_baseline(panel):
    panel.set(**{name: value for name, (value, _) in CHANGES.items() if name not in UNLIKE}, seed=5)
    assert len(changes(panel.recipe, panel.start)) > 15
    panel.buttons["reset"].click()
    assert (panel.recipe, panel.seed) == (panel.start, 0)


def test_the_seed_is_not_part_of_the_recipe(panel):
    before = panel.recipe
    panel.controls["seed"].value = 3
    assert panel.recipe == before and panel.seed == 3
    panel.buttons["reset"].click()
    assert panel.seed == 0


def test_imagenette_comes_with_larger_pictures(panel):
    panel.controls["dataset"].value = "imagenette"
    assert panel.recipe.image_size == 64


def test_all_tricks_is_the_stack_of_section_7_on_the_present_budget(panel):
    before = panel.recipe
    panel.buttons["all_tricks"].click()
    stack = {name: value for change in STACK.values() for name, value in change.items()}
    assert changes(panel.recipe, before) == {**stack, "warmup_epochs": 0.5}  # of 2 epochs
    panel.set(epochs=1)
    panel.all_tricks()
    assert panel.recipe.warmup_epochs == 0.25 and panel.message.value == ""


@pytest.mark.parametrize("values", [{}, {"schedule": "cosine", "weight_decay": 1e-5, "teacher": True, "seed": 4}])
def test_the_code_makes_the_recipe(values, panel):
    panel.set(**values)
    names = {}
    exec(panel.code.value, names)
    assert (names["recipe"], names["seed"]) == (panel.recipe, panel.seed)
    panel.set(label_smoothing=0.3)
    assert "label_smoothing=0.3" in panel.code.value  # it follows


NONSENSE = [
    ({"warmup_epochs": 3.0}, "warm-up epochs = 3.0: must be below epochs = 2"),
    ({"tweak_b": True}, "tweak B does not exist for &#x27;resnet8&#x27;"),
    ({"teacher": True, "net": "bottleneck14", "tweak_b": True}, "does not exist for &#x27;resnet14&#x27;"),
    ({"net": "inception-small", "tweak_d": True}, "tweak D does not exist for &#x27;inception-small&#x27;"),
    ({"net": "mobilenet-small", "zero_gamma": True}, "zero γ needs residual blocks, and MobileNet has none"),
    ({"mixup_alpha": 0.2, "cutmix_alpha": 1.0}, "CutMix α = 1.0: must be 0 with mixup α = 0.2"),
]


def test_a_combination_that_makes_no_sense_is_one_message_in_the_labels_words_and_cannot_be_trained(panel):
    good, start = panel.picture.value, {name: control.value for name, control in panel.controls.items()}
    for values, message in NONSENSE:
        panel.set(**values)
        assert message in panel.message.value and "Traceback" not in panel.message.value
        assert 'role="alert"' in panel.message.value and "Recipe" not in panel.message.value
        assert panel.picture.value == good and panel.buttons["train"].disabled
        assert "tricks-error" not in panel.status.value  # said once
        panel.buttons["train"].click()  # as no reader can
        assert panel.runs == [] and panel._running is None and 'role="alert"' in panel.status.value
        panel.set(**start)
        assert panel.message.value == "" and panel.picture.value == good and not panel.buttons["train"].disabled
        assert "tricks-error" not in panel.status.value


def test_reset_takes_an_error_away(panel):
    panel.set(warmup_epochs=3.0)
    panel.buttons["reset"].click()
    assert panel.message.value == "" and "tricks-error" not in panel.status.value


def test_an_error_is_said_in_the_words_of_the_labels():
    said = in_words("Recipe.lr = 0: must be above 0. Raise batch_size, or image_size (lr is split)")
    assert said == "learning rate = 0: must be above 0. Raise batch size, or image_size (lr is split)"


def test_values_are_clamped_to_the_data_set_and_it_says_so(panel):
    panel.set(train_images=512)
    assert panel.recipe.train_images == 0 and panel.message.value == ""
    assert "made up has 160 training images: all are taken" in panel.status.value
    panel.set(batch_size=256)
    assert panel.recipe.batch_size == 128 and "more than the 160 training images: it has 128" in panel.status.value
    panel.set(split="validation", batch_size=1024)
    assert panel.recipe.batch_size == 128  # of 144
    panel.reset()
    assert panel.recipe == panel.start


def test_the_default_budget_becomes_all_of_a_smaller_set(panel, monkeypatch):
    monkeypatch.setattr(lab, "load", of(50_000))
    large = Lab()
    assert large.recipe.train_images == 10_000
    monkeypatch.setattr(lab, "load", of(9_469))
    large.controls["dataset"].value = "imagenette"
    wait_for(lambda: "9,469 training images: all are taken" in large.status.value)  # the last thing that is said
    assert large.recipe.train_images == 0 and large._drawn == "imagenette" and large.message.value == ""


def test_buttons_can_be_pressed_where_they_do_something(panel, monkeypatch):
    def able():
        return {name for name, button in panel.buttons.items() if not button.disabled}

    always = {"reset", "all_tricks", "export"}
    assert able() == {*always, "train"} and set(BUTTONS) == set(panel.buttons)
    seen = []

    def watched(*arguments, **options):
        for row in epochs(*arguments, **options):
            seen.append(able())
            yield row

    monkeypatch.setattr(lab_run, "epochs", watched)
    run(panel)
    assert seen == [{*always, "stop"}, {*always, "stop"}]
    assert able() == {*always, "train", "ask", "clear"}
    panel.buttons["clear"].click()
    assert able() == {*always, "train"}


def test_progress_does_not_overwrite_what_is_said(panel, monkeypatch):
    lines = []

    def watched(*arguments, **options):
        for row in epochs(*arguments, **options):
            panel.buttons["export"].click()
            yield row
            lines.append((panel.progress.value, panel.status.value))

    monkeypatch.setattr(lab, "BETWEEN_LINES", 0.0)
    monkeypatch.setattr(lab_run, "epochs", watched)
    run(panel)
    assert [("Epoch" in progress, "Saved 08_lab" in said) for progress, said in lines] == [(True, True)] * 2
    assert "Epoch" not in panel.progress.value and "Done in" in panel.status.value


# Missions


def test_a_mission_sets_the_controls_to_its_start_and_none_goes_back(panel, monkeypatch):
    monkeypatch.setattr(lab, "load", of(50_000))
    panel = Lab()
    for mission in MISSIONS:
        panel.missions.value = mission
        assert panel.recipe == replace(panel.start, **mission.start) and panel.message.value == ""
        assert mission.hypothesis.split(",")[0] in panel.brief.value
        assert f"{mission.title}: not yet" in panel.mission_state.value
        panel.set(label_smoothing=0.2)
        panel.buttons["reset"].click()
        assert panel.recipe == replace(panel.start, **mission.start)
    panel.begin(None)
    assert panel.recipe == panel.start and (panel.mission_state.value, panel.brief.value) == ("", "")


def test_a_mission_is_judged_by_the_runs_of_the_lab(panel):
    mission = replace(MISSIONS[0], start={}, reached=lambda runs: (len(runs) == 2, f"lr = {len(runs)}"))
    panel.mission = mission
    panel.set(epochs=1)
    run(panel)
    state = panel.mission_state.value
    assert "not yet. learning rate = 1" in state and "tricks-reached" not in state
    run(panel)
    state = panel.mission_state.value
    assert ": reached. learning rate = 2" in state and "tricks-reached" in state


def test_copying_and_a_lost_kernel_need_none():
    assert "navigator.clipboard" in COPY and "Ctrl-C" in COPY and "<script" not in COPY
    assert "restarted" in GONE and "Run its\ncell again" in GONE


def test_a_callback_that_raises_shows_its_traceback_and_recovers(panel, monkeypatch):
    monkeypatch.setattr(lab, "mixup", lambda *_: 1 / 0)
    panel.controls["mixup_alpha"].value = 0.5
    assert "ZeroDivisionError" in panel.message.value and "Traceback" in panel.message.value
    panel.controls["mixup_alpha"].value = 0.0
    assert panel.message.value == ""
    monkeypatch.setattr(lab, "export_own", lambda *_, **__: 1 / 0)
    panel.buttons["export"].click()
    assert "ZeroDivisionError" in panel.status.value


def test_another_data_set_is_read_behind_the_controls(panel, monkeypatch):
    released = threading.Event()
    other = replace(made_up(), classes=tuple(f"other {k}" for k in range(10)))
    monkeypatch.setattr(lab, "load", lambda *_: released.wait(20) and other)
    before = panel.picture.value
    panel.controls["dataset"].value = "shapes"
    assert "Reading shapes" in panel.message.value and panel.picture.value == before
    released.set()
    wait_for(lambda: panel.message.value == "")
    assert panel.picture.value != before
    run(panel)
    assert "No runs on shapes are recorded" in panel.grey.value


def test_a_data_set_that_is_missing_is_a_message_and_its_control_goes_back(panel, monkeypatch):
    def missing(*_):
        raise DataError("imagenette is nowhere")

    monkeypatch.setattr(lab, "load", missing)
    panel.controls["dataset"].value = "imagenette"
    wait_for(lambda: "imagenette is nowhere" in panel.status.value)
    assert panel.controls["dataset"].value == "cifar10" and panel.message.value == ""
    assert not panel.buttons["train"].disabled
    panel.set(label_smoothing=0.1)
    assert "nowhere" not in panel.status.value


def wait_for(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_what_is_shown_before_training_comes_from_the_functions_of_the_loop(panel):
    panel.set(label_smoothing=0.1, mixup_alpha=0.5, schedule="cosine")
    before = panel._before()
    x, y = panel._sample
    assert 0.5 < before.lam < 1
    assert (np.random.default_rng(0).beta(0.5, 0.5, 100_000) > before.lam).mean() == pytest.approx(0.25, abs=0.01)
    pictures, targets = mixup(x, smooth(one_hot(y, 10), 0.1), before.lam, torch.arange(12).roll(-1))
    np.testing.assert_allclose(before.pictures, pictures)
    np.testing.assert_allclose(before.target, targets[0])
    line = panel.figure.axes[0].lines[0].get_ydata()
    assert before.steps == 10
    np.testing.assert_allclose(line, schedule({"": panel.recipe}, 10).axes[0].lines[0].get_ydata())
    panel.set(mixup_alpha=0.0)
    assert panel._before().lam == 1


# Cost


def test_size_and_work_count_what_a_run_computes(panel):
    recipe = replace(BASELINE, epochs=2, teacher="resnet14")
    model = resnet.build("resnet8", 10)
    forward = resnet.multiply_adds(model, 32)
    assert cost.size(recipe, 10) == (resnet.parameter_count(model), forward)
    teacher = cost.size(teacher_of(recipe), 10)[1]
    assert cost.per_picture(recipe, 10) == (3 * forward + teacher, forward)
    trained, measured = 2 * 5_000, 2 * (2_000 + 2_000) + 10_000
    assert cost.work(recipe, 10, 5_000, 10_000) == trained * (3 * forward + teacher) + measured * forward


def test_the_batches_of_a_run_add_up_to_its_work(panel):
    shares = []
    run = Run("lab", panel.recipe, 0, [], {})
    finished = lab_run.train(run, made_up(), lambda what, share: shares.append((what, share)), lambda run: None)
    assert (run.rows, run.final, run.meta) == ([], {}, {}) and len(finished.rows) == 2 and finished.final
    assert shares[0] == ("Epoch 1 of 2", 0.0) and shares[-1][0] == "All test images"
    assert all(a[1] < b[1] for a, b in zip(shares, shares[1:], strict=False))
    each = cost.work(panel.recipe, 10, 160, 48)
    assert shares[-1][1] == pytest.approx(1 - 48 * cost.size(panel.recipe, 10)[1] / each)


def test_the_cost_is_said_before_training_and_corrected_by_it(panel):
    assert "M multiply-adds a picture" in panel.cost.value and "teacher" not in panel.cost.value
    panel.set(teacher=True)
    assert "for its teacher" in panel.cost.value
    finished = run(panel, teacher=False)
    assert panel._speed == panel._work(finished.recipe) / finished.meta["seconds"]


def test_speed_is_measured_once():
    assert cost.speed() == cost.speed() > 1e8


# Training


def test_a_run_is_the_one_that_train_makes_and_lands_in_the_picture(panel):
    before = panel.result.value
    finished = run(panel, label_smoothing=0.1, seed=2)
    parts = prepare(finished.recipe, 2, made_up())
    assert finished.rows == list(epochs(finished.recipe, parts, seed=2))
    assert set(finished.final) >= {"accuracy", "nll", "ece"}
    assert finished.meta["test_images"] == 48 and finished.meta["seconds"] >= 0
    assert panel.result.value != before
    assert f"{finished.accuracy:.2f} % of all test images" in panel.status.value
    (label,) = panel._labelled()
    assert "label_smoothing = 0.1, seed = 2" in label and f"{finished.accuracy:.2f} %" in label


def test_two_runs_are_overlaid_with_what_differs_and_by_how_much(panel):
    first = run(panel)
    panel.set(mixup_alpha=0.2)
    second = run(panel, schedule="cosine")
    third = run(panel, seed=1)
    labels = list(panel._labelled())
    assert "schedule = cosine, mixup_alpha = 0.2" in labels[1].replace("\n    ", "")
    assert labels[1].endswith(
        f"{second.accuracy:.2f} %, {second.accuracy - first.accuracy:+.2f} points".replace("-", "−")
    )
    assert labels[2].endswith(f"seed = 1: {third.accuracy:.2f} %")  # another seed is not paired
    legend = [text.get_text() for text in panel.overlay.legends[0].get_texts()]
    assert legend[1:] == labels and legend[0].startswith("recorded: cosine, 1 seed, 10,000")
    assert "has no interval" in panel.overlay.caption
    panel.buttons["clear"].click()
    assert panel.runs == [] and len(panel.overlay.legends[0].get_texts()) == 1


def stop_after_an_epoch(panel, monkeypatch):
    """Press Stop at the end of the first epoch."""

    def stopping(*arguments, **options):
        for row in epochs(*arguments, **options):
            panel.buttons["stop"].click()
            yield row

    monkeypatch.setattr(lab_run, "epochs", stopping)


def test_stop_ends_a_run_within_its_epoch_and_keeps_finished_ones(panel, monkeypatch):
    stop_after_an_epoch(panel, monkeypatch)
    panel.set(epochs=30)
    batches = count_batches(monkeypatch)
    panel.buttons["train"].click()
    panel.wait()
    assert len(panel.runs[0].rows) == 1 and panel.runs[0].final == {}
    assert len(batches) == 10  # those of the first epoch
    assert "Stopped. 1 of 30 epochs are kept" in panel.status.value
    assert "ended after 1 of 30 epochs" in next(iter(panel._labelled()))


def test_a_run_like_a_stopped_one_is_a_run_of_its_own(panel, monkeypatch):
    """On a CPU its first row is the same to the last bit."""
    with monkeypatch.context() as patch:
        stop_after_an_epoch(panel, patch)
        stopped = run(panel, epochs=1)
    assert (len(stopped.rows), stopped.final) == (1, {})
    again = run(panel)
    assert len(panel.runs) == len(panel.overlay.legends[0].get_texts()) - 1 == 2
    assert again.rows == stopped.rows and again.final
    save(panel)
    assert find(again.recipe, store.OWN_RUNS) == [again]


def test_a_run_that_was_shown_does_not_change_when_the_next_epoch_is_done(panel, monkeypatch):
    seen = []

    def watched(runs, *arguments, **options):
        seen.extend((shown, len(shown.rows), dict(shown.final), dict(shown.meta)) for shown in runs.values())
        return overlay(runs, *arguments, **options)

    monkeypatch.setattr(lab, "overlay", watched)
    finished = run(panel)
    assert [rows for _, rows, *_ in seen][:2] == [1, 2] and seen[-1][0] is finished
    assert all((len(each.rows), each.final, each.meta) == (*then,) for each, *then in seen)


def count_batches(monkeypatch):
    """The epoch of each batch of ten that a run has trained on."""
    batches = []
    original = DeviceLoader.epoch

    def counted(self, epoch):
        for batch in original(self, epoch):
            yield batch
            if len(self) == 10:
                batches.append(epoch)

    monkeypatch.setattr(DeviceLoader, "epoch", counted)
    return batches


def test_only_one_run_at_a_time_and_controls_move_meanwhile(panel):
    panel.set(epochs=30)
    panel.train()
    assert panel.buttons["train"].disabled
    with pytest.raises(ValueError, match="A run is going on"):
        panel.train()
    panel.controls["label_smoothing"].value = 0.2
    assert panel._before().recipe.label_smoothing == 0.2
    panel.stop()
    panel.wait()
    assert all(run.recipe.label_smoothing == 0 for run in panel.runs)


@pytest.mark.parametrize("more", [{}, {"tweak_c": True, "weight_decay": 1e-5, "temperature": 4.0}])
def test_the_legend_of_a_recipe_with_many_changes_stays_in_the_picture(more, panel):
    first = replace(find(ARMS["cosine"])[0], recipe=panel.recipe)
    panel.all_tricks()
    panel.set(warmup_epochs=0.25, **more)
    panel.runs = [first, replace(first, recipe=panel.recipe)]
    panel._show()
    (legend,) = panel.overlay.legends
    assert "mixup_alpha" in legend.get_texts()[-1].get_text()
    box = legend.get_window_extent()
    assert box.x0 >= 0 and box.x1 <= panel.overlay.bbox.x1


@pytest.mark.parametrize(
    "error, message",
    [
        (
            FloatingPointError("the loss is not finite from step 3 on"),
            "The run failed; 0 of 2 epochs are kept. the loss is",
        ),
        (MemoryError("the device is out of memory"), "out of memory"),
        (RuntimeError("a <bug>"), "RuntimeError: a &lt;bug&gt;"),
    ],
)
def test_a_run_that_fails_says_why_and_loses_nothing(error, message, panel, monkeypatch):
    first = run(panel)

    def failing(*_, **__):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(lab_run, "epochs", failing)
        panel.buttons["train"].click()
        panel.wait()
    assert message in panel.status.value and 'role="alert"' in panel.status.value
    assert panel.runs == [first]
    assert run(panel).final and "Done" in panel.status.value


def test_a_loss_that_is_not_finite_is_a_message(panel):
    panel.set(lr=3.0, weight_decay=0.0, batch_size=16, epochs=40, distill_weight=0.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lab_run, "prepare", lambda *a, **k: exploding(prepare(*a, **k)))
        panel.train()
        panel.wait()
    assert "the loss is not finite from step 0 on" in panel.status.value


def exploding(parts):
    with torch.no_grad():
        parts.model.head.weight.fill_(float("nan"))
    return parts


# Step by step


def pressed(panel, name="step"):
    panel.step_buttons[name].click()
    panel.wait()
    return panel.steps.shown


def test_each_press_takes_the_next_step_of_the_loop_and_shows_it(panel):
    panel.set(mixup_alpha=0.4)
    panel.pictures.selected_index = lab.BEFORE
    walk, number = pressed(panel)
    assert (number, panel.pictures.selected_index) == (1, lab.STEPS)
    first = panel.steps.picture.value
    assert pressed(panel) == (walk, 2) and panel.steps.picture.value != first
    assert pressed(panel, "twenty")[1] == 20 and "at its end: 20 steps" in panel.status.value  # 2 epochs of 10
    assert same(walk.steps, record_steps(panel.recipe, 20, 0, made_up()).steps)
    assert "Drawn for step 20" in panel.steps.words.value and "recipe: 20 steps." in panel.steps.note.value
    assert panel.steps.slider.label == "step 20" and "tricks-error" not in panel.status.value
    panel.steps.slider.index = 0
    assert panel.steps.shown == (walk, 1) and "Drawn for step 1<" in panel.steps.words.value


def same(a, b):
    """Whether steps are the same to the last bit."""
    pairs = [pair for one, other in zip(a, b, strict=True) for pair in zip(one, other, strict=True)]
    return all(np.array_equal(x, y) if isinstance(x, np.ndarray) else x == y for x, y in pairs)


def test_another_recipe_begins_anew_says_so_and_the_list_keeps_the_steps_until_clear(panel, tmp_path):
    walk, _ = pressed(panel)
    pressed(panel)
    panel.set(label_smoothing=0.1)
    assert "begin anew" in panel.steps.note.value and panel.steps.shown == (walk, 2)
    assert panel.pictures.selected_index == lab.STEPS
    other, number = pressed(panel)
    assert number == 1 and other.recipe.label_smoothing == 0.1
    assert panel.steps.slider.label == "2 · step 1" and len(panel.steps.slider.options) == 3
    assert "1  " in panel.steps.list.value and "label_smoothing = 0.1, seed 0: 1 step<" in panel.steps.list.value
    panel.set(label_smoothing=0.0)
    assert panel.steps.shown == (walk, 2)
    assert pressed(panel) == (walk, 3)  # the other loop is gone, and the first one was led back here
    assert same(walk.steps, record_steps(walk.recipe, 3, 0, made_up()).steps)
    assert len(list(tmp_path.glob("cache/steps/*/*.npz"))) == 4
    panel.step_buttons["clear_steps"].click()
    assert panel.steps.walks == [] and panel.steps.slider.disabled and list(tmp_path.glob("cache/steps/*/*.npz")) == []
    assert panel.step_buttons["clear_steps"].disabled
    assert pressed(panel)[1] == 1 and "tricks-error" not in panel.status.value


def test_steps_are_there_again_in_a_new_lab_and_go_on_from_there(panel):
    panel.set(mixup_alpha=0.4, seed=2)
    for _ in range(3):
        pressed(panel)
    again = Lab()  # as after a restart of the kernel, or in another tab
    again.set(**TINY, mixup_alpha=0.4)
    assert again.steps.walks == []  # another seed
    again.set(seed=2)
    walk, number = again.steps.shown
    assert number == 3 and same(walk.steps, panel.steps.walks[0].steps)
    assert again.steps.picture.value == panel.steps.picture.value
    assert pressed(again) == (walk, 4)
    assert same(walk.steps, record_steps(again.recipe, 4, 2, made_up()).steps)


def test_stop_ends_steps_after_the_present_one_and_none_is_lost(panel, monkeypatch):
    original = lab_steps.save_step

    def stopping(folder, step):
        original(folder, step)
        if step.number == 3:
            panel.buttons["stop"].click()

    monkeypatch.setattr(lab_steps, "save_step", stopping)
    walk, number = pressed(panel, "twenty")
    assert number == len(load_steps(walk.folder)) == 3 and "Stopped. All steps" in panel.status.value
    assert pressed(panel)[1] == 4  # the loop has waited
    assert same(walk.steps, record_steps(panel.recipe, 4, 0, made_up()).steps)


def test_train_and_steps_do_not_run_at_the_same_time_and_a_second_press_adds_to_the_first(panel, monkeypatch):
    held, original = threading.Event(), lab_steps.save_step
    monkeypatch.setattr(lab_steps, "save_step", lambda *args: held.wait(20) and original(*args))
    panel.step_buttons["step"].click()
    assert panel.buttons["train"].disabled and not panel.buttons["stop"].disabled
    assert not panel.step_buttons["step"].disabled and panel.step_buttons["clear_steps"].disabled
    with pytest.raises(ValueError, match="A run is going on"):
        panel.train()
    held.set()
    panel.step_buttons["twenty"].click()
    panel.wait()
    assert panel.steps.shown[1] == 20
    assert not panel.buttons["train"].disabled and panel.buttons["stop"].disabled
    panel.set(epochs=30)
    panel.train()
    assert panel.step_buttons["step"].disabled and panel.step_buttons["twenty"].disabled
    with pytest.raises(ValueError, match="A run is going on"):
        panel.step()


def test_steps_of_another_recipe_wait_until_these_are_taken(panel, monkeypatch):
    held, original = threading.Event(), lab_steps.save_step
    monkeypatch.setattr(lab_steps, "save_step", lambda *args: held.wait(20) and original(*args))
    panel.step()
    panel.set(label_smoothing=0.1)
    panel.step_buttons["step"].click()
    assert "Steps of another recipe are being taken" in panel.status.value
    held.set()
    panel.wait()
    assert panel.steps.walks[0].recipe.label_smoothing == 0 and "begin anew" in panel.steps.note.value


def test_a_step_that_cannot_be_kept_is_a_message_and_the_next_press_goes_on_where_it_was(panel, monkeypatch):
    walk, _ = pressed(panel)

    def full(*_):
        raise WriteError("The disk is full: free some space")

    with monkeypatch.context() as patch:
        patch.setattr(lab_steps, "save_step", full)
        assert pressed(panel) == (walk, 1)
    assert "The disk is full" in panel.status.value and 'role="alert"' in panel.status.value
    assert pressed(panel) == (walk, 2)
    assert same(walk.steps, record_steps(walk.recipe, 2, 0, made_up()).steps)


def test_the_step_that_is_shown_is_what_is_exported(panel):
    pressed(panel)
    panel.buttons["export"].click()
    assert "Saved 08_step-" in panel.status.value and "seed_0-step_1" in panel.status.value
    panel.pictures.selected_index = lab.BEFORE
    panel.buttons["export"].click()
    assert "Saved 08_lab-" in panel.status.value


# Records


def test_a_difference_is_said_in_fields():
    old = replace(BASELINE, amp=True, teacher="resnet14", lr=0.4, train_images=5_000)
    assert lab_run.difference(old, old) == ""
    assert lab_run.difference(BASELINE, old) == "train_images = 0, lr = 0.1, no amp, no teacher"
    assert lab_run.difference(old, BASELINE) == "train_images = 5000, lr = 0.4, amp, teacher = resnet14"


def test_nearest_is_the_arm_with_records_that_differs_in_the_fewest_fields(panel):
    assert lab_run.nearest(ARMS["baseline"])[0] == "cosine"  # the only one with records
    record("smoothing-0.1", 0)
    record("smoothing-0.2", 0)
    close = replace(ARMS["smoothing-0.2"], label_smoothing=0.15, epochs=5)
    name, found = lab_run.nearest(close)
    distances = {name: len(changes(close, ARMS[name])) for name in ("cosine", "smoothing-0.1", "smoothing-0.2")}
    assert distances[name] == min(distances.values()) and [run.name for run in found] == [name]
    assert lab_run.nearest(replace(close, dataset="shapes")) is None
    assert "cosine, the recorded recipe that is nearest (10,000 images × 12 epochs)" in panel.grey.value
    run(panel, label_smoothing=0.15)
    assert f"Grey: {lab_run.nearest(panel.recipe)[0]}, the recorded recipe that is nearest" in panel.grey.value
    assert "The last run differs from it in" in panel.grey.value
    assert "epochs = 2" in panel.grey.value and "label_smoothing = 0.15" in panel.grey.value


def test_save_writes_a_record_of_ones_own_that_is_found_and_only_once(panel, tmp_path):
    first, own = run(panel), tmp_path / "own"
    save(panel)
    assert find(first.recipe, own) == [first]
    path = first.path(own)
    assert path.name.startswith("lab-") and load_run(path) == first
    before = path.read_bytes()
    second = run(panel, seed=1)
    save(panel)
    assert path.read_bytes() == before and find(first.recipe, own) == [first, second]
    assert "Saved 1 of 1 runs in data/own" in panel.status.value


def test_of_two_equal_runs_the_first_is_saved(panel, tmp_path):
    first, _ = run(panel), run(panel)
    save(panel)
    assert "Saved 1 of 2 runs in data/own, 1 recorded already" in panel.status.value
    assert find(first.recipe, tmp_path / "own") == [first]


def test_save_asks_which_runs_and_does_not_propose_one_that_diverged(panel, tmp_path, monkeypatch):
    good, bad = run(panel), run(panel, lr=0.01)
    panel.runs = [replace(good, final={**good.final, "accuracy": 70.0}), replace(bad, final={"accuracy": 10.05})]
    panel.buttons["ask"].click()
    (question,) = panel.asked.children
    checks = question.children[1:-1]
    assert [check.value for check in checks] == [True, False] and panel.asked.layout.display != "none"
    assert "baseline" not in checks[1].description and "no better than guessing" in checks[1].description
    question.children[-1].children[1].click()  # Cancel
    assert panel.asked.layout.display == "none" and not store.OWN_RUNS.exists()
    assert len(save(panel)) == 2
    assert [run.recipe for run in store.load_all(tmp_path / "own")] == [good.recipe]
    panel.buttons["ask"].click()
    assert [check.description[0] for check in panel.asked.children[0].children[1:-1]] == ["2"]  # the other is recorded


def test_a_run_on_other_data_is_not_compared_with_the_first(panel):
    first = run(panel)
    other = replace(first, meta={**first.meta, "source": "other pictures"})
    assert "points" in lab_run.result(replace(first), first, going=False)
    assert lab_run.result(other, first, going=False) == f"{other.accuracy:.2f} %"


def test_what_is_saved_changes_nothing_that_the_course_shows(panel, monkeypatch, tmp_path):
    monkeypatch.setitem(arms.ARMS, "mine", panel.recipe)
    before = {path: path.read_bytes() for path in (tmp_path / "runs").rglob("*") if path.is_file()}
    grey = lab_run.nearest(panel.recipe)
    run(panel)
    save(panel)
    assert "Saved 1 of 1 runs" in panel.status.value
    assert {path: path.read_bytes() for path in (tmp_path / "runs").rglob("*") if path.is_file()} == before
    assert lab_run.nearest(panel.recipe) == grey and grey[0] == "cosine"


def test_a_run_that_a_study_has_recorded_is_not_saved_again(panel, tmp_path):
    mine = run(panel)
    replace(mine, name="theirs").save()
    panel.buttons["ask"].click()
    assert "All finished runs are recorded already" in panel.status.value and not (tmp_path / "own").exists()
    assert panel.asked.layout.display == "none"


def test_an_unfinished_run_is_not_saved(panel, monkeypatch):
    stop_after_an_epoch(panel, monkeypatch)
    run(panel, epochs=30)
    assert panel.buttons["ask"].disabled
    panel.save()
    assert "Saved 0 of 0 runs" in panel.status.value and not store.OWN_RUNS.exists()


def test_a_run_of_an_arms_recipe_has_the_arms_name(panel, monkeypatch):
    monkeypatch.setitem(arms.ARMS, "mine", panel.recipe)
    assert run(panel).name == "mine"


# Slides and the saved notebook


def test_export_writes_the_runs_or_what_comes_before_and_overwrites_nothing(panel, tmp_path):
    def names():
        return {path.stem for path in (tmp_path / "figures" / "own").iterdir()}

    panel.set(label_smoothing=0.1)
    panel.buttons["export"].click()
    (before,) = names()
    assert re.fullmatch(r"08_lab-[\w-]*label_smoothing_0p1[\w-]*-seed_0-[0-9a-f]{6}", before)
    run(panel)
    panel.buttons["export"].click()
    assert len(names()) == 2 and before in names() and "Saved 08_lab-" in panel.status.value
    panel.buttons["export"].click()
    assert len(names()) == 2  # the same picture
    run(panel, label_smoothing=0.0)
    run(panel, label_smoothing=0.1, seed=2)
    panel.buttons["export"].click()
    (third,) = (name for name in names() if "seed_2" in name)
    assert "label_smoothing_0p1" in third and len(names()) == 3


def test_a_saved_lab_has_its_picture_beside_the_widget(panel):
    data, _ = panel._repr_mimebundle_()
    assert data["image/png"] and data["application/vnd.jupyter.widget-view+json"]["model_id"] == panel.model_id


def test_redraws_are_fast_enough_to_drag(panel):
    times = []
    for eps in range(1, 21):
        start = time.thread_time()  # the processor's time: other programs do not count
        panel.controls["label_smoothing"].value = eps / 50
        times.append(time.thread_time() - start)
    assert sorted(times)[10] < 0.06
