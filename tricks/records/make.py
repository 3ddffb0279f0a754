"""From a recipe and a seed to a recorded run: data, model and teacher, training, the record."""

import contextlib
import copy
import platform
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import torch
from filelock import Timeout
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from tricks import ROOT, metrics, precision, process
from tricks.data.files import write_atomic
from tricks.data.loader import loaders
from tricks.data.sets import Dataset, load
from tricks.models import resnet
from tricks.parameters import xavier_init_, zero_last_gamma_
from tricks.process import Purpose
from tricks.recipe import Recipe, Transfer, teacher_of
from tricks.records import store
from tricks.records.store import K, Run, check_name, locked, lookup
from tricks.state import Row, contiguous, plain, seconds_in
from tricks.train import TRAIN_VERSION, Parts, epochs, evaluate, full_memory_explained

WEIGHTS = ROOT / "data" / "weights"  # those that come with the course
CACHE = ROOT / "data" / "cache"
Progress = Callable[[str], None]
Make = Callable[[K, int, str, Path | None, Progress], Run]


def prepare(recipe: Recipe, seed: int = 0, dataset: Dataset | None = None, progress: Progress = print) -> Parts:
    """Data, model and teacher of a run, so that `epochs(recipe, prepare(recipe, seed), seed=seed)` trains it.

    The teacher is read from data/cache, or trained there first: the same recipe on the larger net (`teacher_of`).
    """
    process.check_bits(seed=seed)
    process.set_up()
    dataset = dataset or load(recipe.dataset, recipe.image_size)
    rank, size = process.world()
    device = process.device()
    train, clean_sample, test_sample, test = loaders(recipe, dataset, seed=seed, device=device, rank=rank, world=size)
    model = model_for(recipe, train.num_classes, seed)
    check_batch_norm(model, recipe, size)
    if size > 1:
        model = DistributedDataParallel(model, device_ids=[device] if device.type == "cuda" else None)
    teacher = teacher_for(recipe, dataset, progress) if recipe.teacher else None
    average = copy.deepcopy(plain(model)).requires_grad_(False) if recipe.ema_decay else None  # averaged weights
    return Parts(model, train, clean_sample, test_sample, test, teacher, average)


def check_batch_norm(model: nn.Module, recipe: Recipe | Transfer, world: int) -> None:
    """ValueError if a batch norm would see one value per channel, of which there is no variance.

    That is where one picture per process is left with a map of one pixel.
    """
    if recipe.batch_size > world:
        return
    shapes_only = copy.deepcopy(model).to("meta").train()  # computes nothing
    try:
        with torch.no_grad():
            shapes_only(torch.empty(1, 3, recipe.image_size, recipe.image_size, device="meta"))
    except ValueError as error:
        least = f"{2 * world} or more" + (f" for {world} processes" if world > 1 else "")
        why = f"batch norm needs 2 values per channel, and maps of {recipe.net} shrink to one pixel"
        mend = f"Raise batch_size, or image_size (now {recipe.image_size})"
        raise recipe.bad("batch_size", f"{least}: {why}. {mend}") from error


def model_for(recipe: Recipe, num_classes: int, seed: int) -> nn.Module:
    """The recipe's network with the paper's initialisation (§2.1), drawn from the seed's own stream."""
    model = resnet.build(
        recipe.net,
        num_classes,
        tweak_b=recipe.tweak_b,
        tweak_c=recipe.tweak_c,
        tweak_d=recipe.tweak_d,  # model tweaks
    )
    xavier_init_(model, process.generator(Purpose.MODEL, seed))
    if recipe.zero_gamma:  # zero γ
        zero_last_gamma_(model)
    return model.to(process.device(), memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def teacher_for(recipe: Recipe, dataset: Dataset, progress: Progress = print) -> nn.Module:
    """The trained teacher, frozen: one, of seed 0, for all students and seeds (§5.5). It is trained when missing."""
    theirs = teacher_of(recipe)
    teacher = model_for(theirs, len(dataset.classes), 0)
    teacher.load_state_dict(weights_for(theirs, 0, dataset, progress))
    return teacher.eval().requires_grad_(False)


def weights_for(
    recipe: Recipe, seed: int = 0, dataset: Dataset | None = None, progress: Progress = print
) -> dict[str, Tensor]:
    """The weights that a recipe and a seed end with: those in data/weights or data/cache, else trained and kept now.

    `run` keeps those of every run that it records. Under `torchrun` all processes train together.
    """
    if (published := WEIGHTS / weights_path(recipe, seed).name).exists():
        return load_file(published)
    path = weights_path(recipe, seed)
    # several may ask at once; of the processes of a torchrun, which train together, one must not lock out the others
    with locked(path.with_name(f"{path.name}.lock")) if process.world()[0] == 0 else contextlib.nullcontext():
        if process.first_says(not path.exists()):
            what = f"{recipe.net} on {Path(recipe.dataset).name}, seed {seed}"
            progress(f"training {what}, once: its weights are not here")
            parts, checkpoint = prepare(recipe, seed, dataset, progress), path.with_suffix(".checkpoint")
            for row in epochs(recipe, parts, seed=seed, checkpoint=checkpoint):
                accuracy = f"{recipe.split} {row['test_accuracy']:.2f} %"
                progress(f"{what}: epoch {row['epoch']} of {recipe.epochs}, {accuracy}")
            keep_weights(path, parts.judged)
            checkpoint.unlink(missing_ok=True)
            process.first_says(True)  # the file is there for all
    return load_file(path)


def weights_path(recipe: Recipe, seed: int) -> Path:
    """Where the weights lie that a recipe and a seed end with."""
    return CACHE / "weights" / f"{identity(recipe, seed)}-v{TRAIN_VERSION}.safetensors"


def keep_weights(path: Path, model: nn.Module) -> None:
    """Write a model's weights whole or not at all; the first process does."""
    if process.world()[0] == 0:
        write_atomic(path, save(contiguous(plain(model).state_dict())))


def identity(recipe: Recipe | Transfer, seed: int) -> str:
    """What files of a recipe and a seed are called."""
    return f"{Path(recipe.dataset).name}-{recipe.hash}-seed{seed}"


class Busy(OSError):
    """Another process is making this run."""


def run(
    recipe: Recipe,
    seed: int = 0,
    *,
    name: str = "run",
    record: bool = True,
    folder: Path | None = None,
    progress: Progress = print,
) -> Run:
    """Train to the end and keep the record, below `folder` (data/own), and the weights; see `recorded_once`."""
    return recorded_once(_run, recipe, seed, name, record, folder or store.OWN_RUNS, progress)


def recorded_once(
    make: Make[K], recipe: K, seed: int, name: str, record: bool, folder: Path, progress: Progress
) -> Run:
    """`make(recipe, seed, name, checkpoint, progress)`, recorded below `folder`; if it is recorded already, its record.

    Records are looked up in data/runs and in `folder`. A run that was interrupted goes on from its last finished epoch.
    `Busy` when another process is at it: the system drops the lock when a process dies, so this needs no cleaning up.
    Under `torchrun` every process trains and the first one records. ValueError if no record can have the name.
    """
    check_name(name)
    process.check_bits(seed=seed)
    main = process.world()[0] == 0
    lock = CACHE / "locks" / f"{identity(recipe, seed)}.lock"
    try:
        with locked(lock, timeout=0) if record and main else contextlib.nullcontext():
            if record and (found := lookup(recipe, seed, folder)):
                finished, path = found
                progress(f"{name}, seed {seed}: already recorded in {path}")
                return finished
            file = f"{identity(recipe, seed)}-v{TRAIN_VERSION}.safetensors"
            checkpoint = CACHE / "checkpoints" / file if record else None
            with full_memory_explained(recipe, checkpoint), process.group():
                finished = make(recipe, seed, name, checkpoint, progress if main else lambda _: None)
                if checkpoint and main:
                    finished.save(folder)
                    checkpoint.unlink(missing_ok=True)
                return finished
    except Timeout as error:
        raise Busy(f"{name}, seed {seed}: another process is making this run") from error


def _run(recipe: Recipe, seed: int, name: str, checkpoint: Path | None, progress: Progress) -> Run:
    """The run itself; its weights are kept when it has a checkpoint."""
    dataset = load(recipe.dataset, recipe.image_size)
    parts = prepare(recipe, seed, dataset, progress)
    rows: list[Row] = []
    started = time.perf_counter() - seconds_in(checkpoint)
    for row, left in with_time_left(epochs(recipe, parts, seed=seed, checkpoint=checkpoint), recipe.epochs):
        rows.append(row)
        scores = f"loss {row['train_loss']:.3f}, {recipe.split} {row['test_accuracy']:.2f} %"
        progress(f"{name}, seed {seed}: epoch {row['epoch']} of {recipe.epochs}, {scores}, {left}")
    final = metrics.summary(*evaluate(parts.judged, parts.test))
    sizes = len(parts.train.labels), len(parts.test.labels)
    meta = describe(parts.model, dataset.source, sizes, time.perf_counter() - started)
    if checkpoint:
        keep_weights(weights_path(recipe, seed), parts.judged)
    return Run(name, recipe, seed, rows, final, meta)


def with_time_left(rows: Iterable[Row], total: int) -> Iterator[tuple[Row, str]]:
    """Each row of a run of `total` epochs, and how long the rest will take if each epoch takes as long as this one.

    Not as long as the mean so far: the epochs of a resumed run that were made before come back in no time.
    """
    before = time.perf_counter()
    for row in rows:
        now = time.perf_counter()
        yield row, f"about {(now - before) * (total - row['epoch']) / 60:.1f} min left"
        before = now


def describe(model: nn.Module, source: str, sizes: tuple[int, int], seconds: float) -> dict[str, Any]:
    """Where and on what a run was made, for its record; `sizes` are the numbers of training and test images."""
    device = process.device()
    return {
        "source": source,
        "train_images": sizes[0],
        "test_images": sizes[1],
        "parameters": resnet.parameter_count(plain(model)),
        "seconds": round(seconds, 1),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "tf32": precision.has_tf32(device) and torch.backends.cudnn.allow_tf32,  # in convolutions of fp32 tensors
        "threads": torch.get_num_threads(),
        "processes": process.world()[1],
        "torch": torch.__version__,
        "python": platform.python_version(),
        "commit": commit(),
        "date": date.today().isoformat(),
        "train_version": TRAIN_VERSION,
    }


def commit() -> str:
    """The course's own commit; "" where it is not in a git repository, or there is no git."""
    try:
        answer = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    except OSError:
        return ""
    return answer.stdout.strip()
