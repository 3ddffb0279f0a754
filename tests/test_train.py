"""The loop: each trick changes what it should, an interrupted run continues identically, faults are named."""

import ast
import inspect
import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import nn

from tricks import ROOT, precision, process, train
from tricks.data.sets import Dataset, Split
from tricks.label_smoothing import smooth
from tricks.recipe import BASELINE
from tricks.records import make, store
from tricks.records.make import prepare
from tricks.targets import one_hot, soft_cross_entropy
from tricks.train import draw_mixing, epochs, evaluate

TINY = replace(BASELINE, epochs=3, batch_size=16, train_images=64, lr=0.05)


def dataset(train=96, test=48, seed=0):
    """Noise whose brightness tells the class, so that a net can learn it."""
    rng = np.random.default_rng(seed)

    def split(n):
        y = np.arange(n) % 10
        images = rng.integers(0, 120, (n, 32, 32, 3)) + 13 * y[:, None, None, None]
        return Split(images.astype(np.uint8), y.astype(np.int64))

    return Dataset(
        "cifar10", "made up for a test", tuple(f"class {k}" for k in range(10)), split(train), split(test), ""
    )


def train_rows(recipe, seed=0, **kwargs):
    return list(epochs(recipe, prepare(recipe, seed, dataset()), seed=seed, **kwargs))


def test_it_learns_and_reports_every_epoch():
    rows = train_rows(replace(TINY, epochs=8))
    assert [row["epoch"] for row in rows] == list(range(1, 9))
    assert rows[-1]["train_loss"] < rows[0]["train_loss"]
    assert rows[-1]["train_accuracy"] > 30  # chance is 10
    assert set(rows[0]) == {"epoch", "lr", "train_loss", "train_accuracy", "test_accuracy", "test_nll"}


@pytest.mark.parametrize("momentum", [0.9, 0.0])
def test_one_step_equals_torchs_sgd_on_torchs_loss(momentum):
    """One step of the loop against torch's own cross-entropy, SGD with Nesterov momentum or none and weight decay."""
    recipe = replace(TINY, epochs=1, batch_size=64, label_smoothing=0.1, momentum=momentum)
    parts = prepare(recipe, 0, dataset())
    reference = prepare(recipe, 0, dataset()).model
    ((x, y),) = parts.train.epoch(0)
    list(epochs(recipe, parts, seed=0))
    how = {"momentum": 0.9, "nesterov": True} if momentum else {}
    optimizer = torch.optim.SGD(reference.parameters(), lr=recipe.lr, weight_decay=5e-4, **how)
    reference.train()
    nn.functional.cross_entropy(reference(x), y, label_smoothing=0.1 * 10 / 9).backward()
    optimizer.step()
    for ours, theirs in zip(parts.model.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(
    "change",
    [
        {"label_smoothing": 0.1},
        {"mixup_alpha": 0.2},
        {"cutmix_alpha": 1.0},
        {"zero_gamma": True},
        {"no_bias_decay": True},
        {"schedule": "cosine"},
        {"schedule": "linear"},
        {"whitening": True},
        {"dirac": True},
        {"bias_lr": 8.0},
        {"optimizer": "muon"},
        {"first_decay": 0.5},
        {"warmup_epochs": 1.0},
        {"linear_scaling": True},
        {"amp": True},
        {"tweak_c": True},
        {"tweak_d": True},
        {"net": "bottleneck14", "tweak_b": True},
        {"weight_decay": 0.0},
        {"momentum": 0.5},
        {"augment": "paper"},
        {"augment": "none"},
        {"label_noise": 0.3},
        {"alternating_flip": True},
        {"trivial_augment": True},
        {"start_size": 16},
    ],
    ids=lambda change: next(iter(change)) + "=" + str(next(iter(change.values()))),
)
def test_each_knob_alone_changes_the_run_and_stays_finite(change):
    baseline = train_rows(TINY)
    changed = train_rows(replace(TINY, **change))
    assert [r["train_loss"] for r in changed] != [r["train_loss"] for r in baseline]
    assert all(np.isfinite(list(row.values())).all() for row in changed)


def test_every_knob_above_is_a_field_and_no_trick_is_missing():
    (mark,) = (m for m in test_each_knob_alone_changes_the_run_and_stays_finite.pytestmark if m.name == "parametrize")
    tried = {name for change in mark.args[1] for name in change}
    elsewhere = {"dataset", "image_size", "train_images", "split", "epochs", "batch_size", "lr", "lr_batch"}
    own_test = {"teacher", "temperature", "distill_weight", "amp_dtype", "ema_decay", "ema_bn", "muon_lr", "test_views"}
    assert tried | elsewhere | own_test == {name for name in BASELINE.to_dict()}


def test_same_seed_means_same_crops_with_and_without_mixup():
    plain, mixed = (prepare(replace(TINY, mixup_alpha=a), 3, dataset()) for a in (0.0, 0.2))
    for (x, y), (mixed_x, mixed_y) in zip(plain.train.epoch(1), mixed.train.epoch(1), strict=True):
        assert torch.equal(x, mixed_x) and torch.equal(y, mixed_y)
    for ours, theirs in zip(plain.model.parameters(), mixed.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("rank", [0, 1])
def test_the_draws_of_mixup_are_those_of_drawing_step_by_step(rank, monkeypatch):
    """One λ for all processes, and partners within the part of the batch that a process has."""
    monkeypatch.setattr(process, "world", lambda: (rank, 2))
    recipe = replace(TINY, mixup_alpha=0.2)
    mixing = draw_mixing(recipe, 3, 5, 40, "cpu")
    draws = np.random.default_rng([3, 5, 1])
    pairs = process.generator(process.Purpose.MIXUP, 3, 5, rank)
    assert len(mixing) == 40
    for lam, perm, _ in mixing:
        assert lam == draws.beta(0.2, 0.2) and isinstance(lam, float)
        assert torch.equal(perm, torch.randperm(8, generator=pairs))
    assert draw_mixing(TINY, 3, 5, 40, "cpu") == []


def test_the_draws_of_cutmix_are_beta_and_uniform_and_not_those_of_mixup():
    cut, mixed = (
        draw_mixing(replace(TINY, **{name: 1.0}), 3, 5, 4_000, "cpu") for name in ("cutmix_alpha", "mixup_alpha")
    )
    drawn = np.array([[lam, *place] for lam, _, place in cut])
    assert drawn.min() >= 0 and drawn.max() < 1
    assert np.abs(drawn.mean(0) - 0.5).max() < 4 * math.sqrt(1 / 12 / 4_000)  # Beta(1, 1) is uniform, too
    assert [step.lam for step in cut] != [step.lam for step in mixed]


def test_seeds_differ_and_a_seed_repeats():
    assert train_rows(TINY, 0) == train_rows(TINY, 0) != train_rows(TINY, 1)


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(make, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(store, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(store, "OWN_RUNS", tmp_path / "own")
    monkeypatch.setattr(make, "load", lambda *_: dataset())
    return tmp_path


def test_the_teacher_is_trained_once_with_the_students_tricks_and_changes_the_student(own_cache):
    student = replace(TINY, epochs=2, teacher="resnet14", temperature=4.0, label_smoothing=0.1)
    messages = []
    parts = prepare(student, 0, dataset(), messages.append)
    assert any("training resnet14 on cifar10, seed 0, once" in m for m in messages)
    assert parts.teacher is not None and not any(p.requires_grad for p in parts.teacher.parameters())
    again = []
    prepare(student, 1, dataset(), again.append)
    assert again == []
    distilled = list(epochs(student, parts))
    assert distilled != train_rows(replace(TINY, epochs=2, label_smoothing=0.1))
    weighted = replace(student, distill_weight=0.0)  # no weight on the teacher: the student's own run, pixel for pixel
    without = list(epochs(weighted, prepare(weighted, 0, dataset())))
    assert without == train_rows(replace(TINY, epochs=2, label_smoothing=0.1))
    # the teacher's own run, reproduced without distillation
    recipe = replace(TINY, epochs=2, net="resnet14", label_smoothing=0.1)
    own = prepare(recipe, 0, dataset())
    list(epochs(recipe, own))
    for ours, theirs in zip(parts.teacher.parameters(), own.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)


RESUMED = {
    "bag": {"mixup_alpha": 0.2},
    "plain SGD": {"momentum": 0.0},
    "plain Muon": {"momentum": 0.0, "optimizer": "muon"},
    "after": {"cutmix_alpha": 1.0, "ema_decay": 0.9},
    "optimiser": {"optimizer": "muon", "whitening": True, "dirac": True, "bias_lr": 8.0, "ema_decay": 0.9},
    "data": {"ema_decay": 0.9, "ema_bn": True, "alternating_flip": True, "trivial_augment": True, "start_size": 16},
    "float16": {"optimizer": "muon", "bias_lr": 8.0, "amp": True, "amp_dtype": "float16", "train_images": 32},
}


@pytest.mark.parametrize("tricks", RESUMED.values(), ids=RESUMED)
@pytest.mark.parametrize("stop_after", [1, 2])
def test_resumed_equals_uninterrupted(tmp_path, stop_after, tricks):
    recipe = replace(TINY, label_smoothing=0.1, schedule="cosine", warmup_epochs=1.0, no_bias_decay=True, **tricks)
    whole_parts = prepare(recipe, 0, dataset())
    whole = list(epochs(recipe, whole_parts))
    checkpoint = tmp_path / "run.safetensors"
    first = epochs(recipe, prepare(recipe, 0, dataset()), checkpoint=checkpoint)
    for _ in range(stop_after):
        next(first)
    first.close()
    parts = prepare(recipe, 0, dataset())
    assert list(epochs(recipe, parts, checkpoint=checkpoint)) == whole
    for ours, theirs in ((parts.model, whole_parts.model), (parts.judged, whole_parts.judged)):
        for a, b in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True):
            assert torch.equal(a, b)


def test_the_average_is_evaluated_and_kept_and_training_is_as_without_it(own_cache):
    recipe, plain_recipe = replace(TINY, ema_decay=0.9), TINY
    parts = prepare(recipe, 0, dataset())
    rows, without = list(epochs(recipe, parts)), train_rows(plain_recipe)
    assert [row["train_loss"] for row in rows] == [row["train_loss"] for row in without]
    assert [row["test_nll"] for row in rows] != [row["test_nll"] for row in without]
    logits, y = evaluate(parts.judged, parts.test)
    assert rows[-1]["test_nll"] == pytest.approx(float(nn.functional.cross_entropy(logits, y)), rel=1e-5)
    finished = make.run(recipe, 0)
    assert finished.final["nll"] == pytest.approx(
        rows[-1]["test_nll"], rel=1e-5
    )  # the sample is all of a set this small
    kept = make.weights_for(recipe, 0)
    assert all(torch.equal(kept[name], tensor) for name, tensor in parts.judged.state_dict().items())


def note_in_training(seen, name):
    """A hook that keeps the type of a module's output; evaluation is in fp32."""

    def hook(module, x, out):
        if module.training:
            seen[name] = out.dtype

    return hook


def test_amp_dtype_says_in_which_type_the_network_calculates():
    """On a net that is small enough for a CPU's slow fp16."""
    seen, losses = {}, {}
    for name in ("auto", "bfloat16", "float16"):
        recipe = replace(TINY, epochs=1, amp=True, amp_dtype=name)
        parts = parts_without_bn(recipe)
        parts.model.register_forward_hook(note_in_training(seen, name))
        losses[name] = next(epochs(recipe, parts))["train_loss"]
    auto = precision.amp_dtype(process.device())
    assert seen == {"auto": auto, "bfloat16": torch.bfloat16, "float16": torch.float16}
    assert losses["bfloat16"] != losses["float16"] == pytest.approx(losses["bfloat16"], rel=0.05)
    assert losses["auto"] == losses[str(auto).removeprefix("torch.")]


def test_fp16_skips_steps_until_the_scale_fits_and_keeps_the_scale_over_a_stop(tmp_path):
    """Gradients that overflow at first: weights stay, the scale halves, and there is no momentum yet to keep."""
    recipe = replace(TINY, epochs=3, amp=True, amp_dtype="float16")

    def steep():
        parts = parts_without_bn(recipe)
        with torch.no_grad():
            parts.model[-1].weight.mul_(100)
        return parts

    parts, checkpoint = steep(), tmp_path / "run.safetensors"
    before = [p.detach().clone() for p in parts.model.parameters()]
    first = epochs(recipe, parts, checkpoint=checkpoint)
    next(first)
    assert all(map(torch.equal, parts.model.parameters(), before))
    first.close()
    with safe_open(checkpoint, framework="pt") as file:
        assert json.loads(file.metadata()["scaler"])["scale"] == 2.0**16 / 2**4  # four steps, all skipped
        assert not any(name.startswith("momentum") for name in file.keys())  # noqa: SIM118  a safe_open is no mapping
    whole = steep()
    rows = list(epochs(recipe, whole))
    resumed = steep()
    assert list(epochs(recipe, resumed, checkpoint=checkpoint)) == rows
    assert all(map(torch.equal, resumed.model.parameters(), whole.model.parameters()))
    assert not any(map(torch.equal, whole.model.parameters(), before))


def test_kill_9_loses_at_most_the_epoch_in_progress_and_leaves_no_half_file(tmp_path):
    """A process trains and dies by SIGKILL at several moments; what it leaves continues to the uninterrupted curve."""
    recipe = replace(TINY, epochs=4)
    whole = train_rows(recipe)
    checkpoint = tmp_path / "run.safetensors"
    script = (
        "import sys; sys.path.insert(0, 'tests')\n"
        "from pathlib import Path\nfrom dataclasses import replace\nimport torch\n"
        "torch.set_num_threads(1)\n"
        "from test_train import TINY, dataset\n"
        "from tricks.records.make import prepare\nfrom tricks.train import epochs\n"
        "recipe = replace(TINY, epochs=4)\n"
        f"for row in epochs(recipe, prepare(recipe, 0, dataset()), checkpoint=Path({str(checkpoint)!r})):\n"
        "    print(int(row['epoch']), flush=True)\n"
    )
    for extra in (0.0, 0.02, 0.05):
        worker = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert worker.stdout is not None
        assert int(worker.stdout.readline()) >= 1
        time.sleep(extra)
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()
    assert train_rows(recipe, checkpoint=checkpoint) == whole
    assert list(tmp_path.iterdir()) == [checkpoint]  # a part that a killed process left is gone, too


def test_a_loss_that_is_not_finite_names_step_lr_and_checkpoint(tmp_path):
    recipe = replace(TINY, epochs=2, lr=100.0, momentum=0.99, weight_decay=1.0)
    parts = prepare(recipe, 0, dataset())
    with torch.no_grad():
        parts.model.head.weight.fill_(3e38)  # the first forward pass overflows
    with pytest.raises(FloatingPointError, match=r"not finite from step 0 on \(epoch 1, learning rate 100\).*Lower lr"):
        list(epochs(recipe, parts, checkpoint=tmp_path / "run.safetensors"))


def test_a_later_divergence_says_what_was_kept(tmp_path):
    parts = prepare(TINY, 0, dataset())
    checkpoint = tmp_path / "run.safetensors"
    rows = epochs(TINY, parts, checkpoint=checkpoint)
    next(rows)
    with torch.no_grad():
        parts.model.head.weight.fill_(3e38)
    with pytest.raises(FloatingPointError, match="step 4 on .*state after epoch 1 is in run.safetensors"):
        next(rows)
    assert len(train_rows(TINY, checkpoint=checkpoint)) == 3


def test_out_of_memory_says_which_knob_to_turn():
    class Hungry(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(1))

        def forward(self, x):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    parts = prepare(TINY, 0, dataset())._replace(model=Hungry())
    with pytest.raises(MemoryError, match=r"lower batch_size \(now 16\) or image_size \(now 32\), or switch on amp"):
        list(epochs(TINY, parts))


@pytest.mark.parametrize(("world", "least"), [(1, "2 or more"), (4, "8 or more for 4 processes")])
def test_one_value_per_channel_is_refused_before_batch_norm_meets_it(world, least):
    recipe = replace(TINY, batch_size=world, net="bottleneck14-pool", image_size=32)
    model = make.model_for(recipe, 10, 0)
    before = [tensor.clone() for tensor in model.state_dict().values()]
    message = f"Recipe.batch_size = {world}: must be {least}: batch norm needs 2 values per channel, and maps of"
    with pytest.raises(
        ValueError, match=f"{message} bottleneck14-pool shrink to one pixel. Raise batch_size, or image"
    ):
        make.check_batch_norm(model, recipe, world)
    assert all(map(torch.equal, model.state_dict().values(), before))
    make.check_batch_norm(model, replace(recipe, image_size=64), world)  # two by two pixels
    make.check_batch_norm(model, replace(recipe, batch_size=2 * world), world)


def test_a_batch_of_one_is_refused_by_prepare():
    with pytest.raises(ValueError, match="batch norm needs 2 values"):
        prepare(replace(TINY, batch_size=1, net="bottleneck14-pool", image_size=32), 0, dataset())


def test_run_records_once_and_removes_its_checkpoint(own_cache):
    messages = []
    first = make.run(TINY, 5, name="tiny", progress=messages.append)
    assert messages[-1].startswith("tiny, seed 5: epoch 3") and "min left" in messages[-1]
    (weights,) = (own_cache / "cache").rglob("*.safetensors")
    assert weights == make.weights_path(TINY, 5)
    assert store.find(TINY, own_cache / "own") == [first]
    again = make.run(TINY, 5, name="tiny", progress=messages.append)
    assert again == first and "already recorded" in messages[-1]
    assert first.meta["train_images"] == 64 and first.meta["source"] == "made up for a test"
    assert first.rows[-1]["test_accuracy"] == pytest.approx(first.accuracy)  # the sample is all of a set this small
    assert first.rows[-1]["test_nll"] == pytest.approx(first.final["nll"])


def test_the_seconds_of_a_resumed_run_are_those_of_all_its_sessions(own_cache, monkeypatch):
    """By a clock on which an epoch takes a minute and nothing else takes any time."""
    now, measure = 0.0, train.measure

    def a_minute_later(*args):
        nonlocal now
        now += 60
        return measure(*args)

    def stop(text: str) -> None:
        if "epoch 2" in text:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "perf_counter", lambda: now)
    monkeypatch.setattr(train, "measure", a_minute_later)
    with pytest.raises(KeyboardInterrupt):
        make.run(TINY, 5, progress=stop)
    now = 7_200.0  # another process, another clock
    assert make.run(TINY, 5).meta["seconds"] == 180


def test_the_time_left_of_a_resumed_run_is_that_of_the_epochs_to_come(monkeypatch):
    """Two epochs come back at once, the other four take a minute each."""
    clock = iter([0.0, 0.0, 0.0, 60.0, 120.0, 180.0, 240.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    left = [text for _, text in make.with_time_left(({"epoch": k + 1} for k in range(6)), total=6)]
    assert left[2:] == [f"about {minutes} min left" for minutes in ("3.0", "2.0", "1.0", "0.0")]


def test_a_run_is_recorded_where_there_is_no_git(own_cache, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert make.run(replace(TINY, epochs=1), name="tiny", progress=lambda _: None).meta["commit"] == ""


def test_evaluation_is_plain_cross_entropy_on_clean_pictures():
    recipe = replace(TINY, epochs=1, label_smoothing=0.3, mixup_alpha=0.5, augment="paper")
    parts = prepare(recipe, 0, dataset())
    (row,) = epochs(recipe, parts)
    # the test set has fewer pictures than a sample, so the sample is all of it
    images = torch.from_numpy(dataset().test.images).permute(0, 3, 1, 2).float()
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ((123.68, 116.779, 103.939), (58.393, 57.12, 57.375)))
    with torch.no_grad():
        logits = parts.model.eval()((images - mean) / std)
    y = torch.from_numpy(dataset().test.labels)
    assert row["test_nll"] == pytest.approx(float(nn.functional.cross_entropy(logits, y)), rel=1e-4)
    assert row["test_accuracy"] == pytest.approx(float((logits.argmax(1) == y).float().mean()) * 100)


TRICKS = {  # what is called for a trick: the fields of the recipe that it depends on, and its name in a comment
    "partial": ({"amp"}, "mixed precision"),
    "torch.amp.GradScaler": ({"amp"}, "loss scaling"),
    "decay_groups": ({"no_bias_decay"}, "no bias decay"),
    "lr_at": (set(), "linear scaling, warm-up, step, cosine or linear decay"),  # which takes the whole recipe
    "smooth": ({"label_smoothing"}, "label smoothing"),
    "mixup": ({"mixup_alpha"}, "mixup"),
    "distill_loss": ({"temperature"}, "distillation"),
    "cutmix": ({"cutmix_alpha"}, "CutMix"),
    "average_": ({"ema_decay"}, "averaged weights"),
    "whiten_": ({"whitening"}, "whitened first convolution"),
    "dirac_init_": ({"dirac"}, "Dirac initialisation"),
    "faster_biases": ({"bias_lr"}, "bias learning rate"),
    "Muon": ({"optimizer", "muon_lr", "momentum"}, "Muon"),
    "reestimate_bn_": ({"ema_bn"}, "averaged weights"),
    "side_at": ({"start_size"}, "progressive resizing"),
    "test_time.mean_logits": ({"test_views"}, "test-time views"),
    "nets.build": ({"tweak_b", "tweak_c", "tweak_d"}, "model tweaks"),
    "zero_last_gamma_": ({"zero_gamma"}, "zero γ"),
}


def calls(function):
    """Each call in a function: what is called, the fields that it or a condition around it reads, their comments."""
    source = inspect.getsource(inspect.unwrap(function))

    def visit(node, conditions):
        if isinstance(node, ast.Call):
            parts = [node, *(condition.test for condition in conditions)]
            nodes = [n for part in parts for n in ast.walk(part) if isinstance(n, ast.Attribute)]
            read = {n.attr for n in nodes if ast.unparse(n.value) == "recipe"}
            lines = source.splitlines()[(conditions or parts)[0].lineno - 1 : node.end_lineno]
            yield ast.unparse(node.func), read, [line.partition("# ")[2] for line in lines]
        for child in ast.iter_child_nodes(node):
            inside = isinstance(node, ast.If) and child in node.body
            yield from visit(child, [*conditions, node] if inside else conditions)

    return list(visit(ast.parse(source), []))


@pytest.mark.parametrize("trick", TRICKS)
def test_each_trick_is_called_in_sight_under_its_field_and_named(trick):
    fields, name = TRICKS[trick]
    places = epochs, make.model_for, make.prepare, make.judge
    found = [call for function in places for call in calls(function) if call[0] == trick]
    assert any(fields <= read and any(name in comment for comment in comments) for _, read, comments in found)


def test_the_loop_is_short():
    assert len(inspect.getsource(inspect.unwrap(epochs)).splitlines()) <= 60


WORKER = """
import hashlib, json, sys
sys.path.insert(0, "tests")
from dataclasses import replace
import torch
torch.set_num_threads(1)
from test_train import TINY, dataset, parts_without_bn
from tricks import process
from tricks.records.make import prepare
from tricks.state import plain
from tricks.train import epochs
kind = sys.argv[1]
with process.group():
    recipe = replace(TINY, epochs=2, label_smoothing=0.1)
    if kind == "bn":
        recipe = replace(recipe, optimizer="muon", whitening=True, bias_lr=4.0)
    parts = parts_without_bn(recipe) if kind == "plain" else prepare(recipe, 0, dataset())
    rows = list(epochs(recipe, parts))
    state = b"".join(tensor.numpy().tobytes() for tensor in plain(parts.model).state_dict().values())
    digests = [None, None]
    torch.distributed.all_gather_object(digests, hashlib.sha256(state).hexdigest())
    if process.world()[0] == 0:
        weights = [float(p.double().sum()) for p in plain(parts.model).parameters()]
        print("RESULT" + json.dumps([rows, weights, digests]))
"""


def parts_without_bn(recipe):
    """The recipe's data with a net that has no batch norm, whose statistics would differ between processes."""
    parts = prepare(recipe, 0, dataset())
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3, stride=4), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 64, 10))
    net = net.to(process.device())
    if process.world()[1] > 1:
        net = nn.parallel.DistributedDataParallel(net)
    return parts._replace(model=net)


def two_processes(kind, tmp_path):
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    out = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script), kind],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    lines = [line for line in out.stdout.splitlines() if "RESULT" in line]
    assert len(lines) == 1, out.stderr[-2000:]
    return json.loads(lines[0].split("RESULT")[1])


def test_two_processes_equal_one_on_a_net_without_batch_norm(tmp_path):
    rows, weights, _ = two_processes("plain", tmp_path)
    recipe = replace(TINY, epochs=2, label_smoothing=0.1)
    parts = parts_without_bn(recipe)
    alone = list(epochs(recipe, parts))
    assert weights == pytest.approx(
        [float(p.detach().double().sum()) for p in parts.model.parameters()], rel=1e-4, abs=1e-5
    )
    for ours, theirs in zip(rows, alone, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)


def test_two_processes_train_one_net_with_batch_norm_and_repeat(tmp_path):
    """Both end with the same weights and running statistics, the same in every run."""
    rows, weights, (first, second) = two_processes("bn", tmp_path)
    assert first == second
    assert two_processes("bn", tmp_path) == [rows, weights, [first, second]]
    assert [row["epoch"] for row in rows] == [1, 2] and rows[1]["train_loss"] < rows[0]["train_loss"]


def test_gradient_of_the_papers_smoothed_loss_is_softmax_minus_target():
    z = torch.randn(4, 10, requires_grad=True)
    targets = smooth(one_hot(torch.arange(4), 10), 0.1)
    soft_cross_entropy(z, targets).backward()
    torch.testing.assert_close(z.grad, (z.detach().softmax(1) - targets) / 4)
