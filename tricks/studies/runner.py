"""The runner of studies: what is recorded, what is missing, and processes that record it."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from tricks import ROOT
from tricks.data.files import write_atomic
from tricks.recipe import Recipe
from tricks.records import store
from tricks.records.frame import frame
from tricks.records.statistics import compare, plus_minus, t95, value
from tricks.records.store import RUNS, Run, find, locked
from tricks.studies.studies import STUDIES, Study, recipe_of

SUMMARY = RUNS / "summary.csv"
COLUMNS = ["study", "arm", "dataset", "seeds", "metric", "mean", "sd", "difference", "low", "high"]


def missing(study: Study, shard: tuple[int, int] = (0, 1)) -> list[tuple[str, int]]:
    """The (arm, seed) of share i of n, for shard = (i, n), that no record answers yet."""
    have = {(name, run.seed) for name, runs in _recorded(study).items() for run in runs}
    return [cell for cell in study.cells[shard[0] :: shard[1]] if cell not in have]


def work(study: Study, shard: tuple[int, int] = (0, 1), progress: Callable[[str], None] = print) -> None:
    """Record what is missing, one run after another, in this process.

    Several processes, also on several machines with one file system, may share a study: each run is made once, and one
    that was killed is resumed by whoever comes next. The processes of a `torchrun` make each run together.
    """
    from tricks import process
    from tricks.records import make  # torch, only where something is trained

    with process.group():
        for name, seed in study.cells[shard[0] :: shard[1]]:
            recipe = recipe_of(name)
            if process.first_says(any(run.seed == seed for run in find(recipe))):
                continue
            try:
                if isinstance(recipe, Recipe):
                    make.run(recipe, seed, name=name, folder=store.RUNS, progress=progress)
                else:
                    from tricks.transfer import loop

                    loop.run(recipe, seed, name=name, folder=store.RUNS, progress=progress)
            except make.Busy:
                if process.world()[1] > 1:  # the first process alone knows, and the others are in this run already
                    raise


def fill(study: Study, jobs: int = 1, shard: tuple[int, int] = (0, 1)) -> None:
    """Record what is missing with `jobs` processes, the CPU's cores shared out among them.

    RuntimeError when a process failed; what was recorded stays, and the same call goes on from there.
    """
    if jobs < 1:
        raise ValueError(f"jobs = {jobs}: must be 1 or more")
    threads = max(1, (os.cpu_count() or 1) // jobs)
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "tricks", "study", study.name, "--worker", "--shard", f"{shard[0]}/{shard[1]}"]
    count = min(jobs, len(missing(study, shard)))
    workers = [subprocess.Popen(command, cwd=ROOT, env=environment) for _ in range(count)]
    try:
        codes = [worker.wait() for worker in workers]
    finally:
        for worker in workers:
            if worker.poll() is None:
                worker.terminate()
    if failed := sum(map(bool, codes)):
        raise RuntimeError(f"{failed} of {count} processes failed; see their messages above. Run it again to go on")


def status(study: Study) -> str:
    """A table of the study's arms: recorded seeds, accuracy, difference to the arm it is compared with."""
    lines = [f"{study.name}: {study.question} ({study.source})"]
    arms = _recorded(study)
    for name, runs in arms.items():
        line = [f"  {name:<{max(map(len, arms))}} {len(runs)} of {len(study.seeds_of(name))} seeds"]
        if runs:
            line.append(f"{study.metric} {plus_minus([value(run, study.metric) for run in runs])} %")
        reference = study.reference_for(name)
        if runs and arms[reference] and name != reference:
            try:
                line.append(str(compare(runs, arms[reference], study.metric)))
            except ValueError as error:  # no common seed, or other data
                line.append(str(error))
        lines.append("   ".join(line))
    return "\n".join(lines)


def summary_text() -> str:
    """What `summary.csv` must say: a line per study and arm, differences paired by seed with 95 % t-intervals."""
    from pandas import DataFrame

    lines: list[dict[str, Any]] = []
    for study in STUDIES.values():
        arms = _recorded(study)
        for name, runs in frame(arms).groupby("arm", sort=False):
            name = str(name)
            line = {"study": study.name, "arm": name, "dataset": " / ".join(sorted(set(runs["source"])))}
            line |= {"seeds": len(runs), "metric": study.metric}
            line |= {"mean": runs[study.metric].mean(), "sd": runs[study.metric].std()}
            reference = study.reference_for(name)
            with contextlib.suppress(ValueError):  # no common seed, or other data
                difference = compare(arms[name], arms[reference], study.metric)
                if name != reference and len(difference.seeds) > 1:
                    low, high = t95(difference.differences)
                    line |= {"difference": difference.mean, "low": low, "high": high}
            lines.append(line)
    return DataFrame(lines, columns=COLUMNS).to_csv(index=False, float_format="%.3f", lineterminator="\n")


def _recorded(study: Study) -> dict[str, list[Run]]:
    """The study's runs, arm by arm."""
    return {name: [run for run in find(recipe_of(name)) if run.seed in study.seeds_of(name)] for name in study.arms}


def write_summary() -> None:
    """Bring `data/runs/summary.csv` up to date with the records."""
    with locked(SUMMARY.with_name(f"{SUMMARY.name}.lock")):
        write_atomic(SUMMARY, summary_text().encode())
