"""Recorded runs: one JSON file each, found by the recipe's value."""

import difflib
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from filelock import FileLock, Timeout

from tricks import ROOT
from tricks.data.files import write_atomic, write_error
from tricks.recipe import Recipe, Transfer, changes

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
    meta: dict[str, Any] = field(default_factory=dict)  # data and their sizes, device, versions, seconds

    @property
    def accuracy(self) -> float:
        """Per cent right after the last epoch. Never the best epoch: choosing it would need the test set."""
        return self.final["accuracy"]

    def path(self, folder: Path | None = None) -> Path:
        """<data set>/<name>-<recipe's hash>-seed<k>[-<fingerprint of the data>].json below `folder` (data/runs)."""
        parts = [self.name, self.recipe.hash, f"seed{self.seed}", *([self.meta["data"]] if "data" in self.meta else [])]
        return (folder or RUNS) / folder_name(self.meta.get("path") or self.recipe.dataset) / f"{'-'.join(parts)}.json"

    def save(self, folder: Path | None = None) -> Path:
        """Write the record whole or not at all."""
        path = self.path(folder)
        values = {**asdict(self), "recipe": self.recipe.to_dict()}
        write_atomic(path, (json.dumps({**values, "digest": digest(values)}, indent=1) + "\n").encode())
        return path


def folder_name(dataset: str) -> str:
    """What a data set's files are called after: a part of its name that can be a folder's wherever it lies."""
    return Path(dataset).name.strip(".")[:40] or "data"  # not hidden, and 255 bytes are left for what follows


def same_data(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether the `meta` of two runs, or the `about` of a data set, tell of the same data.

    Fingerprints decide. Where one has none, a set with a name is told by its source; one by its path cannot be told.
    """
    if one.get("data") and other.get("data"):
        return one["data"] == other["data"]
    return one.get("source") == other.get("source") and "path" not in one and "path" not in other


@contextmanager
def locked(path: Path, timeout: float = -1) -> Iterator[None]:
    """Hold a lock file, which the system drops when this process dies.

    `filelock.Timeout` after so many seconds, -1 for never; WriteError if there can be no such file.
    """
    lock = FileLock(path, timeout=timeout)
    try:
        lock.acquire()
    except Timeout:
        raise
    except OSError as error:
        raise write_error(path, error) from error
    try:
        yield
    finally:
        lock.release()


def check_name(name: str) -> None:
    """ValueError for a name that cannot be a part of a record's file name."""
    if not re.fullmatch(r"\w[\w.-]{,59}", name):
        allowed = "letters, digits, '.', '_' and '-', and begin with a letter, a digit or '_' (60 characters at most)"
        raise ValueError(f"name {name!r}: must be {allowed}, because the record's file is called after it")


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
    return sorted((run for run, _ in _matching(recipe, folder or RUNS)), key=lambda run: run.seed)


def lookup(recipe: K, seed: int, folder: Path, data: Mapping[str, Any] | None = None) -> tuple[Run[K], Path] | None:
    """A run out of the course's records, else out of those below `folder`, and its file; None if neither has it.

    `data` is what a data set says `about` itself, or a run's `meta`: then the run must be of these data, and for a set
    by its path it does not matter how the path is written. Without `data` the recipe alone decides.
    """
    found = (pair for place in (RUNS, folder) for pair in _matching(recipe, place, data or {}) if pair[0].seed == seed)
    return next((pair for pair in found if data is None or same_data(pair[0].meta, data)), None)


def _matching(recipe: K, folder: Path, data: Mapping[str, Any] = MappingProxyType({})) -> Iterator[tuple[Run[K], Path]]:
    """The records of this recipe and their files; with data by path, also those of the same pictures elsewhere."""
    yield from (pair for pair in _loaded(folder, f"*-{recipe.hash}-seed*.json") if pair[0].recipe == recipe)
    if "path" in data:
        pairs = _loaded(folder, f"*-seed*-{data.get('data')}.json")
        yield from (pair for pair in pairs if replace(pair[0].recipe, dataset=recipe.dataset) == recipe)


def _loaded(folder: Path, pattern: str) -> Iterator[tuple[Run, Path]]:
    return ((load_run(path), path) for path in sorted(folder.glob(f"*/{pattern}")))


def recorded(recipe: K, name: str = "", folder: Path | None = None) -> list[Run[K]]:
    """The recorded runs of exactly this recipe, by seed.

    LookupError when there are none. If records of the arm `name` exist, their recipe was changed after recording, and
    the error prints the fields that differ; otherwise it names the nearest recorded recipe.
    """
    if found := find(recipe, folder):
        return found
    kind, dataset = type(recipe), recipe.dataset
    others = [run for run in load_all(folder) if isinstance(run.recipe, kind) and run.recipe.dataset == dataset]
    if not others:
        raise LookupError(f"no run on {dataset} is recorded yet. `./course study --list` shows what can be recorded")
    nearest = min(others, key=lambda run: (run.name != name, len(changes(recipe, run.recipe))))
    before = nearest.recipe.to_dict()
    fields = ", ".join(f"{k} = {v!r} (recorded: {before[k]!r})" for k, v in changes(recipe, nearest.recipe).items())
    if nearest.name != name:
        raise LookupError(f"no run of this recipe is recorded. The nearest is {nearest.name!r}; asked for: {fields}")
    mend = "Record it again, or undo the change"
    raise LookupError(f"the records of {name!r} are of another recipe. Asked for: {fields}. {mend}")


def nearest_name(name: str, names: Iterable[str]) -> str:
    """The most similar of some names, for error messages."""
    return difflib.get_close_matches(name, list(names), n=1, cutoff=0.0)[0]
