"""Fine-tuning: one loop for both tasks, in which the backbone's pretraining is all that differs between arms (§6)."""

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from tricks import precision, process
from tricks.data.order import check, epoch_order, shares
from tricks.data.scene import Scenes, SceneSet
from tricks.data.scenes import load
from tricks.data.stream import read_ahead, workers
from tricks.parameters import decay_groups
from tricks.process import Purpose
from tricks.recipe import Transfer
from tricks.records import store
from tricks.records.make import check_batch_norm, describe, recorded_once, with_time_left
from tricks.records.store import Run
from tricks.schedules import lr_at
from tricks.state import Row, State, plain, seconds_in
from tricks.train import check_finite, explains_full_memory
from tricks.transfer import detection, segmentation
from tricks.transfer.backbone import backbone_for

TASKS = {"detection": detection, "segmentation": segmentation}


class Parts(NamedTuple):
    """What `epochs` needs beside the recipe: see `prepare`."""

    model: nn.Module
    scenes: SceneSet


@explains_full_memory
def epochs(
    recipe: Transfer, parts: Parts, *, seed: int = 0, checkpoint: Path | None = None, losses: Tensor | None = None
) -> Generator[Row, None, None]:
    """Fine-tune `parts.model` as `recipe` says and yield a row per epoch: learning rate, loss, metrics of the test set.

    Checkpoints, `losses` and errors as in `train.epochs`.
    """
    model, scenes = parts
    task = TASKS[recipe.task]
    device = process.device()
    rank, world = process.world()
    dtype = precision.amp_dtype(device)
    scaler = torch.amp.GradScaler(device.type, enabled=recipe.amp and dtype == torch.float16)
    groups = decay_groups(model, recipe.weight_decay, recipe.no_bias_decay)
    optimizer = torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum, nesterov=recipe.momentum > 0)
    check(len(scenes.train), batch_size=recipe.batch_size, augment="none", train=True, world=world)
    mine = shares(len(scenes.train), recipe.batch_size, train=True, rank=rank, world=world)
    losses = torch.zeros(len(mine), device=device) if losses is None else losses
    state = State(model, None, optimizer, scaler, checkpoint)
    yield from state.rows
    for epoch in range(len(state.rows), recipe.epochs):
        model.train()
        order = epoch_order(len(scenes.train), train=True, seed=seed, epoch=epoch)
        stream = process.generator(Purpose.AUGMENT_SCENES, seed, epoch)
        draws = torch.rand(len(order), 3, generator=stream)  # mirror and crop
        # torchvision samples anchors and regions from torch's own stream
        with seeded(Purpose.SAMPLING, seed, epoch, rank):
            for batch, pictures in enumerate(batches(scenes.train, [order[share].tolist() for share in mine])):
                lr = lr_at(recipe, epoch * len(mine) + batch, len(mine))
                for group in optimizer.param_groups:
                    group["lr"] = lr

                with torch.autocast(device.type, dtype, enabled=recipe.amp):
                    loss = task.loss(recipe, model, pictures, draws[mine[batch]])

                optimizer.zero_grad()
                scaler.scale(loss).backward()
                scaler.step(optimizer)
                scaler.update()
                losses[batch] = loss.detach()

        check_finite(losses, epoch, recipe, checkpoint)
        last_lr = lr_at(recipe, (epoch + 1) * len(mine) - 1, len(mine))
        mean_loss = float(process.all_reduce(losses.mean())) / world
        scores = {name: value for name, value in evaluate(recipe, parts).items() if isinstance(value, float)}
        yield state.keep({"epoch": epoch + 1, "lr": last_lr, "train_loss": mean_loss, **scores})


def batches(scenes: Scenes, order: list[list[int]]) -> Iterator[list[Any]]:
    """The scenes with these numbers, batch by batch; those on disk are read ahead by other processes."""
    readers = 0 if isinstance(scenes, list) else workers(process.world()[1])
    loader = DataLoader(scenes, batch_sampler=order, collate_fn=list, num_workers=readers)  # pyright: ignore[reportArgumentType]
    return read_ahead(loader)


def evaluate(recipe: Transfer, parts: Parts) -> dict[str, Any]:
    """The task's metrics of the test scenes; the model is in eval mode afterwards."""
    model = plain(parts.model).eval()
    process.share_buffers(model)
    return TASKS[recipe.task].evaluate(recipe, model, parts.scenes.test, parts.scenes.num_classes)


@contextmanager
def seeded(purpose: Purpose, seed: int, epoch: int | None = None, rank: int = 0) -> Iterator[None]:
    """Torch's own random stream, on all devices, is that of `process.generator` inside, and untouched outside."""
    with torch.random.fork_rng():
        torch.manual_seed(process.generator(purpose, seed, epoch, rank).initial_seed())
        yield


def prepare(
    recipe: Transfer, seed: int = 0, scenes: SceneSet | None = None, progress: Callable[[str], None] = print
) -> Parts:
    """Model and data of a run, so that `epochs(recipe, prepare(recipe, seed), seed=seed)` fine-tunes it.

    The backbone's weights are read from data/, or trained there first (`make.weights_for`).
    """
    process.check_bits(seed=seed)
    process.set_up()
    scenes = scenes or load(recipe, seed)
    backbone = backbone_for(recipe, seed, progress)
    device = process.device()
    with seeded(Purpose.HEAD, seed):
        model: nn.Module = TASKS[recipe.task].build(recipe, scenes.num_classes, backbone)
    model = model.to(device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    check_batch_norm(backbone, recipe, process.world()[1])  # after the task has made it as it wants it
    if process.world()[1] > 1:
        model = DistributedDataParallel(model, device_ids=[device] if device.type == "cuda" else None)
    return Parts(model, scenes)


def run(
    recipe: Transfer,
    seed: int = 0,
    *,
    name: str = "run",
    record: bool = True,
    folder: Path | None = None,
    progress: Callable[[str], None] = print,
) -> Run:
    """Fine-tune to the end and keep the record, below `folder` (data/own); see `make.recorded_once`."""
    if recipe.dataset == "auto":  # recorded as what it is here
        recipe = replace(recipe, dataset=load(recipe, seed).name)

    def read(fetch: bool) -> SceneSet | None:
        return load(recipe, seed) if fetch else None  # what is there under a name is always the same

    return recorded_once(_run, read, recipe, seed, name, record, folder or store.OWN_RUNS, progress)


def _run(
    recipe: Transfer, seed: int, name: str, scenes: SceneSet, checkpoint: Path | None, progress: Callable[[str], None]
) -> Run:
    """The run itself."""
    parts = prepare(recipe, seed, scenes, progress)
    rows: list[Row] = []
    started = time.perf_counter() - seconds_in(checkpoint)
    for row, left in with_time_left(epochs(recipe, parts, seed=seed, checkpoint=checkpoint), recipe.epochs):
        rows.append(row)
        scores = ", ".join(f"{key} {row[key]:.2f} %" for key in row if key not in ("epoch", "lr", "train_loss"))
        progress(
            f"{name}, seed {seed}: epoch {row['epoch']} of {recipe.epochs}, loss {row['train_loss']:.3f}, "
            f"{recipe.split}: {scores}, {left}"
        )
    final, seconds = evaluate(recipe, parts), time.perf_counter() - started
    sizes = len(parts.scenes.train), len(parts.scenes.test)
    return Run(name, recipe, seed, rows, final, describe(parts.model, scenes.about, sizes, seconds))
