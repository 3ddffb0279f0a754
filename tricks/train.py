"""The training loop, with every trick of the paper on one visible line."""

import contextlib
from collections.abc import Callable, Generator, Iterator
from functools import partial, wraps
from pathlib import Path
from typing import NamedTuple, ParamSpec, Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn

from tricks import metrics, precision, process
from tricks.after.averaging import average_, decay_at, reestimate_bn_
from tricks.after.bias_rate import faster_biases
from tricks.after.cutmix import cutmix
from tricks.after.muon import Muon, hidden
from tricks.after.progressive_resizing import resize, side_at
from tricks.distillation import distill_loss
from tricks.label_smoothing import smooth
from tricks.mixup import mixup
from tricks.parameters import decay_groups
from tricks.process import Purpose
from tricks.recipe import Recipe, Transfer
from tricks.schedules import lr_at, peak_lr
from tricks.state import Row, State, plain
from tricks.targets import one_hot, soft_cross_entropy

TRAIN_VERSION = 1  # raised whenever a change alters the numbers that a recipe and a seed give
P = ParamSpec("P")


class Loader(Protocol):
    """The face of every loader: batches (x, y) on the device, as many per epoch as its length."""

    labels: Tensor  # int64 (N,), of all processes together
    num_classes: int

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Epoch 0."""
        ...

    def epoch(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of this epoch; they depend on the loader's seed and `epoch`, and on nothing else."""
        ...


class Parts(NamedTuple):
    """What `epochs` needs beside the recipe: see `prepare`."""

    model: nn.Module
    train: Loader
    clean_sample: Loader  # of the training images, for the curves
    test_sample: Loader  # of the evaluated images, for the curves
    test: Loader  # all of them, for the result
    teacher: nn.Module | None = None
    average: nn.Module | None = None  # of the model's weights

    @property
    def judged(self) -> nn.Module:
        """The network that is evaluated and kept: the average, if there is one."""
        return self.model if self.average is None else self.average


@contextlib.contextmanager
def full_memory_explained(recipe: Recipe | Transfer, checkpoint: Path | None) -> Iterator[None]:
    """When the device runs out of memory inside, a MemoryError says which fields to lower."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        advice = f"lower batch_size (now {recipe.batch_size}) or image_size (now {recipe.image_size})"
        more = "" if recipe.amp else ", or switch on amp"
        kept = ". Finished epochs are kept" if checkpoint else ""
        raise MemoryError(f"the device is out of memory: {advice}{more}{kept}") from error


def explains_full_memory(loop: Callable[P, Generator[Row, None, None]]) -> Callable[P, Generator[Row, None, None]]:
    """Decorator of `epochs`, which is also called by itself: see `full_memory_explained`."""

    @wraps(loop)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> Generator[Row, None, None]:
        with full_memory_explained(cast(Recipe | Transfer, args[0]), cast(Path | None, kwargs.get("checkpoint"))):
            yield from loop(*args, **kwargs)

    return guarded


@explains_full_memory
def epochs(
    recipe: Recipe, parts: Parts, *, seed: int = 0, checkpoint: Path | None = None, losses: Tensor | None = None
) -> Generator[Row, None, None]:
    """Train `parts.model` as `recipe` says and yield one row of numbers per epoch (§2.1, Algorithm 1).

    The state after each epoch is kept in `checkpoint`; a run that finds one yields its rows and goes on from it. Each
    step's loss is written into `losses` (steps of an epoch,). FloatingPointError, with the step, if it is not finite.
    """
    model, train, clean_sample, test_sample, _, teacher, average = parts
    device = next(model.parameters()).device
    dtype = precision.amp_dtype(device, recipe.amp_dtype)
    autocast = partial(torch.autocast, device.type, dtype, enabled=recipe.amp)  # mixed precision
    scaler = torch.amp.GradScaler(device.type, enabled=recipe.amp and dtype == torch.float16)  # loss scaling
    groups = decay_groups(model, recipe.weight_decay, recipe.no_bias_decay)  # no bias decay
    groups = faster_biases(groups, model, recipe.bias_lr)  # bias learning rate
    optimizer = torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum, nesterov=recipe.momentum > 0)
    if recipe.optimizer == "muon":  # Muon
        optimizer = Muon(groups, hidden(model), recipe.muon_lr / peak_lr(recipe), recipe.momentum)
    losses = torch.zeros(len(train), device=device) if losses is None else losses
    state = State(model, average, optimizer, scaler, checkpoint)
    yield from state.rows
    for epoch in range(len(state.rows), recipe.epochs):
        model.train()
        mixing = draw_mixing(recipe, seed, epoch, len(train), device)  # λ, partners and places
        for batch, (x, y) in enumerate(train.epoch(epoch)):
            step = epoch * len(train) + batch
            lr = lr_at(recipe, step, len(train))  # linear scaling, warm-up, step, cosine or linear decay
            for group in optimizer.param_groups:
                group["lr"] = lr * group.get("factor", 1.0)  # bias learning rate and Muon have a factor
            progress = step / (recipe.epochs * len(train))
            side = side_at(progress, recipe.start_size, recipe.image_size)  # progressive resizing

            targets = smooth(one_hot(y, train.num_classes), recipe.label_smoothing)  # label smoothing
            if recipe.mixup_alpha:  # mixup
                x, targets = mixup(x, targets, mixing[batch].lam, mixing[batch].perm)
            if recipe.cutmix_alpha:  # CutMix
                x, targets = cutmix(x, targets, *mixing[batch])

            with autocast():
                logits = model(resize(x, side))
            loss = soft_cross_entropy(logits.float(), targets)
            if teacher is not None:  # distillation
                with autocast(), torch.no_grad():
                    theirs = teacher(x)
                loss = loss + recipe.distill_weight * distill_loss(logits.float(), theirs.float(), recipe.temperature)

            optimizer.zero_grad()
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            if average is not None:  # averaged weights
                average_(average, plain(model), decay_at(step, recipe.ema_decay))
            losses[batch] = loss.detach()

        check_finite(losses, epoch, recipe, checkpoint)
        if recipe.ema_bn:  # averaged weights, with batch norm's statistics of their own
            reestimate_bn_(parts.judged, (x for x, _ in clean_sample))
        measured = measure(parts.judged, losses, clean_sample, test_sample)
        yield state.keep({"epoch": epoch + 1, "lr": lr, **measured})


class Mixing(NamedTuple):
    """How one batch is mixed with itself."""

    lam: float
    perm: Tensor  # (N,), the partners
    place: tuple[float, float]  # of CutMix's box, (down, across) in [0, 1)


def draw_mixing(recipe: Recipe, seed: int, epoch: int, steps: int, device: torch.device | str) -> list[Mixing]:
    """What mixup or CutMix draws for each step of an epoch, λ from Beta(α, α); [] without them.

    From streams of their own, so that neither changes the crops. All at once, because a copy to a GPU within the epoch
    would wait for it.
    """
    purpose = Purpose.MIXUP if recipe.mixup_alpha else Purpose.CUTMIX
    if not (alpha := recipe.mixup_alpha or recipe.cutmix_alpha):
        return []
    draws = np.random.default_rng(process.key(purpose, seed, epoch))  # the same for all processes
    lams, places = draws.beta(alpha, alpha, steps).tolist(), draws.random((steps, 2)).tolist()
    rank, size = process.world()
    pairs = process.generator(purpose, seed, epoch, rank)
    perms = torch.stack([torch.randperm(recipe.batch_size // size, generator=pairs) for _ in range(steps)])
    return [Mixing(*drawn) for drawn in zip(lams, perms.to(device), places, strict=True)]


def measure(model: nn.Module, losses: Tensor, clean_sample: Loader, test_sample: Loader) -> Row:
    """An epoch's numbers: its mean training loss, and accuracy (%) and NLL (nats) on samples, without augmentation."""
    train_logits, train_y = evaluate(model, clean_sample)
    test_logits, test_y = evaluate(model, test_sample)
    return {
        "train_loss": float(process.all_reduce(losses.mean())) / process.world()[1],
        "train_accuracy": metrics.accuracy(train_logits, train_y),
        "test_accuracy": metrics.accuracy(test_logits, test_y),
        "test_nll": metrics.nll(test_logits, test_y),
    }


@torch.no_grad()
def evaluate(model: nn.Module, loader: Loader, look: Callable[[Tensor], Tensor] = lambda x: x) -> tuple[Tensor, Tensor]:
    """Logits (N, K) and labels (N,) of a whole loader in float32, over all processes; the model is in eval mode.

    `look` says what of a batch of pictures the model sees.
    """
    model = plain(model).eval()
    process.share_buffers(model)
    batches = [(model(look(x)), y) for x, y in loader]
    logits, labels = (torch.cat(part) for part in zip(*batches, strict=True))
    return process.gather(logits), process.gather(labels)


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
