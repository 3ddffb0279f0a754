"""Speed and memory of training in four precisions on this GPU: `python tools/bench_precision.py`, about two minutes.

Table 3 of the paper changes precision and batch size at once. This measures every combination: the course's loop on
ResNet-50 at 224 px with the paper's 32 and 128 pictures a device (256 and 1024 on eight) and with 256, and on the
course's own net. One batch is trained on again and again: no data set is needed, and what is timed is the step.

It writes data/speed/<GPU>.json, which lesson 03_2 shows. Run it on a GPU that does nothing else.
"""

import argparse
import json
import platform
import re
import statistics
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bench import OneBatch, epoch_seconds, our_loop

from tricks import ROOT, process
from tricks.data.files import write_atomic
from tricks.data.loader import DeviceLoader
from tricks.recipe import BASELINE
from tricks.records.make import commit

FOLDER = ROOT / "data" / "speed"
CLASSES = 1000
PRECISIONS: dict[str, tuple[bool, dict[str, Any]]] = {  # name: may fp32 convolutions use TF32, change of the recipe
    "fp32": (False, {}),
    "tf32": (True, {}),  # PyTorch's default
    "bf16": (True, {"amp": True, "amp_dtype": "bfloat16"}),
    "fp16": (True, {"amp": True, "amp_dtype": "float16"}),
}
SIZES = (  # net, px, pictures a step
    ("resnet50", 224, 32),
    ("resnet50", 224, 128),
    ("resnet50", 224, 256),
    ("resnet8", 32, 128),
    ("resnet8", 32, 1024),
)


def measure(net: str, side: int, batch_size: int, precision: str, images: int, repeats: int) -> dict[str, Any]:
    """Images per second of each timed epoch of at least `images` pictures, and the largest memory in use, in bytes."""
    torch.backends.cudnn.allow_tf32, change = PRECISIONS[precision]
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    recipe = replace(BASELINE, net=net, image_size=side, batch_size=batch_size, epochs=repeats + 1, lr=0.01, **change)
    rng = np.random.default_rng(0)

    def loader(count: int, train: bool) -> OneBatch:
        pictures = rng.integers(0, 256, (count, side, side, 3), dtype=np.uint8)
        labels = rng.integers(0, CLASSES, count)
        options = {"image_size": side, "batch_size": count, "train": train, "device": process.device()}
        return OneBatch(DeviceLoader(pictures, labels, CLASSES, **options))

    training, few = loader(batch_size, True), loader(32, False)
    training.batches = -(-images // batch_size)
    seconds = epoch_seconds({"loop": our_loop(recipe, training, few)}, repeats)["loop"]
    return {
        "net": net,
        "image_size": side,
        "batch_size": batch_size,
        "precision": precision,
        "images_per_second": [round(training.batches * batch_size / each, 1) for each in seconds],
        "peak_memory": torch.cuda.max_memory_allocated(),
    }


def main() -> int:
    """Measure every combination, print it, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2_048, help="pictures of a timed epoch (default: 2,048)")
    parser.add_argument("--repeats", type=int, default=5, help="timed epochs, after one that warms up (default: 5)")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the file goes (default: data/speed)")
    args = parser.parse_args()
    if process.device().type != "cuda":
        sys.exit("error: there is no NVIDIA GPU here, and a CPU has neither TF32 nor fast fp16: nothing was measured")

    process.set_up()
    name = torch.cuda.get_device_name()
    rows = []
    for net, side, batch_size in SIZES:
        for precision in PRECISIONS:
            rows.append(measure(net, side, batch_size, precision, args.images, args.repeats))
            speed = statistics.median(rows[-1]["images_per_second"])
            what = f"{net}, {side} px, {batch_size} pictures a step, {precision}"
            print(f"{what}: {speed:,.0f} images/s, {rows[-1]['peak_memory'] / 2**30:.2f} GiB", flush=True)
    record = {
        "device": name,
        "torch": torch.__version__,
        "cudnn": torch.backends.cudnn.version(),
        "python": platform.python_version(),
        "commit": commit(),
        "date": date.today().isoformat(),
        "images": args.images,
        "rows": rows,
    }
    path = args.folder / f"{re.sub(r'[^a-z0-9]+', '-', name.lower())}.json"
    write_atomic(path, (json.dumps(record, indent=1) + "\n").encode())
    print(f"written: {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
