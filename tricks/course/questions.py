"""What asks the reader: answers that are checked, quizzes, guesses that are held against a measurement.

Nothing of it stops a notebook: Run All gets to the end, whatever is unanswered or wrong. What waits for a click, or is
coloured, stands in a saved notebook as text or as a picture too. Imports no torch.
"""

import base64
import html
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import count
from typing import Any

import ipywidgets as widgets
import numpy as np
from IPython.core.formatters import DisplayFormatter
from IPython.display import display

from tricks.course.sliders import aid
from tricks.plots.evidence import against_paper
from tricks.plots.style import SCREEN_DPI, Figure, signed
from tricks.records.paper import Effect
from tricks.records.statistics import Comparison

# letters and ground: a box brings its own, so that it reads the same in a dark theme
GOOD, WRONG, OPEN = ("#0a4d22", "#e3f4e8"), ("#7a1212", "#fdeaea"), ("#5b4300", "#fff3d1")
MARKS = {"correct": ("✓", GOOD), "different": ("✗", WRONG), "not yet": ("○", OPEN)}


class _Question(widgets.VBox):
    """A widget with what a saved notebook keeps of it: the data by their type, and metadata."""

    twin: tuple[dict[str, Any], dict[str, Any]]

    def _repr_mimebundle_(self, *args: Any, **kwargs: Any) -> Any:
        data, metadata = self.twin
        return {**super()._repr_mimebundle_(*args, **kwargs), **data}, metadata  # pyright: ignore[reportGeneralTypeIssues]


def _box(colours: tuple[str, str], inside: str, size: str = "1em") -> str:
    """Some HTML in a coloured box."""
    ink, ground = colours
    look = f"color: {ink}; background-color: {ground}; border-left: 4px solid {ink}; padding: 4px 10px"
    return f'<div role="status" style="{look}; line-height: 1.4; font-size: {size}">{inside}</div>'


# Exercises


def check(name: str, yours: Any, theirs: Any, inputs: Iterable[Any] | None = None, hint: str = "") -> None:
    """Say how an answer compares with the library's: correct, not yet there, or different, and where they part.

    Values may be numbers, text, arrays, tensors, or nested lists and dictionaries of them. With `inputs` they are two
    functions, called with each input (a tuple holds several arguments). A `hint` is folded away, and gone once the
    answer is correct. Never raises: Run All gets to the end.
    """
    try:
        verdict, detail = _verdict(yours, theirs, inputs)
    except Exception as error:
        verdict, detail = "different", f"they cannot be compared ({_error(error)})"
    mark, colours = MARKS[verdict]
    head = f"{mark} {name}: {verdict}"
    rest = "" if not detail else f" ({detail})" if verdict == "correct" else f", {detail}"
    said = f"<b>{html.escape(head)}</b>{html.escape(rest)}"
    if hint and verdict != "correct":
        said += f"<details><summary>Hint</summary><div>{html.escape(hint)}</div></details>"
    display({"text/html": _box(colours, said), "text/plain": head + rest}, raw=True)


def _verdict(yours: Any, theirs: Any, inputs: Iterable[Any] | None) -> tuple[str, str]:
    if _missing(yours):
        return "not yet", "put your answer in place of the ..."
    if inputs is None:
        apart, largest = _compare(yours, theirs)
        return ("different", apart) if apart else _agreement(largest, "")
    inputs, sizes = list(inputs), []
    for number, given in enumerate(inputs, 1):
        arguments = given if isinstance(given, tuple) else (given,)
        where = f"at input {number} of {len(inputs)}, {_clip(_described(given))}"
        expected = theirs(*arguments)
        try:
            answer = yours(*arguments)
        except Exception as error:
            return "different", f"{where}: yours raises {_error(error)}"
        if _missing(answer):
            return "not yet", "your function returns nothing"
        apart, largest = _compare(answer, expected)
        if apart:
            return "different", f"{where}: {apart}"
        sizes.append(largest)
    if not sizes:
        return "different", "there are no inputs to compare them on"
    return _agreement(max(sizes), f"on {len(sizes)} input{'' if len(sizes) == 1 else 's'}")


def _missing(value: Any) -> bool:
    return value is None or value is ...


def _agreement(largest: float, where: str) -> tuple[str, str]:
    return "correct", ", ".join(filter(None, (where, f"rounding {largest:.2g}" if largest else "")))


def _compare(yours: Any, theirs: Any) -> tuple[str, float]:
    """Where two values first part, "" if they do not; and the largest difference."""
    largest = 0.0
    for place, a, b in _leaves(yours, theirs, ""):
        at = f"at {place}: " if place else ""
        if isinstance(a, str):
            return f"{at}yours is {_clip(a)}, expected {_clip(b)}", largest
        if a.shape != b.shape:
            return f"{at}your shape is {a.shape}, expected {b.shape}", largest
        near = np.isclose(a, b, rtol=1e-5, atol=1e-6, equal_nan=True)  # float32 arithmetic in another order
        if not near.all():
            index = tuple(int(i) for i in np.argwhere(~near)[0])
            at = f"at {place}{list(index) if index else ''}: " if index or place else ""
            return f"{at}yours is {a[index]:.6g}, expected {b[index]:.6g}", largest
        largest = max(largest, np.nan_to_num(np.abs(a[a != b] - b[a != b])).max(initial=0.0))  # inf − inf would warn
    return "", float(largest)


def _leaves(a: Any, b: Any, place: str) -> Iterator[tuple[str, Any, Any]]:
    """(place, yours, theirs) for each pair of numeric arrays; a pair of texts where no numbers can be compared."""
    if isinstance(b, Mapping) and isinstance(a, Mapping) and a.keys() == b.keys():
        for key in b:
            yield from _leaves(a[key], b[key], f"{place}[{key!r}]")
        return
    first, second = _numbers(a), _numbers(b)
    if first is not None and second is not None:
        yield place, first, second
    elif isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)) and len(a) == len(b):
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            yield from _leaves(x, y, f"{place}[{i}]")
    elif type(a) is not type(b) or a != b:
        yield place, _described(a), _described(b)


def _numbers(value: Any) -> np.ndarray | None:
    """A float64 array of a number, array, tensor or rectangular list; None of anything else."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().double().numpy()
    try:
        array = np.asarray(value)
    except ValueError:  # ragged
        return None
    return array.astype(float) if array.dtype.kind in "biuf" else None


def _described(value: Any) -> str:
    """A value in words: an array or a tensor by its shape."""
    if getattr(value, "ndim", 0):
        return f"{type(value).__name__} of shape {tuple(value.shape)}"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key!r}: {_described(part)}' for key, part in value.items())}}}"
    if isinstance(value, (list, tuple)):
        parts = ", ".join(map(_described, value))
        return f"[{parts}]" if isinstance(value, list) else f"({parts})"
    return repr(value)


def _error(error: Exception) -> str:
    return f"{type(error).__name__}: {_clip(str(error))}"


def _clip(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 80 else text[:77] + "..."


# Quizzes


def quiz(question: str, choices: Mapping[str, tuple[bool, str]]) -> None:
    """Ask with a button for each choice: text -> (whether it is right, why).

    Whoever chooses reads why, and may choose again. ValueError unless one choice is right and all are explained.
    """
    display(Quiz(question, choices))


class Quiz(_Question):
    """A question and its choices. In a saved notebook each choice unfolds its explanation."""

    def __init__(self, question: str, choices: Mapping[str, tuple[bool, str]]) -> None:
        right = sum(choice[0] for choice in choices.values())
        if right != 1:
            raise ValueError(f"quiz {question!r}: {right} of {len(choices)} choices are right, it must be one")
        for text, (_, why) in choices.items():
            if not why.strip():
                raise ValueError(f"quiz {question!r}: say why {text!r} is right or wrong")
        self.buttons = {text: widgets.Button(description=text, layout={"width": "auto"}) for text in choices}
        self.answers = {text: widgets.HTML() for text in choices}
        rows: list[widgets.Widget] = []
        for text, (good, why) in choices.items():
            self.buttons[text].on_click(self._judge(text, good, why))
            rows += [self.buttons[text], self.answers[text]]
        heading = f"<b>{html.escape(question)}</b>"
        super().__init__([widgets.HTML(f"{QUIZ_STYLE}<div style='line-height: 1.4'>{heading}</div>"), *rows])
        self.add_class("tricks-quiz")
        folded = [
            f"<details><summary>{html.escape(text)}</summary>{html.escape(_judged(good, why))}</details>"
            for text, (good, why) in choices.items()
        ]
        words = [question, *(f"- {text} {_judged(good, why)}" for text, (good, why) in choices.items())]
        self.twin = {"text/html": f"<p>{heading}</p>" + "\n".join(folded), "text/plain": "\n".join(words)}, {}

    def _judge(self, text: str, good: bool, why: str) -> Callable[[widgets.Button], None]:
        def pressed(button: widgets.Button) -> None:
            mark, colours = MARKS["correct" if good else "different"]
            button.description = f"{mark} {text}"
            button.style.text_color, button.style.button_color = colours
            self.answers[text].value = _box(colours, html.escape(_judged(good, why)))

        return pressed


def bug_hunt(code: str, wrong: str, right: str, why: str, test: Callable[[dict[str, Any]], None], **names: Any) -> None:
    """Show code with one wrong line and ask which it is, with a button for each line.

    `right` is what should stand in place of `wrong`. `test` gets the names that the code defines and raises
    AssertionError with what it sees: at the code as it is, and not at the mended one, both of which are tried here.
    `names` are what the code uses. ValueError if the line is not there once, or if the test does not tell them apart.
    """
    display(BugHunt(code, wrong, right, why, test, names))


class BugHunt(Quiz):
    """Code with one wrong line: see `bug_hunt`. A saved notebook has the code, and the answer folded."""

    def __init__(
        self,
        code: str,
        wrong: str,
        right: str,
        why: str,
        test: Callable[[dict[str, Any]], None],
        names: Mapping[str, Any],
    ) -> None:
        lines = code.strip("\n").splitlines()
        if (times := [line.strip() for line in lines].count(wrong)) != 1:
            raise ValueError(f"{wrong!r} is {times} of the lines: it must be one")
        before, after = (_failure(text, test, names) for text in (code, code.replace(wrong, right)))
        if not before or after:
            raise ValueError(
                f"the test says {before!r} of the wrong line and {after!r} of {right!r}: only one must fail"
            )
        self.lines = [f"{number:2d}  {line}" for number, line in enumerate(lines, 1)]
        answer = f"{why} It should be `{right}`. The test said: {before}. With that line it passes."
        still = f"this line is right. The test still says: {before}."
        kept = {text: line.strip() for text, line in zip(self.lines, lines, strict=True) if line.strip()}
        question = "One line is wrong. Which one?"
        super().__init__(
            question, {text: (line == wrong, answer if line == wrong else still) for text, line in kept.items()}
        )
        self.add_class("tricks-hunt")
        text = "\n".join(self.lines)
        (found,) = (text for text, line in kept.items() if line == wrong)
        inside = f"<code>{html.escape(found)}</code><br>{html.escape(answer)}"
        folded = f"<details><summary>The wrong line</summary>{inside}</details>"
        shown = f"<p><b>{question}</b></p><pre>{html.escape(text)}</pre>{folded}"
        self.twin = {"text/html": shown, "text/plain": f"{question}\n{text}\n\n{found.strip()}: {answer}"}, {}


def _failure(code: str, test: Callable[[dict[str, Any]], None], names: Mapping[str, Any]) -> str:
    """What a test says of what some code defines, or nothing where it passes."""
    space = dict(names)
    exec(compile(code, "<bug hunt>", "exec"), space)
    try:
        test(space)
    except AssertionError as error:
        return str(error) or "the test fails"
    return ""


def _judged(good: bool, why: str) -> str:
    return f"✓ Right: {why}" if good else f"✗ Not this one: {why}"


# a button's text is one line, unless told otherwise
QUIZ_STYLE = """<style>
.tricks-quiz .jupyter-button {
    height: auto; max-width: 800px; padding: 6px 10px; line-height: 1.4; text-align: left; white-space: normal }
.tricks-hunt .jupyter-button { padding: 2px 10px; font-family: monospace; white-space: pre-wrap }
</style>"""


# Guesses

YOU = "your guess"
# question -> whose -> guess: kept until the kernel ends, however often the cells run
GUESSES: dict[str, dict[str, float]] = {}


def predict(question: str, low: float, high: float, step: float = 0.1, unit: str = "points") -> "Guess":
    """Ask for a guess with a slider, or for those of a group. `.reveal(comparison)` answers, `.veil(...)` waits for it.

    `.value` is where the slider stands, `.touched` whether anybody moved it.
    """
    guess = Guess(question, low, high, step, unit)
    display(guess.widget)
    return guess


class Guess:
    """A reader's guess on a slider and those of a group, to be held against a measured difference: see `predict`."""

    def __init__(self, question: str, low: float, high: float, step: float, unit: str) -> None:
        self.question, self.unit = question, unit
        self.digits = max(0, -math.floor(math.log10(step)))
        self.guesses = GUESSES.setdefault(question, {})
        self.revealed = False
        self._veiled: list[Veiled] = []
        ends = {"min": low, "max": high, "step": step}
        start = self.guesses.get(YOU, round((low + high) / 2 / step) * step)
        # sent when it is done: of a button, which cannot wait, a busy kernel would hear before the rest of a move
        look: dict[str, Any] = {"readout_format": f"+.{self.digits}f", "continuous_update": False}
        look["layout"] = {"width": "100%", "max_width": "560px"}
        self._slider = widgets.FloatSlider(value=start, description=YOU, tooltip=question, **ends, **look)
        self._slider.observe(self._moved, "value")
        said: dict[str, Any] = {"continuous_update": False, "layout": {"width": "240px"}}
        self._name = widgets.Text(description="name", placeholder="if you like", **said)
        self._number = widgets.BoundedFloatText(value=start, description="guess", layout={"width": "180px"}, **ends)
        add, drop = widgets.Button(description="Add"), widgets.Button(description="Take back the last")
        add.on_click(self._add)
        drop.on_click(self._drop)
        self._list = widgets.HTML()
        row = widgets.HBox([self._name, self._number, add, drop], layout={"flex_flow": "row wrap"})
        together = widgets.VBox([row, self._list])
        switch = widgets.ToggleButton(value=bool(self.group), description="Guess as a group", layout={"width": "180px"})
        widgets.dlink((switch, "value"), (together.layout, "display"), lambda on: "flex" if on else "none")
        self.widget = widgets.VBox([widgets.HTML(html.escape(question)), self._slider, switch, together, aid(1)])
        self.widget.add_class("tricks-guess")
        self._tell()

    @property
    def value(self) -> float:
        """Where the slider stands."""
        return self._slider.value

    @property
    def touched(self) -> bool:
        """Whether the slider was moved."""
        return YOU in self.guesses

    @property
    def group(self) -> dict[str, float]:
        """The guesses that were entered, by name, or by number where no name was given."""
        return {name: guess for name, guess in self.guesses.items() if name != YOU}

    def _moved(self, change: Any) -> None:
        self.guesses[YOU] = self.value

    def _add(self, button: widgets.Button) -> None:
        free = (str(number) for number in count(1) if str(number) not in self.guesses)
        name = " ".join(self._name.value.split()) or next(free)
        self.guesses.pop(name, None)  # who guesses again is the last one
        self.guesses[name] = self._number.value
        self._name.value = ""
        self._name.focus()
        self._tell()

    def _drop(self, button: widgets.Button) -> None:
        if self.group:
            del self.guesses[[*self.group][-1]]
        self._tell()

    def _tell(self) -> None:
        guesses = [f"{name} {signed(guess, self.digits)}" for name, guess in self.group.items()]
        mean = f". Mean {signed(_mean(self.group), self.digits)}" if guesses else ""
        text = html.escape(f"{len(guesses)} entered{': ' if guesses else ''}{', '.join(guesses)}{mean}")
        self._list.value = f'<div role="status" style="line-height: 1.4">{text}</div>'

    def reveal(
        self, ours: Comparison, theirs: Effect | None = None, *, label: str = "measured", caption: str = ""
    ) -> None:
        """Show a button; pressed, it shows our difference beside the paper's, the guesses, and how far off they are.

        It reads the slider when it is pressed. A saved notebook has the picture without guesses.
        """
        display(Answer(self, ours, theirs, label, caption))
        details = [f"measured: {ours}"]
        if theirs:
            details += [f"paper: {theirs}", f"verdict: {ours.against(theirs)}"]
        self.veil("\n".join(details))

    def veil(self, *things: Any) -> None:
        """Display figures, texts or tables that give the answer away, each hidden until the guess is revealed.

        A saved notebook has them in sight.
        """
        for thing in things:
            veiled = Veiled(thing)
            self._veiled.append(veiled)
            if self.revealed:
                veiled.lift()
            display(veiled)

    def lift(self) -> None:
        """Show what was veiled."""
        self.revealed = True
        for veiled in self._veiled:
            veiled.lift()


class Answer(_Question):
    """A button, and below it, once it is pressed, a measured difference with the guesses: see `Guess.reveal`."""

    def __init__(self, guess: Guess, ours: Comparison, theirs: Effect | None, label: str, caption: str) -> None:
        self.guess, self.ours, self.theirs, self.label, self.caption = guess, ours, theirs, label, caption
        still = self.draw({})  # an error in drawing is the cell's own
        self.twin = still._repr_mimebundle_()
        look: dict[str, Any] = {"layout": {"width": "auto", "height": "44px", "padding": "0px 24px"}}
        bold = {"font_size": "20px", "font_weight": "bold", "text_color": "white", "button_color": "#0173b2"}
        self.button = widgets.Button(description="Reveal", style=bold, **look)
        self.anyway = widgets.Button(description="Show without a guess", layout={"width": "auto", "display": "none"})
        self.button.on_click(self._press)
        self.anyway.on_click(self._show)
        self.line, self.picture = widgets.HTML(), widgets.HTML()
        buttons = widgets.HBox([self.button, self.anyway], layout={"flex_flow": "row wrap", "align_items": "center"})
        super().__init__([buttons, self.line, self.picture])
        self.add_class("tricks-answer")

    def draw(self, guesses: Mapping[str, float]) -> Figure:
        """The measured difference beside the paper's, with guesses."""
        results = {self.label: (self.ours, self.theirs)}
        return against_paper(results, unit=self.ours.unit, caption=self.caption, guesses=guesses)

    def _press(self, button: widgets.Button) -> None:
        if self.guess.guesses:
            self._show(button)
        else:
            self.anyway.layout.display = "flex"
            asked = html.escape(
                f"You have not guessed yet. Move the slider of “{self.guess.question}”, then press again."
            )
            self.line.value = _box(OPEN, asked, "1.2em")

    def _show(self, button: widgets.Button) -> None:
        guesses, group = dict(self.guess.guesses), self.guess.group
        if group:
            guesses[f"mean of {len(group)}"] = _mean(group)
        lines = self._words(guesses.get(YOU), group)
        figure = self.draw(guesses)
        self.picture.value = _img(figure, f"{figure.alt} {' '.join(lines)}")
        first = guesses.get(YOU, _mean(group) if group else math.nan)
        inside = abs(first - self.ours.mean) <= self.ours.half < math.inf
        paragraphs = [f"<div>{html.escape(line)}</div>" for line in lines]
        self.line.value = _box(GOOD if inside else OPEN, "".join(paragraphs), "22px")
        self.anyway.layout.display = "none"
        self.guess.lift()

    def _words(self, yours: float | None, group: Mapping[str, float]) -> list[str]:
        """What is said in large letters: the measurement, and how far off the guesses are."""
        ours, digits = self.ours, 2 if self.ours.unit == "points" else 3
        half = f" ± {ours.half:.{digits}f}" if math.isfinite(ours.half) else ""
        measured = f"measured {signed(ours.mean, digits)}{half} {ours.unit}".rstrip()
        lines = []
        if yours is not None:
            lines.append(f"You guessed {signed(yours, self.guess.digits)}, {measured}: {self._off(yours)}.")
        elif not group:
            lines.append(f"{measured.capitalize()}.")
        if group:
            mean, nearest = _mean(group), min(group, key=lambda name: abs(group[name] - ours.mean))
            before = f", {measured}" if yours is None else ""
            lines.append(f"The group guessed {signed(mean, self.guess.digits)} on average{before}: {self._off(mean)}.")
            lines.append(f"Nearest: {nearest}, {signed(group[nearest], self.guess.digits)}.")
        return lines

    def _off(self, guess: float) -> str:
        """How far off a guess is: "1.8 too high, outside the 95 % interval"."""
        off = guess - self.ours.mean
        size = f"{abs(off):.{self.guess.digits}f}"
        far = f"{size} too {'high' if off > 0 else 'low'}" if float(size) else "on the spot"
        if not math.isfinite(self.ours.half):
            return f"{far} (one seed has no interval)"
        return f"{far}, {'inside' if abs(off) <= self.ours.half else 'outside'} the 95 % interval"


class Veiled(_Question):
    """Something that is hidden until a guess is revealed: see `Guess.veil`."""

    def __init__(self, thing: Any) -> None:
        if isinstance(thing, str):
            look = "white-space: pre-wrap; word-break: normal; line-height: 1.4; margin: 0"  # JupyterLab's breaks words
            shown = f'<pre style="{look}">{html.escape(thing)}</pre>'
            self.twin = {"text/html": shown, "text/plain": thing}, {}
            self.inside: widgets.Widget = widgets.HTML(shown)
        else:
            self.twin = DisplayFormatter().format(thing)
            if isinstance(thing, Figure):
                self.inside = widgets.HTML(_img(thing, thing.alt))
            else:
                data, metadata = self.twin
                output = {"output_type": "display_data", "data": data, "metadata": metadata}
                self.inside = widgets.Output(outputs=[output])
        super().__init__([widgets.HTML("<i>Hidden until the guess is revealed.</i>")])

    def lift(self) -> None:
        """Show it."""
        self.children = [self.inside]


def _mean(guesses: Mapping[str, float]) -> float:
    return math.fsum(guesses.values()) / len(guesses)


def _img(figure: Figure, alt: str) -> str:
    """A figure as HTML: never wider than there is room, nor taller than the window, and with words for who hears it."""
    data, width = base64.b64encode(figure.png()).decode(), round(figure.get_size_inches()[0] * SCREEN_DPI)
    look = f"width: {width}px; max-width: 100%; max-height: calc(100vh - 160px); object-fit: contain"
    return f'<img alt="{html.escape(alt)}" src="data:image/png;base64,{data}" style="{look}">'
