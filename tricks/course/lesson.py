"""What the lessons do in Jupyter: show source, drag sliders, watch a run.

Only this folder knows IPython and ipywidgets. Nothing here imports torch, so that notebooks without training open at
once: what trains is imported where it is called.
"""

import html
import inspect
import math
import os
import re
import textwrap
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import compress, groupby, islice
from pathlib import Path
from typing import Any, NamedTuple

from IPython.display import Markdown, display

from tricks import ROOT
from tricks.course.sliders import Goal, Panel, text_of
from tricks.data.scene import SceneSet
from tricks.data.sets import Dataset, load
from tricks.plots.evidence import LABELS, progress
from tricks.plots.export import export
from tricks.plots.style import Figure, signed
from tricks.recipe import Recipe, Transfer, changes
from tricks.records.paper import Effect
from tricks.records.statistics import Comparison, compare
from tricks.records.store import K, Run

# budget: training pictures and epochs of a live run, and of fine-tuning; None is what the recipe has
BUDGETS: dict[str, tuple[tuple[int | None, int | None], tuple[int | None, int | None]]] = {
    "smoke": ((512, 1), (12, 1)),  # seconds, for tests
    "quick": ((5_000, 4), (None, 3)),  # a minute on two CPU cores
    "full": ((None, None), (None, None)),  # on a GPU
}


def budget() -> str:
    """How much a lesson may compute, from TRICKS_BUDGET: one of `BUDGETS`, quick by default."""
    value = os.environ.get("TRICKS_BUDGET", "quick")
    if value not in BUDGETS:
        raise ValueError(f"TRICKS_BUDGET={value!r}: must be one of {', '.join(BUDGETS)}")
    return value


def short(recipe: Recipe, dataset: str, share: float = 1.0) -> Recipe:
    """The recipe on this data set, cut to the budget of a live run; in mixed precision where there is an accelerator.

    `share` of the budget's epochs, but one at least. The warm-up keeps its share of the epochs.
    """
    from tricks import process  # imports torch

    images, epochs = BUDGETS[budget()][0]
    recipe = _with_epochs(recipe, max(1, round(share * (epochs or recipe.epochs))))
    images = images or recipe.train_images
    return replace(recipe, dataset=dataset, train_images=images, amp=process.device().type != "cpu")


def _with_epochs(recipe: K, epochs: int) -> K:
    return replace(recipe, epochs=epochs, warmup_epochs=round(recipe.warmup_epochs * epochs / recipe.epochs, 2))


def load_data() -> Dataset:
    """CIFAR-10 if it is here or can be fetched, else drawn pictures; says which, as all live runs depend on it."""
    dataset = load("auto")
    _say_data(dataset.note, f"Data: {dataset.source}")
    return dataset


def load_scenes(recipe: Transfer) -> SceneSet:
    """Penn-Fudan if it is here or can be fetched, else drawn scenes, divided as seed 0 has them; says which."""
    from tricks.data import scenes  # imports torch

    found = scenes.load(replace(recipe, dataset="auto"), seed=0)
    counts = f"{len(found.train)} pictures to train on, {len(found.test)} to test on"
    _say_data(found.note, f"Data: {found.source}, {counts}")
    return found


def _say_data(note: str, line: str) -> None:
    """A quiet line where the data are here; else a box with the first line of `note`, and the others small."""
    if note:
        display({"text/html": note_box(note), "text/plain": note}, raw=True)
    else:
        print(line)


# colours of its own, so that it can be read in the light and in the dark theme
BOX = "background: #fff3d6; color: #222; border-left: 6px solid #b45309; padding: 8px 12px; max-width: 780px"


def note_box(note: str) -> str:
    """A coloured box of HTML with a note's first line, what is in backticks as code, and the others small below."""
    sentence, _, more = html.escape(note, quote=False).partition("\n")
    code = r'<code style="background: none; color: inherit; font-weight: bold">\1</code>'
    small = f'<br><small style="color: #555">{more}</small>' if more else ""
    return f'<div role="note" style="{BOX}">{re.sub("`(.+?)`", code, sentence)}{small}</div>'


def table(rows: Sequence[Mapping[str, Any]]) -> None:
    """Show a list of dictionaries as a table, as `tabled` has it."""
    display(tabled(rows))


def tabled(rows: Sequence[Mapping[str, Any]]) -> Markdown:
    """A list of dictionaries as a table; numbers to four digits, a missing value empty.

    Cells may hold links; all other marks of Markdown and HTML are shown as they are.
    """
    columns = list(dict.fromkeys(key for row in rows for key in row))
    numeric = [all(isinstance(row.get(key, 0), (int, float)) for row in rows) for key in columns]
    rule = ["---:" if right else "---" for right in numeric]
    head, *body = (map(_cell, line) for line in (columns, *([row.get(key, "") for key in columns] for row in rows)))
    return Markdown("\n".join(f"| {' | '.join(line)} |" for line in (head, rule, *body)))


def _cell(value: Any) -> str:
    """A value as a cell of a Markdown table; an underscore between letters is no mark."""
    text = html.escape(" ".join(text_of(value).split("\n")), quote=False)
    return re.sub(r"[\\`*$~|]|(?<!\w)_|_(?!\w)", r"\\\g<0>", text)


# Source


def show(thing: Any, around: str | None = None, context: int = 4) -> None:
    """Display the real source of a function or class, as `shown` has it."""
    display(Markdown(shown(thing, around, context)))


def show_loop(around: str, context: int = 4) -> None:
    """Display the lines of the training loop around each match of a text, as `shown_loop` has them."""
    display(Markdown(shown_loop(around, context)))


def shown_loop(around: str, context: int = 4) -> str:
    """Markdown of the lines of `tricks.train.epochs` around each match of a text: see `shown`."""
    from tricks.train import epochs  # imports torch

    return shown(epochs, around, context)


def shown(thing: Any, around: str | None = None, context: int = 4) -> str:
    """Markdown of the source of a function or class under its file and name.

    `around` keeps only the lines within `context` of each match of a text. Lines have no numbers: a line inserted
    above would make them wrong in every notebook that is built. ValueError if nothing matches.
    """
    thing = inspect.unwrap(thing)
    module = thing.__module__
    if module.split(".")[0] == "tricks":
        module = Path(inspect.getfile(thing)).relative_to(ROOT).as_posix()
    where = "this notebook" if module == "__main__" else f"`{module}`"
    heading = f"{where}, `{thing.__qualname__}`"
    lines = inspect.getsource(thing).splitlines()
    if around is not None:
        heading += f", around `{around}`"
        near = [any(around in line for line in lines[max(0, i - context) : i + context + 1]) for i in range(len(lines))]
        if not any(near):
            raise ValueError(f"{around!r} does not occur in {thing.__qualname__}")
        indents = (len(line) - len(line.lstrip()) for line in compress(lines, near) if line)
        dots = " " * min(indents, default=0) + "..."  # in place of lines that are left out
        parts = groupby(range(len(lines)), key=near.__getitem__)
        lines = [line for kept, part in parts for line in ([lines[i] for i in part] if kept else [dots])]
    code = textwrap.dedent("\n".join(lines)).rstrip()
    return f"{heading}\n\n````python\n{code}\n````"


# Pictures


def sliders(
    plot: Callable[..., Figure],
    data: Callable[..., Any] | None = None,
    /,
    *,
    goal: str = "",
    reached: Callable[..., bool] | None = None,
    solution: Mapping[str, Any] | None = None,
    **controls: Any,
) -> Panel:
    """A panel of controls above a plot: of `plot(**values)`, or of `plot(data(**values))`.

    A control is (low, high) or (low, high, step), whole numbers or not; a list of choices; or True/False. A range
    over a factor of 100 or more moves in equal ratios. Controls start at the function's default where it has one.
    The plot's `redraw`, if it has one, takes the same arguments later (see `tricks.plots.style`).

    With a `goal`, a line under the picture says whether it is reached: `reached(**values)`, asked after every move.
    `solution` is a setting of some of the controls that reaches it, so that no lesson asks for what cannot be found:
    ValueError where it does not, or where the goal is reached at the start.
    """
    if goal and reached and solution:
        return Panel(plot, data, controls, Goal(goal, reached, solution))
    if goal or reached or solution:
        raise ValueError(f"goal = {goal!r}, reached = {reached!r}, solution = {solution!r}: give all three or none")
    return Panel(plot, data, controls)


def slide(fig: Figure, name: str, *, takeaway: str = "", numbers: str = "", runs: Sequence[Run] = ()) -> list[Path]:
    """Write a figure for slides into figures/, as PNG, SVG and PDF. Returns their paths; see `tricks.plots.export`."""
    return export(fig, name, takeaway=takeaway, numbers=numbers, runs=runs)


# Live runs


SECONDS_BETWEEN_UPDATES = 0.25
PAUSE = 40  # times what the last picture took, at least: pictures cost less than 3 % of a run on any machine
AT_ONCE = 2.0  # seconds from the start in which that does not count: it shall be seen to move
MEASURED = 0.02  # the share of a run after which its own pace says more than an estimate


def live(
    rows: Iterable[dict[str, Any]], total: int, metric: str = "test_accuracy", caption: str = ""
) -> Iterator[dict[str, Any]]:
    """Pass rows on as they come and draw them: `for row in live(epochs(...), total=12)`, or `list(live(...))`.

    One display shows the epochs done of `total`, the time left, loss and accuracies, or another metric of the rows in
    percent; no times stay in the saved notebook. Interrupting the cell, or a loss that is not finite, ends the run and
    keeps the rows so far. `live_run` also draws the loss of each step.
    """
    yield from Watch(total, metric, caption).follow(rows)


class Watch:
    """The display of a run: there before the run begins, and drawn as often as it can be without slowing the run."""

    def __init__(self, total: int, metric: str = "test_accuracy", caption: str = "") -> None:
        self.total, self.metric = total, metric
        self.rows: list[dict[str, Any]] = []
        self._losses: Any = None  # the run's own tensor of the losses of this epoch's steps
        self._before: list[float] = []  # those of the epochs that are done
        self._batches = 0  # of this epoch that are trained
        self.figure: Any = progress([], self._done(), total, metric=metric, caption=caption)
        self.figure.draft = True
        self._shown: Any = display(self.figure, display_id=True)
        self._started = time.monotonic()
        self._due = self._started + SECONDS_BETWEEN_UPDATES

    def say(self, text: str) -> None:
        """What is done before the run, such as the training of its teacher."""
        self._draw(textwrap.shorten(text, 100))

    def begin(self, losses: Any) -> None:
        """The run begins, which writes its losses into this tensor."""
        self._losses, self._started = losses, time.monotonic()

    def report(self, share: float, batches: int) -> None:
        """The share of the run's work that is done, and how many batches of this epoch: drawn if it is time."""
        self._batches, now = batches, time.monotonic()
        if now < self._due:
            return
        left = time_left(share, now - self._started)
        self._draw(self._done() + (f", {duration(left)} left" if share < 1 and math.isfinite(left) else ""))
        after = time.monotonic()
        pause = PAUSE * (after - now) if now - self._started > AT_ONCE else 0.0
        self._due = after + max(SECONDS_BETWEEN_UPDATES, pause)

    def follow(self, rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Pass the run's rows on as they come, and say how it ended if that was not at its end."""
        ending = ""
        try:
            for row in rows:
                self.rows.append(row)
                if self._losses is None:
                    self.report(row["epoch"] / self.total, 0)
                elif row["epoch"]:
                    self._before += self._losses.tolist()
                    self._batches = 0
                yield row
        except KeyboardInterrupt:
            ending = "interrupted"
        except FloatingPointError as error:
            ending = f"stopped: {error}"
        finally:
            self.figure.draft = False
            self._draw(self._done())
        if ending:
            print(f"{ending}. What was done is kept: {self._done()}.")

    def _done(self) -> str:
        last = self.rows[-1] if self.rows else {"epoch": 0}
        score = f", {_title(self.metric)} {last[self.metric]:.1f} %" if self.metric in last else ""
        return f"{last['epoch']} of {self.total} epochs done{score}"

    def _draw(self, title: str) -> None:
        steps, per_epoch = self._before, 1
        if self._losses is not None:
            steps, per_epoch = steps + self._losses[: self._batches].tolist(), len(self._losses)
        self.figure.redraw(self.rows, title, steps, per_epoch)
        self._shown.update(self.figure)


class Live(NamedTuple):
    """What a live run leaves behind."""

    recipe: Any  # as it was cut to the budget
    parts: Any  # with the trained model: see `records.make.prepare` and `transfer.loop.prepare`
    rows: list[dict[str, float]]  # one per epoch


def live_run(recipe: Recipe, dataset: Dataset, seed: int = 0, share: float = 1.0, stop: int | None = None) -> Live:
    """Train a recipe on `dataset`, cut to the budget by `short`, and draw its steps and epochs as they come.

    `stop` ends it after so many epochs, whatever it is planned for.
    """
    import torch

    from tricks.course import cost
    from tricks.course.watch import watched
    from tricks.records.make import prepare
    from tricks.train import epochs

    cut = short(recipe, dataset.name, share)
    print(f"Live run on {dataset.source}, seed {seed}. Changed from its recipe: {changes(cut, recipe)}")
    images = cut.train_images or len(dataset.train.labels)
    watch = Watch(cut.epochs, caption=_live_caption(seed, cut.net, images, cut.epochs, dataset.source))
    parts = prepare(cut, seed, dataset, watch.say)
    losses = torch.zeros(len(parts.train), device=parts.train.labels.device)
    sizes = len(dataset.classes), len(parts.train.labels), len(parts.test.labels)
    with torch.random.fork_rng(devices=[]):  # the networks that are measured take nothing from a lesson's own draws
        total = cost.training_work(replace(cut, epochs=stop or cut.epochs), *sizes)
    watch.begin(losses)
    rows = epochs(cut, watched(cut, parts, total, watch.report), seed=seed, losses=losses)
    return Live(cut, parts, list(watch.follow(islice(rows, stop))))


def fine_tune(recipe: Transfer, scenes: SceneSet) -> Live:
    """Fine-tune a recipe of section 6 on `scenes`, both cut to the budget; the first row is before any training."""
    import torch

    from tricks import process
    from tricks.course.watch import watched_model
    from tricks.data.order import batch_count
    from tricks.transfer.loop import epochs, evaluate, prepare

    pictures, count = BUDGETS[budget()][1]
    cut = _with_epochs(recipe, count or recipe.epochs)
    print(f"Live run on {scenes.source}, seed 0. Changed from its recipe: {changes(cut, recipe)}")
    if pictures:
        train, test = ([part[i] for i in range(len(part))[:pictures]] for part in (scenes.train, scenes.test))
        scenes = replace(scenes, train=train, test=test)
    caption = _live_caption(0, cut.net, len(scenes.train), cut.epochs, scenes.source)
    watch = Watch(cut.epochs, cut.metric, caption)
    parts = prepare(cut, 0, scenes, watch.say)
    losses = torch.zeros(batch_count(len(scenes.train), cut.batch_size, train=True), device=process.device())
    watch.begin(losses)

    def from_the_start() -> Iterator[dict[str, Any]]:
        yield {"epoch": 0, **evaluate(cut, parts)}
        yield from epochs(cut, parts, seed=0, losses=losses)

    with watched_model(cut, parts, watch.report):
        rows = list(watch.follow(from_the_start()))
    name = "pretrained" if cut.pretrained else "random"
    for row in rows[:1] + rows[1:][-1:]:
        scores = [f"{_title(key)} {row[key]:.1f} %" for key in ("map_50", "pixel_accuracy", "miou") if key in row]
        print(f"{name} backbone, epoch {row['epoch']}: {', '.join(scores)}")
    parts.model.eval()
    return Live(cut, parts, rows)


def _live_caption(seed: int, net: str, images: int, epochs: int, source: str) -> str:
    return f"live, seed {seed} · {net} · {images:,} images × {epochs} epochs · {source} · thin: each step"


def _title(metric: str) -> str:
    """What a metric in per cent is called."""
    return LABELS[metric].removesuffix(", %")


def duration(seconds: float) -> str:
    """A time for people: "40 s", "3 min"."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def time_left(share: float, spent: float, estimate: float = math.inf) -> float:
    """Seconds that the rest of a run takes: at its pace so far, at its very start what was estimated for all of it."""
    return spent * (1 - share) / share if share > MEASURED else estimate


# Evidence


def conclusion(**parts: str) -> None:
    """A box that ends a lesson: what each of `CONCLUSION` is, in a sentence. ValueError if one is missing or unknown.

    The numbers in the sentences are for the lesson to take from the records.
    """
    if [*parts] != [*CONCLUSION] or not all(text.strip() for text in parts.values()):
        raise ValueError(f"conclusion of {', '.join(parts)}: it must say {', '.join(CONCLUSION)}, in this order")
    said = {name: re.sub(r"(?<![\w.])-(?=\d)", "−", " ".join(text.split())) for name, text in parts.items()}
    rows = [(CONCLUSION[name], text) for name, text in said.items()]
    cell = "padding: 4px 10px; vertical-align: top; text-align: left; color: #222"
    lines = "".join(
        f'<tr style="background: none"><th style="{cell}; white-space: nowrap">{name}</th>'
        f'<td style="{cell}">{html.escape(text, quote=False)}</td></tr>'
        for name, text in rows
    )
    look = "background: #e8f1f8; border-left: 6px solid #0173b2; border-collapse: collapse; max-width: 900px; margin: 0"
    shown = f'<table class="tricks-conclusion" style="{look}">{lines}</table>'
    plain = "\n".join(f"{name}: {text}" for name, text in rows)
    display({"text/html": shown, "text/plain": plain}, raw=True)


CONCLUSION = {  # parts of a lesson's conclusion: what each is called
    "mechanism": "Mechanism",
    "paper": "In the paper",
    "short": "Here, short runs",
    "long": "Here, long runs",
    "use": "Use it when",
    "harms": "It harms when",
}


def verdicts(results: Mapping[str, tuple[Comparison, Effect]]) -> None:
    """Print each comparison, the paper's difference beside ours, and what the two say together."""
    for label, (ours, theirs) in results.items():
        print(f"{label}: paper {theirs}, ours {ours}: {ours.against(theirs)}")


def compare_steps(
    arms: Mapping[str, Sequence[Run]],
    steps: Mapping[str, tuple[str, str]],
    theirs: Callable[[str, str], Effect | None],
    metric: str,
) -> dict[str, tuple[Comparison, Effect | None]]:
    """Tabulate our difference, seed by seed, and the paper's at each step, and return both.

    A step is label: (new arm, old arm); `theirs(new, old)` is the paper's difference of the two, if it has them. The
    last column is how many pairs of runs would see an effect of the paper's size.
    """
    results = {label: (compare(arms[new], arms[old], metric), theirs(new, old)) for label, (new, old) in steps.items()}
    rows = []
    for label, (ours, effect) in results.items():
        many = ours.seeds_for(effect.delta) if effect else None
        rows.append(
            {
                "points": label,
                "paper": signed(effect.delta, 2) if effect else "",
                "ours": f"{signed(ours.mean, 2)} ± {ours.half:.2f}",
                "pairs of runs": len(ours.differences),
                "is 0 outside?": "yes" if ours.clear else "no",
                "pairs for the paper's size": "" if many is None else f"{many:,}" if many < 1_000 else "1,000 or more",
            }
        )
    table(rows)
    return results


def resolved(results: Mapping[str, tuple[Comparison, Effect | None]]) -> str:
    """What the comparisons of `compare_steps` tell apart, what they rule out, and what the others would take."""
    kinds: dict[str, list[str]] = {"Resolved": [], "Not resolved, but not as large as the paper's": [], "Open": []}
    resolved, smaller, still_open = kinds.values()
    many = []
    for label, (ours, effect) in results.items():
        if ours.clear:
            resolved.append(f"{label} ({signed(ours.mean, 2)} ± {ours.half:.2f})")
        elif effect and abs(effect.delta - ours.mean) > ours.half:  # outside the interval
            smaller.append(label)
        else:
            still_open.append(label)
            many += filter(None, [ours.seeds_for(effect.delta) if effect else None])
    text = " ".join(f"{kind}: {'; '.join(labels)}." for kind, labels in kinds.items() if labels)
    if not many:
        return text
    ends = dict.fromkeys(f"{n:,}" if n < 1_000 else "1,000 or more" for n in (min(many), max(many)))
    return f"{text} To see the paper's effects in what is open would take {' to '.join(ends)} pairs of runs each."
