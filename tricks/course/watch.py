"""Watching a run from outside its loop: how much of its work is done."""

import copy
from collections.abc import Callable, Iterator

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from tricks.course import cost
from tricks.data.order import batch_count
from tricks.recipe import Recipe, Transfer
from tricks.train import Loader, Parts
from tricks.transfer import loop


def watched(recipe: Recipe, parts: Parts, total: int, report: Callable[[float, int], None]) -> Parts:
    """The parts of a run, but with loaders that report before each batch.

    `report(share, batches)` gets the share that is done of `total` multiply-adds, and how many batches of the present
    epoch are trained; it may raise an exception, which ends the run.
    """
    training, forward = cost.per_picture(recipe, parts.train.num_classes)
    done = 0

    def reporting(loader: Loader, each: int) -> Loader:
        """The loader, but with a report before each batch; `each` is what a picture of it costs."""

        def epoch(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
            nonlocal done
            for batch, (x, y) in enumerate(loader.epoch(epoch)):
                report(done / total, batch if loader is parts.train else len(parts.train))
                done += len(y) * each
                yield x, y

        twin = copy.copy(loader)
        twin.epoch = epoch
        return twin

    measured = {name: reporting(getattr(parts, name), forward) for name in ("clean_sample", "test_sample", "test")}
    return parts._replace(train=reporting(parts.train, training), **measured)


def watched_model(recipe: Transfer, parts: loop.Parts, report: Callable[[float, int], None]) -> RemovableHandle:
    """Report as `watched` does while a run of section 6 goes on, measured once before its first epoch.

    Its model is called once for a batch in training, and once for a picture in evaluation. A picture in training counts
    as three in evaluation.
    """
    train, test = len(parts.scenes.train), len(parts.scenes.test)
    steps = batch_count(train, recipe.batch_size, train=True)
    total = test + recipe.epochs * (3 * steps * recipe.batch_size + test)
    done = calls = 0

    def before(model: nn.Module, inputs: object) -> None:
        nonlocal done, calls
        report(done / total, calls % steps if model.training else min(calls, steps))
        done += 3 * recipe.batch_size if model.training else 1
        calls += model.training

    return parts.model.register_forward_pre_hook(before)
