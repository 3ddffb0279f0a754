"""Trick Lab: a recipe under controls, trained at the press of a button, its runs laid over each other.

A run trains in a thread of its own, so that the kernel answers meanwhile. Before every batch the thread looks whether
it is to stop; it is a daemon, so it ends with the kernel. Whoever changes the panel, from whichever thread, holds
`_lock`.
"""

import html
import textwrap
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import ipywidgets as widgets
import torch
from scipy.special import betaincinv

from tricks.course import cost, lab_run
from tricks.course.lab_run import Stopped, code, difference, nearest, result
from tricks.course.lesson import budget, duration, short, time_left
from tricks.course.sliders import Panel, alarm, control, paint, saved, without_us
from tricks.data.files import DataError
from tricks.data.order import balanced_order, batch_count, check, hold_out
from tricks.data.sets import Dataset, load
from tricks.label_smoothing import smooth
from tricks.mixup import mixup
from tricks.plots.export import export_own
from tricks.plots.lab import Before, before_training, overlay
from tricks.plots.style import Figure
from tricks.recipe import SPLITS, Recipe, changes, teacher_of
from tricks.records import store
from tricks.records.statistics import caption, plus_minus
from tricks.records.store import Run, lookup
from tricks.studies.arms import ARMS, STACK
from tricks.targets import one_hot

TEACHER = "resnet14"  # of the recorded runs
SIDES = {"imagenette": 64}  # px; 32 for other sets
CONTROLS: dict[str, dict[str, Any]] = {  # heading: field of Recipe, or seed: what `sliders.control` makes of it
    "Data and budget": {
        "dataset": ["cifar10", "imagenette", "shapes"],
        "train_images": [512, 1_000, 2_000, 5_000, 10_000, 20_000, 0],
        "epochs": (1, 40),
        "seed": (0, 9),
        "split": list(SPLITS),
    },
    "Network": {
        "net": ["resnet8", "resnet14", "resnet20", "bottleneck14", "bottleneck14-pool"]
        + ["inception-small", "mobilenet-small"],
        **dict.fromkeys(("tweak_b", "tweak_c", "tweak_d", "zero_gamma"), False),
    },
    "Optimisation": {
        "lr": (0.01, 3.0),
        "batch_size": [16, 32, 64, 128, 256, 512, 1024],
        "warmup_epochs": (0.0, 5.0, 0.25),
        "schedule": ["step", "cosine"],
        "first_decay": (0.1, 0.9, 0.05),
        "weight_decay": [0.0, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2],
        **dict.fromkeys(("linear_scaling", "no_bias_decay", "amp"), False),
    },
    "Targets": {
        "label_smoothing": (0.0, 0.5, 0.01),
        "mixup_alpha": (0.0, 2.0, 0.05),
        "teacher": False,
        "temperature": (1.0, 40.0, 1.0),
        "distill_weight": (0.0, 2.0, 0.1),
    },
}
LABELS = {"train_images": "training images", "split": "measured on", "teacher": f"teacher ({TEACHER})"}
BUTTONS = {  # method: what its button is called
    "train": "Train",
    "stop": "Stop",
    "reset": "Reset to baseline",
    "all_tricks": "All tricks",
    "save": "Save runs",
    "export": "Export slide",
    "clear": "Clear runs",
    "copy": "Copy as code",
}
BETWEEN_LINES = 0.5  # seconds, of the status
FAILURES = (ValueError, OSError, FloatingPointError, MemoryError, DataError)  # their message is for the reader


class Lab(Panel):
    """Controls on the left; on the right what the recipe asks for, buttons, and the runs over recorded ones in grey.

    `dataset` is a name or a path, as for `load`. What buttons do, methods do: `set(lr=0.4)`, `train()`, `wait()`.
    `runs` are those that were trained; one that did not get to its end has an empty `final`.
    """

    def __init__(self, dataset: str = "auto") -> None:
        self._lock, self._stop = threading.RLock(), threading.Event()
        self._thread: threading.Thread | None = None
        self._running: Run | None = None
        self._setting = False  # several controls at once: the picture follows after the last
        self._drawn = ""  # data set of the picture
        self._reading: set[str] = set()
        self._speed = cost.speed()
        self.runs: list[Run] = []
        loaded = load(dataset, SIDES.get(dataset, 32))
        name = loaded.name if dataset == "auto" else dataset
        self.start = _fitting(replace(ARMS["baseline"], dataset=name, image_size=SIDES.get(name, 32)), loaded)
        self._sets: dict[str, Dataset] = {name: loaded}
        controls: dict[str, Any] = {}
        left: list[Any] = []
        for heading, specs in CONTROLS.items():
            part = {name: self._control(name, spec) for name, spec in specs.items()}
            switches = [part[name] for name, spec in specs.items() if spec is False and name != "teacher"]
            others = [widget for widget in part.values() if widget not in switches]
            left += [widgets.HTML(f"<b>{heading}</b>"), *others, *([_row(switches)] if switches else [])]
            controls |= part
        super().__init__(before_training, self._before, controls)
        self.cost, self.status, self.grey = widgets.HTML(), widgets.HTML(), widgets.HTML()
        self.result = widgets.Image(format="png", layout=_fixed(800, 420))
        self.picture.layout = _fixed(800, 290)
        self.result_words = widgets.HTML(layout=self.words.layout)
        self.code = widgets.Textarea(layout={"width": "98%", "height": "240px", "display": "none"})
        self.buttons = {name: self._button(getattr(self, name), label) for name, label in BUTTONS.items()}
        above = [self.picture, self.words, self.cost, self.message, _row(self.buttons.values()), self.status]
        below = [self.result, self.result_words, self.grey, self.code]
        right = widgets.VBox([*above, *below], layout={"flex": "1 1 0", "min_width": "500px"})
        self.children = [widgets.HBox([widgets.VBox(left, layout={"width": "330px", "flex": "0 0 auto"}), right])]
        self.add_class("tricks-lab")
        how = "Train the baseline, change one thing, train again: the curves are laid over each other."
        self._tell(loaded.note or how)
        self._follow(None)
        self._show()

    def _control(self, name: str, spec: Any) -> Any:
        """The control of a field, where the start recipe has it."""
        value, switch = getattr(self.start, name, 0), spec is False
        if name == "dataset" and value not in spec:
            spec = [*spec, value]
        widget: Any = control(name, bool(value) if switch else spec, value)
        widget.description = LABELS.get(name, widget.description)
        buttons = {"button_width": "auto"} if hasattr(widget.style, "button_width") else {}
        widget.style = {"description_width": "112px", **buttons}
        widget.layout = {"width": "auto", "margin": "2px 12px 2px 2px"} if switch else {"width": "320px"}
        if switch:
            widget.indent = False
        if name == "train_images":
            widget.options = [(f"{n:,}" if n else "all", n) for n in spec]
            widget.value = value
        return widget

    def _button(self, action: Callable[[], None], label: str) -> Any:
        button = widgets.Button(description=label, tooltip=action.__doc__, layout={"width": "auto"})
        button.button_style = "primary" if label == "Train" else ""
        button.on_click(lambda _: self._safely(action))
        return button

    # Before training

    @property
    def recipe(self) -> Recipe:
        """What the controls say. ValueError if there can be no such recipe."""
        values: dict[str, Any] = {k: round(v, 6) if isinstance(v, float) else v for k, v in self.values.items()}
        del values["seed"]
        values["teacher"] = TEACHER if values["teacher"] else ""
        return replace(self.start, **values, image_size=SIDES.get(values["dataset"], 32))

    @property
    def seed(self) -> int:
        """The seed that the controls say."""
        return self.values["seed"]

    def set(self, **fields: Any) -> None:
        """Move controls: fields of a recipe, and the seed."""
        with self._lock:
            self._setting = True
            try:
                for name, value in fields.items():
                    self.controls[name].value = bool(value) if name == "teacher" else value
            finally:
                self._setting = False
            self._follow(None)

    def reset(self) -> None:
        """Set all controls to the baseline."""
        self.set(**{name: getattr(self.start, name, 0) for name in self.controls})

    def all_tricks(self) -> None:
        """Add all that section 7 stacks on its baseline; data, budget and network stay."""
        tricks = {name: value for change in STACK.values() for name, value in change.items()}
        warmup = min(tricks["warmup_epochs"], self.values["epochs"] / 4)
        self.set(**{**tricks, "warmup_epochs": warmup})

    def copy(self) -> None:
        """Show or hide the Python that makes this recipe, to be copied."""
        self.code.layout.display = "" if self.code.layout.display == "none" else "none"

    def _follow(self, change: Any) -> None:
        with self._lock:
            if self._setting:
                return
            try:
                recipe = self.recipe
                if (name := recipe.dataset) not in self._sets:
                    self.message.value = f"<p>Reading {html.escape(name)}; fetched first if it is not here …</p>"
                    if name not in self._reading:
                        self._reading.add(name)
                        threading.Thread(target=self._safely, args=(lambda: self._read(recipe),), daemon=True).start()
                    return
                self.cost.value = f"<div>{self._cost(recipe)}</div>"
            except ValueError as error:  # a combination that makes no sense
                self.message.value = alarm(str(error))
                return
            self.code.value = code(recipe, self.seed)
            super()._follow(change)

    def _read(self, recipe: Recipe) -> Dataset:
        """The data set; when it was not there yet, the picture follows."""
        if recipe.dataset not in self._sets:
            try:
                self._sets[recipe.dataset] = load(recipe.dataset, recipe.image_size)
            finally:
                self._reading.discard(recipe.dataset)
            self._follow(None)
        return self._sets[recipe.dataset]

    def _draw(self, figure: Figure | None = None) -> Figure:
        name = self.values["dataset"]
        if name != self._drawn:  # other classes: a new figure, with pictures of its own
            train = self._sets[name].train
            if train.images.ndim == 1:
                raise ValueError(f"{name} does not fit in memory: the lab is for smaller sets. ./course train takes it")
            chosen = balanced_order(train.labels)[:12]
            self._sample = torch.from_numpy(train.images[chosen]).float(), torch.from_numpy(train.labels[chosen])
            self._drawn, figure = name, None
        return super()._draw(figure)

    def _before(self, **values: Any) -> Before:
        """What the upper picture shows, computed by the functions that the training loop calls."""
        recipe = self.recipe
        dataset = self._sets[recipe.dataset]
        x, y = self._sample
        targets, lam = smooth(one_hot(y, len(dataset.classes)), recipe.label_smoothing), 1.0
        if recipe.mixup_alpha:  # the upper quartile of Beta(α, α) is the median weight of the heavier picture
            lam = float(betaincinv(recipe.mixup_alpha, recipe.mixup_alpha, 0.75))
            x, targets = mixup(x, targets, lam, torch.arange(len(y)).roll(-1))
        steps = batch_count(self._sizes(recipe)[0], recipe.batch_size, train=True)
        return Before(recipe, steps, dataset.classes, x.numpy(), targets[0].numpy(), lam)

    def _sizes(self, recipe: Recipe) -> tuple[int, int]:
        """How many pictures are trained on, and evaluated at the end. ValueError if there are too few."""
        dataset = self._sets[recipe.dataset]
        have, tested = len(dataset.train.labels), len(dataset.test.labels)
        if recipe.split == "validation":
            tested = hold_out(have)
            have -= tested
        if recipe.train_images > have:
            raise ValueError(f"{recipe.train_images:,} training images: {dataset.source} has {have:,}. Choose all")
        images = recipe.train_images or have
        check(images, batch_size=recipe.batch_size, augment=recipe.augment, train=True, world=1)
        return images, tested

    def _cost(self, recipe: Recipe) -> str:
        parameters, forward = cost.size(recipe, len(self._sets[recipe.dataset].classes))
        text = f"{parameters:,} parameters · {forward / 1e6:.1f} M multiply-adds a picture · about {self._time(recipe)}"
        if recipe.teacher:
            text += f", and {self._time(teacher_of(recipe))} for its teacher if that is not there yet"
        return text

    def _time(self, recipe: Recipe) -> str:
        return duration(self._work(recipe) / self._speed)

    def _work(self, recipe: Recipe) -> int:
        return cost.work(recipe, len(self._sets[recipe.dataset].classes), *self._sizes(recipe))

    # Training

    def train(self) -> None:
        """Train what the controls say. Moving them meanwhile changes the next run."""
        with self._lock:
            if self._running:
                raise ValueError("A run is going on. Stop it, or wait for its end.")
            recipe = self.recipe
            if recipe.dataset in self._sets:
                self._work(recipe)  # ValueError if it makes no sense
            name = next((name for name, arm in ARMS.items() if arm == recipe), "lab")
            self._running = Run(name, recipe, self.seed, [], {})
            self._stop.clear()
            self._show()
            self._thread = threading.Thread(target=self._train, args=(self._running,), name="trick-lab", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the run. Its finished epochs stay in the picture."""
        self._stop.set()

    def wait(self) -> None:
        """Come back when no run is going on."""
        if self._thread:
            self._thread.join()

    def _train(self, run: Run) -> None:
        alert, started, told, ending = True, time.monotonic(), 0.0, ""

        def report(what: str, share: float) -> None:
            nonlocal told
            if self._stop.is_set():
                raise Stopped
            now = time.monotonic()
            if share and now - told < BETWEEN_LINES:
                return
            told, spent = now, now - started
            left = time_left(share, spent, self._work(run.recipe) / self._speed)
            self._tell(f"{what}, about {duration(left)} left" if share else what)

        def keep(now: Run) -> None:
            nonlocal run
            with self._lock:
                self.runs = [*(old for old in self.runs if old is not run), now]
                self._running = run = now
                self._show()

        try:
            self._tell("Reading the data")
            dataset = self._read(run.recipe)
            keep(lab_run.train(run, dataset, report, keep))
            seconds = run.meta["seconds"]
            self._speed, alert = self._work(run.recipe) / seconds, False
            ending = f"Done in {duration(seconds)}: {run.accuracy:.2f} % of all {run.recipe.split} images."
        except Stopped:
            alert, ending = False, f"Stopped. {len(run.rows)} of {run.recipe.epochs} epochs are kept."
        except Exception as error:
            kept = f"The run failed; {len(run.rows)} of {run.recipe.epochs} epochs are kept. {error}"
            ending = kept if isinstance(error, FAILURES) else without_us(error)
        with self._lock:
            self._running = None
            self._show()
            self._follow(None)  # the prediction is a better one now
            self._tell(ending, alert)

    # What came out

    def save(self) -> None:
        """Keep the finished runs as records in data/own, as `./course train` does."""
        with self._lock:
            finished = [run for run in self.runs if run.final]
            own = store.OWN_RUNS
            names = [run.save(own).name for run in finished if not lookup(run.recipe, run.seed, own, run.meta)]
            saying = f"{len(names)} of {len(finished)} finished runs saved, the others are recorded already. "
            self._tell(saying + " ".join(names))

    def clear(self) -> None:
        """Take the runs out of the picture. What was saved stays saved."""
        with self._lock:
            self.runs = [run for run in self.runs if run is self._running]
            self._show()

    def export(self) -> None:
        """Write the picture of the runs for slides, as PNG, SVG and PDF in figures/own/."""
        with self._lock:
            run = self.runs[-1] if self.runs else Run("lab", self.recipe, self.seed, [], {})
            grey = nearest(run.recipe)
            takeaway = " ".join(list(self._labelled())[-1].split()[1:]) if self.runs else ""
            self._tell("Writing the slide …")
            values = {**changes(run.recipe, self.start), "seed": run.seed}
            shown = self.overlay if self.runs else self.figure
            paths = export_own(shown, "08_lab", values, takeaway=takeaway, runs=grey[1] if grey else ())
            self._tell(saved(paths))

    def _labelled(self) -> dict[str, Run]:
        """The runs by number, what each changes in the first, and its result."""
        labels = {}
        for number, run in enumerate(self.runs, 1):
            first = self.runs[0]
            what = difference(run.recipe, self.start if run is first else first.recipe)
            what = what or ("baseline" if run is first else "as run 1")
            if run.seed != (0 if run is first else first.seed):
                what += f", seed = {run.seed}"
            text = f"{number}  {what}: {result(run, first, going=run is self._running)}"
            labels[textwrap.fill(text, 100, subsequent_indent="     ")] = run
        return labels

    def _show(self) -> None:
        """Draw the lower picture."""
        with self._lock:
            last = self._running or (self.runs[-1] if self.runs else None)
            recipe = last.recipe if last else self.start
            grey, words, warning = {}, f"No runs on {recipe.dataset} are recorded.", ""
            if found := nearest(recipe):
                name, old = found
                theirs = old[0].recipe
                budget = f"{old[0].meta['train_images']:,} images × {theirs.epochs} epochs"
                label = f"recorded: {name}, {len(old)} seed{'s' if len(old) > 1 else ''}, {budget}"
                grey[f"{label}: {plus_minus([run.accuracy for run in old])} %"] = old
                apart = difference(recipe, theirs)
                apart = f"differs from it in {apart}" if apart else "has this very recipe"
                this = "The last run" if last else "The baseline"
                words = f"Grey: {name}, the recorded recipe that is nearest ({budget}). {this} {apart}."
                if (recipe.train_images, recipe.epochs) != (theirs.train_images, theirs.epochs):
                    warning = " · grey: another budget"
            finished = [run for run in self.runs if run.final]
            below = caption(finished) + warning if finished else ""
            if len(finished) > 1:
                below += " · one run of each: a difference of two single runs has no interval (lesson 01)"
            self.overlay = overlay(self._labelled(), grey, recipe.epochs, caption=below)
            paint(self.overlay, self.result, self.result_words)
            self.grey.value = f"<div>{html.escape(words)}</div>"

    def _tell(self, text: str, alert: bool = False) -> None:
        with self._lock:
            self.status.value = alarm(text) if alert else f'<div role="status">{html.escape(text)}</div>'

    def _safely(self, action: Callable[[], Any]) -> None:
        """Do it, and show an error: ipywidgets would drop it silently."""
        try:
            action()
        except Exception as error:
            self._tell(str(error) if isinstance(error, FAILURES) else without_us(error), alert=True)


def _fitting(recipe: Recipe, dataset: Dataset) -> Recipe:
    """The recipe with as many images, and as large a batch, as the data set can fill."""
    if budget() == "smoke":
        recipe = short(recipe, recipe.dataset)
    have = len(dataset.train.labels)
    batches = [b for b in CONTROLS["Optimisation"]["batch_size"] if b <= min(recipe.batch_size, have // 4)]
    few = recipe.train_images > have
    return replace(recipe, train_images=0 if few else recipe.train_images, batch_size=max([16, *batches]))


def _fixed(width: int, height: int) -> dict[str, str]:
    """A layout of fixed height: while the browser swaps pictures, nothing below may jump."""
    fit = {"object_fit": "contain", "object_position": "left top", "flex": "0 0 auto"}
    return {"width": "100%", "max_width": f"{width}px", "height": f"{height}px", **fit}


def _row(boxes: Iterable[Any]) -> widgets.HBox:
    return widgets.HBox(list(boxes), layout={"flex_flow": "row wrap"})
