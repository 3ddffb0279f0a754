"""Trick Lab: a recipe under controls, trained at the press of a button, its runs laid over each other.

A run trains in a thread of its own, so that the kernel answers meanwhile. Before every batch the thread looks whether
it is to stop; it is a daemon, so it ends with the kernel. Single steps are taken in such threads, too. Whoever changes
the panel, from whichever thread, holds `_lock`.
"""

import html
import textwrap
import threading
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from typing import Any

import ipywidgets as widgets
import torch
from scipy.special import betaincinv

from tricks.course import cost, lab_run
from tricks.course.lab_controls import (
    CONTROLS,
    COPY,
    GONE,
    STYLE,
    TEACHER,
    box,
    field_control,
    in_words,
    line,
    problem,
    sections,
)
from tricks.course.lab_run import Stopped, code, difference, guesses, nearest, result
from tricks.course.lab_steps import StepTab, Walk
from tricks.course.lesson import budget, duration, short, time_left
from tricks.course.missions import MISSIONS, Mission
from tricks.course.sliders import Panel, paint, saved, without_us
from tricks.course.steps import steps
from tricks.data.files import DataError
from tricks.data.order import balanced_order, batch_count, check, hold_out
from tricks.data.sets import Dataset, load
from tricks.label_smoothing import smooth
from tricks.mixup import mixup
from tricks.plots.export import export_own
from tricks.plots.lab import Before, before_training, overlay
from tricks.plots.steps import Step
from tricks.plots.style import Figure
from tricks.recipe import Recipe, changes, teacher_of
from tricks.records import store
from tricks.records.statistics import caption, plus_minus
from tricks.records.store import Run, lookup
from tricks.studies.arms import ARMS, STACK
from tricks.targets import one_hot

SIDES = {"imagenette": 64}  # px; 32 for other sets
BUTTONS = {  # method: what its button is called
    "train": "Train",
    "stop": "Stop",
    "reset": "Reset",
    "all_tricks": "All tricks",
    "ask": "Save runs",
    "export": "Export slide",
    "clear": "Clear runs",
}
STEP_BUTTONS = {"step": "One step", "twenty": "20 steps", "clear_steps": "Clear steps"}  # of their own tab
BEFORE, AFTER, STEPS = range(3)  # the pictures, by tab
STOPPED = "Stopped. All steps that were taken are kept."
BETWEEN_LINES = 0.5  # seconds, of the status
FAILURES = (ValueError, OSError, FloatingPointError, MemoryError, DataError)  # their message is for the reader


class Lab(Panel):
    """Buttons and what they say above, controls by section, what the recipe asks for, and the runs over recorded ones.

    `dataset` is a name or a path, as for `load`. What buttons do, methods do: `set(lr=0.4)`, `train()`, `wait()`.
    `runs` are those that were trained; one that did not get to its end has an empty `final`. `code.value` is the Python
    that makes the recipe. `steps.walks` are the single steps that were taken, by recipe; they are kept in files as they
    come, and a lab that is opened anew has those of its recipe again.
    """

    def __init__(self, dataset: str = "auto") -> None:
        self._lock, self._stop = threading.RLock(), threading.Event()
        self._thread: threading.Thread | None = None
        self._running: Run | None = None
        self._stepping: tuple[Recipe, int] | None = None  # recipe and seed of which steps are being taken
        self._wanted = 0  # so many of them
        self._walk: Walk | None = None  # the one that waits for its next step, with its loop
        self._loop: Generator[Step, None, None] | None = None
        self._looked_up: tuple[Recipe, int] | None = None
        self._setting = False  # several controls at once: the picture follows after the last
        self._drawn = ""  # data set of the picture
        self._reading: set[str] = set()
        self._speed = cost.speed()
        self.runs: list[Run] = []
        self.mission: Mission | None = None
        loaded = load(dataset, SIDES.get(dataset, 32))
        name = loaded.name if dataset == "auto" else dataset
        self.start = _fitting(replace(ARMS["baseline"], dataset=name, image_size=SIDES.get(name, 32)), loaded)
        self._sets: dict[str, Dataset] = {name: loaded}
        specs = {name: spec for part in CONTROLS.values() for name, spec in part.items()}
        controls = {name: field_control(name, spec, getattr(self.start, name, 0)) for name, spec in specs.items()}
        super().__init__(before_training, self._before, controls)
        self.cost, self.grey = line("tricks-note"), line("tricks-note")
        self.progress, self.status, self.mission_state = line(), line(), line("tricks-note")
        self.result, self.result_words = widgets.Image(format="png"), widgets.HTML(layout=self.words.layout)
        self.picture.layout = widgets.Layout()  # the style's: as high as it is wide
        self.picture.add_class("tricks-before")
        self.result.add_class("tricks-after")
        self.code = widgets.Textarea(layout={"display": "none"})
        self.code.add_class("tricks-code")
        self.asked = box(kind="tricks-ask")
        self.asked.layout.display = "none"
        self.buttons = {name: _button(label, self._press, getattr(self, name)) for name, label in BUTTONS.items()}
        pressed = {name: _button(label, self._press, getattr(self, name)) for name, label in STEP_BUTTONS.items()}
        self.step_buttons, self.steps = pressed, StepTab([*pressed.values()], self.start, self._lock, self._safely)
        self.message.add_class("tricks-note")
        self._lay_out()
        how = "Train the baseline, change one thing, train again: the curves are laid over each other."
        self._tell(loaded.note or how)
        self._follow(None)
        self._show()

    def _lay_out(self) -> None:
        """Put everything into its place: the bar, the controls' tabs, the pictures' tabs."""
        gone = widgets.HTML(STYLE + GONE)
        gone.add_class("tricks-gone")
        row = box(*self.buttons.values(), widgets.HTML(COPY), kind="tricks-switches")
        lines = [self.status, self.progress, self.message, self.mission_state]
        bar = widgets.VBox([gone, row, self.asked, self.code, *lines])
        bar.add_class("tricks-bar")
        choice = [("none: a recipe of your own", None), *((mission.title, mission) for mission in MISSIONS)]
        self.missions = widgets.ToggleButtons(options=choice, tooltips=["", *(m.hypothesis for m in MISSIONS)])
        self.missions.style.button_width = "auto"
        self.missions.observe(lambda change: self._press(lambda: self.begin(change["new"])), "value")
        self.brief = line("tricks-note")
        first = widgets.VBox([self.missions, self.brief])
        titles = ["Missions", *CONTROLS]
        left = widgets.Tab([first, *sections(self.controls)], titles=titles, selected_index=titles.index("Training"))
        left.add_class("tricks-controls")
        before = widgets.VBox([self.picture, self.words, self.cost])
        after = widgets.VBox([self.result, self.result_words, self.grey])
        titles = ["What it asks for", "What came out", "Step by step"]
        self.pictures = widgets.Tab([before, after, self.steps], titles=titles)
        self.pictures.add_class("tricks-pictures")
        self.children = [bar, box(left, self.pictures, kind="tricks-columns"), self.aid]
        self.add_class("tricks-lab")

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
            self._follow("all of them")

    def reset(self) -> None:
        """Set all controls to the baseline, or to where the mission starts."""
        start = replace(self.start, **(self.mission.start if self.mission else {}))
        self.set(**{name: getattr(start, name, 0) for name in self.controls})

    def begin(self, mission: Mission | None) -> None:
        """Choose one of `MISSIONS`, or none, and set the controls to where it starts."""
        with self._lock:
            if self.missions.value is not mission:
                self.missions.value = mission  # which comes back here
                return
            self.mission = mission
            what = mission and f"<b>Hypothesis.</b> {html.escape(mission.hypothesis)}<br>{html.escape(mission.todo)}"
            self.brief.value = what or ""
            self.reset()
            self._judge()

    def all_tricks(self) -> None:
        """Add all that section 7 stacks on its baseline; data, budget and network stay."""
        tricks = {name: value for change in STACK.values() for name, value in change.items()}
        warmup = min(tricks["warmup_epochs"], self.values["epochs"] / 4)
        self.set(**{**tricks, "warmup_epochs": warmup})

    def _follow(self, change: Any) -> None:
        with self._lock:
            if self._setting:
                return
            try:
                name = self.values["dataset"]
                if name not in self._sets:
                    self.message.value = f"<div>Reading {html.escape(name)}; fetched first if it is not here …</div>"
                    if name not in self._reading:
                        self._reading.add(name)
                        recipe = replace(self.start, dataset=name, image_size=SIDES.get(name, 32))
                        threading.Thread(target=self._safely, args=(lambda: self._read(recipe),), daemon=True).start()
                    return
                clamped = self._clamp(self._sets[name])
                recipe = self.recipe
                self.cost.value = f"<div>{self._cost(recipe)}</div>"
                self._fits(name)
                self.code.value = code(recipe, self.seed)
                super()._follow(change)
                if self._looked_up != (recipe, self.seed) and not self._stepping:
                    self._looked_up = recipe, self.seed
                    self.steps.look_up(recipe, self.seed, self._sets[name])
            except ValueError as error:  # a combination that makes no sense
                self.message.value = problem(f"This cannot be trained: {in_words(str(error))}")
                return
            finally:
                self._enable()
            if clamped or "tricks-error" in self.status.value:  # which no longer holds
                self._tell(clamped)
            if change and not self._running and self.pictures.selected_index == AFTER:
                self.pictures.selected_index = BEFORE  # the reader's change, not that of a data set or a speed

    def _clamp(self, dataset: Dataset) -> str:
        """Bring the number of pictures, and the batch, within what the data set has. Says what was changed."""
        have = len(dataset.train.labels)
        if self.values["split"] == "validation":
            have -= hold_out(have)
        said, images = "", self.controls["train_images"]
        before, self._setting = self._setting, True
        try:
            if images.value > have:
                images.value, said = 0, f"{dataset.source} has {have:,} training images: all are taken. "
            batch, least = self.controls["batch_size"], min(images.value or have, have)
            smaller = [size for size in CONTROLS["Training"]["batch_size"] if size <= least]
            if batch.value > least and smaller:
                batch.value = max(smaller)
                said += f"A batch cannot have more than the {least:,} training images: it has {batch.value}."
        finally:
            self._setting = before
        return said

    def _read(self, recipe: Recipe) -> Dataset:
        """The data set; when it was not there yet, the picture follows. If it cannot be read, its control goes back."""
        name = recipe.dataset
        if name not in self._sets:
            try:
                self._sets[name] = load(name, recipe.image_size)
            except Exception:
                if self.values["dataset"] == name:
                    self.controls["dataset"].value = self._drawn
                raise
            finally:
                self._reading.discard(name)
            self._follow(None)
        return self._sets[name]

    def _fits(self, name: str) -> None:
        """ValueError for a set that is streamed."""
        if self._sets[name].train.images.ndim == 1:
            raise ValueError(f"{name} does not fit in memory: the lab is for smaller sets. ./course train takes it")

    def _draw(self, figure: Figure | None = None) -> Figure:
        name = self.values["dataset"]
        if name != self._drawn:  # other classes: a new figure, with pictures of its own
            self._fits(name)
            train = self._sets[name].train
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
            if self._running or self._stepping:
                raise ValueError("A run is going on. Stop it, or wait for its end.")
            recipe = self.recipe
            if recipe.dataset in self._sets:
                self._work(recipe)  # ValueError if it makes no sense
            name = next((name for name, arm in ARMS.items() if arm == recipe), "lab")
            self._running = Run(name, recipe, self.seed, [], {})
            self._stop.clear()
            self.pictures.selected_index = AFTER
            self._tell("")
            self._show()
            self._thread = threading.Thread(target=self._train, args=(self._running,), name="trick-lab", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the run, or the steps. Finished epochs stay in the picture, and all steps that were taken."""
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
            self._report(f"{what}, about {duration(left)} left" if share else what)

        def keep(now: Run) -> None:
            nonlocal run
            with self._lock:
                self.runs = [*(old for old in self.runs if old is not run), now]
                self._running = run = now
                self._show()

        try:
            self._report("Reading the data")
            dataset = self._read(run.recipe)
            keep(lab_run.train(run, dataset, report, keep))
            seconds = run.meta["seconds"]
            self._speed, alert = self._work(run.recipe) / seconds, False
            ending = f"Done in {duration(seconds)}: {run.accuracy:.2f} % of all {run.recipe.split} images."
        except Stopped:
            alert, ending = False, f"Stopped. {len(run.rows)} of {run.recipe.epochs} epochs are kept."
        except Exception as error:
            kept = f"The run failed; {len(run.rows)} of {run.recipe.epochs} epochs are kept. {in_words(str(error))}"
            ending = kept if isinstance(error, FAILURES) else without_us(error)
        with self._lock:
            self._running = None
            self._report("")
            self._show()
            self._follow(None)  # the prediction is a better one now
            self._judge()
            self._tell(ending, alert)

    # Step by step

    def step(self, count: int = 1) -> None:
        """Take the next optimiser step of what the controls say, and keep it."""
        with self._lock:
            now = self.recipe, self.seed
            if self._running or self._stepping not in (None, now):
                what = "A run is going on" if self._running else "Steps of another recipe are being taken"
                raise ValueError(f"{what}. Stop it, or wait for its end.")
            if self._stepping:  # one press more
                self._wanted += count
                return
            if now[0].dataset in self._sets:
                self._work(now[0])  # ValueError if it makes no sense
            self._stepping, self._wanted = now, count
            self._stop.clear()
            self.pictures.selected_index = STEPS
            self._enable()
            self._thread = threading.Thread(target=self._step, args=now, name="trick-lab", daemon=True)
            self._thread.start()

    def twenty(self) -> None:
        """Take the next twenty optimiser steps of what the controls say, and keep them."""
        self.step(20)

    def clear_steps(self) -> None:
        """Take the steps out of the list, and remove what is kept of them."""
        with self._lock:
            if self._stepping:
                raise ValueError("Steps are being taken. Stop them, or wait for their end.")
            self._end_loop()
            self.steps.clear()
            self._enable()

    def _step(self, recipe: Recipe, seed: int) -> None:
        def report(text: str) -> None:
            if self._stop.is_set():
                raise Stopped
            self._report(text)

        try:
            report("Reading the data")
            dataset = self._read(recipe)
            with self._lock:
                walk = self.steps.begin(recipe, seed, dataset)
                if self._loop is None or walk is not self._walk:
                    self._end_loop()
                    self._walk, self._loop = walk, steps(recipe, dataset, seed, report)
            self._report("The next step")
            for step in self._loop:
                with self._lock:
                    if step.number > len(walk.steps):
                        self.steps.add(walk, step)
                        self._wanted -= 1
                    else:  # weights are not kept, so the loop starts at the first step
                        self._report(f"Step {step.number} of the {len(walk.steps)} that are recorded, once more")
                    if self._stop.is_set() or not self._wanted:
                        # before the lock is given back: a press from now on starts a thread
                        self._ended(STOPPED if self._stop.is_set() else "")
                        return
            self._ended(f"The run is at its end: {len(walk.steps)} steps.")
        except Stopped:  # before the first step
            self._end_loop()
            self._ended(STOPPED)
        except Exception as error:
            self._end_loop()
            self._ended(in_words(str(error)) if isinstance(error, FAILURES) else without_us(error), alert=True)

    def _ended(self, text: str, alert: bool = False) -> None:
        """No more steps are taken now."""
        with self._lock:
            self._stepping = None
            self._report("")
            self._follow(None)  # the controls may have moved on
            if text:
                self._tell(text, alert)

    def _end_loop(self) -> None:
        """Let go of the loop that waits for its next step; its steps are kept, and taken again when it goes on."""
        loop, self._walk, self._loop = self._loop, None, None
        if loop:
            loop.close()

    # What came out

    def ask(self) -> None:
        """Ask which runs are to be saved as records in data/own, and save those."""
        with self._lock:
            finished = {label: run for label, run in self._labelled().items() if run.final}
            new = {label: run for label, run in finished.items() if not self._is_recorded(run)}
            if not new:
                self._tell("All finished runs are recorded already.")
                return
            chosen = {}
            for label, run in new.items():
                doubtful = guesses(run, len(self._sets[run.recipe.dataset].classes))
                text = " ".join(label.split()) + (" (no better than guessing: it diverged?)" if doubtful else "")
                wide = {"width": "98%", "margin": "0px"}
                chosen[widgets.Checkbox(value=not doubtful, description=text, indent=False, layout=wide)] = run

            def these() -> None:
                self.asked.layout.display = "none"
                self.save([run for check, run in chosen.items() if check.value])

            recorded = len(finished) - len(new)
            above = f"Which runs are to be kept in data/own? {f'{recorded} are recorded already.' if recorded else ''}"
            row = box(
                _button("Save these", self._press, these),
                _button("Cancel", self._press, self._forget),
                kind="tricks-switches",
            )
            self.asked.children = [widgets.VBox([widgets.HTML(above), *chosen, row], layout={"width": "100%"})]
            self.asked.layout.display = ""

    def _forget(self) -> None:
        """Close the question which runs are to be saved."""
        self.asked.layout.display = "none"

    def _is_recorded(self, run: Run) -> bool:
        return bool(lookup(run.recipe, run.seed, store.OWN_RUNS, run.meta))

    def save(self, runs: Sequence[Run] | None = None) -> None:
        """Keep these runs, or all finished ones, as records in data/own, as `./course train` does."""
        with self._lock:
            runs = [run for run in (self.runs if runs is None else runs) if run.final]
            names = [run.save(store.OWN_RUNS).name for run in runs if not self._is_recorded(run)]
            known = len(runs) - len(names)
            saying = f"Saved {len(names)} of {len(runs)} runs in data/own"
            self._tell(f"{saying}{f', {known} recorded already' if known else ''}. {' '.join(names)}")

    def clear(self) -> None:
        """Take the runs out of the picture. What was saved stays saved."""
        with self._lock:
            self.runs = [run for run in self.runs if run is self._running]
            self._show()

    def export(self) -> None:
        """Write the picture of the runs, or of the step, for slides, as PNG, SVG and PDF in figures/own/."""
        with self._lock:
            if self.pictures.selected_index == STEPS and self.steps.shown and self.steps.figure:
                walk, number = self.steps.shown
                values = {**changes(walk.recipe, self.start), "seed": walk.seed, "step": number}
                takeaway = f"Step {number}: {difference(walk.recipe, self.start) or 'baseline'}"
                self._tell(saved(export_own(self.steps.figure, "08_step", values, takeaway=takeaway)))
                return
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
            labels[textwrap.fill(text, 88, subsequent_indent="     ")] = run
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
                below += " · one run of each: a difference of two single runs has no interval (lesson C)"
            self.overlay = overlay(self._labelled(), grey, recipe.epochs, caption=below)
            paint(self.overlay, self.result, self.result_words)
            self.grey.value = f"<div>{html.escape(words)}</div>"
            self._enable()

    def _judge(self) -> None:
        """Say whether the mission is reached."""
        if not self.mission:
            self.mission_state.value = ""
            return
        reached, words = self.mission.reached(self.runs)
        text = html.escape(f"{self.mission.title}: {'reached' if reached else 'not yet'}. {in_words(words)}")
        look = ' class="tricks-reached"' if reached else ""
        self.mission_state.value = f'<div role="status"{look}>{text}</div>'

    def _enable(self) -> None:
        """Buttons can be pressed where they do something."""
        possible = not self._running and not self.message.value
        able = {
            "train": possible and not self._stepping,
            "stop": bool(self._running or self._stepping),
            "ask": any(run.final for run in self.runs),
            "clear": any(run is not self._running for run in self.runs),
            "step": possible,  # also while steps are taken: a button that is switched off loses the keyboard
            "twenty": possible,
            "clear_steps": bool(self.steps.walks) and not self._stepping,
        }
        buttons = self.buttons | self.step_buttons
        for name, yes in able.items():
            buttons[name].disabled = not yes

    def _report(self, text: str) -> None:
        """How far the run is: a line of its own, which no message shares."""
        self.progress.value = f"<div>{html.escape(text)}</div>"

    def _tell(self, text: str, alert: bool = False) -> None:
        with self._lock:
            self.status.value = problem(text) if alert else f'<div role="status">{html.escape(text)}</div>'

    def _press(self, action: Callable[[], Any]) -> None:
        """What a button does: what was said before no longer matters."""
        self._tell("")
        self._safely(action)

    def _safely(self, action: Callable[[], Any]) -> None:
        """Do it, and show an error: ipywidgets would drop it silently."""
        try:
            action()
        except Exception as error:
            self._tell(in_words(str(error)) if isinstance(error, FAILURES) else without_us(error), alert=True)


def _fitting(recipe: Recipe, dataset: Dataset) -> Recipe:
    """The recipe with as many images, and as large a batch, as the data set can fill."""
    if budget() == "smoke":
        recipe = short(recipe, recipe.dataset)
    have = len(dataset.train.labels)
    batches = [b for b in CONTROLS["Training"]["batch_size"] if b <= min(recipe.batch_size, have // 4)]
    few = recipe.train_images > have
    return replace(recipe, train_images=0 if few else recipe.train_images, batch_size=max([16, *batches]))


def _button(label: str, press: Callable[[Callable[[], None]], None], action: Callable[[], None]) -> Any:
    button = widgets.Button(description=label, tooltip=action.__doc__, layout={"width": "auto"})
    button.button_style = "primary" if label == "Train" else ""
    button.on_click(lambda _: press(action))
    return button
