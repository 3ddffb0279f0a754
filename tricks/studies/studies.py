"""The course's studies as data: a question, its arms, its seeds; and the runner that records what is missing.

An arm is a named recipe. The same arm may stand in several studies and is trained once, because a record is found by
its recipe. Choices such as a learning rate are made on `split="validation"`; the other arms are tested on the test set.
"""

import contextlib
import csv
import io
import itertools
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from filelock import FileLock

from tricks import ROOT
from tricks.data.files import write_atomic
from tricks.recipe import AMP_DTYPES, BASELINE, Recipe, Transfer
from tricks.records import store
from tricks.records.store import RUNS, K, Run, compare, find, nearest_name, plus_minus, recorded, value
from tricks.studies.arms import (
    DETECTION,
    DETECTION_ARMS,
    PAPER_DETECTION_ARMS,
    PAPER_PRETRAIN_ARMS,
    PAPER_SEGMENTATION_ARMS,
    PRETRAIN_ARMS,
    PRETRAIN_EFFICIENT,
    PRETRAIN_STANDARD,
    SEGMENTATION,
    SEGMENTATION_ARMS,
    table,
)

SUMMARY = RUNS / "summary.csv"

# 10,000 images and 12 epochs: minutes on one CPU core. docs/evidence.md says how these were chosen.
SHORT = replace(BASELINE, train_images=10_000)
EFFICIENT = replace(SHORT, lr=0.4, warmup_epochs=1.0, zero_gamma=True, no_bias_decay=True, tweak_d=True)
COSINE = replace(EFFICIENT, schedule="cosine")
SMOOTH = replace(COSINE, label_smoothing=0.1)
DISTILL = replace(SMOOTH, teacher="resnet14")
# Of the step schedule's first decay, the paper's quarter of the run leaves 3 of 12 epochs at the peak: half did better.
STEP = replace(EFFICIENT, first_decay=0.5)
LONG = replace(SMOOTH, epochs=20)  # the paper's 120 to 200 epochs, which mixup's rows have (§5.5)
# Table 6 with the paper's 120 and 200 epochs, its warm-up and its first decay: ten times as many steps, so on a GPU.
# Without its two rows of distillation, which would train a teacher each.
FULL = table(
    standard=replace(SHORT, epochs=120),
    efficient=replace(EFFICIENT, epochs=120, warmup_epochs=5.0),
    teacher="resnet14",
    mixup_epochs=200,
)
FULL_ARMS = {
    **{f"full-{row}": FULL[row] for row in ("standard", "efficient", "cosine", "smooth", "mixup")},
    "full-smooth-200": replace(FULL["smooth"], epochs=200),  # as many as mixup has
}
FULL_LEAVE_OUT = {  # one trick of `full-efficient` left out, all others kept
    f"full-without-{trick}": replace(FULL["efficient"], **off)
    for trick, off in {
        "warmup": {"warmup_epochs": 0.0},
        "zero": {"zero_gamma": False},
        "no-bias": {"no_bias_decay": False},
        "d": {"tweak_d": False},
    }.items()
}
# Few large steps: 156 a pass at 64 images, 19 at 512. A later first decay leaves a short run time at its peak.
SMALL_BATCH = replace(SHORT, epochs=8, batch_size=64, lr=0.05, lr_batch=64, linear_scaling=True, first_decay=0.5)
LARGE_BATCH = replace(SMALL_BATCH, batch_size=512)
# The same arms with seven and a half times as many steps.
SMALL_BATCH_LONG, LARGE_BATCH_LONG = replace(SMALL_BATCH, epochs=60), replace(LARGE_BATCH, epochs=60)
# Bottleneck blocks, because tweak B exists only for them, and pictures large enough for the ImageNet stem.
TWEAKS = replace(
    COSINE,
    dataset="imagenette",
    image_size=64,
    train_images=0,
    epochs=8,
    net="bottleneck14-pool",
    tweak_d=False,
)

# All images, and mixed precision on top: the longest runs that 50 of fit into an afternoon on two cores.
LADDER = replace(BASELINE, epochs=8, lr=0.2, first_decay=0.5)
LADDER_COSINE = replace(
    LADDER, amp=True, lr=0.4, warmup_epochs=1.0, no_bias_decay=True, tweak_d=True, schedule="cosine"
)
STACK = {  # rung: what it changes in the one below
    "ladder-amp": {"amp": True},
    "ladder-warmup": {"lr": 0.4, "warmup_epochs": 1.0},
    "ladder-zero": {"zero_gamma": True},
    "ladder-no-bias": {"no_bias_decay": True},
    "ladder-d": {"tweak_d": True},
    "ladder-cosine": {"schedule": "cosine"},
    "ladder-smoothing": {"label_smoothing": 0.1},
    "ladder-mixup": {"mixup_alpha": 0.2},
    "ladder-all": {"teacher": "resnet14"},
}


def _table_4(recipe: Recipe, name: str) -> dict[str, Recipe]:
    """The heuristics of §3.1 in the order of Table 4, each on top of the one before."""
    warmup = replace(recipe, warmup_epochs=2.0)
    zero = replace(warmup, zero_gamma=True)
    return {
        name: recipe,
        f"{name}-warmup": warmup,
        f"{name}-zero": zero,
        f"{name}-no-bias": replace(zero, no_bias_decay=True),
    }


def _stacked() -> dict[str, Recipe]:
    """Table 6's way up from the baseline, one trick after another, and the way down from the rung under the teacher.

    Without the teacher, because leaving out a trick changes the teacher's recipe too, and each would have to be
    trained.
    """
    rungs, recipe = {"ladder-baseline": LADDER}, LADDER
    for name, change in STACK.items():
        rungs[name] = recipe = replace(recipe, **change)
    top = rungs["ladder-mixup"]
    for name in ("warmup", "zero", "no-bias", "d", "cosine", "smoothing"):
        before = {field: getattr(LADDER, field) for field in STACK[f"ladder-{name}"]}
        rungs[f"ladder-without-{name}"] = replace(top, **before)
    # what was better with than without on held-out images (`pilot_ladder`, `pilot_ladder_kept`), and the teacher
    rungs["ladder-kept"] = replace(rungs["ladder-all"], zero_gamma=False, mixup_alpha=0.0)
    return rungs


def _noisy(share: float) -> dict[str, Recipe]:
    """Wrong training labels, with and without the tricks that are said to help against them."""
    noisy, name = replace(COSINE, label_noise=share), f"noise-{share}"
    tricks = {"": {}, "-smoothing": {"label_smoothing": 0.1}, "-mixup": {"mixup_alpha": 0.2}}
    return {f"{name}{suffix}": replace(noisy, **trick) for suffix, trick in tricks.items()}


def _held_out(name: str, recipe: K, **grid: tuple[float | str | bool, ...]) -> dict[str, K]:
    """Candidates for a choice, tried on held-out training images: every combination of some fields' values."""
    combinations = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    return {
        "-".join([name, *map(str, values.values())]): replace(recipe, split="validation", **values)
        for values in combinations
    }


PILOTS = {
    "pilot": _held_out("pilot-lr", COSINE, lr=(0.05, 0.1, 0.2, 0.4, 0.8)),
    "pilot_baseline": _held_out("pilot-baseline", SHORT, lr=(0.05, 0.1, 0.2, 0.4), first_decay=(0.25, 0.5)),
    "pilot_step": _held_out("pilot-step", EFFICIENT, lr=(0.2, 0.4, 0.8), first_decay=(0.25, 0.5)),
    "pilot_large_batch": _held_out("pilot-small-batch", SMALL_BATCH, lr=(0.025, 0.05, 0.1, 0.2)),
    "pilot_tweaks": _held_out("pilot-tweaks", TWEAKS, lr=(0.05, 0.1, 0.2, 0.4, 0.8)),
    "pilot_ladder": _held_out("pilot-ladder", LADDER_COSINE, lr=(0.4, 0.8), zero_gamma=(False, True)),
    "pilot_ladder_kept": {  # each alone on top of `pilot-ladder-0.4-False`
        **_held_out("pilot-ladder-kept", LADDER_COSINE, label_smoothing=(0.1,), mixup_alpha=(0.0,)),
        **_held_out("pilot-ladder-kept", LADDER_COSINE, label_smoothing=(0.0,), mixup_alpha=(0.2,)),
        **_held_out("pilot-ladder-c", LADDER_COSINE, tweak_c=(True,)),
    },
    "pilot_ladder_baseline": _held_out("pilot-ladder-baseline", LADDER, lr=(0.05, 0.1, 0.2, 0.4)),
    "pilot_pretrain": {
        **_held_out("pilot-pretrain-standard", PRETRAIN_STANDARD, lr=(0.025, 0.05, 0.1, 0.2)),
        **_held_out("pilot-pretrain", replace(PRETRAIN_EFFICIENT, schedule="cosine"), lr=(0.1, 0.2, 0.4, 0.8)),
    },
    "pilot_teacher": _held_out("pilot-teacher", SMOOTH, net=("resnet14", "resnet20")),
}
TRANSFER_PILOTS = {
    "pilot_detection": _held_out("pilot-detection", DETECTION, lr=(0.01, 0.02)),
    "pilot_segmentation": _held_out("pilot-segmentation", SEGMENTATION, lr=(0.01, 0.02, 0.05, 0.1, 0.2, 0.4)),
}

ARMS: dict[str, Recipe] = {
    "baseline": replace(SHORT, first_decay=0.5),
    # §5, from Table 6's first row on
    "efficient": STEP,
    "efficient-early": EFFICIENT,
    "cosine": COSINE,
    "cosine-amp": replace(COSINE, amp=True),
    **{f"smoothing-{eps}": replace(COSINE, label_smoothing=eps) for eps in (0.05, 0.1, 0.2, 0.4)},
    "distill": DISTILL,
    "smooth-mixup": replace(SMOOTH, mixup_alpha=0.2),
    "distill-mixup": replace(DISTILL, mixup_alpha=0.2),
    "long": LONG,
    "long-mixup": replace(LONG, mixup_alpha=0.2),
    **{f"mixup-{alpha}": replace(COSINE, mixup_alpha=alpha) for alpha in (0.1, 0.2, 0.5, 1.0)},
    **{f"distill-{T:g}": replace(DISTILL, temperature=T) for T in (1.0, 2.0, 4.0, 10.0)},
    **_noisy(0.2),
    **_noisy(0.4),
    **FULL_ARMS,
    **FULL_LEAVE_OUT,
    # §3.2 on a GPU
    **{f"full-cosine-{kind}": replace(FULL["cosine"], amp=True, amp_dtype=kind) for kind in AMP_DTYPES[1:]},
    # §3.1, Table 4
    **_table_4(SMALL_BATCH, "small"),
    "large-unscaled": replace(LARGE_BATCH, linear_scaling=False),
    **_table_4(LARGE_BATCH, "large"),
    "small-long": SMALL_BATCH_LONG,
    "large-long-unscaled": replace(LARGE_BATCH_LONG, linear_scaling=False),
    **_table_4(LARGE_BATCH_LONG, "large-long"),
    # §4, Table 5
    "tweaks-plain": TWEAKS,
    "tweaks-b": replace(TWEAKS, tweak_b=True),
    "tweaks-c": replace(TWEAKS, tweak_b=True, tweak_c=True),
    "tweaks-d": replace(TWEAKS, tweak_b=True, tweak_c=True, tweak_d=True),
    "tweaks-d-alone": replace(TWEAKS, tweak_d=True),
    # §7: everything stacked
    **_stacked(),
    # §6, Tables 8 and 9: the backbones
    **PRETRAIN_ARMS,
    **PAPER_PRETRAIN_ARMS,
    **{name: recipe for pilot in PILOTS.values() for name, recipe in pilot.items()},
}


TRANSFERS: dict[str, Transfer] = {  # §6, Tables 8 and 9: what is fine-tuned on them
    **DETECTION_ARMS,
    **SEGMENTATION_ARMS,
    **PAPER_DETECTION_ARMS,
    **PAPER_SEGMENTATION_ARMS,
    **{name: recipe for pilot in TRANSFER_PILOTS.values() for name, recipe in pilot.items()},
}


@dataclass(frozen=True)
class Study:
    """A question to recorded runs: arms by name, the one that the others are compared with, and the seeds of each."""

    name: str
    question: str
    source: str  # section and table of the paper
    arms: tuple[str, ...]
    reference: str
    seeds: tuple[int, ...]

    @property
    def metric(self) -> str:
        """What of `Run.final` the arms are compared by."""
        return recipe_of(self.reference).metric

    @property
    def cells(self) -> list[tuple[str, int]]:
        """Every (arm, seed), seed by seed: an interrupted study has complete seeds rather than complete arms."""
        return [(arm, seed) for seed in self.seeds for arm in self.arms]


THREE, FIVE = (0, 1, 2), (0, 1, 2, 3, 4)  # seeds


def _transfer(
    scale: str, pretrain: Mapping[str, Recipe], detection: Mapping[str, Transfer], segmentation: Mapping[str, Transfer]
) -> tuple[Study, Study, Study]:
    """The studies of §6 at one scale: seed k fine-tunes what seed k pretrained."""
    where = ", at the paper's scale" if scale else ""

    def reference(arms: Iterable[str]) -> str:
        return next(name for name in arms if name.endswith("-standard"))

    return (
        Study(
            f"{scale}pretrain",
            f"How well do the backbones of section 6 classify{where}?",
            "§6, Tables 8 and 9",
            tuple(pretrain),
            reference(pretrain),
            THREE,
        ),
        Study(
            f"{scale}detection",
            f"Does a better classifier make a better detector{where}?",
            "§6.1, Table 8",
            tuple(detection),
            reference(detection),
            THREE,
        ),
        Study(
            f"{scale}segmentation",
            f"Does a better classifier make a better segmenter{where}?",
            "§6.2, Table 9",
            tuple(segmentation),
            reference(segmentation),
            THREE,
        ),
    )


STUDIES = {
    study.name: study
    for study in (
        Study(
            "baseline",
            "What does the paper's plain procedure give with the course's small net and budget?",
            "§2",
            ("baseline",),
            "baseline",
            FIVE,
        ),
        Study(
            "large_batch",
            "What does a batch eight times as large cost, and which heuristics win it back?",
            "§3.1, Table 4",
            (
                *("small", "small-warmup", "small-zero", "small-no-bias"),
                *("large-unscaled", "large", "large-warmup", "large-zero", "large-no-bias"),
            ),
            "small",
            THREE,
        ),
        Study(
            "large_batch_long",
            "Does the gap between a batch of 64 and one of 512 close when there are steps enough?",
            "§3.1, Table 4",
            (
                *("small-long", "large-long-unscaled", "large-long"),
                *("large-long-warmup", "large-long-zero", "large-long-no-bias"),
            ),
            "small-long",
            THREE,
        ),
        Study(
            "precision",
            "What does mixed precision change: time, accuracy?",
            "§3.2, Table 3",
            ("cosine", "cosine-amp"),
            "cosine",
            FIVE,
        ),
        Study(
            "precision_gpu",
            "What does mixed precision change on a GPU, in bfloat16, and in float16 with loss scaling?",
            "§3.2, Tables 3 and 4",
            ("full-cosine", "full-cosine-bfloat16", "full-cosine-float16"),
            "full-cosine",
            THREE,
        ),
        Study(
            "tweaks",
            "What do the tweaks B, C and D bring and cost, one on top of the other, and D's pooling alone?",
            "§4, Table 5",
            ("tweaks-plain", "tweaks-b", "tweaks-c", "tweaks-d", "tweaks-d-alone"),
            "tweaks-plain",
            THREE,
        ),
        Study(
            "schedule",
            "Step or cosine decay: who is ahead when, and at the end?",
            "§5.1, Fig. 3",
            ("efficient", "efficient-early", "cosine"),
            "efficient",
            FIVE,
        ),
        Study(
            "smoothing",
            "What does ε do to accuracy, to the likelihood, to calibration and to the logit gap?",
            "§5.2, Fig. 4, Table 6",
            ("cosine", "smoothing-0.05", "smoothing-0.1", "smoothing-0.2", "smoothing-0.4"),
            "cosine",
            FIVE,
        ),
        Study(
            "temperature",
            "What does the temperature of distillation do?",
            "§5.3",
            ("smoothing-0.1", "distill-1", "distill-2", "distill-4", "distill-10", "distill"),
            "smoothing-0.1",
            THREE,
        ),
        Study(
            "mixup_alpha",
            "What does mixup's α do to accuracy, to the fit of clean training images, and to calibration?",
            "§5.4",
            ("cosine", "mixup-0.1", "mixup-0.2", "mixup-0.5", "mixup-1.0"),
            "cosine",
            THREE,
        ),
        Study(
            "label_noise",
            "Which tricks help when a fifth, or two fifths, of the training labels are wrong?",
            "not in the paper",
            ("cosine", "smoothing-0.1", "mixup-0.2", *_noisy(0.2), *_noisy(0.4)),
            "cosine",
            THREE,
        ),
        Study(
            "refinements",
            "What does each refinement of section 5 add to the one before?",
            "§5.5, Table 6",
            (
                *("efficient", "cosine", "smoothing-0.1", "distill", "smooth-mixup", "distill-mixup"),
                *("long", "long-mixup"),  # Table 6 gives mixup more epochs; here both have them
            ),
            "efficient",
            FIVE,
        ),
        Study(
            "full_schedule",
            "What do cosine decay, smoothing and mixup add with the paper's numbers of epochs?",
            "§5.5, Table 6",
            tuple(FULL_ARMS),
            "full-efficient",
            THREE,
        ),
        Study(
            "full_leave_out",
            "Which heuristics of sections 3 and 4 carry a network that is trained to the end?",
            "§3.1, §4, Tables 4 and 5",
            ("full-efficient", *FULL_LEAVE_OUT),
            "full-efficient",
            THREE,
        ),
        Study(
            "ladder",
            "What does the whole stack bring with all images, and which of its tricks carry it?",
            "§7, Tables 1 and 6",
            tuple(_stacked()),
            "ladder-baseline",
            THREE,
        ),
        *_transfer("", PRETRAIN_ARMS, DETECTION_ARMS, SEGMENTATION_ARMS),
        *_transfer("paper_", PAPER_PRETRAIN_ARMS, PAPER_DETECTION_ARMS, PAPER_SEGMENTATION_ARMS),
        *(
            Study(
                name,
                "Which choice is best on held-out training images?",
                "not in the paper",
                tuple(arms),
                next(iter(arms)),
                (0,),
            )
            for name, arms in (*PILOTS.items(), *TRANSFER_PILOTS.items())
        ),
    )
}


def study(name: str) -> Study:
    """A study by name. ValueError on an unknown one, with the nearest name."""
    if name not in STUDIES:
        raise ValueError(f"no study {name!r}. Nearest: {nearest_name(name, STUDIES)!r}. There are {', '.join(STUDIES)}")
    return STUDIES[name]


def recipe_of(name: str) -> Recipe | Transfer:
    """What an arm stands for. ValueError on an unknown one, with the nearest name."""
    if name in ARMS:
        return ARMS[name]
    if name not in TRANSFERS:
        raise ValueError(f"no arm {name!r}. Nearest: {nearest_name(name, (*ARMS, *TRANSFERS))!r}")
    return TRANSFERS[name]


def arm(name: str) -> list[Run]:
    """The recorded runs of an arm. ValueError on an unknown one; LookupError, as from `recorded`, when it has none."""
    return recorded(recipe_of(name), name)


def share(study: Study, shard: tuple[int, int] = (0, 1)) -> list[tuple[str, int]]:
    """The (arm, seed) of share i of n, for shard = (i, n). ValueError when there is no such share."""
    index, count = shard
    if not 0 <= index < count:
        raise ValueError(f"shard {index}/{count}: the first number must be in 0..{count - 1}")
    return study.cells[index::count]


def missing(study: Study, shard: tuple[int, int] = (0, 1)) -> list[tuple[str, int]]:
    """The (arm, seed) of this share that no record answers yet."""
    have = {(name, run.seed) for name in study.arms for run in find(recipe_of(name))}
    return [cell for cell in share(study, shard) if cell not in have]


def work(study: Study, shard: tuple[int, int] = (0, 1), progress: Callable[[str], None] = print) -> None:
    """Record what is missing, one run after another, in this process.

    Several processes, also on several machines with one file system, may share a study: each run is made once, and one
    that was killed is resumed by whoever comes next. The processes of a `torchrun` make each run together.
    """
    from tricks import process, train  # torch, only where something is trained

    with process.group():
        for name, seed in share(study, shard):
            recipe = recipe_of(name)
            if process.first_says(any(run.seed == seed for run in find(recipe))):
                continue
            try:
                if isinstance(recipe, Recipe):
                    train.run(recipe, seed, name=name, folder=store.RUNS, progress=progress)
                else:
                    from tricks.transfer import loop

                    loop.run(recipe, seed, name=name, folder=store.RUNS, progress=progress)
            except train.Busy:
                if process.world()[1] > 1:  # the first process alone knows, and the others are in this run already
                    raise


def fill(study: Study, jobs: int = 1, shard: tuple[int, int] = (0, 1)) -> None:
    """Record what is missing with `jobs` processes, the CPU's cores shared out among them.

    RuntimeError when a process failed; what was recorded stays, and the same call goes on from there.
    """
    if jobs < 1:
        raise ValueError(f"jobs = {jobs}: must be 1 or more")
    threads = max(1, (os.cpu_count() or 1) // jobs)
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "tricks", "study", study.name, "--worker", "--shard", f"{shard[0]}/{shard[1]}"]
    workers = [
        subprocess.Popen(command, cwd=ROOT, env=environment) for _ in range(min(jobs, len(missing(study, shard))))
    ]
    try:
        codes = [worker.wait() for worker in workers]
    finally:
        for worker in workers:
            if worker.poll() is None:
                worker.terminate()
    if any(codes):
        raise RuntimeError(
            f"{sum(map(bool, codes))} of {len(codes)} processes failed; see their messages above. Run it again to go on"
        )


def status(study: Study) -> str:
    """A table of the study's arms: recorded seeds, accuracy, difference to the reference arm."""
    lines = [f"{study.name}: {study.question} ({study.source})"]
    reference = find(recipe_of(study.reference))
    width = max(map(len, study.arms))
    for name in study.arms:
        runs = [run for run in find(recipe_of(name)) if run.seed in study.seeds]
        line = f"  {name:<{width}} {len(runs)} of {len(study.seeds)} seeds"
        if runs:
            line += f"   {study.metric} {plus_minus([value(run, study.metric) for run in runs])} %"
        if runs and reference and name != study.reference:
            try:
                line += f"   {compare(runs, reference, study.metric)}"
            except ValueError as error:  # no common seed, or other data
                line += f"   {error}"
        lines.append(line)
    return "\n".join(lines)


def summary_text() -> str:
    """What `summary.csv` must say: a line per study and arm, differences paired by seed with 95 % t-intervals."""
    out = io.StringIO()
    columns = ["study", "arm", "dataset", "seeds", "metric", "mean", "sd", "difference", "low", "high"]
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    for study in STUDIES.values():
        reference = find(recipe_of(study.reference))
        for name in study.arms:
            runs = [run for run in find(recipe_of(name)) if run.seed in study.seeds]
            if not runs:
                continue
            values = [value(run, study.metric) for run in runs]
            row = {
                "study": study.name,
                "arm": name,
                "dataset": " / ".join(sorted({run.meta["source"] for run in runs})),
                "seeds": len(runs),
                "metric": study.metric,
                "mean": f"{statistics.mean(values):.3f}",
                "sd": f"{statistics.stdev(values):.3f}" if len(runs) > 1 else "",
            }
            with contextlib.suppress(ValueError):  # no common seed, or other data
                difference = compare(runs, reference, study.metric)
                if name != study.reference and len(difference.seeds) > 1:
                    row["difference"] = f"{difference.mean:.3f}"
                    row["low"] = f"{difference.mean - difference.half:.3f}"
                    row["high"] = f"{difference.mean + difference.half:.3f}"
            writer.writerow(row)
    return out.getvalue()


def write_summary() -> None:
    """Bring `data/runs/summary.csv` up to date with the records."""
    SUMMARY.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{SUMMARY}.lock"):
        write_atomic(SUMMARY, summary_text().encode())
