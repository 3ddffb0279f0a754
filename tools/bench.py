"""The course's speed and memory, measured in one run and printed as ratios: `python tools/bench.py`, about ten minutes.

Run it on a machine that does nothing else. `--write` puts the table into docs/performance.md, which explains its rows.
"""

import argparse
import copy
import itertools
import os
import platform
import re
import runpy
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision import transforms

from tricks import ROOT, augment, process, train
from tricks.after.whitening import first_conv, patches, whiten_
from tricks.course.lesson import sliders
from tricks.data.loader import DeviceLoader
from tricks.data.sets import Split, load
from tricks.plots import smoothing
from tricks.plots.style import signed
from tricks.recipe import BASELINE, Recipe
from tricks.records import make
from tricks.records.statistics import t_interval
from tricks.studies import studies
from tricks.train import Loader

PAGE = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
AFTER = {"with a whitened first convolution": {"whitening": True}, "with averaged weights": {"ema_decay": 0.98}}
MEAN, STD = ([value / 255 for value in values] for values in (augment.MEAN, augment.STD))


@dataclass(frozen=True)
class Result:
    """A line of the table: what was measured, the value as text, its limit as text, and whether it is kept."""

    what: str
    value: str
    target: str = ""
    kept: bool = True


# The loops that are compared: iterators whose every step trains one epoch ---------------------------------------------


def our_loop(recipe: Recipe, loader: Loader, few: Loader) -> Iterator[object]:
    """`train.epochs`, evaluating on a single small batch, so that what is timed is training."""
    model = make.model_for(recipe, loader.num_classes, seed=0)
    if recipe.whitening:  # not by `make.prepare`, which wants a data set: bench_precision.py has none
        conv = first_conv(model)
        whiten_(conv, torch.cat([patches(x, conv.kernel_size[0]) for x, _ in few]))
    average = copy.deepcopy(model).requires_grad_(False) if recipe.ema_decay else None
    return train.epochs(recipe, train.Parts(model, loader, few, few, few, average=average))


class OneBatch:
    """The limit: a loader that hands out its first batch again and again, so that no work is left in it."""

    def __init__(self, loader: DeviceLoader) -> None:
        self.batches, self.labels, self.num_classes = len(loader), loader.labels, loader.num_classes
        self.batch = next(iter(loader))

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return self.epoch(0)

    def epoch(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        return itertools.repeat(self.batch, self.batches)


def usual_loop(recipe: Recipe, loader: DataLoader, num_classes: int) -> Iterator[float]:
    """The training loop of most tutorials, on the same network with the same optimiser."""
    device = process.device()
    model = make.model_for(recipe, num_classes, seed=0)
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=recipe.lr,
        momentum=recipe.momentum,
        nesterov=True,
        weight_decay=recipe.weight_decay,
    )
    while True:
        model.train()
        total = torch.zeros((), device=device)
        for x, y in loader:
            x, y = x.to(device, memory_format=torch.channels_last), y.to(device)
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.detach()
        yield total.item()  # waits for the device


class Pictures(torch.utils.data.Dataset):
    """PIL pictures from an array, transformed one by one, as torchvision's CIFAR10 does it."""

    def __init__(self, split: Split, transform: Callable[[Image.Image], Tensor]) -> None:
        self.images, self.labels, self.transform = split.images, split.labels, transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.images[index])), int(self.labels[index])


class PcaNoise(nn.Module):
    """AlexNet's colour noise on one picture (3, H, W) in [0, 1]."""

    def forward(self, x: Tensor) -> Tensor:
        return x + augment.pca_noise(augment.PCA_SD * torch.randn(1, 3)).view(3, 1, 1) / 255


def usual_transform(kind: str, side: int) -> transforms.Compose:
    """torchvision's counterpart of `augment="crop_flip"` or `"paper"`."""
    to_tensor, normalise = transforms.ToTensor(), transforms.Normalize(MEAN, STD)
    flip = transforms.RandomHorizontalFlip()
    if kind == "crop_flip":
        crop = transforms.RandomCrop(side, padding=augment.PAD, padding_mode="reflect")
        return transforms.Compose([crop, flip, to_tensor, normalise])
    crop = transforms.RandomResizedCrop(side, scale=augment.AREA, ratio=augment.ASPECT)
    jitter = transforms.ColorJitter(brightness=0.4, saturation=0.4, hue=0.2)  # ±0.2 of a full turn, as in augment.hue
    return transforms.Compose([crop, flip, jitter, to_tensor, PcaNoise(), normalise])


# Measurements ---------------------------------------------------------------------------------------------------------


def epoch_seconds(loops: dict[str, Iterator[object]], repeats: int) -> dict[str, list[float]]:
    """Seconds of each epoch after the first. The loops take turns, so that a slow moment of the machine hits all."""
    for loop in loops.values():
        next(loop)
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    for _ in range(repeats):
        for name, loop in loops.items():
            started = time.perf_counter()
            next(loop)
            seconds[name].append(time.perf_counter() - started)
    return seconds


def training_speed(images: int, batch_size: int, repeats: int) -> list[Result]:
    """Our loop against the usual one and against its limit, for both augmentations."""
    dataset = load("cifar10")
    split = Split(dataset.train.images[:images], dataset.train.labels[:images])
    num_classes, side = len(dataset.classes), BASELINE.image_size

    def loader(split: Split, batch_size: int, kind: str, training: bool) -> DeviceLoader:
        return DeviceLoader(
            split.images,
            split.labels,
            num_classes,
            image_size=side,
            batch_size=batch_size,
            augment=kind,
            train=training,
            device=process.device(),
        )

    few = loader(Split(split.images[:32], split.labels[:32]), 32, "none", False)
    results = []
    for kind, least, more in (("crop_flip", 1.3, AFTER), ("paper", 2.0, {})):
        recipe = replace(BASELINE, batch_size=batch_size, augment=kind, epochs=repeats + 1, lr=0.01)
        ours = loader(split, batch_size, kind, True)
        loops: dict[str, Iterator[object]] = {
            "ours": our_loop(recipe, ours, few),
            "limit": our_loop(recipe, OneBatch(ours), few),
            **{name: our_loop(replace(recipe, **fields), ours, few) for name, fields in more.items()},
        }
        for workers in (0, 2):
            pictures = Pictures(split, usual_transform(kind, side))
            usual = DataLoader(
                pictures,
                batch_size,
                shuffle=True,
                drop_last=True,
                num_workers=workers,
                persistent_workers=workers > 0,
            )
            loops[f"DataLoader, {workers} workers"] = usual_loop(recipe, usual, num_classes)
        seconds = epoch_seconds(loops, repeats)
        middle = {name: statistics.median(seconds[name]) for name in loops}
        best = min((name for name in loops if name.startswith("DataLoader")), key=middle.__getitem__)
        results += [
            ratio(f"our loop / {best}, {kind}", seconds[best], seconds["ours"], least),
            ratio(f"our loop / limit, {kind}", seconds["limit"], seconds["ours"], 0.95),
            Result(f"our loop, {kind}", f"{len(ours) * batch_size / middle['ours']:,.0f} images/s"),
            *(cost(f"a step {name}", seconds[name], seconds["ours"]) for name in more),
        ]
    return results


def ratio(what: str, theirs: list[float], ours: list[float], least: float) -> Result:
    """How many times faster `ours` is: median and range over the repetitions."""
    ratios = [a / b for a, b in zip(theirs, ours, strict=True)]
    middle = statistics.median(ratios)
    return Result(what, f"{middle:.2f} ({min(ratios):.2f} to {max(ratios):.2f})", f"at least {least}", middle >= least)


def cost(what: str, dearer: list[float], plain: list[float]) -> Result:
    """How many per cent longer than `plain` it takes: median and range over the repetitions."""
    more = [100 * (a / b - 1) for a, b in zip(dearer, plain, strict=True)]
    middle = statistics.median(more)
    found = f"{signed(middle, 1)} % ({signed(min(more), 1)} to {signed(max(more), 1)})"
    return Result(what, found, "below 5 % more", middle < 5)


def peak_memory(images: int) -> Result:
    """Resident memory of a process that trains the default recipe for an epoch on `images` pictures and evaluates."""
    code = (
        "import resource, sys\n"
        "from dataclasses import replace\n"
        "from tricks import recipe\nfrom tricks.records import make\n"
        f"short = replace(recipe.BASELINE, train_images={images}, epochs=1)\n"
        "make.run(short, record=False, progress=lambda line: None)\n"
        "unit = 1 if sys.platform == 'darwin' else 1024\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)"
    )
    gigabytes = int(in_new_process(code)) / 1e9
    return Result("peak memory of a CIFAR-10 run", f"{gigabytes:.2f} GB", "at most 1.5 GB", gigabytes <= 1.5)


def import_seconds() -> Result:
    """Time to import the plots and the schedules, which want no torch; the median of five processes."""
    plots = [f"tricks.plots.{path.stem}" for path in sorted((ROOT / "tricks" / "plots").glob("[!_]*.py"))]
    code = (
        "import sys, time\n"
        "started = time.perf_counter()\n"
        f"import tricks.schedules, {', '.join(plots)}\n"
        "print(time.perf_counter() - started)\n"
        "sys.exit('torch was imported' if 'torch' in sys.modules else 0)"
    )
    in_new_process(code)  # the first one may have to compile
    seconds = statistics.median(float(in_new_process(code)) for _ in range(5))
    return Result("import of all plots and tricks.schedules", f"{seconds:.2f} s", "below 1.5 s", seconds < 1.5)


def slider_redraw(moves: int = 50) -> Result:
    """From a slider's new value to the new PNG, on the panel of the label-smoothing lesson; the median of all moves."""
    panel = sliders(smoothing.optimal_gap, eps=(0.0, 0.9, 0.005), K=(2, 1000))
    milliseconds = []
    for move in range(moves):
        before = panel.picture.value
        started = time.perf_counter()
        panel.controls["eps"].value = 0.015 * (move + 1)
        milliseconds.append(1000 * (time.perf_counter() - started))
        if panel.picture.value == before:
            raise RuntimeError(f"the slider did not change the picture {panel.message.value}")
    middle = statistics.median(milliseconds)
    return Result("slider redraw", f"{middle:.0f} ms", "at most 60 ms", middle <= 60)


def in_new_process(code: str) -> str:
    """What this program prints, run by itself."""
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def recorded_recipe() -> Result:
    """Accuracy and time of the recipe that section 5 starts from, as recorded, to hold later changes against."""
    found = studies.arm("cosine")
    mean, half = t_interval([run.accuracy for run in found])
    minutes = statistics.median(run.meta["seconds"] for run in found if run.meta["seconds"]) / 60
    threads = "/".join(sorted({str(run.meta["threads"]) for run in found}))
    return Result(
        f"recipe `cosine`, {len(found)} recorded seeds",
        f"{mean:.2f} ± {half:.2f} %, median {minutes:.1f} min on {threads} thread",
    )


# The table ------------------------------------------------------------------------------------------------------------


def machine() -> str:
    """What a number depends on, in one line."""
    cpuinfo = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", cpuinfo.read_text()) if cpuinfo.exists() else []
    processor = names[0] if names else platform.processor() or platform.machine()
    return (
        f"{processor}, {torch.get_num_threads()} threads, Python {platform.python_version()}, torch {torch.__version__}"
    )


def table(results: list[Result]) -> str:
    """The results in Markdown."""
    lines = ["| | measured | target | |", "|---|---|---|---|"]
    for result in results:
        verdict = ("kept" if result.kept else "**missed**") if result.target else ""
        lines.append(f"| {result.what} | {result.value} | {result.target} | {verdict} |")
    return "\n".join(lines)


def in_the_courses_environment() -> None:
    """Start this program again with the allocator's settings that `./course` gives to all commands, if it has not."""
    missing = runpy.run_path(str(ROOT / "course"))["ALLOCATOR"].items() - os.environ.items()
    if missing:
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **dict(missing)})


def main() -> int:
    """Measure, print, and with --write also write; 1 if a target was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--images", type=int, default=6_400, help="images of an epoch in the speed rows (default: 6,400)"
    )
    parser.add_argument(
        "--memory-images",
        type=int,
        default=0,
        help="images of the run whose memory is measured (default: all)",
    )
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=11, help="timed epochs of each loop (default: 11)")
    parser.add_argument("--threads", type=int, default=2, help="of torch (default: 2)")
    parser.add_argument("--write", action="store_true", help=f"put the table into {PAGE.relative_to(ROOT)}")
    args = parser.parse_args()

    in_the_courses_environment()
    memory = peak_memory(args.memory_images)  # first: a child process starts with the peak of this one
    torch.set_num_threads(args.threads)
    process.set_up()
    results = training_speed(args.images, args.batch_size, args.repeats)
    results += [memory, import_seconds(), slider_redraw(), recorded_recipe()]
    how = f"{args.images:,} images in an epoch, {args.repeats} epochs of each loop"
    text = f"{table(results)}\n\nMeasured on {date.today()}: {machine()}; {how}."
    print(text)
    if args.write:
        before, rest = PAGE.read_text(encoding="utf8").split(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}", encoding="utf8")
    return 0 if all(result.kept for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
