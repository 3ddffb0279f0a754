"""Optimiser steps one at a time: the loop of `tricks.train`, held after each of its steps.

The loop is not written a second time. It trains in a thread of its own on a loader that waits after every batch, and
what a step shows is read off it: the network's input and output by a hook of the network, gradients and learning rates
by a hook of the optimiser just before it steps. So the weights are those of a run, to the last bit.

Each step is kept as a file below data/cache as soon as it is taken, so Stop, a restart of the kernel or a closed page
lose none. Weights are not kept: to go on, the steps before are taken again, which gives the same ones.
"""

import contextlib
import copy
import io
import queue
import threading
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from tricks import augment, precision
from tricks.after.cutmix import cutmix
from tricks.course.lab_run import Stopped, difference
from tricks.data.files import write_atomic, write_error
from tricks.data.order import batch_count
from tricks.data.sets import Dataset, load
from tricks.label_smoothing import smooth
from tricks.mixup import mixup
from tricks.plots.steps import Step
from tricks.recipe import BASELINE, Recipe
from tricks.records import make
from tricks.records.make import describe, identity, prepare
from tricks.records.store import locked
from tricks.schedules import lr_at
from tricks.state import plain
from tricks.targets import one_hot, soft_cross_entropy
from tricks.train import TRAIN_VERSION, Mixing, Parts, draw_mixing, epochs


def steps(
    recipe: Recipe, dataset: Dataset, seed: int = 0, progress: Callable[[str], None] = print
) -> Generator[Step, None, None]:
    """Take one optimiser step of `records.make.run(recipe, seed)` for each item that is asked for, to the run's end.

    Between two items nothing is computed. `progress` is told when a missing teacher is trained first. What the loop
    raises is raised here.
    """
    yield from _held(lambda keep: watch(recipe, prepare(recipe, seed, dataset, progress), seed, keep))


def _held(work: Callable[[Callable[[Step], None]], None]) -> Generator[Step, None, None]:
    """What `work(keep)` hands to `keep`, one by one: meanwhile it waits, in a thread that ends with this generator."""
    asked, answers, closed = threading.Semaphore(0), queue.SimpleQueue(), threading.Event()

    def keep(step: Step) -> None:
        answers.put(step)
        asked.acquire()
        if closed.is_set():
            raise Stopped

    def run() -> None:
        try:
            work(keep)
            answers.put(None)
        except BaseException as error:  # whoever asks for the next one gets it
            answers.put(error)

    thread = threading.Thread(target=run, name="optimiser-steps", daemon=True)
    thread.start()
    try:
        while (answer := answers.get()) is not None:
            if isinstance(answer, BaseException):
                raise answer
            yield answer
            asked.release()
    finally:
        closed.set()
        asked.release()
        thread.join(1.0)  # it only waits; but when Python ends, no thread comes back


def watch(recipe: Recipe, parts: Parts, seed: int, keep: Callable[[Step], None]) -> None:
    """Train with `epochs` and hand each step to `keep` before the next one starts; it may raise, which ends the run."""
    model, train, device = plain(parts.model), parts.train, next(parts.model.parameters()).device
    autocast = partial(
        torch.autocast, device.type, precision.amp_dtype(device, recipe.amp_dtype), enabled=recipe.amp
    )  # as the loop's
    layers = {n.removesuffix(".weight"): p for n, p in model.named_parameters() if p.ndim > 1}
    losses = torch.zeros(len(train), device=device)
    went_in: list[tuple[Tensor, Tensor]] = []  # of the network in this step: input and output
    stepped: list[tuple[float, tuple[float, ...]]] = []  # the optimiser: gradient norm and learning rates

    def look(module: nn.Module, inputs: tuple[Tensor, ...], logits: Tensor) -> None:
        if module.training and not went_in:
            went_in.append((inputs[0], logits.detach().float()))

    def before_step(optimizer: torch.optim.Optimizer, *_: Any) -> None:  # of any optimiser in this process
        mine = any(parameter in own for group in optimizer.param_groups for parameter in group["params"])
        if mine and not stepped:  # Muon calls SGD's step, with other gradients
            gradients = [p.grad.detach() for p in model.parameters() if p.grad is not None]
            rates = dict.fromkeys(group["lr"] for group in optimizer.param_groups)
            stepped.append((float(torch.nn.utils.get_total_norm(gradients)), tuple(rates)))

    def epoch(number: int) -> Iterator[tuple[Tensor, Tensor]]:
        mixing = draw_mixing(recipe, seed, number, len(train), device)
        for batch, (x, y) in enumerate(train.epoch(number)):
            went_in.clear()
            stepped.clear()
            old = {name: weight.detach().clone() for name, weight in layers.items()}
            yield x, y  # the loop takes its step, and comes back for the next batch
            step = number * len(train) + batch
            lr = lr_at(recipe, step, len(train))
            norm, rates = stepped[0] if stepped else (float("nan"), (lr,))
            taken, logits = went_in[0]
            drawn = mixing[batch] if mixing else None
            shown = mixed_one(drawn)
            targets, share = targets_of(recipe, x, y, train.num_classes, drawn, shown)
            with torch.no_grad(), autocast():  # in copies of batch norm's statistics, so that the run keeps its own
                buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
                again = torch.func.functional_call(model, buffers, (taken,)).float()
            pair = [shown] if drawn is None else [shown, int(drawn.perm[shown])]
            row, two = targets[shown : shown + 1], [out[shown : shown + 1] for out in (logits, again)]
            before, after = (out.softmax(1)[0].cpu().numpy() for out in two)
            keep(
                Step(
                    step + 1,
                    rates,
                    share,
                    np.stack([pixels(x[i]) for i in pair]),
                    pixels(taken[shown]),
                    row[0].cpu().numpy(),
                    before,
                    after,
                    (float(soft_cross_entropy(two[0], row)), float(soft_cross_entropy(two[1], row))),
                    float(losses[batch]),
                    norm,
                    {name: relative(layers[name].detach(), weight) for name, weight in old.items()},
                )
            )

    own = set(model.parameters())
    loader = copy.copy(train)
    loader.epoch = epoch  # pyright: ignore[reportAttributeAccessIssue]
    with parts.model.register_forward_hook(look), register_optimizer_step_pre_hook(before_step):
        for _ in epochs(recipe, parts._replace(train=loader), seed=seed, losses=losses):
            pass


def mixed_one(drawn: Mixing | None) -> int:
    """The first picture of a batch that is mixed with another one; 0 if none is."""
    return 0 if drawn is None else int((drawn.perm.cpu() != torch.arange(len(drawn.perm))).int().argmax())


def targets_of(
    recipe: Recipe, x: Tensor, y: Tensor, classes: int, drawn: Mixing | None, shown: int
) -> tuple[Tensor, float | None]:
    """The batch's targets (N, K), by the functions that the loop calls, and the weight of picture `shown` in its own.

    With CutMix that weight is the area that is left of it. None if nothing is mixed.
    """
    targets = smooth(one_hot(y, classes), recipe.label_smoothing)
    if drawn is None:
        return targets, None
    mark = (torch.arange(len(y), device=y.device) == shown).float()[:, None]
    both = torch.cat([targets, mark], dim=1)  # a class of its own: its target is the weight
    if recipe.mixup_alpha:
        _, both = mixup(x, both, drawn.lam, drawn.perm)
    else:
        _, both = cutmix(x, both, *drawn)
    return both[:, :-1], float(both[shown, -1])


def pixels(x: Tensor) -> np.ndarray:
    """A normalised picture (3, H, W) as uint8 (H, W, 3), as it was before step 6 of §2.1; colours beyond are cut."""
    mean, std = (augment.constant(values, x.device)[:, None, None] for values in (augment.MEAN, augment.STD))
    return (x.detach() * std + mean).round().clamp(0, 255).byte().permute(1, 2, 0).cpu().numpy()


def relative(new: Tensor, old: Tensor) -> float:
    """‖new − old‖ / ‖old‖."""
    return float((new - old).norm() / old.norm())


# Kept


class Recording(NamedTuple):
    """The steps of a recipe and a seed, and what a plot of them has to say."""

    steps: list[Step]
    classes: tuple[str, ...]
    caption: str

    def at(self, step: int = 1) -> tuple[list[Step], int]:
        """What `plots.steps.one_step` draws, and `sliders` moves through."""
        return self.steps, step


def record(recipe: Recipe, count: int = 20, seed: int = 0, dataset: Dataset | None = None) -> Recording:
    """The first `count` steps of a run, or all if it has fewer, taken now; nothing is written."""
    dataset = dataset or load(recipe.dataset, recipe.image_size)
    walk = steps(recipe, dataset, seed)
    with contextlib.closing(walk):
        taken = [step for step, _ in zip(walk, range(count), strict=False)]
    return Recording(taken, dataset.classes, caption(recipe, seed, dataset))


def caption(recipe: Recipe, seed: int, dataset: Dataset) -> str:
    """n, budget, data and device of steps that are taken here."""
    images = recipe.train_images or len(dataset.train.labels)
    each = batch_count(images, recipe.batch_size, train=True)
    budget = ("dataset", "image_size", "train_images", "split", "net", "epochs", "batch_size")
    what = difference(recipe, replace(BASELINE, **{name: getattr(recipe, name) for name in budget}))
    device = describe(nn.Identity(), dataset.about, (images, 0), 0.0)["device"]
    return (
        f"n = 1 run, seed {seed} · {', '.join(filter(None, (recipe.net, what)))} · {images:,} images × {recipe.epochs} "
        f"epochs, {each:,} steps each of {recipe.batch_size} images · {dataset.source} · {device} · code "
        f"v{TRAIN_VERSION} · predictions and this picture's loss: in its batch, before and after the step"
    )


def folder_of(recipe: Recipe, seed: int, dataset: Dataset) -> Path:
    """Where the steps of a recipe and a seed on these data are kept."""
    return make.CACHE / "steps" / f"{identity(recipe, seed, dataset.about)}-v{TRAIN_VERSION}"


def save_step(folder: Path, step: Step) -> None:
    """Write a step into a file of its own, whole or not at all. WriteError if it cannot be written."""
    values: dict[str, Any] = step._asdict() | {"lam": np.nan if step.lam is None else step.lam}
    values["layers"], values["updates"] = list(step.updates), list(step.updates.values())
    content = io.BytesIO()
    np.savez_compressed(content, **values)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(folder, error) from error
    with locked(folder / "lock"):
        write_atomic(folder / f"{step.number:06}.npz", content.getvalue())


def load_steps(folder: Path) -> list[Step]:
    """The steps that are kept there: 1, 2, ... up to the first that is missing or damaged, which is taken again."""
    found: list[Step] = []
    with contextlib.suppress(OSError, ValueError, KeyError, EOFError, BadZipFile):
        while True:
            content = io.BytesIO((folder / f"{len(found) + 1:06}.npz").read_bytes())
            with np.load(content, allow_pickle=False) as file:
                v = {name: file[name] for name in file.files}
            v["updates"] = dict(zip(v.pop("layers").tolist(), v["updates"].tolist(), strict=True))
            v |= {name: float(v[name]) for name in ("lam", "loss", "gradient_norm")}
            v |= {name: tuple(v[name].tolist()) for name in ("rates", "picture_loss")}
            v |= {"number": int(v["number"]), "lam": None if np.isnan(v["lam"]) else v["lam"]}
            found.append(Step(**v))
    return found


def forget(folder: Path) -> None:
    """Remove the steps that are kept there."""
    for path in folder.glob("*.npz"):
        path.unlink(missing_ok=True)
