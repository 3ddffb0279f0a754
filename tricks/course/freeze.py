"""Panels without a kernel: one HTML file with all states of a slider panel, drawn beforehand. Its page is frozen.html.

A file needs no network. It opens at the setting in its link, and without what the link hides:
optimal_gap.html?hide=K#eps=0.1&K=10. Nothing is trained for it: what a panel shows of runs is what they left behind.
"""

import base64
import gzip
import hashlib
import html
import inspect
import itertools
import json
import math
import random
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import ipywidgets as widgets
import matplotlib
from IPython.core.getipython import get_ipython

from tricks import ROOT
from tricks.course.sliders import Panel, alternative, label, said, text_of, verdict
from tricks.data.files import write_atomic
from tricks.plots import export, style
from tricks.plots.style import SCREEN_DPI, Figure, course_style

STATES = 300  # of a panel, at most
POSITIONS = 21  # of a slider, at most: so many that 0 to 1 goes in steps of 0.05
STRIDES = (2, 5, 10, 20, 50, 100, 200, 500)  # one position in so many is kept
LARGEST, LARGEST_WITH_PHOTOS = 300_000, 600_000  # bytes of a file
SLOWEST = 5.0  # seconds of computing for a state: more is a training
TEMPLATE = Path(__file__).with_name("frozen.html")
DRAWN_BY = (Path(__file__), TEMPLATE, Path(export.__file__), Path(style.__file__))

# Places in a picture, to a tenth of a point (a seventh of a pixel). Not in the whole file, which would round what the
# axes say, nor in transform=, which may scale by a hundredth.
PLACES = re.compile(r'(?<= )(?:d|x|y|points)="[^"]*"')
LONG_NUMBER = re.compile(r"-?\d+\.\d{2,}")
UNTURNED = re.compile(r' transform="rotate\(-0 [^"]*"')


class Axis(NamedTuple):
    """The positions that one control has in a frozen panel."""

    name: str
    values: list[Any]
    texts: list[str]  # the values as the page and the link say them
    start: int
    whole: int  # positions of the lesson's own control


class Frozen(NamedTuple):
    """What `freeze` wrote, or found there."""

    path: Path
    states: int
    size: int  # bytes
    drawn: bool  # False if the file was there already, and nothing that draws it has changed


class Drawing:
    """A panel's pictures: (SVG, words) of the values of its controls, each drawn once. The panel stays as it is."""

    def __init__(self, panel: Panel) -> None:
        self.panel = panel
        self.figure: Figure | None = None
        self.done: dict[tuple[Any, ...], tuple[str, str]] = {}

    def __call__(self, state: tuple[Any, ...]) -> tuple[str, str]:
        """ValueError where a state takes so long that it must be a training."""
        if state not in self.done:
            values, started = dict(zip(self.panel.controls, state, strict=True)), time.thread_time()
            try:
                self.figure = self.panel.drawn(values, self.figure)
            except Exception as error:
                error.add_note(f"drawn to be frozen, for {said(values)}")
                raise
            if (seconds := time.thread_time() - started) > SLOWEST:
                raise ValueError(
                    f"{seconds:.0f} seconds to draw {said(values)}, at most {SLOWEST:g}: training is not frozen. "
                    "Compute the results in the lesson before its panel, and give the control their settings as choices"
                )
            self.done[state] = picture(self.figure), alternative(self.figure, said(values))
        return self.done[state]


def freeze(panel: Panel, path: Path, title: str = "") -> Frozen:
    """Write a panel with all its states as one HTML file, unless one is there that the same code has drawn.

    It opens where the panel's controls stand. Sliders with many positions are thinned, to `POSITIONS` each and `STATES`
    together, or fewer if the file would be too large; ends, start and the goal's solution stay. ValueError if that is
    not enough, if a state takes so long that it must be a training, or if a control cannot be frozen.
    """
    if type(panel) is not Panel:
        raise ValueError(f"{path.name}: a {type(panel).__name__} trains, and training is not frozen: keep its picture")
    title = title or label(name_of(panel.plot))
    drawing, axes = Drawing(panel), grid(panel, STATES)
    key = fingerprint(drawing, axes, title)
    if path.exists() and (there := re.search(rf'content="{key} (\d+)"', path.read_text(encoding="utf8"))):
        return Frozen(path, int(there[1]), path.stat().st_size, drawn=False)
    compare(drawing, axes)
    for states in (STATES, STATES // 2, STATES // 4):
        axes = grid(panel, states)
        content = page(drawing, axes, title, f"{key} {number_of_states(axes)}").encode()
        largest = LARGEST_WITH_PHOTOS if b"<image" in content else LARGEST
        if len(content) <= largest:
            write_atomic(path, content)
            return Frozen(path, number_of_states(axes), len(content), drawn=True)
    raise ValueError(
        f"{path.name}: {len(content) // 1000} kB with {states} states, at most {largest // 1000}: draw fewer marks or "
        "smaller photographs, or give a control fewer choices"
    )


def compare(drawing: Drawing, axes: Sequence[Axis]) -> None:
    """ValueError if one of three random states is not what the plot draws when it draws nothing before."""
    states = list(itertools.product(*(axis.values for axis in axes)))
    for state in random.Random(0).sample(states, min(3, len(states))):
        values = dict(zip(drawing.panel.controls, state, strict=True))
        if drawing(state)[0] != picture(drawing.panel.drawn(values)):
            raise ValueError(f"{name_of(drawing.panel.plot)}: redrawn for {said(values)}, it is not what it draws anew")


# The states


def grid(panel: Panel, most: int) -> list[Axis]:
    """The positions of each control, so that there are at most so many states. ValueError if that cannot be."""
    for each in range(POSITIONS, 1, -1):
        axes = [axis(name, control, panel, each) for name, control in panel.controls.items()]
        if (states := number_of_states(axes)) <= most:
            return axes
    raise ValueError(
        f"{states} states of {', '.join(map(label, panel.controls))} with the ends, the start and the solution alone, "
        f"at most {most}: leave a control out, or give it fewer choices"
    )


def number_of_states(axes: Sequence[Axis]) -> int:
    """How many settings there are."""
    return math.prod(len(axis.values) for axis in axes)


def axis(name: str, control: Any, panel: Panel, most: int) -> Axis:
    """The positions of one control, at most so many if it is of numbers."""
    values = positions(name, control)
    kept = {0, values.index(control.value), len(values) - 1}
    if panel.goal and name in panel.goal.solution:
        solution = panel.goal.solution[name]
        kept.add(min(range(len(values)), key=lambda i: (values[i] != solution, distance(values[i], solution))))
    chosen = thinned(values, kept, getattr(control, "step", None), most)
    texts = [text(values[i], getattr(control, "readout_format", "")) for i in chosen]
    return Axis(name, [values[i] for i in chosen], texts, chosen.index(values.index(control.value)), len(values))


def text(value: Any, form: str) -> str:
    """A value with a slider's own digits, such as .2f, if they can say it."""
    with_digits = format(value, form) if isinstance(value, float) and form else ""
    return with_digits if with_digits and math.isclose(float(with_digits), value) else text_of(value)


def distance(a: Any, b: Any) -> float:
    """How far apart two numbers are; other values are infinitely far."""
    return abs(a - b) if isinstance(a, (int, float)) and isinstance(b, (int, float)) else math.inf


def positions(name: str, control: Any) -> list[Any]:
    """All values that a control can have. ValueError of one that has no end of them."""
    if isinstance(control, widgets.Checkbox):
        return [False, True]
    if isinstance(control, (widgets.SelectionSlider, widgets.ToggleButtons, widgets.Dropdown)):
        return [option[1] if isinstance(option, tuple) else option for option in control.options]
    if isinstance(control, (widgets.IntSlider, widgets.FloatSlider)):
        step: Any = control.step
        steps = math.floor((control.max - control.min) / step + 1e-9)
        values = {round(control.min + i * step, 10) for i in range(steps + 1)}
        return sorted({value for value in values if not math.isclose(value, control.value)} | {control.value})
    raise ValueError(
        f"control {name}, a {type(control).__name__}, cannot be frozen: give it a range, choices or a bool"
    )


def thinned(values: Sequence[Any], kept: set[int], step: float | None, most: int) -> list[int]:
    """Indexes of at most so many values, or of all if they are no numbers: round multiples of a slider's step.

    Those in `kept` are among them, and alone if they are more than that.
    """
    numbers = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)
    if len(values) <= most or not numbers:
        return list(range(len(values)))
    places = [
        round(values[0] / step) + round((value - values[0]) / step) if step else i for i, value in enumerate(values)
    ]
    for stride in STRIDES:
        chosen = kept | {i for i, place in enumerate(places) if place % stride == 0}
        if len(chosen) <= most:
            return sorted(chosen)
    return sorted(kept)


# What draws them


def fingerprint(drawing: Drawing, axes: Sequence[Axis], title: str) -> str:
    """A hash of what draws a panel: its functions, the machinery here, the goal's verdicts, and some of its pictures.

    Those pictures stand for all that the functions call and all data. What a change elsewhere does to the other ones
    alone is not seen: remove the file to have it drawn again.
    """
    panel = drawing.panel
    functions = [panel.plot, panel.data, panel.goal and panel.goal.reached]
    about = [title, matplotlib.__version__, *map(source, filter(None, functions)), *map(repr, axes)]
    about += [panel.goal.text if panel.goal else "", str(verdicts(panel, axes))]
    states = list(itertools.product(*(axis.values for axis in axes)))
    start = tuple(axis.values[axis.start] for axis in axes)
    for state in (start, *(states[round(i * (len(states) - 1) / 4)] for i in range(5))):
        about += drawing(state)
    digest = hashlib.sha256("\0".join(about).encode())
    for file in DRAWN_BY:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def source(function: Callable[..., Any]) -> str:
    """The source of a function, or of the file of a library's one; its name where there is none."""
    function = inspect.unwrap(getattr(function, "func", function))  # of a functools.partial
    try:
        module = inspect.getmodule(function)
        return inspect.getsource(function if module is None or module.__name__ == "__main__" else module)
    except (OSError, TypeError):
        return name_of(function)


def name_of(function: Callable[..., Any]) -> str:
    """A function's name."""
    return getattr(getattr(function, "func", function), "__name__", type(function).__name__)


def verdicts(panel: Panel, axes: Sequence[Axis]) -> list[bool]:
    """Whether the goal is reached, in each state; empty without one."""
    if panel.goal is None:
        return []
    names, values = [axis.name for axis in axes], (axis.values for axis in axes)
    return [bool(panel.goal.reached(**dict(zip(names, state, strict=True)))) for state in itertools.product(*values)]


def picture(figure: Figure) -> str:
    """The figure as SVG, a line for each element; laid out again only if more than its moving parts changed."""
    engine = figure.get_layout_engine()
    with course_style():
        if figure.stale:
            figure.reset_layout()
        else:
            figure.set_layout_engine(None)
        text = export.svg(figure, dict.fromkeys(("Creator", "Format", "Type")))
        figure.set_layout_engine(engine)
    figure.stale = False
    text = UNTURNED.sub("", text[text.index("<svg") :])
    return PLACES.sub(lambda found: LONG_NUMBER.sub(_tenths, " ".join(found[0].split())), text)


def _tenths(number: re.Match[str]) -> str:
    return f"{float(number[0]):z.1f}".removesuffix(".0")


# The page


def page(drawing: Drawing, axes: Sequence[Axis], title: str, key: str) -> str:
    """The HTML of a frozen panel."""
    goal = drawing.panel.goal
    drawn = [drawing(state) for state in itertools.product(*(axis.values for axis in axes))]
    reached, said_of = verdicts(drawing.panel, axes), [verdict(goal.text, one) for one in (False, True)] if goal else []
    svg, words = drawing(tuple(axis.values[axis.start] for axis in axes))
    width, height = drawing.panel.figure.get_size_inches()
    content = {
        "key": key,
        "title": html.escape(title),
        "controls": "\n".join(itertools.starmap(control, enumerate(axes))),
        "words": html.escape(words),
        "picture": svg,
        "goal": said_of[0] if goal else "",
        "thinned": html.escape(left_out(axes)),
        "ratio": f"{width / height:.3f}",
        "around": str(160 + 36 * len(axes)),
        "axes": script([{"name": axis.name, "texts": axis.texts, "start": axis.start} for axis in axes]),
        "states": packed([svg for svg, _ in drawn], [words for _, words in drawn], reached, said_of),
    }
    return re.sub(r"{{(\w+)}}", lambda found: content[found[1]], TEMPLATE.read_text(encoding="utf8"))


def control(number: int, axis: Axis) -> str:
    """The HTML of a control: a slider of numbers, a list of other choices, a box to tick."""
    name, words = f"control-{number}", html.escape(label(axis.name))
    if axis.values == [False, True]:
        body = f'<input type="checkbox" id="{name}"{" checked" if axis.start else ""}>'
    elif any(isinstance(value, str) for value in axis.values):
        options = (
            f'<option value="{i}"{" selected" if i == axis.start else ""}>{html.escape(text)}</option>'
            for i, text in enumerate(axis.texts)
        )
        body = f'<select id="{name}">{"".join(options)}</select>'
    else:
        text = html.escape(axis.texts[axis.start])
        span = f'min="0" max="{len(axis.values) - 1}" step="1" value="{axis.start}"'
        body = f'<input type="range" id="{name}" {span} aria-valuetext="{text}"><span aria-hidden="true">{text}</span>'
    return f'<div class="control"><label for="{name}">{words}</label>{body}</div>'


def left_out(axes: Sequence[Axis]) -> str:
    """What of the lesson's controls is not in the file."""
    fewer = [f"{len(axis.values)} of {axis.whole} positions of {label(axis.name)}" for axis in axes]
    fewer = [text for text, axis in zip(fewer, axes, strict=True) if len(axis.values) < axis.whole]
    return f"Here are {', '.join(fewer)}; the lesson in Jupyter has all." if fewer else ""


def packed(svgs: Sequence[str], words: Sequence[str], reached: Sequence[bool], verdicts: Sequence[str]) -> str:
    """All states as base64 of gzip of JSON: each line of SVG once, and the numbers of the lines of each state.

    Most lines are the same in all states, which lie too far apart for gzip to see it.
    """
    lines: dict[str, int] = {}
    pictures = [[lines.setdefault(line, len(lines)) for line in svg.splitlines()] for svg in svgs]
    states = {"lines": list(lines), "pictures": pictures, "words": words, "reached": reached, "verdicts": verdicts}
    text = json.dumps(states, ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()


def script(value: Any) -> str:
    """JSON that may stand in a page."""
    return json.dumps(value, ensure_ascii=False).replace("<", "\\u003c")


# A lesson


def lesson_key(lesson: Path) -> str:
    """A hash of all that a lesson's panels can depend on here: its source, the code, the records."""
    code = [path for path in (ROOT / "tricks").rglob("*") if path.suffix in (".py", ".html", ".csv")]
    digest = hashlib.sha256()
    for file in (lesson, *sorted(code), *sorted((ROOT / "data" / "runs").rglob("*.json"))):
        digest.update(file.relative_to(ROOT).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def freeze_shown(folder: Path, lesson: str, address: str) -> None:
    """In this kernel, freeze each panel that is shown from now on, to folder/lesson-1.html and so on.

    The output then holds, in place of the widget, a frame of that file, which has this folder as its `address`. A panel
    that cannot be frozen stays a picture, and its metadata say why as "not frozen".
    """
    shell: Any = get_ipython()  # None outside a kernel, where nothing is shown
    numbers = itertools.count(1)

    def bundle(panel: Panel, **which: Any) -> tuple[dict[str, str], dict[str, Any]]:
        words = alternative(panel.figure, panel.said)
        try:
            done = freeze(panel, folder / f"{lesson}-{next(numbers)}.html")
        except ValueError as error:
            return {"text/plain": words}, {"not frozen": str(error)}
        return {"text/html": frame(panel, f"{address}/{done.path.name}"), "text/plain": words}, {}

    shell.display_formatter.mimebundle_formatter.for_type(Panel, bundle)


def frame(panel: Panel, address: str) -> str:
    """The HTML that shows a frozen panel in another page, as high as the panel says that it is, and links to it."""
    height = round(panel.figure.get_size_inches()[1] * SCREEN_DPI) + 120 + 36 * len(panel.controls)
    title, address = html.escape(f"{label(name_of(panel.plot))}: a panel with controls"), html.escape(address)
    look = f"width: 100%; max-width: 820px; height: {height}px; border: 0"
    listen = (
        "(frame => addEventListener('message', event => { if (event.source === frame.contentWindow) "
        "frame.style.height = `${event.data.frozen}px`; }))(document.currentScript.previousElementSibling)"
    )
    return (
        f'<div class="tricks-frozen"><iframe src="{address}" title="{title}" style="{look}" loading="lazy"></iframe>'
        f'<script>{listen}</script><p><a href="{address}">This panel alone</a></p></div>'
    )
