"""What recorded runs say: intervals, paired differences, verdicts, and how many seeds it takes."""

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ncfdtr, stdtrit

from tricks.recipe import SAMPLE_IMAGES
from tricks.records.store import Run


def t_interval(values: Sequence[float]) -> tuple[float, float]:
    """(mean, half-width) of Student's 95 % t-interval for the mean; the half-width is infinite for a single value."""
    n = len(values)
    mean = math.fsum(values) / n
    if n < 2:
        return mean, math.inf
    sd = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (n - 1))
    return mean, float(stdtrit(n - 1, 0.975)) * sd / math.sqrt(n)


def t95(values: Sequence[float]) -> tuple[float, float]:
    """Both ends of `t_interval`, as seaborn's `errorbar` takes them; of a single value seaborn draws none."""
    mean, half = t_interval(values)
    return mean - half, mean + half


def plus_minus(values: Sequence[float], digits: int = 2) -> str:
    """Mean and 95 % t-interval in words, "70.74 ± 0.42"; of a single value only itself."""
    mean, half = t_interval(values)
    return f"{mean:z.{digits}f} ± {half:.{digits}f}" if math.isfinite(half) else f"{mean:z.{digits}f}"


@dataclass(frozen=True)
class Comparison:
    """Paired differences `new − old`, one per seed that both arms have."""

    seeds: tuple[int, ...]
    differences: tuple[float, ...]
    unit: str

    @property
    def mean(self) -> float:
        """Mean difference."""
        return t_interval(self.differences)[0]

    @property
    def half(self) -> float:
        """Half-width of the 95 % t-interval of the mean difference."""
        return t_interval(self.differences)[1]

    @property
    def clear(self) -> bool:
        """Whether the interval excludes 0."""
        return abs(self.mean) > self.half

    def __str__(self) -> str:
        digits, unit, n = 2 if self.unit == "points" else 3, f" {self.unit}".rstrip(), len(self.differences)
        mean, up = f"{self.mean:+z.{digits}f}", sum(d > 0 for d in self.differences)
        if n == 1:
            return f"{mean}{unit} for one seed, which has no interval"
        text = f"{mean} ± {self.half:.{digits}f}{unit}, higher for {up} of {n} seeds"
        return text if self.clear else f"no clear difference at this budget ({text})"

    def against(self, paper_delta: float) -> str:
        """The verdict beside the paper's difference: same sign, opposite sign, or no clear difference.

        In words, too, where signs cannot be compared: one seed has no interval, or the paper has no difference.
        """
        if len(self.differences) == 1:
            return "one seed, no interval"
        if not self.clear:
            return "no clear difference"
        if paper_delta == 0:
            return "no difference in the paper"
        return "same sign" if self.mean * paper_delta > 0 else "opposite sign"


def paired(new: Sequence[Run], old: Sequence[Run]) -> list[tuple[Run, Run]]:
    """(new, old) for each seed that both arms have. ValueError if they share none, or were made on other data."""
    before = {run.seed: run for run in old}
    pairs = [(run, before[run.seed]) for run in new if run.seed in before]
    if not pairs:
        raise ValueError(f"nothing to pair: seeds {[r.seed for r in new]} against {[r.seed for r in old]}")
    for a, b in pairs:
        if a.meta.get("source") != b.meta.get("source"):
            data = ", ".join(f"{run.name!r} on {run.meta.get('source')!r}" for run in (a, b))
            raise ValueError(f"seed {a.seed} cannot be paired: {data}. Train both arms on the same data")
    return pairs


def compare(new: Sequence[Run], old: Sequence[Run], metric: str = "accuracy", unit: str = "points") -> Comparison:
    """Differences of a final metric, paired by seed. ValueError from `paired`.

    `metric` is a key of `Run.final`, such as accuracy, nll or ece, or "gap.mean" for a value one level down.
    """
    pairs = paired(new, old)
    differences = tuple(value(a, metric) - value(b, metric) for a, b in pairs)
    return Comparison(tuple(run.seed for run, _ in pairs), differences, unit)


def value(run: Run, metric: str) -> float:
    """A number out of `Run.final` by its dotted name."""
    found: Any = run.final
    for key in metric.split("."):
        found = found[key]
    return float(found)


def overconfidence(run: Run) -> float:
    """Mean confidence minus accuracy on all evaluated images, in points: above 0 the network claims too much."""
    bins = run.final["reliability"]
    sure = sum(c * n for c, n in zip(bins["confidence"], bins["count"], strict=True)) / sum(bins["count"])
    return 100 * sure - run.accuracy


def errors_removed(new: Sequence[Run], old: Sequence[Run]) -> list[float]:
    """Share of the old arm's errors that the new arm does not make, in per cent, for each seed that both have.

    ValueError from `paired`, and if the old arm makes no errors.
    """
    pairs = paired(new, old)
    for _, run in pairs:
        if run.accuracy == 100:
            raise ValueError(f"seed {run.seed}: {run.name!r} makes no errors, so there is no share to remove")
    return [100 * (a.accuracy - b.accuracy) / (100 - b.accuracy) for a, b in pairs]


def caption(runs: Sequence[Run], *, curve: bool = False) -> str:
    """n, budget, data and device of some runs, for the line under a figure. ValueError when there are none.

    `curve` is for what is drawn from the rows, which are measured on a sample of the evaluated images.
    """
    if not runs:
        raise ValueError("a caption needs at least one run")

    def each(values: Iterable[Any]) -> str:
        return " / ".join(dict.fromkeys(str(v) for v in values))

    counts = [sum(other.recipe == run.recipe for other in runs) for run in runs]
    n = "–".join(map(str, sorted({min(counts), max(counts)})))
    images = each(f"{run.meta['train_images']:,}" for run in runs)
    counted = [(run.meta["test_images"], run.recipe.split) for run in runs]
    tested = each(f"{f'{min(SAMPLE_IMAGES, n):,} of ' if curve else ''}{n:,} {split}" for n, split in counted)
    epochs = each(run.recipe.epochs for run in runs)
    return (
        f"n = {n} seed{'' if n == '1' else 's'} · {each(run.recipe.net for run in runs)} · "
        f"{images} images × {epochs} epoch{'' if epochs == '1' else 's'} · "
        f"{each(run.meta['source'] for run in runs)}, {tested} images · "
        f"{each(run.meta['device'] for run in runs)} · code v{each(run.meta['train_version'] for run in runs)}"
    )


def lead(new: Sequence[Run], old: Sequence[Run]) -> Any:
    """Test accuracy of `new − old`, in points, epoch by epoch, for the seeds that both arms have: (seeds, epochs)."""
    rows = [zip(x.rows, y.rows, strict=True) for x, y in paired(new, old)]
    return np.array([[a["test_accuracy"] - b["test_accuracy"] for a, b in pair] for pair in rows])


def same_seeds(arms: Mapping[str, Sequence[Run]]) -> dict[str, list[Run]]:
    """The arms' runs of the seeds that all of them have. ValueError if there is no such seed."""
    seeds = {label: [run.seed for run in runs] for label, runs in arms.items()}
    shared = set.intersection(*map(set, seeds.values()))
    if not shared:
        raise ValueError(f"no seed is in all arms: {seeds}")
    return {label: [run for run in runs if run.seed in shared] for label, runs in arms.items()}


def power(effect: float, sd: float, n: Any) -> Any:
    """Probability that the 95 % t-interval of n paired differences excludes 0: P(|T| > t).

    The differences are normal with mean `effect` and standard deviation `sd`, so T² is noncentral F with 1 and n − 1
    degrees of freedom and noncentrality n (effect/sd)². `n` may be an array of numbers ≥ 2. ValueError unless sd > 0.
    """
    if not sd > 0:
        raise ValueError(f"sd = {sd!r}: must be above 0")
    n = np.asarray(n)
    return 1 - ncfdtr(1, n - 1, n * (effect / sd) ** 2, stdtrit(n - 1, 0.975) ** 2)


def seeds_for(effect: float, sd: float) -> int:
    """The smallest number of seeds at which `power` reaches 80 %; 1,000 if that many are not enough."""
    return bisect_left(range(1_000), 0.8, lo=2, key=lambda n: float(power(effect, sd, n)))
