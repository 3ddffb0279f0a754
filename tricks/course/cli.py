"""The commands: `python -m tricks run | deck | site | data | study | train | info`, which is what `./course` calls.

An expected failure, such as a bad value or a missing file, is a message on stderr and exit status 1; an interruption
says what was kept and exits with 130.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal

from tyro import conf, extras

from tricks import ROOT
from tricks.data.files import DataError, WriteError
from tricks.recipe import BASELINE, Recipe

# OSError covers files, disks, connections, and a run that another process makes
EXPECTED = (ValueError, OSError, FloatingPointError, MemoryError, DataError)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; tyro exits with 2 when there is no such command or option."""
    arguments = sys.argv[1:] if arguments is None else arguments
    commands = {command.__name__: command for command in KEPT}
    try:
        status = extras.subcommand_cli_from_dict(
            commands,
            prog="./course",
            description="Bag of tricks for image classification: the commands.",
            args=arguments,
            config=(conf.FlagCreatePairsOff, conf.PositionalMetavarFromFieldName),  # every switch is off by default
        )
        return status or 0
    except BrokenPipeError:  # whoever read the output has gone
        raise
    except EXPECTED as error:
        kept = f". {KEPT[commands[arguments[0]]]}" if isinstance(error, WriteError) else ""
        print(f"error: {error}{kept}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        several = "--worker" in arguments  # each of them would say the same
        kept = "This process is one of several." if several else KEPT[commands[arguments[0]]]
        print(f"\nStopped. {kept}", file=sys.stderr)
        return 130


Name = Annotated[conf.Positional[str], conf.arg(help_behavior_hint="")]


def run(
    lessons: Annotated[conf.Positional[tuple[str, ...]], conf.arg(help_behavior_hint="")] = (),
    budget: Literal["smoke", "quick", "full"] = "quick",
) -> int:
    """Execute lessons without a browser; write notebooks, outputs and figures.

    Args:
        lessons: names such as 05_2_label_smoothing; all if none
        budget: of the live runs
    """
    command = [sys.executable, str(ROOT / "tools" / "build_notebooks.py"), *lessons]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, "TRICKS_BUDGET": budget}).returncode


def deck(
    section: Annotated[str | None, conf.arg(metavar="N", help_behavior_hint="")] = None,
    lang: Literal["en", "ko"] = "en",
) -> None:
    """Make figures/deck.pptx: a slide per figure, and each lesson's questions.

    Of one section, or of your own figures: figures/deck_N.pptx.

    Sources are in the speaker notes. Nothing is trained or executed.

    Args:
        section: of the paper, such as 5 or 3.1, B, or own for your own figures
        lang: of the speaker notes; ko: what docs/ko says of the session. The slides stay as the figures are
    """
    from tricks.course import deck

    print(deck.write(section, lang))


def site() -> None:
    """Make web pages of all lessons and documents: data/cache/site/html/index.html.

    They need neither a kernel nor a network, and panels with sliders work.

    For that, lessons that have changed are executed, with the smallest runs.
    """
    from tricks.course import site

    site.freeze()
    print(site.write())


def data(name: Name = "", fetch: bool = False) -> None:
    """Show which data sets are here. With a name, verify and read that one.

    Args:
        name: cifar10, imagenette, pennfudan, shapes, or a path
        fetch: download it if it is not here
    """
    from tricks.data import pennfudan, sets

    if not name:
        if fetch:
            raise ValueError("--fetch needs the name of a data set: ./course data cifar10 --fetch")
        print(data_status())
        return
    if name == "pennfudan" and (fetch or pennfudan.find()):
        path = pennfudan.fetch()
        print(f"pennfudan: {len(pennfudan.encoded(path))} pictures with boxes and masks, from {path}")
        return
    if not fetch and (name == "pennfudan" or (name in sets.KNOWN and not sets.find(name))):
        raise FileNotFoundError(f"{name} is not here; ./course data {name} --fetch gets it")
    dataset = sets.load(name)
    train, test, classes = len(dataset.train.labels), len(dataset.test.labels), len(dataset.classes)
    print(f"{dataset.name}: {train:,} training and {test:,} test images of {classes} classes, from {dataset.source}")
    for line in filter(None, [*dataset.taken, dataset.note]):
        print(line)


def data_status() -> str:
    """A line for each data set with a name."""
    from tricks.data import pennfudan, sets

    return f"{sets.status()}\n{pennfudan.status()}"


def study(
    name: Name = "",
    list: bool = False,
    status: bool = False,
    jobs: Annotated[int, conf.arg(metavar="N")] = 1,
    shard: Annotated[str, conf.arg(metavar="I/N")] = "0/1",
    worker: bool = False,
) -> None:
    """Record the runs of a study that are missing.

    It can be stopped at any time; the same command goes on.

    Several devices for each run: torchrun --nproc-per-node=N -m tricks study NAME
    (docs/scale.md).

    Args:
        name: a study, see --list
        list: show all studies and their questions
        status: show what is recorded, of one study or of all
        jobs: processes that train at once
        shard: share I of N, I from 0: array jobs
        worker: be one of those processes, for --jobs to start
    """
    from tricks.studies import runner, studies

    part = share(shard)
    if list:
        for each in studies.STUDIES.values():
            print(f"{each.name}: {each.question} ({each.source}; {len(each.arms)} arms, {len(each.cells)} runs)")
        return
    if status:
        chosen = [studies.study(name)] if name else studies.STUDIES.values()
        print("\n\n".join(map(runner.status, chosen)))
        return
    if not name:
        raise ValueError("which study? ./course study --list shows them, ./course study --status what is recorded")
    from tricks import process

    asked = studies.study(name)
    rank, together = process.world()
    if together > 1 and jobs > 1:
        raise ValueError(f"--jobs {jobs}: must be 1 under torchrun, whose processes make each run together")
    if worker or together > 1:
        runner.work(asked, part, progress=say)
    else:
        try:
            runner.fill(asked, jobs, part)
        except RuntimeError as error:  # its processes have shown their own errors
            sys.exit(f"error: {error}")
    if rank == 0 and not worker:
        runner.write_summary()
        print(runner.status(asked))


def share(text: str) -> tuple[int, int]:
    """'2/8' as (2, 8)."""
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if not match or int(match[1]) >= int(match[2]):
        raise ValueError(f"--shard {text!r}: must be I/N with I from 0 to N - 1, such as 0/4")
    return int(match[1]), int(match[2])


def train(
    recipe: Annotated[Recipe, conf.arg(name="")] = BASELINE,  # unnamed, its fields are options like the others
    seed: Annotated[int, conf.arg(metavar="N")] = 0,
    name: Annotated[str, conf.arg(metavar="NAME")] = "run",
    no_save: bool = False,
) -> None:
    """Train one recipe and record the run under data/own.

    A run that was stopped goes on from its last finished epoch.

    On several devices or machines: torchrun --nproc-per-node=N -m tricks train ...
    (docs/scale.md).

    One trick is one option. Sections (§) are the paper's.

    Args:
        seed: of all that is drawn
        name: of the record, for people
        no_save: keep neither a record nor a checkpoint
    """
    from tricks import process
    from tricks.records import make

    finished = make.run(recipe, seed, name=name, record=not no_save, progress=say)
    if process.world()[0] == 0:
        print(f"{name}, seed {seed}: {recipe.split} accuracy {finished.accuracy:.2f} % after the last epoch")


def info() -> None:
    """Show the machine, the device, and the data sets and records that were found."""
    import torch

    from tricks import precision, process
    from tricks.records import store

    device = process.device()

    def count(folder: Path) -> int:
        return len(list(folder.glob("*/*.json")))

    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    lines = {
        "course": ROOT,
        "python": f"{platform.python_version()} ({sys.executable})",
        "torch": f"{torch.__version__}, torchvision {version('torchvision')}",
        "device": f"{device} ({name}), mixed precision in {str(precision.amp_dtype(device)).removeprefix('torch.')}",
        "threads": f"{torch.get_num_threads()} of {os.cpu_count()} cores",
        "records": f"{count(store.RUNS)} runs in {store.RUNS}, {count(store.OWN_RUNS)} of your own in {store.OWN_RUNS}",
        "disk": f"{shutil.disk_usage(ROOT).free / 1e9:.0f} GB free",
    }
    for key, value in lines.items():
        print(f"{key:<8} {value}")
    print(f"\n{data_status()}")


def say(line: str) -> None:
    """Print now: a log file of a long run is read while it grows."""
    print(line, flush=True)


KEPT = {  # command: what an interruption of it leaves
    run: "Lessons that had finished keep their outputs.",
    deck: "Nothing was changed.",
    site: "Some pages may be old or missing; the same command goes on from there.",
    data: "Files that had arrived whole are kept.",
    study: "Finished runs and epochs are kept; the same command goes on from there.",
    train: "Finished epochs are kept unless --no-save was given; the same command goes on from there.",
    info: "Nothing was changed.",
}
