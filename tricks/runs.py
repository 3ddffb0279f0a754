"""Recorded runs: one JSON file each, found by the recipe's value, compared pair by pair."""

import difflib
import hashlib
import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from scipy.special import stdtrit

from tricks import ROOT
from tricks.data.files import write_atomic
from tricks.recipe import SAMPLE_IMAGES, Recipe, Transfer, changes

RUNS = ROOT / "data" / "runs"  # of the course's studies: what lessons show
OWN_RUNS = ROOT / "data" / "own"  # of the reader; git ignores them, and no study or lesson counts them
K = TypeVar("K", bound=Recipe | Transfer)


@dataclass(frozen=True)
class Run(Generic[K]):
    """What one training run was and what came out. Accuracies are in per cent, losses in nats."""

    name: str  # of the arm, for people; a run is found by its recipe
    recipe: K
    seed: int
    rows: list[dict[str, float]]  # one per epoch; of a Recipe measured on samples of SAMPLE_IMAGES
    final: dict[str, Any]  # the task's metrics of all evaluated images after the last epoch
    meta: dict[str, Any] = field(default_factory=dict)  # source and sizes of the data, device, versions, seconds

    @property
    def accuracy(self) -> float:
        """Per cent right after the last epoch. Never the best epoch: choosing it would need the test set."""
        return self.final["accuracy"]

    def path(self, folder: Path | None = None) -> Path:
        """Where the record lies: <data set>/<name>-<recipe's hash>-seed<k>.json below `folder` (data/runs)."""
        dataset = Path(self.recipe.dataset).name
        return (folder or RUNS) / dataset / f"{self.name}-{self.recipe.hash}-seed{self.seed}.json"

    def save(self, folder: Path | None = None) -> Path:
        """Write the record whole or not at all."""
        path = self.path(folder)
        path.parent.mkdir(parents=True, exist_ok=True)
        values = {**asdict(self), "recipe": self.recipe.to_dict()}
        write_atomic(path, (json.dumps({**values, "digest": digest(values)}, indent=1) + "\n").encode())
        return path


def check_name(name: str) -> None:
    """ValueError for a name that cannot be a part of a record's file name."""
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise ValueError(
            f"name {name!r}: must be letters, digits, '.', '_' and '-', and begin with a letter, a digit or '_', "
            "because the record's file is called after it"
        )


def digest(values: dict[str, Any]) -> str:
    """Twelve hex digits of a record's content, kept in the file so that an edit by hand shows."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]


def load_run(path: Path) -> Run:
    """Read one record. ValueError names the file and says what is wrong with it: cut short, edited, or misnamed."""
    mend = "Records are not edited by hand: restore it with git, or delete it and run the study again"
    try:
        values = json.loads(path.read_text(encoding="utf8"))
        kept = values.pop("digest")
        kind = Transfer if "task" in values["recipe"] else Recipe
        run = Run(**{**values, "recipe": kind.from_dict(values["recipe"])})
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: not a readable record ({error}). {mend}") from error
    if digest(values) != kept or path.name != run.path().name:
        raise ValueError(f"{path}: content, digest and file name do not belong together. {mend}")
    return run


def load_all(folder: Path | None = None) -> list[Run]:
    """Every record, sorted by path."""
    return [load_run(path) for path in sorted((folder or RUNS).glob("*/*.json"))]


def find(recipe: K, folder: Path | None = None) -> list[Run[K]]:
    """The recorded runs of exactly this recipe, by seed; an empty list when there are none."""
    paths = ((folder or RUNS) / Path(recipe.dataset).name).glob(f"*-{recipe.hash}-seed*.json")
    return sorted((run for run in map(load_run, paths) if run.recipe == recipe), key=lambda run: run.seed)


def lookup(recipe: K, seed: int, folder: Path) -> tuple[Run[K], Path] | None:
    """A run out of the course's records, else out of those below `folder`, and its file; None if neither has it."""
    for place in dict.fromkeys((RUNS, folder)):
        for run in find(recipe, place):
            if run.seed == seed:
                return run, run.path(place)
    return None


def recorded(recipe: K, name: str = "", folder: Path | None = None) -> list[Run[K]]:
    """The recorded runs of exactly this recipe, by seed.

    LookupError when there are none. If records of the arm `name` exist, their recipe was changed after recording, and
    the error prints the fields that differ; otherwise it names the nearest recorded recipe.
    """
    if found := find(recipe, folder):
        return found
    kind = type(recipe)
    others = [r for r in load_all(folder) if isinstance(r.recipe, kind) and r.recipe.dataset == recipe.dataset]
    same_name = [run for run in others if run.name == name]
    if not others:
        raise LookupError(
            f"no run on {recipe.dataset} is recorded yet. `./course study --list` shows what can be recorded"
        )
    nearest = min(same_name or others, key=lambda run: len(changes(recipe, run.recipe)))
    before = nearest.recipe.to_dict()
    fields = ", ".join(f"{k} = {v!r} (recorded: {before[k]!r})" for k, v in changes(recipe, nearest.recipe).items())
    if same_name:
        raise LookupError(
            f"the records of {name!r} are of another recipe. Asked for: {fields}. Record it again, or undo the change"
        )
    raise LookupError(f"no run of this recipe is recorded. The nearest is {nearest.name!r}; asked for: {fields}")


def nearest_name(name: str, names: Iterable[str]) -> str:
    """The most similar of some names, for error messages."""
    return difflib.get_close_matches(name, list(names), n=1, cutoff=0.0)[0]


def t_interval(values: Sequence[float]) -> tuple[float, float]:
    """(mean, half-width) of Student's 95 % t-interval for the mean; the half-width is infinite for a single value."""
    n = len(values)
    mean = math.fsum(values) / n
    if n < 2:
        return mean, math.inf
    sd = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (n - 1))
    return mean, float(stdtrit(n - 1, 0.975)) * sd / math.sqrt(n)


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
        up = sum(d > 0 for d in self.differences)
        digits = 2 if self.unit == "points" else 3
        if len(self.differences) == 1:
            return f"{self.mean:+z.{digits}f} {self.unit}".rstrip() + " for one seed, which has no interval"
        interval = f"{self.mean:+z.{digits}f} ± {self.half:.{digits}f} {self.unit}".rstrip()
        text = f"{interval}, higher for {up} of {len(self.differences)} seeds"
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

    counts = {sum(other.recipe == run.recipe for other in runs) for run in runs}
    n = "–".join(str(count) for count in sorted({min(counts), max(counts)}))
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
