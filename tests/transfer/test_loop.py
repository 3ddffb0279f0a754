"""Fine-tuning: it learns, repeats, resumes, records, and is compared by the statistics of the other runs."""

import inspect
import json
import os
import subprocess
import sys
from dataclasses import fields, replace

import pytest
import torch

from tricks import ROOT
from tricks.data.scene import Read
from tricks.recipe import Recipe, Transfer, changes
from tricks.records import make, store
from tricks.records.statistics import caption, compare
from tricks.records.store import Run, find, load_run
from tricks.transfer import loop
from tricks.transfer.loop import epochs, evaluate, prepare


def fine_tune(recipe, drawn, seed=0, **kwargs):
    return list(epochs(recipe, prepare(recipe, seed, drawn), seed=seed, **kwargs))


def test_it_yields_a_row_per_epoch_with_the_tasks_metrics(tiny, drawn):
    rows = fine_tune(tiny, drawn)
    scores = {"detection": {"map", "map_50", "map_75", "map_voc"}, "segmentation": {"miou", "pixel_accuracy"}}
    assert [row["epoch"] for row in rows] == [1, 2]
    assert set(rows[0]) == {"epoch", "lr", "train_loss"} | scores[tiny.task]
    assert rows[1]["train_loss"] < rows[0]["train_loss"]
    assert rows[0] == fine_tune(tiny, drawn)[0] != fine_tune(tiny, drawn, seed=1)[0]


def test_resumed_equals_uninterrupted(tiny, drawn, tmp_path):
    whole_parts = prepare(tiny, 0, drawn)
    whole = list(epochs(tiny, whole_parts))
    checkpoint = tmp_path / "run.safetensors"
    first = epochs(tiny, prepare(tiny, 0, drawn), checkpoint=checkpoint)
    next(first)
    first.close()
    torch.rand(7)  # torch's own stream is somewhere else by now
    parts = prepare(tiny, 0, drawn)
    assert list(epochs(tiny, parts, checkpoint=checkpoint)) == whole
    for ours, theirs in zip(parts.model.state_dict().values(), whole_parts.model.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs)


def test_torchs_own_stream_is_left_alone(tiny, drawn):
    torch.manual_seed(5)
    expected = torch.rand(1)
    recipe = replace(tiny, epochs=1, warmup_epochs=0.0)
    parts = prepare(recipe, 0, drawn)
    torch.manual_seed(5)
    list(epochs(recipe, parts))
    assert torch.equal(torch.rand(1), expected)


def test_frozen_batch_norms_stay_through_a_step(tiny, drawn):
    recipe = replace(tiny, freeze_bn=True, epochs=1, warmup_epochs=0.0)
    parts = prepare(recipe, 0, drawn)
    before = {name: value.clone() for name, value in parts.model.state_dict().items() if "stem.1" in name}
    list(epochs(recipe, parts))
    assert len(before) == 4  # γ, β and two statistics: a frozen one does not count its batches
    for name, value in before.items():
        assert torch.equal(parts.model.state_dict()[name], value)


def test_without_momentum_it_fine_tunes_and_resumes(tiny, drawn, tmp_path):
    recipe = replace(tiny, momentum=0.0)
    whole = fine_tune(recipe, drawn)
    stopped = epochs(recipe, prepare(recipe, 0, drawn), checkpoint=tmp_path / "a.safetensors")
    next(stopped)
    assert list(epochs(recipe, prepare(recipe, 0, drawn), checkpoint=tmp_path / "a.safetensors")) == whole


def test_one_value_per_channel_is_refused(tiny, drawn):
    recipe = replace(tiny, batch_size=1, image_size=32, backbone=replace(tiny.backbone, net="bottleneck14-pool"))
    if tiny.task == "detection":
        with pytest.raises(ValueError, match="Transfer.batch_size = 1: must be 2 or more: batch norm needs 2 values"):
            prepare(recipe, 0, drawn)
        recipe = replace(recipe, freeze_bn=True)
    prepare(recipe, 0, drawn)  # frozen statistics, or dilation, which keeps the maps of segmentation larger


def test_a_batch_larger_than_the_set_and_a_loss_that_is_not_finite_are_named(tiny, drawn):
    with pytest.raises(ValueError, match="batch_size = 9 is more than the 8 training images"):
        fine_tune(replace(tiny, batch_size=9), drawn)
    parts = prepare(tiny, 0, drawn)
    with torch.no_grad():
        for parameter in parts.model.parameters():
            parameter.fill_(1e30)
    with pytest.raises(FloatingPointError, match="not finite from step 0 on .*Lower lr"):
        list(epochs(tiny, parts))


@pytest.fixture
def own_cache(tmp_path, monkeypatch, drawn):
    monkeypatch.setattr(make, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(store, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(store, "OWN_RUNS", tmp_path / "own")
    monkeypatch.setattr(loop, "load", lambda *_: drawn)
    return tmp_path


def test_run_records_once_and_the_record_comes_back(own_cache, tiny):
    recipe = replace(tiny, epochs=1, warmup_epochs=0.0)
    messages = []
    first = loop.run(recipe, 4, name="tiny", progress=messages.append)
    assert messages[-1].startswith("tiny, seed 4: epoch 1 of 1, loss") and "min left" in messages[-1]
    path = first.path(own_cache / "own")
    assert find(recipe, own_cache / "own") == [first] and load_run(path) == first
    assert path.parent.name == "shapes" and first.recipe == recipe
    assert first.meta["train_images"] == 8 and first.meta["test_images"] == 3
    metric = {"detection": "map_50", "segmentation": "miou"}[recipe.task]
    assert first.final[metric] == first.rows[-1][metric]
    assert not list((own_cache / "cache").rglob("*.safetensors"))
    assert loop.run(recipe, 4, name="tiny", progress=messages.append) == first
    assert "already recorded" in messages[-1]


@pytest.mark.parametrize(("world", "expected"), [(1, 2), (2, 1), (4, 0)])
def test_pictures_on_disk_are_read_by_a_process_for_each_core(monkeypatch, world, expected):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setenv("WORLD_SIZE", str(world))
    readers = loop.batches(Read(lambda _: os.getpid(), list(range(16))), [[k] for k in range(16)])
    assert len({batch[0] for batch in readers} - {os.getpid()}) == expected


def made(recipe, seed, score):
    meta = {"train_images": 136, "test_images": 34, "source": "test", "device": "cpu", "train_version": 1}
    return Run("arm", recipe, seed, [{"epoch": 1.0, "map_50": score}], {"map_50": score}, meta)


def test_the_statistics_of_other_runs_work_on_these():
    cosine = Transfer(backbone=Recipe(schedule="cosine"))
    step = Transfer()
    result = compare([made(cosine, k, 50 + k) for k in range(3)], [made(step, k, 48 + k) for k in range(3)], "map_50")
    assert str(result).startswith("+2.00 ± 0.00 points, higher for 3 of 3 seeds")
    text = caption([made(step, k, 1) for k in range(3)])
    assert "n = 3 seeds · resnet8 · 136 images × 12 epochs · test, 34 test images · cpu" in text


def test_a_recipe_survives_json_and_its_hash_follows_the_backbone(tmp_path):
    recipe = Transfer(backbone=Recipe(label_smoothing=0.1), epochs=3)
    assert Transfer.from_dict(recipe.to_dict()) == recipe
    assert changes(recipe, Transfer()) == {"epochs": 3, "backbone.label_smoothing": 0.1}
    assert len({recipe.hash, Transfer(epochs=3).hash, replace(recipe, pretrained=False).hash}) == 3
    path = made(recipe, 0, 1.0).save(tmp_path)
    assert load_run(path).recipe == recipe
    with pytest.raises(LookupError, match=r"backbone.label_smoothing = 0.2 \(recorded: 0.1\)"):
        store.recorded(replace(recipe, backbone=Recipe(label_smoothing=0.2)), "arm", tmp_path)


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("task", "classification", "detection, segmentation"),
        ("folds", 2, "[3, 100]"),
        ("split", "train", "test, validation"),
        ("backbone", "resnet8", "Recipe"),
        ("epochs", 0, "[1, 10000]"),
        ("warmup_epochs", 12.0, "below epochs = 12"),
        ("lr", 0.0, "above 0"),
    ],
)
def test_invalid_values_are_refused(field, value, allowed):
    with pytest.raises(ValueError) as error:
        Transfer(**{field: value})
    assert f"Transfer.{field} = {value!r}" in str(error.value) and allowed in str(error.value)


def test_every_field_is_read_and_explained():
    files = [*(ROOT / "tricks" / "transfer").glob("*.py"), ROOT / "tricks" / "data" / "scenes.py"]
    text = "\n".join(path.read_text(encoding="utf8") for path in [*files, ROOT / "tricks" / "schedules.py"])
    names = [field.name for field in fields(Transfer)]
    assert [name for name in names if f"recipe.{name}" not in text] == []
    source = inspect.getsource(Transfer).splitlines()
    assert all(any(line.startswith(f"    {name}: ") and " # " in line for line in source) for name in names)


def test_the_loop_is_short():
    assert len(inspect.getsource(inspect.unwrap(epochs)).splitlines()) <= 60


WORKER = """
import json, sys
sys.path.insert(0, "tests/transfer")
import torch
torch.set_num_threads(1)
from conftest import make_scenes, make_tiny
from tricks import process
from tricks.transfer.loop import epochs, evaluate, prepare
results = {}
with process.group():
    for task in sys.argv[1:]:
        recipe = make_tiny(task)
        parts = prepare(recipe, 0, make_scenes())
        results[task] = [evaluate(recipe, parts), list(epochs(recipe, parts))]
    if process.world()[0] == 0:
        print("RESULT" + json.dumps(results))
"""


def test_two_processes_evaluate_as_one_and_fine_tune_together(tmp_path, recipes, drawn):
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    out = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script), *recipes],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=500,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    lines = [line for line in out.stdout.splitlines() if "RESULT" in line]
    assert len(lines) == 1, out.stderr[-2000:]
    results = json.loads(lines[0].split("RESULT")[1])
    for task, recipe in recipes.items():
        before, rows = results[task]
        alone = evaluate(recipe, prepare(recipe, 0, drawn))
        for name in {"detection": ("map", "map_50"), "segmentation": ("miou", "pixel_accuracy")}[task]:
            assert before[name] == pytest.approx(alone[name], abs=1e-4)
        assert [row["epoch"] for row in rows] == [1, 2] and rows[1]["train_loss"] < rows[0]["train_loss"]


STUDY = """
import sys
from dataclasses import replace
from pathlib import Path
sys.path.insert(0, "tests/transfer")
import torch
torch.set_num_threads(1)
from conftest import SMALL, make_scenes, make_tiny
from tricks.records import make, store
from tricks.studies import runner, studies
from tricks.transfer import loop
folder = Path(sys.argv[1])
make.CACHE, store.RUNS, loop.load = folder / "cache", folder / "runs", lambda *_: make_scenes()
backbone = replace(SMALL, dataset="shapes", train_images=32, epochs=1, warmup_epochs=0.0, batch_size=16)
studies.ARMS = {"classify": backbone}
one = {"pretrained": True, "backbone": backbone, "epochs": 1, "warmup_epochs": 0.0}
studies.TRANSFERS = {task: replace(make_tiny(task), **one) for task in ("detection", "segmentation")}
together = studies.Study("three", "Do they work together?", "§6", ("classify", *studies.TRANSFERS), "classify", (0,))
runner.work(together)
"""


def test_two_processes_make_the_runs_of_a_study_together(tmp_path):
    """A classifier, and a detector and a segmenter on it, one after another in one `torchrun`."""
    script = tmp_path / "worker.py"
    script.write_text(STUDY)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script)]
    for output in (True, False):  # the second time everything is there
        out = subprocess.run(
            [*command, str(tmp_path)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=500,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert out.returncode == 0, out.stderr[-2000:]
        assert ("epoch 1 of 1" in out.stdout) == output
    records = [json.loads(path.read_text()) for path in (tmp_path / "runs").rglob("*.json")]
    assert sorted(record["name"] for record in records) == ["classify", "detection", "segmentation"]
    assert all(record["meta"]["processes"] == 2 for record in records)
