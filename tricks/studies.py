"""The course's studies as data: a question, its arms, its seeds; and the runner that records what is missing.

An arm is a named recipe. The same arm may stand in several studies and is trained once, because a record is found by
its recipe. Choices such as a learning rate are made on `split="validation"`; the other arms are tested on the test set.
"""

import contextlib
import csv
import io
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace

from filelock import FileLock

from tricks import ROOT
from tricks.recipe import BASELINE, Recipe
from tricks.runs import RUNS, Run, compare, find, nearest_name, recorded, t_interval, write_atomic

SUMMARY = RUNS / "summary.csv"

# 10,000 images and 12 epochs: minutes on one CPU core. docs/evidence.md says how the budget and lr were chosen.
SHORT = replace(BASELINE, train_images=10_000)
EFFICIENT = replace(SHORT, lr=0.4, warmup_epochs=1.0, zero_gamma=True, no_bias_decay=True, tweak_d=True)
COSINE = replace(EFFICIENT, schedule="cosine")

ARMS: dict[str, Recipe] = {
    "baseline": SHORT,
    "cosine": COSINE,
    **{f"smoothing-{eps}": replace(COSINE, label_smoothing=eps) for eps in (0.05, 0.1, 0.2, 0.4)},
    # choices, made on 5,000 held-out training images
    **{f"pilot-lr-{lr}": replace(COSINE, lr=lr, split="validation") for lr in (0.05, 0.1, 0.2, 0.4, 0.8)},
}


@dataclass(frozen=True)
class Study:
    """A question to recorded runs: arms of `ARMS`, the one that the others are compared with, and the seeds of each."""

    name: str
    question: str
    source: str  # section and table of the paper
    arms: tuple[str, ...]
    reference: str
    seeds: tuple[int, ...]

    @property
    def cells(self) -> list[tuple[str, int]]:
        """Every (arm, seed), seed by seed: an interrupted study has complete seeds rather than complete arms."""
        return [(arm, seed) for seed in self.seeds for arm in self.arms]


STUDIES = {
    study.name: study
    for study in (
        Study(
            "pilot",
            "Which learning rate is best for the short budget? Decided on held-out training images.",
            "not in the paper",
            ("pilot-lr-0.05", "pilot-lr-0.1", "pilot-lr-0.2", "pilot-lr-0.4", "pilot-lr-0.8"),
            "pilot-lr-0.4",
            (0,),
        ),
        Study(
            "baseline",
            "What does the paper's plain procedure give with the course's small net and budget?",
            "§2",
            ("baseline",),
            "baseline",
            (0, 1, 2),
        ),
        Study(
            "smoothing",
            "What does ε do to accuracy, to the likelihood, to calibration and to the logit gap?",
            "§5.2, Fig. 4, Table 6",
            ("cosine", "smoothing-0.05", "smoothing-0.1", "smoothing-0.2", "smoothing-0.4"),
            "cosine",
            (0, 1, 2, 3, 4),
        ),
    )
}


def study(name: str) -> Study:
    """A study by name. ValueError on an unknown one, with the nearest name."""
    if name not in STUDIES:
        raise ValueError(f"no study {name!r}. Nearest: {nearest_name(name, STUDIES)!r}. There are {', '.join(STUDIES)}")
    return STUDIES[name]


def arm(name: str) -> list[Run]:
    """The recorded runs of an arm. ValueError on an unknown one; LookupError, as from `recorded`, when it has none."""
    if name not in ARMS:
        raise ValueError(f"no arm {name!r}. Nearest: {nearest_name(name, ARMS)!r}")
    return recorded(ARMS[name], name)


def missing(study: Study, shard: tuple[int, int] = (0, 1)) -> list[tuple[str, int]]:
    """The (arm, seed) of this shard, (i, n) for share i of n, that no record answers yet."""
    index, count = shard
    if not 0 <= index < count:
        raise ValueError(f"shard {index}/{count}: the first number must be in 0..{count - 1}")
    have = {(name, run.seed) for name in study.arms for run in find(ARMS[name])}
    return [cell for cell in study.cells[index::count] if cell not in have]


def work(study: Study, shard: tuple[int, int] = (0, 1), progress: Callable[[str], None] = print) -> None:
    """Record what is missing, one run after another, in this process.

    Several processes, also on several machines with one file system, may share a study: each run is made once, and one
    that was killed is resumed by whoever comes next.
    """
    from tricks.train import Busy, run  # torch, only where something is trained

    for name, seed in missing(study, shard):
        if any(recorded.seed == seed for recorded in find(ARMS[name])):
            continue  # by another process, since we looked
        with contextlib.suppress(Busy):
            run(ARMS[name], seed, name=name, progress=progress)


def fill(study: Study, jobs: int = 1, shard: tuple[int, int] = (0, 1)) -> None:
    """Record what is missing with `jobs` processes, the CPU's cores shared out among them, then write the summary.

    RuntimeError when a process failed; what was recorded stays, and the same call goes on from there.
    """
    if jobs < 1:
        raise ValueError(f"jobs = {jobs}: must be 1 or more")
    threads = max(1, (os.cpu_count() or 1) // jobs)
    # glibc's allocator gives memory back after every step and faults it in again: keeping it is worth 15-20 % images/s
    tuned = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "-1", "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONUNBUFFERED": "1", **tuned}
    command = [sys.executable, "-m", "tricks", "study", study.name, "--worker", "--shard", f"{shard[0]}/{shard[1]}"]
    workers = [
        subprocess.Popen(command, cwd=ROOT, env=environment) for _ in range(min(jobs, len(missing(study, shard))))
    ]
    try:
        codes = [worker.wait() for worker in workers]
    finally:
        for worker in workers:
            if worker.poll() is None:
                worker.terminate()
    if any(codes):
        raise RuntimeError(
            f"{sum(map(bool, codes))} of {len(codes)} processes failed; see their messages above. Run it again to go on"
        )
    write_summary()


def status(study: Study) -> str:
    """A table of the study's arms: recorded seeds, accuracy, difference to the reference arm."""
    lines = [f"{study.name}: {study.question} ({study.source})"]
    reference = find(ARMS[study.reference])
    for name in study.arms:
        runs = [run for run in find(ARMS[name]) if run.seed in study.seeds]
        line = f"  {name:<16} {len(runs)} of {len(study.seeds)} seeds"
        if runs:
            mean, half = t_interval([run.accuracy for run in runs])
            line += f"   {mean:.2f} %" if len(runs) == 1 else f"   {mean:.2f} ± {half:.2f} %"
        if runs and reference and name != study.reference and {r.seed for r in runs} & {r.seed for r in reference}:
            line += f"   {compare(runs, reference)}"
        lines.append(line)
    return "\n".join(lines)


def summary_text() -> str:
    """What `summary.csv` must say: a line per study and arm, differences paired by seed with 95 % t-intervals."""
    out = io.StringIO()
    columns = ["study", "arm", "dataset", "seeds", "accuracy_mean", "accuracy_sd", "difference", "low", "high"]
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    for study in STUDIES.values():
        reference = find(ARMS[study.reference])
        for name in study.arms:
            runs = [run for run in find(ARMS[name]) if run.seed in study.seeds]
            if not runs:
                continue
            accuracies = [run.accuracy for run in runs]
            row = {
                "study": study.name,
                "arm": name,
                "dataset": " / ".join(sorted({run.meta["source"] for run in runs})),
                "seeds": len(runs),
                "accuracy_mean": f"{statistics.mean(accuracies):.3f}",
                "accuracy_sd": f"{statistics.stdev(accuracies):.3f}" if len(runs) > 1 else "",
            }
            if name != study.reference and len({r.seed for r in runs} & {r.seed for r in reference}) > 1:
                difference = compare(runs, reference)
                row["difference"] = f"{difference.mean:.3f}"
                row["low"] = f"{difference.mean - difference.half:.3f}"
                row["high"] = f"{difference.mean + difference.half:.3f}"
            writer.writerow(row)
    return out.getvalue()


def write_summary() -> None:
    """Bring `data/runs/summary.csv` up to date with the records."""
    SUMMARY.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{SUMMARY}.lock"):
        write_atomic(SUMMARY, summary_text().encode())
