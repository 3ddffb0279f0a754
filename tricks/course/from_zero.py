"""The training loop that lesson 02 writes from zero, and the lines that later lessons add to it.

It is read from lesson 02, where its cells have the tag `loop`, and there is no other copy: what a later lesson runs is
what the reader has seen, but for the lines that are shown.
"""

import difflib
import math
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from types import SimpleNamespace
from typing import Any

from IPython.display import Markdown, display

from tricks import ROOT
from tricks.course.lesson import budget, live, table
from tricks.data.order import balanced_order
from tricks.data.sets import Dataset

LESSON = ROOT / "notebooks" / "src" / "02_training_procedures.py"
BUDGETS: dict[str, tuple[int, int]] = {
    "smoke": (500, 1),
    "quick": (10_000, 8),
    "full": (50_000, 24),
}  # pictures, epochs
AROUND = 2  # lines before and after each change that are shown


@cache
def source() -> str:
    """The code of lesson 02's cells with the tag `loop`."""
    import jupytext

    cells = jupytext.read(LESSON).cells
    return "\n\n\n".join(cell.source.strip() for cell in cells if "loop" in cell.metadata.get("tags", ())) + "\n"


def changed(edits: Mapping[str, str]) -> str:
    """The loop's code with texts replaced, each of which must occur in it once. ValueError if it does not."""
    code = source()
    for old, new in edits.items():
        if (times := code.count(old)) != 1:
            raise ValueError(f"{old!r} occurs {times} times in the loop of lesson 02: it must occur once")
        code = code.replace(old, new)
    return code


def loop(edits: Mapping[str, str] | None = None, **names: Any) -> SimpleNamespace:
    """The loop's functions, with `edits` made: {text of the loop: what stands there now}. The changed lines are shown.

    `names` are further names that the new lines use, such as a teacher. ValueError for a text that does not occur once.
    """
    import torch

    code = changed(edits or {})
    if edits:
        before, after = source().splitlines(), code.splitlines()
        lines = list(difflib.unified_diff(before, after, n=AROUND, lineterm=""))[2:]
        diff = "\n".join("..." if line.startswith("@@") else line for line in lines)
        display(Markdown(f"The loop of lesson 02, with these lines changed:\n\n````diff\n{diff}\n````"))
    space = {"math": math, "torch": torch, "nn": torch.nn, "F": torch.nn.functional, **names}
    exec(compile(code, f"<loop of lesson 02, {len(edits or {})} changes>", "exec"), space)
    return SimpleNamespace(**space)


def pictures(dataset: Dataset) -> tuple[Any, Any]:
    """What the loop takes: (pictures, labels) to train on and to test on, as many as the budget allows, on the device.

    Pictures are float32 (N, 3, H, W), normalised as in step 6 of §2.1. Every class has its share of them.
    """
    import torch

    from tricks import augment, process

    def tensors(part: Any, count: int) -> tuple[Any, Any]:
        chosen = balanced_order(part.labels)[:count]
        x = augment.normalise(torch.from_numpy(part.images[chosen]))
        return x.to(process.device()), torch.from_numpy(part.labels[chosen]).long().to(process.device())

    count = BUDGETS[budget()][0]
    return tensors(dataset.train, count), tensors(dataset.test, max(count // 5, 500))


def race(loops: Mapping[str, Callable[..., Iterator[dict[str, Any]]]], data: tuple[Any, Any], caption: str = "",
         **settings: Any) -> dict[str, list[dict[str, Any]]]:  # fmt: skip
    """Train with each loop on the same pictures, drawn as they go; their rows, and a table of how they ended."""
    epochs = BUDGETS[budget()][1]
    rows = {}
    for name, train in loops.items():
        seed = {"seed": 0, **settings, **getattr(train, "keywords", {})}["seed"]  # a partial may have its own
        print(f"{name}: {len(data[0][1]):,} pictures × {epochs} epochs, seed {seed}")
        rows[name] = list(live(train(*data, epochs=epochs, **settings), total=epochs, caption=caption))
    if len(rows) > 1:
        table([{"loop": name, **{k: v for k, v in ended[-1].items() if k != "epoch"}} for name, ended in rows.items()])
    return rows
