"""The training loop, with every trick of the paper on one visible line."""

import contextlib
import json
import platform
import subprocess
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from datetime import date
from functools import partial, wraps
from pathlib import Path
from typing import Any, NamedTuple, ParamSpec, cast

import numpy as np
import torch
from filelock import FileLock, Timeout
from safetensors import safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from tricks import ROOT, metrics, process
from tricks.data.files import write_atomic
from tricks.data.loader import Loader, loaders
from tricks.data.sets import Dataset, load
from tricks.distillation import distill_loss
from tricks.models import resnet
from tricks.parameters import decay_groups, xavier_init_, zero_last_gamma_
from tricks.process import Purpose
from tricks.recipe import Recipe, Transfer, teacher_of
from tricks.records import store
from tricks.records.store import K, Run, check_name, lookup
from tricks.schedules import lr_at
from tricks.targets import mixup, one_hot, smooth, soft_cross_entropy

TRAIN_VERSION = 1  # raised whenever a change alters the numbers that a recipe and a seed give
CACHE = ROOT / "data" / "cache"
WEIGHTS = ROOT / "data" / "weights"  # those that come with the course
Row = dict[str, float]
P = ParamSpec("P")
Make = Callable[[K, int, str, Path | None, Callable[[str], None]], Run]


class Parts(NamedTuple):
    """What `epochs` needs beside the recipe: see `prepare`."""

    model: nn.Module
    train: Loader
    clean_sample: Loader  # of the training images, for the curves
    test_sample: Loader  # of the evaluated images, for the curves
    test: Loader  # all of them, for the result
    teacher: nn.Module | None = None


@contextlib.contextmanager
def knobs_named(recipe: Recipe | Transfer, checkpoint: Path | None) -> Iterator[None]:
    """When the device runs out of memory inside, a MemoryError says which fields to lower."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        advice = f"lower batch_size (now {recipe.batch_size}) or image_size (now {recipe.image_size})"
        more = "" if recipe.amp else ", or switch on amp"
        kept = ". Finished epochs are kept" if checkpoint else ""
        raise MemoryError(f"the device is out of memory: {advice}{more}{kept}") from error


def names_the_knob(loop: Callable[P, Generator[Row, None, None]]) -> Callable[P, Generator[Row, None, None]]:
    """Decorator of `epochs`, which is also called by itself: see `knobs_named`."""

    @wraps(loop)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> Generator[Row, None, None]:
        with knobs_named(cast(Recipe | Transfer, args[0]), cast(Path | None, kwargs.get("checkpoint"))):
            yield from loop(*args, **kwargs)

    return guarded


@names_the_knob
def epochs(
    recipe: Recipe, parts: Parts, *, seed: int = 0, checkpoint: Path | None = None
) -> Generator[Row, None, None]:
    """Train `parts.model` as `recipe` says and yield one row of numbers per epoch (§2.1, Algorithm 1).

    With `checkpoint`, the state after each epoch is written there, and a run that finds one yields its rows and goes on
    from it as if it had never stopped. FloatingPointError, with the step, when the loss is not finite.
    """
    model, train, clean_sample, test_sample, _, teacher = parts
    device = next(model.parameters()).device
    dtype = process.amp_dtype(device, recipe.amp_dtype)
    autocast = partial(torch.autocast, device.type, dtype, enabled=recipe.amp)  # mixed precision
    scaler = torch.amp.GradScaler(device.type, enabled=recipe.amp and dtype == torch.float16)  # loss scaling
    groups = decay_groups(model, recipe.weight_decay, recipe.no_bias_decay)  # no bias decay
    optimizer = torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum, nesterov=True)
    rows, seconds = resume(checkpoint, model, optimizer, scaler)
    started = time.perf_counter() - seconds
    yield from rows
    for epoch in range(len(rows), recipe.epochs):
        model.train()
        mixing = draw_mixup(recipe, seed, epoch, len(train), device)  # mixup: λ and partners
        losses = torch.zeros(len(train), device=device)
        for batch, (x, y) in enumerate(train.epoch(epoch)):
            lr = lr_at(recipe, epoch * len(train) + batch, len(train))  # linear scaling, warm-up, step or cosine decay
            for group in optimizer.param_groups:
                group["lr"] = lr

            targets = smooth(one_hot(y, train.num_classes), recipe.label_smoothing)  # label smoothing
            if recipe.mixup_alpha:  # mixup
                x, targets = mixup(x, targets, *mixing[batch])

            with autocast():
                logits = model(x)
            loss = soft_cross_entropy(logits.float(), targets)
            if teacher is not None:  # distillation
                with autocast(), torch.no_grad():
                    teacher_logits = teacher(x)
                soft_loss = distill_loss(logits.float(), teacher_logits.float(), recipe.temperature)
                loss = loss + recipe.distill_weight * soft_loss

            optimizer.zero_grad()
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            losses[batch] = loss.detach()

        check_finite(losses, epoch, recipe, checkpoint)
        last_lr = lr_at(recipe, (epoch + 1) * len(train) - 1, len(train))
        rows.append({"epoch": epoch + 1, "lr": last_lr, **measure(model, losses, clean_sample, test_sample)})
        save_checkpoint(checkpoint, model, optimizer, scaler, rows, time.perf_counter() - started)
        yield rows[-1]


def draw_mixup(
    recipe: Recipe, seed: int, epoch: int, steps: int, device: torch.device | str
) -> list[tuple[float, Tensor]]:
    """For each step of an epoch λ ~ Beta(α, α) and the partners (N,) in the batch of this process; [] without mixup.

    From streams of their own, so that mixup does not change the crops. All at once, because a copy to a GPU within the
    epoch would wait for it.
    """
    if not recipe.mixup_alpha:
        return []
    draws = np.random.default_rng(process.key(Purpose.MIXUP, seed, epoch))  # λ is one for all processes
    lams = draws.beta(recipe.mixup_alpha, recipe.mixup_alpha, steps).tolist()
    rank, size = process.world()
    pairs = process.generator(Purpose.MIXUP, seed, epoch, rank)
    perms = torch.stack([torch.randperm(recipe.batch_size // size, generator=pairs) for _ in range(steps)])
    return list(zip(lams, perms.to(device), strict=True))


def measure(model: nn.Module, losses: Tensor, clean_sample: Loader, test_sample: Loader) -> Row:
    """An epoch's numbers: its mean training loss, and accuracy (%) and NLL (nats) on samples, without augmentation."""
    train_logits, train_y = predict(model, clean_sample)
    test_logits, test_y = predict(model, test_sample)
    return {
        "train_loss": float(process.all_reduce(losses.mean())) / process.world()[1],
        "train_accuracy": metrics.accuracy(train_logits, train_y),
        "test_accuracy": metrics.accuracy(test_logits, test_y),
        "test_nll": metrics.nll(test_logits, test_y),
    }


@torch.no_grad()
def predict(model: nn.Module, loader: Loader) -> tuple[Tensor, Tensor]:
    """Logits (N, K) and labels (N,) of a whole loader in float32, over all processes; the model is in eval mode."""
    model = plain(model).eval()
    process.share_buffers(model)
    batches = [(model(x), y) for x, y in loader]
    logits, labels = (torch.cat(part) for part in zip(*batches, strict=True))
    return process.gather(logits), process.gather(labels)


def plain(model: nn.Module) -> nn.Module:
    """The model without its DistributedDataParallel wrapper."""
    return model.module if isinstance(model, DistributedDataParallel) else model


def check_finite(losses: Tensor, epoch: int, recipe: Recipe | Transfer, checkpoint: Path | None) -> None:
    """FloatingPointError naming the first step whose loss is not finite, and what to do."""
    bad = (~losses.isfinite()).nonzero()
    if len(bad):
        step = epoch * len(losses) + int(bad[0])
        kept = f"; the state after epoch {epoch} is in {checkpoint.name}" if checkpoint and epoch else ""
        raise FloatingPointError(
            f"the loss is not finite from step {step} on (epoch {epoch + 1}, learning rate "
            f"{lr_at(recipe, step, len(losses)):.3g}){kept}. Lower lr, or raise warmup_epochs"
        )


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


def prepare(
    recipe: Recipe, seed: int = 0, dataset: Dataset | None = None, progress: Callable[[str], None] = print
) -> Parts:
    """Data, model and teacher of a run, so that `epochs(recipe, prepare(recipe, seed), seed=seed)` trains it.

    The teacher is read from data/cache, or trained there first: the same recipe on the larger net (`teacher_of`).
    """
    process.set_up()
    dataset = dataset or load(recipe.dataset, recipe.image_size)
    rank, size = process.world()
    device = process.device()
    train, clean_sample, test_sample, test = loaders(recipe, dataset, seed=seed, device=device, rank=rank, world=size)
    model = model_for(recipe, train.num_classes, seed)
    if size > 1:
        model = DistributedDataParallel(model, device_ids=[device] if device.type == "cuda" else None)
    teacher = teacher_for(recipe, dataset, progress) if recipe.teacher else None
    return Parts(model, train, clean_sample, test_sample, test, teacher)


def teacher_for(recipe: Recipe, dataset: Dataset, progress: Callable[[str], None] = print) -> nn.Module:
    """The trained teacher, frozen: one, of seed 0, for all students and seeds (§5.5). It is trained when missing."""
    theirs = teacher_of(recipe)
    teacher = model_for(theirs, len(dataset.classes), 0)
    teacher.load_state_dict(weights_for(theirs, 0, dataset, progress))
    return teacher.eval().requires_grad_(False)


def weights_for(
    recipe: Recipe, seed: int = 0, dataset: Dataset | None = None, progress: Callable[[str], None] = print
) -> dict[str, Tensor]:
    """The weights that a recipe and a seed end with: those in data/weights or data/cache, else trained and kept now.

    `run` keeps those of every run that it records. Under `torchrun` all processes train together.
    """
    if (published := WEIGHTS / weights_path(recipe, seed).name).exists():
        return load_file(published)
    path = weights_path(recipe, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    # several may ask at once; of the processes of a torchrun, which train together, one must not lock out the others
    with FileLock(f"{path}.lock") if process.world()[0] == 0 else contextlib.nullcontext():
        if process.first_says(not path.exists()):
            what = f"{recipe.net} on {Path(recipe.dataset).name}, seed {seed}"
            progress(f"training {what}, once: its weights are not here")
            parts, checkpoint = prepare(recipe, seed, dataset, progress), path.with_suffix(".checkpoint")
            for row in epochs(recipe, parts, seed=seed, checkpoint=checkpoint):
                done = f"epoch {row['epoch']} of {recipe.epochs}, {recipe.split} {row['test_accuracy']:.2f} %"
                progress(f"{what}: {done}")
            keep_weights(path, parts.model)
            checkpoint.unlink(missing_ok=True)
            process.first_says(True)  # the file is there for all
    return load_file(path)


def weights_path(recipe: Recipe, seed: int) -> Path:
    """Where the weights lie that a recipe and a seed end with."""
    return CACHE / "weights" / f"{identity(recipe, seed)}-v{TRAIN_VERSION}.safetensors"


def keep_weights(path: Path, model: nn.Module) -> None:
    """Write a model's weights, whole or not at all; by the first process."""
    if process.world()[0] == 0:
        path.parent.mkdir(parents=True, exist_ok=True)
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
    progress: Callable[[str], None] = print,
) -> Run:
    """Train to the end and keep the record, below `folder` (data/own), and the weights; see `recorded_once`."""
    return recorded_once(_run, recipe, seed, name, record, folder or store.OWN_RUNS, progress)


def recorded_once(
    make: Make[K],
    recipe: K,
    seed: int,
    name: str,
    record: bool,
    folder: Path,
    progress: Callable[[str], None],
) -> Run:
    """`make(recipe, seed, name, checkpoint, progress)`, recorded below `folder`; if it is recorded already, its record.

    Records are looked up in data/runs and in `folder`. A run that was interrupted goes on from its last finished epoch.
    `Busy` when another process is at it: the system drops the lock when a process dies, so this needs no cleaning up.
    Under `torchrun` every process trains and the first one records. ValueError if no record can have the name.
    """
    check_name(name)
    lock = FileLock(CACHE / "locks" / f"{identity(recipe, seed)}.lock", timeout=0)
    main = process.world()[0] == 0
    try:
        if record and main:
            Path(lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        if record and (found := lookup(recipe, seed, folder)):
            finished, path = found
            progress(f"{name}, seed {seed}: already recorded in {path}")
            return finished
        file = CACHE / "checkpoints" / f"{identity(recipe, seed)}-v{TRAIN_VERSION}.safetensors"
        checkpoint = file if record else None
        with knobs_named(recipe, checkpoint), process.group():
            finished = make(recipe, seed, name, checkpoint, progress if main else lambda _: None)
            if checkpoint and main:
                finished.save(folder)
                checkpoint.unlink(missing_ok=True)
            return finished
    except Timeout as error:
        raise Busy(f"{name}, seed {seed}: another process is making this run") from error
    finally:
        lock.release()


def _run(recipe: Recipe, seed: int, name: str, checkpoint: Path | None, progress: Callable[[str], None]) -> Run:
    """The run itself; its weights are kept when it has a checkpoint."""
    dataset = load(recipe.dataset, recipe.image_size)
    parts = prepare(recipe, seed, dataset, progress)
    rows: list[Row] = []
    started = time.perf_counter() - seconds_in(checkpoint)
    for row, left in with_time_left(epochs(recipe, parts, seed=seed, checkpoint=checkpoint), recipe.epochs):
        rows.append(row)
        progress(
            f"{name}, seed {seed}: epoch {row['epoch']} of {recipe.epochs}, loss {row['train_loss']:.3f}, "
            f"{recipe.split} {row['test_accuracy']:.2f} %, {left}"
        )
    final = metrics.summary(*predict(parts.model, parts.test))
    sizes = len(parts.train.labels), len(parts.test.labels)
    meta = describe(parts.model, dataset.source, sizes, time.perf_counter() - started)
    if checkpoint:
        keep_weights(weights_path(recipe, seed), parts.model)
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
        "tf32": process.has_tf32(device) and torch.backends.cudnn.allow_tf32,  # in convolutions of fp32 tensors
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


def contiguous(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors as safetensors wants them: in plain order, each with its own memory."""
    return {name: tensor.contiguous() for name, tensor in tensors.items()}


def save_checkpoint(
    path: Path | None,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    rows: list[Row],
    seconds: float,
) -> None:
    """Write weights, momentum, loss scale, rows and the seconds so far after an epoch, whole or not at all.

    `path` None keeps nothing.
    """
    if path is None or process.world()[0]:
        return
    state = {f"model.{name}": tensor for name, tensor in plain(model).state_dict().items()}
    for index, parameter in enumerate(p for group in optimizer.param_groups for p in group["params"]):
        if parameter in optimizer.state:  # not before its first step: loss scaling may have skipped all so far
            state[f"momentum.{index}"] = optimizer.state[parameter]["momentum_buffer"]
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = {"rows": rows, "scaler": scaler.state_dict(), "seconds": seconds}
    write_atomic(path, save(contiguous(state), {name: json.dumps(value) for name, value in kept.items()}))


def resume(
    path: Path | None, model: nn.Module, optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler
) -> tuple[list[Row], float]:
    """Put a checkpoint's state back and return its rows and the seconds that they took; none when there is none."""
    if path is None or not path.exists():
        return [], 0.0
    device = next(model.parameters()).device
    with safe_open(path, framework="pt", device=str(device)) as file:
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  a safe_open is no mapping
        rows, scale, seconds = (json.loads(file.metadata()[name]) for name in ("rows", "scaler", "seconds"))
    plain(model).load_state_dict({name[6:]: tensor for name, tensor in state.items() if name.startswith("model.")})
    for index, parameter in enumerate(p for group in optimizer.param_groups for p in group["params"]):
        if (momentum := state.get(f"momentum.{index}")) is not None:
            buffer = torch.empty_like(parameter).copy_(momentum)  # in the parameter's memory format
            optimizer.state[parameter]["momentum_buffer"] = buffer
    scaler.load_state_dict(scale)
    return rows, seconds


def seconds_in(path: Path | None) -> float:
    """The seconds that the epochs in a checkpoint took, in whatever sessions; 0 when there is no checkpoint."""
    if path is None or not path.exists():
        return 0.0
    with safe_open(path, framework="pt") as file:
        return json.loads(file.metadata()["seconds"])
