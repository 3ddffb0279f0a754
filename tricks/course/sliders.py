"""Sliders above a picture that follows them, in Jupyter; their look and what they say aloud is in `panel.html`."""

import html
import inspect
import math
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import ipywidgets as widgets

from tricks.plots.export import export_own
from tricks.plots.style import SCREEN_DPI, Figure

UNSEEN = "position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%)"  # but read aloud
NAMES = {"eps": "ε", "alpha": "α", "lam": "λ", "lr": "learning rate", "K": "classes K", "temperature": "temperature T"}
AID = Path(__file__).with_name("panel.html").read_text(encoding="utf8")


class Goal(NamedTuple):
    """What to find with a panel's controls: `reached(**values)` says whether they are there, as at `solution`."""

    text: str
    reached: Callable[..., bool]
    solution: Mapping[str, Any]


class Panel(widgets.VBox):
    """Controls, a picture that follows them, a button that exports it: see `tricks.course.lesson.sliders`.

    Only the picture, and the text of the goal, stay in a saved notebook.
    """

    def __init__(
        self,
        plot: Callable[..., Figure],
        data: Callable[..., Any] | None,
        controls: Mapping[str, Any],
        goal: Goal | None = None,
    ):
        self.plot, self.data, self.goal = plot, data, goal
        parameters = inspect.signature(data or plot).parameters
        defaults = {name: p.default for name, p in parameters.items() if p.default is not p.empty}
        self.controls = {name: control(name, spec, defaults.get(name)) for name, spec in controls.items()}
        if goal:
            self._try(goal)
        self.message, self.verdict = widgets.HTML(), widgets.HTML()
        self.picture = widgets.Image(format="png")
        self.words = widgets.HTML(layout=widgets.Layout(height="0px", margin="0px"))  # the picture has no alt text
        self.figure = self._draw()  # an error in the first drawing is the cell's own
        self._paint()
        width, height = (f"{round(inches * SCREEN_DPI)}" for inches in self.figure.get_size_inches())
        self.picture.width, self.picture.height = width, height  # the page keeps the place, whatever room it has
        self.button = widgets.Button(description="Export slide", tooltip="Write PNG, SVG and PDF into figures/own/")
        self.button.on_click(self._export)
        self.aid = aid(len(self.controls))
        above, below = widgets.Box(list(self.controls.values())), widgets.Box([self.button, self.verdict])
        super().__init__([above, self.picture, self.words, below, self.message, self.aid])
        for widget, name in ((self, "panel"), (above, "controls"), (self.picture, "picture"), (below, "foot")):
            widget.add_class(f"tricks-{name}")
        self.verdict.add_class("tricks-goal")
        self.add_class(f"tricks-rows-{len(self.controls)}")
        for widget in self.controls.values():
            widget.add_class("tricks-control")
            widget.observe(self._follow, "value")

    @property
    def values(self) -> dict[str, Any]:
        """Where the controls stand."""
        return {name: control.value for name, control in self.controls.items()}

    @property
    def said(self) -> str:
        """Where the controls stand, in words."""
        return said(self.values)

    def drawn(self, values: Mapping[str, Any], figure: Figure | None = None) -> Figure:
        """The figure for these values: the old one redrawn if it can be, else a new one."""
        args, kwargs = ((self.data(**values),), {}) if self.data else ((), values)
        if figure and figure.redraw:
            figure.redraw(*args, **kwargs)
            return figure
        return self.plot(*args, **kwargs)

    def _try(self, goal: Goal) -> None:
        """Move the controls to the goal's solution and back. ValueError if one of the two is wrong."""
        start = self.values
        if goal.reached(**start):
            raise ValueError(f"goal {goal.text!r} is reached where the controls start: {self.said}. Start elsewhere")
        try:
            for name, value in goal.solution.items():
                self.controls[name].value = value
        except Exception as error:  # no such control, or one without this choice
            raise ValueError(f"goal {goal.text!r}: its solution {goal.solution} cannot be set: {error}") from error
        if self.values != {**start, **goal.solution} or not goal.reached(**self.values):
            raise ValueError(f"goal {goal.text!r}: its solution {goal.solution} sets {self.said}: not reached")
        for name, value in start.items():
            self.controls[name].value = value

    def _draw(self, figure: Figure | None = None) -> Figure:
        """The figure for the present values."""
        return self.drawn(self.values, figure)

    def _paint(self) -> None:
        """The figure and its words, and whether the goal is reached."""
        paint(self.figure, self.picture, self.words, self.said)
        if self.goal:
            self.verdict.value = verdict(self.goal.text, self.goal.reached(**self.values))

    def _follow(self, change: Any) -> None:
        try:
            self.figure = self._draw(self.figure)
            self._paint()
            self.message.value = ""
        except Exception as error:  # ipywidgets would drop it silently
            self.message.value = alarm(without_us(error))

    def _export(self, button: Any) -> None:
        try:
            plot = getattr(self.plot, "func", self.plot)  # of a functools.partial
            takeaway = f"{label(plot.__name__)}: {self.said}".strip()
            paths = export_own(self.figure, plot.__name__, self.values, takeaway=takeaway)
            self.message.value = html.escape(saved(paths))
        except OSError as error:
            self.message.value = alarm(str(error))

    def _repr_mimebundle_(self, *args: Any, **kwargs: Any) -> Any:
        still, metadata = self.figure._repr_mimebundle_()
        self.figure.picture(SCREEN_DPI)  # the still one was finer: without this, the first move would draw everything
        still["text/plain"] = alternative(self.figure, self.said)
        if self.goal:
            metadata["goal"] = f"Goal: {self.goal.text}"  # for `publish`, which has no widget to show it
        return {**super()._repr_mimebundle_(*args, **kwargs), **still}, metadata  # pyright: ignore[reportGeneralTypeIssues]


def paint(figure: Figure, picture: widgets.Image, words: widgets.HTML, values: str = "") -> None:
    """Show a figure, and its words with the controls' values to those who hear the page."""
    picture.value = figure.png(SCREEN_DPI, small=False)
    words.value = f'<p class="tricks-words" style="{UNSEEN}">{html.escape(alternative(figure, values))}</p>'


def alternative(figure: Figure, values: str) -> str:
    """What stands for a picture: its words, and where its controls stand."""
    return f"{figure.alt}. Drawn for {values}" if values else figure.alt


def aid(controls: int) -> widgets.Output:
    """What gives a panel of so many controls its look, and the controls in its VBox their names and spoken values.

    ipywidgets names no slider, and says the number of a choice in place of the choice. JupyterLab trusts an output that
    is a widget, and runs the script in it.
    """
    rows = f"<style>.tricks-rows-{controls} {{ --rows: {controls}; --half: {math.ceil(controls / 2)} }}</style>"
    output = {"output_type": "display_data", "data": {"text/html": AID + rows}, "metadata": {}}
    return widgets.Output(outputs=(output,), layout=widgets.Layout(display="none"))


def verdict(goal: str, reached: bool) -> str:
    """A goal's line, as HTML: in words and in colour whether it is reached."""
    state = '<p class="tricks-reached">Goal: {} <b>✓ Reached.</b></p>' if reached else "<p>Goal: {} <b>Not yet.</b></p>"
    return state.format(html.escape(goal))


def said(values: Mapping[str, Any]) -> str:
    """Values of controls in words."""
    return ", ".join(f"{label(name)} = {text_of(value)}" for name, value in values.items())


def label(name: str) -> str:
    """What a control is called."""
    return NAMES.get(name, name.replace("_", " "))


def text_of(value: Any) -> str:
    """A value for people: a number to four digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def saved(paths: Sequence[Path]) -> str:
    """Which slide was written, and where, for a panel."""
    return f"Saved {paths[0].name}, {' and '.join(path.suffix for path in paths[1:])} in {paths[0].parent}"


def alarm(text: str) -> str:
    """What went wrong, as HTML for a panel: words in the theme's own colour, beside a red bar."""
    look = "white-space: pre-wrap; border-left: 4px solid var(--jp-error-color1, #d32f2f); padding-left: 8px"
    return f'<pre class="tricks-error" role="alert" style="{look}">{html.escape(text)}</pre>'


def without_us(error: Exception) -> str:
    """The traceback from the plot function on, without this module's frames."""
    frames = error.__traceback__
    while frames and frames.tb_next and frames.tb_frame.f_code.co_filename == __file__:
        frames = frames.tb_next
    return "".join(traceback.format_exception(error.with_traceback(frames)))


def control(name: str, spec: Any, default: Any) -> Any:
    """The widget for one control, or the widget that `spec` is already. ValueError if it describes none."""
    if isinstance(spec, widgets.Widget):
        return spec
    words = label(name)
    look: dict[str, Any] = {"description": words, "tooltip": words, "style": {"description_width": "120px"}}
    if isinstance(spec, bool):
        return widgets.Checkbox(value=spec, **look)
    if isinstance(spec, list) and spec:
        start = default if default in spec else spec[0]
        if any(isinstance(choice, str) for choice in spec):  # no Dropdown: JupyterLab takes the arrow keys from it
            look["style"]["button_width"] = "auto"
            return widgets.ToggleButtons(options=spec, value=start, **look)
        return widgets.SelectionSlider(options=spec, value=start, **look)
    if not (isinstance(spec, tuple) and len(spec) in (2, 3) and spec[0] < spec[1]):
        raise ValueError(f"control {name} = {spec!r}: give (low, high), (low, high, step), a list of choices or a bool")
    low, high, *step = spec
    look |= {"tooltip": f"{words}: {low} to {high}"}
    whole = all(isinstance(value, int) for value in spec)
    inside = isinstance(default, (int, float)) and low <= default <= high
    if not step and low > 0 and high / low >= 100:
        choices = _ratios(low, high, whole, extra=default if inside else None)
        start = default if inside else choices[len(choices) // 2]
        return widgets.SelectionSlider(options=[(f"{choice:g}", choice) for choice in choices], value=start, **look)
    size = step[0] if step else 1 if whole else _nice((high - low) / 100)
    if whole:
        start = default if inside else (low + high) // 2
        return widgets.IntSlider(value=start, min=low, max=high, step=size, **look)
    start = default if inside else low + size * round((high - low) / 2 / size)
    digits = f".{max(0, -math.floor(math.log10(size)))}f"
    return widgets.FloatSlider(value=start, min=low, max=high, step=size, readout_format=digits, **look)


def _ratios(low: float, high: float, whole: bool, extra: Any) -> list[Any]:
    """Round numbers from low to high, about ten a decade; both ends and `extra` are among them."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)
    values = {float(f"{step}e{power}") for power in powers for step in steps}
    inside = {value for value in values | {low, high, extra or low} if low <= value <= high}
    return sorted({int(value) for value in inside} if whole else inside)


def _nice(value: float) -> float:
    """The largest of 1, 2, 5 times a power of ten that is not above `value`."""
    power = math.floor(math.log10(value))
    return next(float(f"{m}e{power}") for m in (5, 2, 1) if float(f"{m}e{power}") <= value * (1 + 1e-9))
