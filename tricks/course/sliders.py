"""Sliders above a picture that follows them, in Jupyter."""

import html
import inspect
import math
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ipywidgets as widgets

from tricks.plots.export import export_own
from tricks.plots.style import SCREEN_DPI, Figure

UNSEEN = "position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%)"  # but read aloud
WIDE = {"width": "560px"}
NAMES = {"eps": "ε", "alpha": "α", "lam": "λ", "lr": "learning rate", "K": "classes K", "temperature": "temperature T"}


class Panel(widgets.VBox):
    """Controls, a picture that follows them, a button that exports it: see `tricks.course.lesson.sliders`.

    Only the picture stays in a saved notebook.
    """

    def __init__(self, plot: Callable[..., Figure], data: Callable[..., Any] | None, controls: Mapping[str, Any]):
        self.plot, self.data = plot, data
        parameters = inspect.signature(data or plot).parameters
        defaults = {name: p.default for name, p in parameters.items() if p.default is not p.empty}
        self.controls = {name: control(name, spec, defaults.get(name)) for name, spec in controls.items()}
        self.message = widgets.HTML()
        self.picture = widgets.Image(format="png")
        self.words = widgets.HTML(layout=widgets.Layout(height="0px", margin="0px"))  # the picture has no alt text
        self.figure = self._draw()  # an error in the first drawing is the cell's own
        paint(self.figure, self.picture, self.words)
        width, height = (f"{round(inches * SCREEN_DPI)}px" for inches in self.figure.get_size_inches())
        self.picture.layout = widgets.Layout(width=width, height=height, flex="0 0 auto")
        button = widgets.Button(description="Export slide", tooltip="Write PNG, SVG and PDF into figures/own/")
        button.on_click(self._export)
        super().__init__([*self.controls.values(), self.picture, self.words, button, self.message])
        self.add_class("tricks-panel")
        for widget in self.controls.values():
            widget.add_class("tricks-control")
            widget.observe(self._follow, "value")

    @property
    def values(self) -> dict[str, Any]:
        """Where the controls stand."""
        return {name: control.value for name, control in self.controls.items()}

    def _draw(self, figure: Figure | None = None) -> Figure:
        """The figure for the present values: the old one redrawn if it can be, else a new one."""
        args, kwargs = ((self.data(**self.values),), {}) if self.data else ((), self.values)
        if figure and figure.redraw:
            figure.redraw(*args, **kwargs)
            return figure
        return self.plot(*args, **kwargs)

    def _follow(self, change: Any) -> None:
        try:
            self.figure = self._draw(self.figure)
            paint(self.figure, self.picture, self.words)
            self.message.value = ""
        except Exception as error:  # ipywidgets would drop it silently
            self.message.value = alarm(without_us(error))

    def _export(self, button: Any) -> None:
        try:
            plot = getattr(self.plot, "func", self.plot)  # of a functools.partial
            values = ", ".join(f"{NAMES.get(key, key)} = {text_of(value)}" for key, value in self.values.items())
            takeaway = f"{plot.__name__}: {values}".replace("_", " ").strip()
            paths = export_own(self.figure, plot.__name__, self.values, takeaway=takeaway)
            self.message.value = html.escape(saved(paths))
        except OSError as error:
            self.message.value = alarm(str(error))

    def _repr_mimebundle_(self, *args: Any, **kwargs: Any) -> Any:
        still, metadata = self.figure._repr_mimebundle_()
        return {**super()._repr_mimebundle_(*args, **kwargs), **still}, metadata  # pyright: ignore[reportGeneralTypeIssues]


def paint(figure: Figure, picture: widgets.Image, words: widgets.HTML) -> None:
    """Show a figure, and its words to those who hear the page."""
    picture.value = figure.png(SCREEN_DPI, small=False)
    words.value = f'<p style="{UNSEEN}">{html.escape(figure.alt)}</p>'


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
    label = NAMES.get(name, name.replace("_", " "))
    look: dict[str, Any] = {"description": label, "tooltip": label, "style": {"description_width": "120px"}}
    if isinstance(spec, bool):
        return widgets.Checkbox(value=spec, **look)
    if isinstance(spec, list) and spec:
        start = default if default in spec else spec[0]
        if any(isinstance(choice, str) for choice in spec):  # no Dropdown: JupyterLab takes the arrow keys from it
            return widgets.ToggleButtons(options=spec, value=start, **look)
        return widgets.SelectionSlider(options=spec, value=start, layout=WIDE, **look)
    if not (isinstance(spec, tuple) and len(spec) in (2, 3) and spec[0] < spec[1]):
        raise ValueError(f"control {name} = {spec!r}: give (low, high), (low, high, step), a list of choices or a bool")
    low, high, *step = spec
    look |= {"tooltip": f"{label}: {low} to {high}", "layout": WIDE}
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
