"""The commands: what reaches the functions behind them, and what a user reads when something goes wrong."""

import importlib.util
import os
import re
import subprocess
import sys
from dataclasses import fields, replace
from importlib.machinery import SourceFileLoader
from types import SimpleNamespace
from typing import Literal, get_origin

import numpy as np
import pytest
import torch

from tricks import ROOT, process, train
from tricks.course import cli, lesson
from tricks.data import pennfudan, sets
from tricks.data.files import DataError, write_error
from tricks.recipe import BASELINE, Recipe, changes
from tricks.records import make, store
from tricks.studies import runner, studies
from tricks.values import choices


def help_of(command: str, capsys) -> str:
    with pytest.raises(SystemExit) as stop:
        cli.main([command, "--help"])
    assert stop.value.code == 0
    return capsys.readouterr().out


def refused(arguments: list[str], capsys) -> str:
    """What wrong usage is answered with."""
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    assert stop.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    return unframed(err)


def unframed(text: str) -> str:
    """In one line without the frames, which are drawn as the terminal can."""
    return " ".join(re.sub(r"[│╭╮╰╯]|[─-]{3,}", " ", text).split())


@pytest.fixture
def trained(monkeypatch):
    """What `make.run` was called with; it can be told to raise."""
    state = SimpleNamespace(calls=[], error=None)

    def run(recipe, seed, **others):
        state.calls.append((recipe, seed, others))
        if state.error:
            raise state.error
        return SimpleNamespace(accuracy=75.0)

    monkeypatch.setattr(make, "run", run)
    return state


def test_commands_are_those_of_the_script():
    loader = SourceFileLoader("course_script", str(ROOT / "course"))
    course = importlib.util.module_from_spec(importlib.util.spec_from_loader("course_script", loader))
    loader.exec_module(course)
    assert {command.__name__ for command in cli.KEPT} == set(course.COMMANDS) - {"lab", "test"}


def test_recipe_without_options_is_the_baseline(trained):
    assert cli.main(["train"]) == 0
    assert trained.calls[0][:2] == (BASELINE, 0)
    assert trained.calls[0][2]["record"] is True


@pytest.mark.parametrize("field", fields(Recipe), ids=lambda field: field.name)
def test_every_field_is_an_option(field, trained):
    default = field.default
    if get_origin(field.type) is Literal:
        value = choices(Recipe, field.name)[-1 if choices(Recipe, field.name)[-1] != default else 0]
    else:
        value = {bool: True, int: 16, float: 0.0625, str: "other"}[type(default)]
    needed = {"ema_decay": 0.5} if field.name == "ema_bn" else {}
    chosen = {field.name: value, **needed}
    arguments = [
        text for name, v in chosen.items() for text in (f"--{name.replace('_', '-')}", *([] if v is True else [str(v)]))
    ]
    assert cli.main(["train", *arguments]) == 0
    assert changes(trained.calls[0][0], BASELINE) == chosen


def test_help_of_train_says_what_the_recipe_says(capsys):
    text = unframed(help_of("train", capsys))
    assert "usage: ./course train" in text
    assert "--label-smoothing FLOAT §5.2 ε (default: 0.0)" in text
    assert "--no-bias-decay §3.1 decay only the weights of convolutions and linear layers" in text
    assert "--schedule {step,cosine,linear} §2 step; §5.1 cosine; after the bag: linear (default: step)" in text
    assert "--cutmix-alpha FLOAT after the bag: α of Beta(α, α) of CutMix (default: 0.0)" in text
    assert "--seed N of all that is drawn (default: 0)" in text


@pytest.mark.parametrize("command", cli.KEPT, ids=lambda command: command.__name__)
def test_help_is_plain_and_fits_80_columns(command, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    usage, *lines = help_of(command.__name__, capsys).splitlines()
    assert usage.startswith(f"usage: ./course {command.__name__}")
    assert max(map(len, lines)) <= 80
    assert not any("\x1b" in line for line in lines)


def test_nothing_slow_is_imported_to_list_the_studies():
    code = (
        "import sys; from tricks.course.cli import main; main(['study', '--list'])\n"
        "sys.exit(', '.join({'torch', 'matplotlib', 'IPython', 'ipywidgets'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_nothing_slow_is_imported_to_show_the_data(tmp_path):
    code = (
        "import sys, pathlib, tricks; tricks.ROOT = pathlib.Path(sys.argv[1]); from tricks.course.cli import main\n"
        "main(['data']); sys.exit(', '.join({'torch', 'torchvision', 'matplotlib', 'pandas'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_train_passes_everything_on(trained, capsys):
    arguments = ["train", "--label-smoothing", "0.1", "--no-bias-decay", "--seed", "3", "--name", "mine", "--no-save"]
    assert cli.main(arguments) == 0
    ((recipe, seed, others),) = trained.calls
    assert (recipe, seed) == (replace(BASELINE, label_smoothing=0.1, no_bias_decay=True), 3)
    assert (others["name"], others["record"]) == ("mine", False)
    assert "mine, seed 3: test accuracy 75.00 %" in capsys.readouterr().out


@pytest.mark.parametrize(
    "error",
    [
        ValueError("a bad value"),
        FileNotFoundError("no such folder"),
        ConnectionError("no network"),
        OSError(28, "No space left on device"),
        FloatingPointError("the loss is not finite from step 7 on"),
        DataError("wrong md5"),
        MemoryError("the device is out of memory"),
        make.Busy("run, seed 0: another process is making this run"),
    ],
)
def test_expected_errors_are_messages(trained, capsys, error):
    trained.error = error
    assert cli.main(["train"]) == 1
    assert capsys.readouterr().err == f"error: {error}\n"


def test_what_could_not_be_written_comes_with_what_is_kept(trained, capsys):
    trained.error = write_error(store.OWN_RUNS / "shapes" / "run.json", OSError(28, "No space left on device"))
    assert cli.main(["train"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: The disk is full: ") and "run.json was not written" in said
    assert said.endswith("Free some space first. " + cli.KEPT[cli.train] + "\n")


def test_unexpected_errors_keep_their_traceback(trained):
    trained.error = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        cli.main(["train"])


@pytest.mark.parametrize("where", ["model_for", "soft_cross_entropy", "evaluate"])
@pytest.mark.parametrize("command", ["train", "train --no-save", "study tiny --worker"])
def test_a_full_device_names_the_knobs(where, command, tmp_path, monkeypatch, capsys):
    """Full when the net is made, in a step, or in a test after an epoch; all around it is the real thing."""

    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    pictures = sets.Split(np.zeros((32, 32, 32, 3), np.uint8), np.arange(32) % 2)
    tiny = studies.Study("tiny", "Is there room?", "§0", ("tiny",), "tiny", (0,))
    monkeypatch.setattr(studies, "STUDIES", {"tiny": tiny})
    monkeypatch.setattr(studies, "ARMS", {"tiny": Recipe(batch_size=32, epochs=1)})
    monkeypatch.setattr(store, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(store, "OWN_RUNS", tmp_path / "own")
    monkeypatch.setattr(make, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(make, "load", lambda *_: sets.Dataset("cifar10", "grey", ("cat", "dog"), pictures, pictures))
    monkeypatch.setattr(train if where == "soft_cross_entropy" else make, where, full)
    options = ["--batch-size", "32", "--epochs", "1"] if "train" in command else []
    assert cli.main([*command.split(), *options]) == 1
    error = "the device is out of memory: lower batch_size (now 32) or image_size (now 32), or switch on amp"
    kept = "" if "--no-save" in command else ". Finished epochs are kept"
    assert capsys.readouterr().err == f"error: {error}{kept}\n"


def test_bad_value_on_a_real_command_line():
    done = subprocess.run(
        [sys.executable, "-m", "tricks", "train", "--label-smoothing", "1.5"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr == "error: Recipe.label_smoothing = 1.5: must be in [0, 0.9999]\n"


@pytest.mark.parametrize("seed", [-1, 2**32, 10**30])
@pytest.mark.parametrize("others", [[], ["--no-save"]])
def test_a_seed_that_none_can_be_is_refused_before_the_data_are_read(seed, others, monkeypatch, capsys):
    monkeypatch.setattr(make, "load", lambda *_: pytest.fail("must not come as far as the data"))
    assert cli.main(["train", "--seed", str(seed), *others]) == 1
    assert (
        capsys.readouterr().err == f"error: seed = {seed}: must be in [0, 4294967295]. Choose one that fits 32 bits\n"
    )


def test_a_name_that_no_record_can_have_is_refused_before_training(monkeypatch, capsys):
    monkeypatch.setattr(make, "load", lambda *_: pytest.fail("must not come as far as the data"))
    assert cli.main(["train", "--name", "a/b"]) == 1
    assert capsys.readouterr().err.startswith("error: name 'a/b': must be letters, digits, '.', '_' and '-', and begin")


def test_interruption_says_what_was_kept(trained, capsys):
    trained.error = KeyboardInterrupt()
    assert cli.main(["train"]) == 130
    assert "Finished epochs are kept" in capsys.readouterr().err


def test_interruption_of_a_worker_leaves_the_rest_to_the_one_that_started_it(monkeypatch, capsys):
    def work(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "work", work)
    assert cli.main(["study", "smoothing", "--worker"]) == 130
    assert capsys.readouterr().err == "\nStopped. This process is one of several.\n"


def test_unknown_option_names_the_nearest(trained, capsys):
    said = refused(["train", "--label-smothing", "0.1"], capsys)
    assert "Unrecognized options: --label-smothing, 0.1 Perhaps you meant: --label-smoothing" in said
    assert trained.calls == []


def test_options_are_not_abbreviated(trained, capsys):
    assert "Unrecognized options: --label, 0.1" in refused(["train", "--label", "0.1"], capsys)
    assert trained.calls == []


@pytest.mark.parametrize(
    ("arguments", "option", "allowed"),
    [
        ("train --schedule steps", "'steps' for argument '--schedule'", "('step', 'cosine', 'linear')"),
        ("train --label-smoothing x", "--label-smoothing", "could not convert string to float: 'x'"),
        ("train --seed", "'--seed'", "Expected 1 value"),
        ("run --budget tiny", "'tiny' for argument '--budget'", str(tuple(lesson.BUDGETS))),
        ("study smoothing --jobs x", "--jobs", "invalid literal for int() with base 10: 'x'"),
        ("nothing", "nothing", "run, deck, site, data, study, train, info"),
        ("", "Missing subcommand", "run, deck, site, data, study, train, info"),
    ],
)
def test_wrong_usage_names_the_option_its_value_and_what_is_allowed(arguments, option, allowed, trained, capsys):
    said = refused(arguments.split(), capsys)
    assert option in said and allowed in said and "./course" in said


@pytest.mark.parametrize(("text", "pair"), [("0/1", (0, 1)), ("7/8", (7, 8))])
def test_shard(text, pair):
    assert cli.share(text) == pair


@pytest.mark.parametrize("text", ["8/8", "1", "a/b", "-1/4", "1/0", ""])
def test_shard_refuses(text, monkeypatch, capsys):
    monkeypatch.setattr(runner, "fill", lambda *_: pytest.fail("must not start"))
    assert cli.main(["study", "smoothing", "--shard", text]) == 1
    said = f"error: --shard {text!r}: must be I/N with I from 0 to N - 1, such as 0/4\n"
    assert capsys.readouterr().err == said


def test_study_fills_with_jobs_and_shard_then_writes_the_summary(monkeypatch, capsys):
    calls = []
    monkeypatch.setattr(runner, "fill", lambda study, jobs, shard: calls.append((study.name, jobs, shard)))
    monkeypatch.setattr(runner, "write_summary", lambda: calls.append("summary"))
    assert cli.main(["study", "smoothing", "--jobs", "3", "--shard", "1/4"]) == 0
    assert calls == [("smoothing", 3, (1, 4)), "summary"]
    assert "smoothing" in capsys.readouterr().out


@pytest.mark.parametrize(("rank", "after"), [(0, ["summary"]), (1, [])])
def test_study_under_torchrun_works_in_its_processes(monkeypatch, capsys, rank, after):
    calls = []
    monkeypatch.setattr(process, "world", lambda: (rank, 2))
    monkeypatch.setattr(runner, "work", lambda study, shard, progress: calls.append((study.name, shard)))
    monkeypatch.setattr(runner, "write_summary", lambda: calls.append("summary"))
    assert cli.main(["study", "smoothing", "--shard", "1/4"]) == 0
    assert calls == [("smoothing", (1, 4)), *after]
    assert ("smoothing" in capsys.readouterr().out) == bool(after)
    assert cli.main(["study", "smoothing", "--jobs", "2"]) == 1
    assert "--jobs 2: must be 1 under torchrun" in capsys.readouterr().err


def test_study_that_failed_says_so_once(monkeypatch):
    def fill(*_):
        raise RuntimeError("1 of 2 processes failed")

    monkeypatch.setattr(runner, "fill", fill)
    with pytest.raises(SystemExit, match="error: 1 of 2 processes failed"):
        cli.main(["study", "smoothing"])


def test_study_list_and_status_show_every_study(capsys):
    for option in ("--list", "--status"):
        assert cli.main(["study", option]) == 0
        out = capsys.readouterr().out
        assert all(f"{name}: " in out for name in studies.STUDIES)


def test_unknown_study_names_the_nearest(capsys):
    assert cli.main(["study", "smothing"]) == 1
    assert "Nearest: 'smoothing'" in capsys.readouterr().err


def test_study_without_a_name_says_how_to_find_one(capsys):
    assert cli.main(["study"]) == 1
    assert "./course study --list" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "lessons", "budget"),
    [
        (["05_2", "03_1", "--budget", "smoke"], ["05_2", "03_1"], "smoke"),
        (["--budget", "full", "05_2"], ["05_2"], "full"),
        ([], [], "quick"),
    ],
)
def test_run_builds_the_lessons_in_the_budget(arguments, lessons, budget, monkeypatch):
    calls = []

    def run(command, env, **_):
        calls.append((command[1:], env["TRICKS_BUDGET"]))
        return SimpleNamespace(returncode=3)

    monkeypatch.setattr(cli.subprocess, "run", run)
    assert cli.main(["run", *arguments]) == 3
    assert calls == [([str(ROOT / "tools" / "build_notebooks.py"), *lessons], budget)]
    assert os.path.exists(calls[0][0][0])


def test_data_without_a_name_shows_the_status(monkeypatch, capsys):
    monkeypatch.setattr(sets, "status", lambda: "cifar10      not here")
    monkeypatch.setattr(pennfudan, "find", lambda: None)
    assert cli.main(["data"]) == 0
    lines = ["cifar10      not here", "pennfudan    not here; ./course data pennfudan --fetch gets it"]
    assert capsys.readouterr().out.splitlines() == lines


def test_data_that_is_not_here_says_how_to_get_it(monkeypatch, capsys):
    monkeypatch.setattr(sets, "find", lambda name: None)
    monkeypatch.setattr(sets, "load", lambda name: pytest.fail("must not download without --fetch"))
    assert cli.main(["data", "cifar10"]) == 1
    assert "./course data cifar10 --fetch" in capsys.readouterr().err


def test_data_of_scenes_is_fetched_when_asked_and_counted(monkeypatch, capsys):
    monkeypatch.setattr(pennfudan, "find", lambda: None)
    assert cli.main(["data", "pennfudan"]) == 1
    assert "./course data pennfudan --fetch" in capsys.readouterr().err
    monkeypatch.setattr(pennfudan, "fetch", lambda: "here.zip")
    monkeypatch.setattr(pennfudan, "encoded", lambda path: {"a": (b"", b""), "b": (b"", b"")})
    assert cli.main(["data", "pennfudan", "--fetch"]) == 0
    assert capsys.readouterr().out == "pennfudan: 2 pictures with boxes and masks, from here.zip\n"


def test_data_fetches_when_asked_and_shows_what_was_read(monkeypatch, capsys):
    def load(name):
        split = sets.Split(np.zeros((3, 8, 8, 3), np.uint8), np.array([0, 1, 1]))
        taken = ("classes: cat, dog", "train: train", "test: val")
        return sets.Dataset(name, "a copy", ("cat", "dog"), split, split, "a note for the reader", taken=taken)

    monkeypatch.setattr(sets, "find", lambda name: None)
    monkeypatch.setattr(sets, "load", load)
    assert cli.main(["data", "cifar10", "--fetch"]) == 0
    counts = "cifar10: 3 training and 3 test images of 2 classes, from a copy"
    lines = [counts, "classes: cat, dog", "train: train", "test: val", "a note for the reader"]
    assert capsys.readouterr().out.splitlines() == lines


def test_info_says_what_is_here(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sets, "status", lambda: "cifar10      not here")
    monkeypatch.setattr(store, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(store, "OWN_RUNS", tmp_path / "own")
    for folder, seeds in ((store.RUNS, 3), (store.OWN_RUNS, 2)):
        for seed in range(seeds):
            store.Run("run", BASELINE, seed, [], {}).save(folder)
    assert cli.main(["info"]) == 0
    out = capsys.readouterr().out
    records = f"3 runs in {tmp_path / 'runs'}, 2 of your own in {tmp_path / 'own'}"
    for part in (sys.executable, torch.__version__, "device", "mixed precision in", "threads", records, "GB free"):
        assert part in out
    assert "\ncifar10      not here\npennfudan    " in out
