"""A run of the Trick Lab without its panel: training that can be watched and stopped, and the words for it."""

import time
from collections.abc import Callable
from dataclasses import replace

from tricks.course import cost
from tricks.course.watch import watched
from tricks.data.sets import Dataset
from tricks.plots.style import signed
from tricks.recipe import BASELINE, Recipe, changes
from tricks.records.make import describe, judge, prepare
from tricks.records.statistics import compare
from tricks.records.store import Run, find, same_data
from tricks.studies.arms import ARMS
from tricks.train import epochs


class Stopped(Exception):
    """The reader has ended the run."""


def train(run: Run, dataset: Dataset, report: Callable[[str, float], None], keep: Callable[[Run], None]) -> Run:
    """Train to the end, exactly as `records.make.run` does: the run with its rows, `final` and `meta`.

    `keep(the run so far)` is called after every epoch, `report(what is done now, share of all work that is done)`
    before every batch; it may raise `Stopped`. While a missing teacher is trained first, it is called after each of
    its epochs.
    """
    recipe = run.recipe
    parts = prepare(recipe, run.seed, dataset, lambda text: report(text, 0.0))
    images, tested = len(parts.train.labels), len(parts.test.labels)

    def follow(share: float, batches: int) -> None:
        now = len(run.rows) + 1
        report(f"Epoch {now} of {recipe.epochs}" if now <= recipe.epochs else "All test images", share)

    parts = watched(recipe, parts, cost.work(recipe, len(dataset.classes), images, tested), follow)
    started = time.perf_counter()
    for row in epochs(recipe, parts, seed=run.seed):
        run = replace(run, rows=[*run.rows, row])
        keep(run)
    final = judge(recipe, parts)
    meta = describe(parts.model, dataset.about, (images, tested), time.perf_counter() - started)
    return replace(run, final=final, meta=meta)


# Words


def difference(new: Recipe, old: Recipe) -> str:
    """The fields in which two recipes differ, with their values in the new one; "" if in none."""
    words = []
    for name, value in changes(new, old).items():
        off = value is False or value == ""
        words.append(f"no {name}" if off else name if value is True else f"{name} = {value}")
    return ", ".join(words)


def code(recipe: Recipe, seed: int) -> str:
    """Python that makes this recipe."""
    fields = "".join(f"    {name}={value!r},\n" for name, value in changes(recipe, BASELINE).items())
    imports = "from dataclasses import replace\n\nfrom tricks.recipe import BASELINE\n\n"
    return f"{imports}recipe = replace(\n    BASELINE,\n{fields})\nseed = {seed}\n"


def result(run: Run, first: Run, going: bool) -> str:
    """Final accuracy and the paired difference to the first run, if there are such; else how far the run came."""
    if not run.final:
        return f"{'now' if going else 'ended'} after {len(run.rows)} of {run.recipe.epochs} epochs"
    a, b = ((r.seed, r.recipe.split) for r in (run, first))
    if run is first or not first.final or a != b or not same_data(run.meta, first.meta):
        return f"{run.accuracy:.2f} %"
    return f"{run.accuracy:.2f} %, {signed(compare([run], [first]).mean)} points"


def guesses(run: Run, classes: int) -> bool:
    """Whether a finished run names classes hardly better than at random, as one does whose training diverged."""
    return run.accuracy < 150 / classes


def nearest(recipe: Recipe) -> tuple[str, list[Run]] | None:
    """The arm with records on the same data that differs in the fewest fields, and its runs; None if there is none."""
    arms = {name: arm for name, arm in ARMS.items() if arm.dataset == recipe.dataset}
    by_distance = sorted(arms, key=lambda name: len(changes(recipe, arms[name])))
    return next(((name, runs) for name in by_distance if (runs := find(arms[name]))), None)
