"""From a recipe and a seed to a recorded run: data, model and teacher, training, the record."""

import contextlib
import copy
import platform
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from filelock import Timeout
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from tricks import ROOT, metrics, precision, process
from tricks.after import test_time
from tricks.after.dirac import dirac_init_
from tricks.after.whitening import first_conv, patches, whiten_
from tricks.data.files import DataError, write_atomic
from tricks.data.loader import loaders
from tricks.data.scene import SceneSet
from tricks.data.sets import Dataset, is_here, load
from tricks.models import nets, resnet
from tricks.parameters import xavier_init_, zero_last_gamma_
from tricks.process import Purpose
from tricks.recipe import Recipe, Transfer, teacher_of
from tricks.records import store
from tricks.records.store import K, Run, check_name, find, folder_name, locked, lookup, same_data
from tricks.state import Row, contiguous, plain, seconds_in
from tricks.train import TRAIN_VERSION, Parts, epochs, evaluate, full_memory_explained

WEIGHTS = ROOT / "data" / "weights"  # those that come with the course
CACHE = ROOT / "data" / "cache"
Progress = Callable[[str], None]
D = TypeVar("D", bound=Dataset | SceneSet)
Make = Callable[[K, int, str, D, Path | None, Progress], Run]


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
    if recipe.whitening:  # whitened first convolution
        conv = first_conv(model)
        whiten_(conv, process.gather(torch.cat([patches(x, conv.kernel_size[0]) for x, _ in clean_sample])))
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
    model = nets.build(
        recipe.net,
        num_classes,
        tweak_b=recipe.tweak_b,
        tweak_c=recipe.tweak_c,
        tweak_d=recipe.tweak_d,  # model tweaks
    )
    xavier_init_(model, process.generator(Purpose.MODEL, seed))
    if recipe.zero_gamma:  # zero γ
        zero_last_gamma_(model)
    if recipe.dirac:  # Dirac initialisation
        dirac_init_(model)
    return model.to(process.device(), memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def teacher_for(recipe: Recipe, dataset: Dataset, progress: Progress = print) -> nn.Module:
    """The trained teacher, frozen: one, of seed 0, for all students and seeds (§5.5). It is trained when missing."""
    theirs, classes = teacher_of(recipe), len(dataset.classes)
    same = theirs.image_size == recipe.image_size  # Inception-V3's teacher learned from smaller pictures
    path = weights_file(theirs, 0, dataset if same else None, progress)
    teacher, weights = model_for(theirs, classes, 0), _weights_in(path)
    try:
        teacher.load_state_dict(weights)
    except RuntimeError as error:
        raise _bad_weights(path, f"these are not those of {theirs.net} for {classes} classes") from error
    return teacher.eval().requires_grad_(False)


def weights_for(
    recipe: Recipe, seed: int = 0, dataset: Dataset | None = None, progress: Progress = print
) -> dict[str, Tensor]:
    """The weights that a recipe and a seed end with: those in data/weights or data/cache, else trained and kept now.

    `run` keeps those of every run that it records. Under `torchrun` all processes train together.
    """
    return _weights_in(weights_file(recipe, seed, dataset, progress))


def weights_file(recipe: Recipe, seed: int, dataset: Dataset | None, progress: Progress) -> Path:
    """The file of `weights_for`, which is there now. Those in data/cache were trained on these very data."""
    if (published := WEIGHTS / weights_path(recipe, seed).name).exists():
        return published
    dataset = dataset or load(recipe.dataset, recipe.image_size)
    path = weights_path(recipe, seed, dataset)
    # several may ask at once; of the processes of a torchrun, which train together, one must not lock out the others
    with locked(path.with_name(f"{path.name}.lock")) if process.world()[0] == 0 else contextlib.nullcontext():
        if process.first_says(not path.exists()):
            what = f"{recipe.net} on {folder_name(dataset.path or recipe.dataset)}, seed {seed}"
            progress(f"training {what}, once: its weights on these pictures are not here")
            parts, checkpoint = prepare(recipe, seed, dataset, progress), path.with_suffix(".checkpoint")
            for row in epochs(recipe, parts, seed=seed, checkpoint=checkpoint):
                accuracy = f"{recipe.split} {row['test_accuracy']:.2f} %"
                progress(f"{what}: epoch {row['epoch']} of {recipe.epochs}, {accuracy}")
            keep_weights(path, parts.judged)
            checkpoint.unlink(missing_ok=True)
            process.first_says(True)  # the file is there for all
    return path


def _weights_in(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except SafetensorError as error:
        raise _bad_weights(path, str(error)) from error


def _bad_weights(path: Path, reason: str) -> DataError:
    return DataError(f"the weights in {path} cannot be used ({reason}). Delete it, and they are made again")


def weights_path(recipe: Recipe, seed: int, dataset: Dataset | None = None) -> Path:
    """Where the weights lie that a recipe and a seed end with on these data; without them, what the file is called."""
    return CACHE / "weights" / f"{identity(recipe, seed, dataset and dataset.about)}-v{TRAIN_VERSION}.safetensors"


def keep_weights(path: Path, model: nn.Module) -> None:
    """Write a model's weights whole or not at all; the first process does."""
    if process.world()[0] == 0:
        write_atomic(path, save(contiguous(plain(model).state_dict())))


def identity(recipe: Recipe | Transfer, seed: int, about: Mapping[str, str] | None = None) -> str:
    """What files of a recipe and a seed are called, on the data with this `about`: however their path is written."""
    about = about or {}
    if "path" in about:
        recipe = replace(recipe, dataset=Path(about["path"]).name)
    data = [about["data"]] if "data" in about else []
    return "-".join([folder_name(recipe.dataset), recipe.hash, f"seed{seed}", *data])


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
    if recipe.dataset == "auto":  # recorded as what it is here
        recipe = replace(recipe, dataset=load("auto", recipe.image_size).name)

    def read(fetch: bool) -> Dataset | None:
        return load(recipe.dataset, recipe.image_size) if fetch or is_here(recipe.dataset) else None

    return recorded_once(_run, read, recipe, seed, name, record, folder or store.OWN_RUNS, progress)


def recorded_once(
    make: Make[K, D],
    read: Callable[[bool], D | None],
    recipe: K,
    seed: int,
    name: str,
    record: bool,
    folder: Path,
    progress: Progress,
) -> Run:
    """`make(recipe, seed, name, data, checkpoint, progress)`, recorded below `folder`; its record if there is one.

    `read(False)` are the data that are here, or None; `read(True)` fetches them. Records are looked up in data/runs and
    in `folder`. One of other data than are here is not the result: that is said, and a new run starts beside it.
    DataError if that run would be in data/runs, where an arm is of the same data throughout. A run that was interrupted
    goes on from its last finished epoch. `Busy` when another process is at it: the system drops the lock when a process
    dies, so this needs no cleaning up. Under `torchrun` every process trains and the first one records. ValueError if
    no record can have the name.
    """
    check_name(name)
    process.check_bits(seed=seed)
    main = process.world()[0] == 0
    say: Progress = progress if main else lambda _: None
    here = read(False)
    by_path = here.about if here and "path" in here.about else None  # others may be here or not: the same lock for both
    lock = CACHE / "locks" / f"{identity(recipe, seed, by_path)}.lock"
    try:
        with locked(lock, timeout=0) if record and main else contextlib.nullcontext():
            if record and (found := lookup(recipe, seed, folder, here and here.about)):
                finished, path = found
                elsewhere = by_path and finished.meta.get("path", by_path["path"]) != by_path["path"]
                same = f", with the same pictures in {finished.meta['path']}" if elsewhere else ""
                say(f"{name}, seed {seed}: already recorded in {path}{same}")
                return finished
            data = here or read(True)
            assert data is not None
            checkpoint = None
            if record:
                _say_what_differs(recipe, seed, name, data, folder, say)
                file = f"{identity(recipe, seed, data.about)}-v{TRAIN_VERSION}.safetensors"
                checkpoint = CACHE / "checkpoints" / file
            with full_memory_explained(recipe, checkpoint), process.group():
                finished = make(recipe, seed, name, data, checkpoint, say)
                if folder == store.RUNS:  # others get it, and their paths are not ours
                    finished = replace(finished, meta={k: v for k, v in finished.meta.items() if k != "path"})
                if checkpoint and main:
                    finished.save(folder)
                    checkpoint.unlink(missing_ok=True)
                return finished
    except Timeout as error:
        raise Busy(f"{name}, seed {seed}: another process is making this run") from error


def _say_what_differs(
    recipe: Recipe | Transfer, seed: int, name: str, data: Dataset | SceneSet, folder: Path, say: Progress
) -> None:
    """Name what there is of this recipe on other data; DataError if it would be mixed with that in data/runs."""
    mixed = [run for run in find(recipe) if not same_data(run.meta, data.about)] if folder == store.RUNS else []
    if mixed:
        there = f"recorded on {mixed[0].meta.get('source')} {mixed[0].meta.get('data', '')}".strip()
        raise DataError(
            f"{name}, seed {seed}: this arm is {there}, and {data.source} here holds other pictures. An arm is not "
            "mixed: bring the same data here, or use ./course train, which records in data/own"
        )
    if other := lookup(recipe, seed, folder):
        run, path = other
        if run.meta.get("data") or "path" not in data.about:
            is_of = "" if run.meta.get("source") == data.source else f", which is of {run.meta.get('source')}"
            say(f"{data.source} holds other pictures than the run recorded in {path}{is_of}: trained anew")
        else:
            say(f"the run recorded in {path} does not say on which pictures it was made: trained anew")
    about = {key: text for key, text in data.about.items() if key != "data"}
    mine, start = identity(recipe, seed, data.about), identity(recipe, seed, about)
    kept = [file.name for file in (CACHE / "checkpoints").glob("*.safetensors") if file.name.startswith(f"{start}-")]
    if kept and not any(file.startswith(mine) for file in kept):
        left = "an unfinished run of other pictures, or without a word of which, is left alone"
        say(f"{name}, seed {seed}: {left} ({kept[0]}): this one starts anew")


def _run(recipe: Recipe, seed: int, name: str, dataset: Dataset, checkpoint: Path | None, progress: Progress) -> Run:
    """The run itself; its weights are kept when it has a checkpoint."""
    parts = prepare(recipe, seed, dataset, progress)
    rows: list[Row] = []
    started = time.perf_counter() - seconds_in(checkpoint)
    for row, left in with_time_left(epochs(recipe, parts, seed=seed, checkpoint=checkpoint), recipe.epochs):
        rows.append(row)
        scores = f"loss {row['train_loss']:.3f}, {recipe.split} {row['test_accuracy']:.2f} %"
        progress(f"{name}, seed {seed}: epoch {row['epoch']} of {recipe.epochs}, {scores}, {left}")
    final = judge(recipe, parts)
    sizes = len(parts.train.labels), len(parts.test.labels)
    meta = describe(parts.model, dataset.about, sizes, time.perf_counter() - started)
    if checkpoint:
        keep_weights(weights_path(recipe, seed, dataset), parts.judged)
    return Run(name, recipe, seed, rows, final, meta)


def judge(recipe: Recipe, parts: Parts) -> dict[str, Any]:
    """What a run's record says of the judged network on all evaluated pictures, by `metrics.summary`.

    With test-time views, the same also of the mean logits over views, under the names in `test_time.WEIGHTS`.
    """
    logits, y = evaluate(parts.judged, parts.test)
    final = metrics.summary(logits, y)
    if recipe.test_views:  # test-time views
        looks = (partial(test_time.view, shift=shift, mirrored=mirrored) for shift, mirrored in test_time.VIEWS[1:])
        views = [logits, *(evaluate(parts.judged, parts.test, look)[0] for look in looks)]
        for name, weights in test_time.WEIGHTS.items():
            final[name] = metrics.summary(test_time.mean_logits(views, weights), y)
    return final


def with_time_left(rows: Iterable[Row], total: int) -> Iterator[tuple[Row, str]]:
    """Each row of a run of `total` epochs, and how long the rest will take if each epoch takes as long as this one.

    Not as long as the mean so far: the epochs of a resumed run that were made before come back in no time.
    """
    before = time.perf_counter()
    for row in rows:
        now = time.perf_counter()
        yield row, f"about {(now - before) * (total - row['epoch']) / 60:.1f} min left"
        before = now


def describe(model: nn.Module, about: Mapping[str, str], sizes: tuple[int, int], seconds: float) -> dict[str, Any]:
    """Where and on what a run was made, for its record: what the data say `about` themselves, and how many images."""
    device = process.device()
    return {
        **about,
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
