"""The commands: `python -m tricks run | deck | data | study | train | info`, which is what `./course` calls.

An expected failure, such as a bad value or a missing file, is a message on stderr and exit status 1; an interruption
says what was kept and exits with 130.
"""

import argparse
import difflib
import inspect
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path

from tricks import ROOT
from tricks.data.files import DataError
from tricks.recipe import Recipe

BUDGETS = ("smoke", "quick", "full")
# OSError covers files, disks, connections, and a run that another process makes
EXPECTED = (ValueError, OSError, FloatingPointError, MemoryError, DataError)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    commands, parser = parsers()
    args, unknown = parser.parse_known_args(arguments)
    if unknown:
        command = commands[args.command]
        options = re.findall(r"--[a-z-]+", command.format_help())
        nearest = difflib.get_close_matches(unknown[0], options, n=1, cutoff=0.0)[0]
        command.error(f"unknown argument {unknown[0]!r}; nearest option: {nearest}")
    try:
        return args.function(args) or 0
    except EXPECTED as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\nStopped. {args.kept}", file=sys.stderr)
        return 130


def parsers() -> tuple[dict[str, argparse.ArgumentParser], argparse.ArgumentParser]:
    """The parser of each command by its name, and the one above them."""
    parser = argparse.ArgumentParser(
        prog="./course", description="Bag of tricks for image classification: the commands."
    )
    group = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands = {}

    def add(function: Callable[[argparse.Namespace], int | None], help: str, kept: str) -> argparse.ArgumentParser:
        name, text = function.__name__, inspect.getdoc(function)
        commands[name] = group.add_parser(name, help=help, description=text, allow_abbrev=False)
        commands[name].set_defaults(function=function, kept=kept)
        return commands[name]

    command = add(run, "execute the lessons and write their outputs", "Lessons that had finished keep their outputs.")
    command.add_argument("lessons", nargs="*", metavar="LESSON", help="names such as 05_2_label_smoothing; all if none")
    command.add_argument("--budget", choices=BUDGETS, default="quick", help="of the live runs (default: quick)")

    command = add(deck, "make slides of the figures", "Nothing was changed.")
    command.add_argument(
        "--section", metavar="N", help="of the paper, such as 5 or 3.1, B, or own for your own figures"
    )

    command = add(data, "show which data sets are here, or fetch one", "Files that had arrived whole are kept.")
    command.add_argument("name", nargs="?", metavar="NAME", help="cifar10, imagenette, pennfudan, shapes, or a path")
    command.add_argument("--fetch", action="store_true", help="download it if it is not here")

    kept = "Finished runs and epochs are kept; the same command goes on from there."
    command = add(study, "record the runs of a study that are missing", kept)
    command.add_argument("name", nargs="?", metavar="NAME", help="a study, see --list")
    command.add_argument("--list", action="store_true", help="show all studies and their questions")
    command.add_argument("--status", action="store_true", help="show what is recorded, of one study or of all")
    command.add_argument("--jobs", type=int, default=1, metavar="N", help="processes that train at once (default: 1)")
    command.add_argument(
        "--shard", type=shard, default=(0, 1), metavar="I/N", help="share I of N, I from 0: array jobs"
    )
    command.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)  # what `studies.fill` starts

    kept = "Finished epochs are kept unless --no-save was given; the same command goes on from there."
    command = add(train, "train one recipe", kept)
    command.usage = "./course train [--seed N] [--name NAME] [--no-save] [RECIPE OPTION ...]"
    command.add_argument("--seed", type=int, default=0, metavar="N", help="of all that is drawn (default: 0)")
    command.add_argument("--name", default="run", help="of the record, for people (default: run)")
    command.add_argument("--no-save", action="store_true", help="keep neither a record nor a checkpoint")
    add_recipe(command)

    add(info, "show the machine, the device and what was found", "Nothing was changed.")
    return commands, parser


def add_recipe(parser: argparse.ArgumentParser) -> None:
    """One option per field of `Recipe`; its help is the field's comment in recipe.py."""
    group = parser.add_argument_group("recipe", "One trick is one option. Sections (§) are the paper's.")
    notes = dict(re.findall(r"^    (\w+): \w+ = [^#\n]*# (.*)$", inspect.getsource(Recipe), re.MULTILINE))
    for field in fields(Recipe):
        option = "--" + field.name.replace("_", "-")
        note = notes.get(field.name, "").replace("%", "%%")
        if field.type is bool:
            group.add_argument(option, action="store_true", help=note)
        else:
            note = f"{note} (default: %(default)r)"
            kind = type(field.default)
            group.add_argument(option, type=kind, default=field.default, metavar=kind.__name__, help=note)


def shard(text: str) -> tuple[int, int]:
    """'2/8' as (2, 8)."""
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if not match or int(match[1]) >= int(match[2]):
        raise argparse.ArgumentTypeError(f"{text!r}: must be I/N with I from 0 to N - 1, such as 0/4")
    return int(match[1]), int(match[2])


def run(args: argparse.Namespace) -> int:
    """Execute lessons from top to bottom without a browser, and write the notebooks with their outputs and figures."""
    command = [sys.executable, str(ROOT / "tools" / "build_notebooks.py"), *args.lessons]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, "TRICKS_BUDGET": args.budget}).returncode


def deck(args: argparse.Namespace) -> None:
    """Make figures/deck.pptx: a slide per exported figure, with speaker notes. Of one section: figures/deck_N.pptx."""
    from tricks.course import deck

    print(deck.write(args.section))


def data(args: argparse.Namespace) -> None:
    """Show which data sets are here. With a name, verify and read that one; with --fetch, download it if it is not."""
    from tricks.data import pennfudan, sets

    if args.name is None:
        if args.fetch:
            raise ValueError("--fetch needs the name of a data set: ./course data cifar10 --fetch")
        print(data_status())
        return
    scenes = args.name == "pennfudan"
    known = scenes or args.name in sets.KNOWN
    if known and not args.fetch and (pennfudan.find() if scenes else sets.find(args.name)) is None:
        raise FileNotFoundError(f"{args.name} is not here; ./course data {args.name} --fetch gets it")
    if scenes:
        path = pennfudan.fetch()
        print(f"pennfudan: {len(pennfudan.encoded(path))} pictures with boxes and masks, from {path}")
        return
    dataset = sets.load(args.name)
    train, test, classes = len(dataset.train.labels), len(dataset.test.labels), len(dataset.classes)
    print(f"{dataset.name}: {train:,} training and {test:,} test images of {classes} classes, from {dataset.source}")
    if dataset.note:
        print(dataset.note)


def data_status() -> str:
    """A line for each data set with a name."""
    from tricks.data import pennfudan, sets

    return f"{sets.status()}\n{pennfudan.status()}"


def study(args: argparse.Namespace) -> None:
    """Record the runs of a study that are missing. It can be stopped at any time; the same command goes on.

    With several devices to each run: torchrun --nproc-per-node=N -m tricks study NAME (docs/scale.md).
    """
    from tricks.studies import runner, studies

    if args.list:
        for each in studies.STUDIES.values():
            print(f"{each.name}: {each.question} ({each.source}; {len(each.arms)} arms, {len(each.seeds)} seeds)")
    elif args.status:
        chosen = [studies.study(args.name)] if args.name else studies.STUDIES.values()
        print("\n\n".join(map(runner.status, chosen)))
    elif args.name is None:
        raise ValueError("which study? ./course study --list shows them, ./course study --status what is recorded")
    elif args.worker:
        args.kept = "This process is one of several."
        runner.work(studies.study(args.name), args.shard, progress=say)
    else:
        from tricks import process

        rank, together = process.world()
        if together > 1 and args.jobs > 1:
            raise ValueError(f"--jobs {args.jobs}: must be 1 under torchrun, whose processes make each run together")
        if together > 1:
            runner.work(studies.study(args.name), args.shard, progress=say)
        else:
            try:
                runner.fill(studies.study(args.name), args.jobs, args.shard)
            except RuntimeError as error:  # its processes have shown their own errors
                sys.exit(f"error: {error}")
        if rank == 0:
            runner.write_summary()
            print(runner.status(studies.study(args.name)))


def train(args: argparse.Namespace) -> None:
    """Train one recipe and record the run under data/own. A run that was stopped goes on from its last finished epoch.

    On several devices or machines: torchrun --nproc-per-node=N -m tricks train ... (docs/scale.md).
    """
    recipe = Recipe(**{field.name: getattr(args, field.name) for field in fields(Recipe)})
    from tricks import process
    from tricks.records import make

    finished = make.run(recipe, args.seed, name=args.name, record=not args.no_save, progress=say)
    if process.world()[0] == 0:
        print(f"{args.name}, seed {args.seed}: {recipe.split} accuracy {finished.accuracy:.2f} % after the last epoch")


def info(args: argparse.Namespace) -> None:
    """Show Python, PyTorch, the device, the data sets and records that were found, and the free disk space."""
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
