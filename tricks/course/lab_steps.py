"""The Trick Lab's tab "Step by step": recorded optimiser steps, of several recipes, and a picture of one of them."""

import html
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ipywidgets as widgets

from tricks.course.lab_controls import box, line
from tricks.course.lab_run import difference
from tricks.course.sliders import paint
from tricks.course.steps import caption, folder_of, forget, load_steps, save_step
from tricks.data.sets import Dataset
from tricks.plots.steps import Step, one_step
from tricks.plots.style import Figure
from tricks.recipe import Recipe

NOTHING = [("none yet", ())]  # what the slider offers without steps


@dataclass(eq=False)
class Walk:
    """The steps of a recipe and a seed: those that were in `folder`, and those taken since."""

    recipe: Recipe
    seed: int
    folder: Path
    classes: tuple[str, ...]
    caption: str
    steps: list[Step]


class StepTab(widgets.VBox):
    """Buttons, a slider through all recorded steps, what it is about, and the picture.

    Whoever changes it holds `lock`; `safely` runs a callback and shows its error; recipes are named by what they change
    in `start`.
    """

    def __init__(
        self,
        buttons: Sequence[Any],
        start: Recipe,
        lock: AbstractContextManager[Any],
        safely: Callable[[Callable[[], Any]], None],
    ) -> None:
        self.start, self._lock = start, lock
        self.walks: list[Walk] = []
        self.shown: tuple[Walk, int] | None = None  # and the step's number
        self.figure: Figure | None = None
        self._of: Walk | None = None  # the one that the figure is of
        self._filling = False
        self.slider = widgets.SelectionSlider(options=NOTHING, description="recorded", disabled=True)
        self.slider.style = {"description_width": "72px"}
        self.slider.add_class("tricks-wide")
        self.slider.observe(lambda change: safely(self._follow), "value")
        self.note, self.list = line("tricks-note"), line("tricks-note")
        self.picture = widgets.Image(format="png", layout={"display": "none"})
        self.picture.add_class("tricks-steps")
        self.words = widgets.HTML(layout={"height": "0px", "margin": "0px"})
        row = box(*buttons, self.slider, kind="tricks-switches")
        super().__init__([row, self.note, self.picture, self.words, self.list])

    def find(self, recipe: Recipe, seed: int, dataset: Dataset) -> Walk | None:
        """The steps of this recipe that are in the list, or in their folder, which adds them to it."""
        for walk in self.walks:
            if (walk.recipe, walk.seed) == (recipe, seed):
                return walk
        folder = folder_of(recipe, seed, dataset)
        if not (steps := load_steps(folder)):
            return None
        self.walks.append(Walk(recipe, seed, folder, dataset.classes, caption(recipe, seed, dataset), steps))
        return self.walks[-1]

    def begin(self, recipe: Recipe, seed: int, dataset: Dataset) -> Walk:
        """`find`, or else a new one without steps."""
        if (walk := self.find(recipe, seed, dataset)) is None:
            folder = folder_of(recipe, seed, dataset)
            walk = Walk(recipe, seed, folder, dataset.classes, caption(recipe, seed, dataset), [])
            self.walks.append(walk)
        return walk

    def look_up(self, recipe: Recipe, seed: int, dataset: Dataset) -> None:
        """Show the last recorded step of what the controls say now, and say what the next one is."""
        walk = self.find(recipe, seed, dataset)
        if walk and walk.steps:
            self.show(walk, len(walk.steps))
        elif any(walk.steps for walk in self.walks):
            self._say("The recipe has changed: its steps begin anew. Those of before stay in the list.")
        else:
            self._say("One step: the loop takes one optimiser step of this recipe, and waits.")

    def add(self, walk: Walk, step: Step) -> None:
        """Write a step that was taken, then show it. WriteError if it cannot be kept, and then it is not recorded."""
        save_step(walk.folder, step)
        walk.steps.append(step)
        self.show(walk, step.number)

    def show(self, walk: Walk, number: int) -> None:
        """Show a step; the slider stands there."""
        options = [(self._label(of, n), (of, n)) for of in self.walks for n in range(1, len(of.steps) + 1)]
        self._filling = True
        try:
            if [label for label, _ in options] != [label for label, _ in self.slider.options]:
                self.slider.options = options
            self.slider.value, self.slider.disabled = (walk, number), False
        finally:
            self._filling = False
        self._say(f"Recorded of this recipe: {_count(len(walk.steps))}. They stay when the kernel ends.")
        self.list.value = f"<div>{html.escape('; '.join(self._named(of) for of in self.walks if of.steps))}</div>"
        self._draw()

    def clear(self) -> None:
        """Take all steps out of the list, and remove their files."""
        for walk in self.walks:
            forget(walk.folder)
        self.walks, self.shown, self.figure, self._of = [], None, None, None
        self._filling = True
        self.slider.options, self.slider.disabled = NOTHING, True
        self._filling = False
        self.picture.layout.display, self.list.value, self.words.value = "none", "", ""
        self._say("All recorded steps are removed.")

    def _follow(self) -> None:
        """The slider was moved."""
        with self._lock:
            if not self._filling and self.slider.value:
                self._draw()

    def _draw(self) -> None:
        walk, number = self.shown = self.slider.value
        if self.figure and self._of is walk and self.figure.redraw:
            self.figure.redraw((walk.steps, number))
        else:
            self.figure = one_step((walk.steps, number), classes=walk.classes, caption=walk.caption)
        self._of = walk
        paint(self.figure, self.picture, self.words, self._label(walk, number))
        self.picture.layout.display = ""

    def _label(self, walk: Walk, number: int) -> str:
        """What the slider says of a step."""
        several = len(self.walks) > 1
        return f"{self.walks.index(walk) + 1} · step {number}" if several else f"step {number}"

    def _named(self, walk: Walk) -> str:
        """The recipe's number in the list, what it changes, and how many steps it has."""
        what = difference(walk.recipe, self.start) or "baseline"
        return f"{self.walks.index(walk) + 1}  {what}, seed {walk.seed}: {_count(len(walk.steps))}"

    def _say(self, text: str) -> None:
        self.note.value = f'<div role="status">{html.escape(text)}</div>'


def _count(steps: int) -> str:
    return "1 step" if steps == 1 else f"{steps:,} steps"
