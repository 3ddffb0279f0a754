"""What recorded runs say: intervals, paired differences, verdicts, and how many seeds it takes."""

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from scipy.special import ncfdtr, stdtrit

from tricks.recipe import SAMPLE_IMAGES
from tricks.records.paper import Effect
from tricks.records.store import Run, same_data


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


WORDS = ("same sign", "opposite sign", "not resolved here", "the paper's effect is within its own noise")


class Verdict(NamedTuple):
    """What our difference says beside the paper's: one of `WORDS`, or "no verdict"; and how much, or why."""

    word: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.word} ({self.detail})" if self.detail else self.word


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

    def seeds_for(self, effect: float) -> int | None:
        """How many seeds it takes to see an effect, if pairs are as far apart as these: `seeds_for`; None of one pair.

        The spread of a few differences is itself uncertain, by a factor of two or more below five.
        """
        n, (mean, _) = len(self.differences), t_interval(self.differences)
        if n < 2:
            return None
        return seeds_for(abs(effect), math.sqrt(math.fsum((d - mean) ** 2 for d in self.differences) / (n - 1)))

    def __str__(self) -> str:
        digits, unit, n = 2 if self.unit == "points" else 3, f" {self.unit}".rstrip(), len(self.differences)
        mean, up = f"{self.mean:+z.{digits}f}", sum(d > 0 for d in self.differences)
        if n == 1:
            return f"{mean}{unit} for one seed, which has no interval"
        text = f"{mean} ± {self.half:.{digits}f}{unit}, higher for {up} of {n} seeds"
        return text if self.clear else f"no clear difference at this budget ({text})"

    def against(self, theirs: Effect) -> Verdict:
        """The verdict beside what the paper says of the same change, one of `WORDS`; none where it is another change.

        A sign takes an interval of ours that excludes 0, and an effect in the paper that is larger than its own noise.
        """
        if theirs.unlike:
            return Verdict("no verdict", theirs.unlike)
        if abs(theirs.delta) <= theirs.noise:
            return Verdict("the paper's effect is within its own noise")
        if not self.clear:
            return Verdict("not resolved here", "one seed, no interval" if len(self.differences) == 1 else "")
        if (self.mean > 0) != (theirs.delta > 0):
            return Verdict("opposite sign")
        times = self.mean / theirs.delta
        digits = 0 if times >= 9.95 else 1 if times >= 0.995 else 2
        return Verdict("same sign", f"{times:.{digits}f} times the paper's")


def paired(new: Sequence[Run], old: Sequence[Run]) -> list[tuple[Run, Run]]:
    """(new, old) for each seed that both arms have. ValueError if they share none, or were made on other data."""
    before = {run.seed: run for run in old}
    pairs = [(run, before[run.seed]) for run in new if run.seed in before]
    if not pairs:
        raise ValueError(f"nothing to pair: seeds {[r.seed for r in new]} against {[r.seed for r in old]}")
    for a, b in pairs:
        if not same_data(a.meta, b.meta):
            data = ", ".join(f"{r.name!r} on {r.meta.get('source')!r} {r.meta.get('data', '')}".strip() for r in (a, b))
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


def errors_removed(new: Sequence[Run], old: Sequence[Run], metric: str = "accuracy") -> list[float]:
    """Share of the old arm's errors that the new arm does not make, in per cent, for each seed that both have.

    `metric` is the accuracy that counts, in per cent. ValueError from `paired`, and if the old arm makes no errors.
    """
    shares = []
    for a, b in paired(new, old):
        after, before = value(a, metric), value(b, metric)
        if before == 100:
            raise ValueError(f"seed {b.seed}: {b.name!r} makes no errors, so there is no share to remove")
        shares.append(100 * (after - before) / (100 - before))
    return shares


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


DATA = {"cifar10": "CIFAR-10", "imagenette": "Imagenette"}  # a source's first word: what people call it


def budget(runs: Sequence[Run]) -> str:
    """n, budget and data of some runs in plain words, for the foot of a slide. ValueError when there are none."""
    if not runs:
        raise ValueError("a budget needs at least one run")

    def each(values: Iterable[Any], between: str = " or ") -> str:
        return between.join(dict.fromkeys(map(str, values)))

    def numbers(values: Iterable[int]) -> str:
        few = list(dict.fromkeys(values))
        return each(f"{n:,}" for n in few) if len(few) < 3 else f"{min(few):,} to {max(few):,}"

    counts = [sum(other.recipe == run.recipe for other in runs) for run in runs]
    n = each(sorted({min(counts), max(counts)}), " to ")
    images = numbers(run.meta["train_images"] for run in runs)
    data = each(DATA.get(name, name) for name in (run.meta["source"].partition(" (")[0] for run in runs))
    epochs = numbers(sorted(run.recipe.epochs for run in runs))
    tested = numbers(run.meta["test_images"] for run in runs)
    seeds = "1 seed" if n == "1" else f"{n} seeds, each"
    return f"{seeds} trained on {images} pictures of {data} for {epochs} epochs and tested on {tested} others"


def headline(change: str, ours: Mapping[str, Comparison], theirs: Effect | None = None) -> tuple[str, str]:
    """What a change did to something of which more is better, for a slide: a sentence, and the numbers behind it.

    `ours`: where -> our difference, as in {"in 12 epochs": compare(...)}. The paper's difference stands beside them; it
    is not in the sentence where it is of another change.
    """
    places: dict[str, list[str]] = {}
    for where, found in ours.items():
        places.setdefault(_brought(found.mean, found.clear), []).append(where)
    sentence = f"{change} brings " + ", ".join(f"{what} {' and '.join(at)}" for what, at in places.items())
    unit = next(iter(ours.values())).unit
    numbers = "; ".join(f"{where} {found.mean:+z.2f} ± {found.half:.2f}" for where, found in ours.items())
    numbers = f"Here, {unit} (95 % intervals): {numbers}"
    if theirs:
        numbers += f" · Paper: {theirs}" + (f" ({theirs.unlike})" if theirs.unlike else "")
        if not theirs.unlike:
            sentence += f"; in the paper, {_brought(theirs.delta, abs(theirs.delta) > theirs.noise)}"
    return sentence, numbers.replace(" ± inf", " (one seed)")


def _brought(delta: float, clear: bool) -> str:
    return ("a gain" if delta > 0 else "a loss") if clear else "no clear difference"


def lead(new: Sequence[Run], old: Sequence[Run]) -> Any:
    """Test accuracy of `new − old`, in points, epoch by epoch, for the seeds that both arms have: (seeds, epochs)."""
    rows = [zip(x.rows, y.rows, strict=True) for x, y in paired(new, old)]
    return np.array([[a["test_accuracy"] - b["test_accuracy"] for a, b in pair] for pair in rows])


def after_division(runs: Sequence[Run], division: int = 0) -> Comparison:
    """The change of test accuracy in the first epoch after a division of the learning rate, run by run.

    `division` counts from 0; a division is an epoch whose rate is less than half of the one before. IndexError if there
    is none so late.
    """
    rates = [row["lr"] for row in runs[0].rows]
    epoch = [i for i in range(1, len(rates)) if rates[i] < rates[i - 1] / 2][division]
    changes = (run.rows[epoch]["test_accuracy"] - run.rows[epoch - 1]["test_accuracy"] for run in runs)
    return Comparison(tuple(run.seed for run in runs), tuple(changes), "points")


def interaction(none: Sequence[Run], a: Sequence[Run], b: Sequence[Run], both: Sequence[Run]) -> Comparison:
    """What two changes gain together beyond the sum of what each gains alone, (both − b) − (a − none), seed by seed.

    In accuracy, over the seeds that all four arms have. ValueError from `same_seeds`.
    """
    square = same_seeds({"none": none, "a": a, "b": b, "both": both})
    of, to = compare(square["both"], square["b"]), compare(square["a"], square["none"])
    before = dict(zip(to.seeds, to.differences, strict=True))
    sums = (d - before[seed] for seed, d in zip(of.seeds, of.differences, strict=True))
    return Comparison(of.seeds, tuple(sums), "points")


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


def best_over_last(runs: Iterable[Run]) -> list[float]:
    """By how many points the best epoch of each run is above its last: what choosing it on the test set flatters.

    Both are of the rows, which are measured on one sample of the evaluated images.
    """
    found = []
    for run in runs:
        metric = run.recipe.metric
        values = [row["test_accuracy" if metric == "accuracy" else metric] for row in run.rows]
        found.append(max(v for v in values if math.isfinite(v)) - values[-1])
    return found


def by_arm(runs: Iterable[Run]) -> list[list[Run]]:
    """The runs of each arm: of one recipe, on the same images."""
    arms: dict[tuple[Any, ...], list[Run]] = {}
    for run in runs:
        arms.setdefault((run.recipe, run.meta.get("source")), []).append(run)
    return list(arms.values())


def comparisons(runs: Iterable[Run], seeds: int = 5) -> list[Comparison]:
    """Every two arms that are as long, are evaluated on the same images and share that many seeds or more, compared."""

    def alike(arm: Sequence[Run]) -> tuple[Any, ...]:
        r = arm[0].recipe
        return arm[0].meta.get("source"), r.dataset, r.split, r.metric, r.train_images, r.epochs

    pairs = [(new, old) for old, new in combinations(by_arm(runs), 2) if alike(old) == alike(new)]
    shared = [(new, old) for new, old in pairs if len({r.seed for r in new} & {r.seed for r in old}) >= seeds]
    return [compare(new, old, new[0].recipe.metric) for new, old in shared]


@dataclass(frozen=True)
class FewSeeds:
    """What some comparisons would have said with only n of their seeds, over every choice of n."""

    n: int
    tries: int  # choices
    same: int  # mean differences with the sign of the mean over all seeds
    clear: int  # whose interval excludes 0; a single pair of seeds has none
    wrong: int  # clear with the other sign

    def __str__(self) -> str:
        text = f"{self.n} seed{'' if self.n == 1 else 's'}: {self.same} of {self.tries} have the sign of all seeds"
        if self.n == 1:
            return text
        return f"{text}; {self.clear} of {self.tries} are clear, {self.wrong} of these with the other sign"


def few_seeds(whole: Iterable[Comparison], n: int) -> FewSeeds:
    """How often n of a comparison's seeds say what all of them say; n = 1, one run each, is what most tables show.

    All seeds have the n among them, so the answer is a little flattered.
    """
    tries = [
        (each.mean, Comparison(each.seeds[:n], some, each.unit))
        for each in whole
        for some in combinations(each.differences, n)
    ]
    signs = [(np.sign(few.mean), np.sign(mean), few.clear) for mean, few in tries]
    return FewSeeds(
        n,
        len(tries),
        same=sum(few == mean != 0 for few, mean, _ in signs),
        clear=sum(clear for *_, clear in signs),
        wrong=sum(clear and few == -mean != 0 for few, mean, clear in signs),
    )
