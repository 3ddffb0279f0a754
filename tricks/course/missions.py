"""Missions of the Trick Lab: a hypothesis, where to start, and a criterion that looks at the reader's own runs.

Only runs of the same seed on the same data are compared. Each mission takes two cores a few minutes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

from tricks.course.lab_run import difference
from tricks.plots.style import signed
from tricks.recipe import Recipe, changes
from tricks.records.statistics import compare
from tricks.records.store import Run, same_data


class Found(NamedTuple):
    """Whether a mission is reached, and in words why, or what is missing."""

    reached: bool
    words: str


Criterion = Callable[[Sequence[Run]], Found]


@dataclass(frozen=True)
class Mission:
    """A hypothesis to be tested in the lab."""

    title: str
    hypothesis: str
    todo: str  # what is to be trained
    start: Mapping[str, Any]  # the fields that it changes in the lab's own start
    reached: Criterion  # of all runs in the lab


def gain(field: str, old: Any, new: Callable[[Any], bool], least: float, also: Sequence[str] = ()) -> Criterion:
    """Reached by two runs of which the second has a `new` value of `field` in place of `old`, for `least` points more.

    They differ in nothing else but the fields in `also`. With `least` below 0 the second has to be as much worse.
    """
    wanted = f"{signed(least, 0)} points or {'more' if least > 0 else 'less'} are asked for"

    def reached(runs: Sequence[Run]) -> Found:
        finished = [run for run in runs if run.final]
        before = [run for run in finished if getattr(run.recipe, field) == old]
        after = [run for run in finished if new(getattr(run.recipe, field))]
        if not before or not after:
            missing = "the recipe as it stands at the start" if not before else "it with the change"
            one = "One run is not enough: train" if before or after else "Train"
            return Found(False, f"{one} {missing}" + (", with the same seed and data." if before or after else "."))
        pairs = [(a, b) for a in after for b in before if alike(a, b, {field, *also})]
        if not pairs:
            return Found(False, f"No two runs have the same seed and data and differ in {field} alone.")
        new_run, old_run = (max if least > 0 else min)(pairs, key=points)
        best = points((new_run, old_run))
        what = f"{difference(new_run.recipe, old_run.recipe)}: {signed(best)} points with seed {new_run.seed}"
        return Found(best / least >= 1, f"{what}. {wanted[0].upper()}{wanted[1:]}.")

    return reached


def alike(a: Run, b: Run, fields: set[str]) -> bool:
    """Whether two runs have the same seed and data, and recipes that differ, but in nothing but some of `fields`."""
    different = set(changes(a.recipe, b.recipe))
    return bool(different) and different <= fields and a.seed == b.seed and same_data(a.meta, b.meta)


def points(pair: tuple[Run, Run]) -> float:
    """By how many points the first of two runs is better."""
    return compare([pair[0]], [pair[1]]).mean


def several_seeds(runs: Sequence[Run], seeds: int = 3) -> Found:
    """Reached by any two recipes that have that many seeds in common."""
    arms: dict[Recipe, list[Run]] = {}
    for run in runs:
        if run.final and all(run.seed != other.seed for other in arms.get(run.recipe, [])):
            arms.setdefault(run.recipe, []).append(run)
    most, words = 0, ""
    for old, new in combinations(arms, 2):
        pairs = [(a, b) for a in arms[new] for b in arms[old] if a.seed == b.seed and same_data(a.meta, b.meta)]
        if len(pairs) > most:
            most = len(pairs)
            both = compare([a for a, _ in pairs], [b for _, b in pairs])
            words = f"{difference(new, old)}: {both}."
    if most >= seeds:
        return Found(True, words)
    return Found(False, f"{words} {most} of {seeds} seeds are trained with and without the change.".strip())


SOON = {"train_images": 5_000, "epochs": 4}  # half a minute a run on two cores
MISSIONS = (
    Mission(
        "A run that is too fast",
        "A learning rate that is far too large does its harm in the first steps: growing towards it helps (§3.1).",
        "Train it as it is, then with two warm-up epochs.",
        {**SOON, "lr": 3.0},
        gain("warmup_epochs", 0.0, lambda epochs: epochs > 0, 3),
    ),
    Mission(
        "Four times the batch",
        "Linear scaling makes up for fewer steps (§3.1), as long as there are many: with 36 in all it does harm.",
        "Train it as it is, then with linear scaling.",
        {**SOON, "batch_size": 512},
        gain("linear_scaling", False, bool, -3),
    ),
    Mission(
        "Blocks that start as nothing",
        "Zero γ takes the residual blocks out of the first steps (§3.1). Where steps are few, that costs.",
        "Train it as it is, then with zero γ.",
        SOON,
        gain("zero_gamma", False, bool, -3),
    ),
    Mission(
        "A first layer that is not learnt",
        "Whitened filters, computed from the pictures, are worth several epochs of learning (after the bag).",
        "Train it as it is, then with whitening.",
        SOON,
        gain("whitening", False, bool, 3),
    ),
    Mission(
        "Another optimiser",
        "Muon makes more of a few steps than SGD does (after the bag).",
        "Train it as it is, then with the optimizer muon at a rate of 0.05.",
        SOON,
        gain("optimizer", "sgd", lambda name: name == "muon", 3, also=("muon_lr",)),
    ),
    Mission(
        "What is luck?",
        "One pair of runs cannot tell a few tenths of a point from nothing. Three seeds give an interval.",
        "Train the recipe and one small change of yours with the seeds 0, 1 and 2.",
        {"train_images": 2_000, "epochs": 4},
        several_seeds,
    ),
)
