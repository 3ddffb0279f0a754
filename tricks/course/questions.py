"""What asks the reader: answers that are checked, guesses that are held against a measurement. Imports no torch."""

import html
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import ipywidgets as widgets
import numpy as np
from IPython.display import display

from tricks.records.statistics import Comparison

# Exercises


def check(name: str, yours: Any, theirs: Any, inputs: Iterable[Any] | None = None) -> None:
    """Print how an answer compares with the library's: not yet, exact, close or different, and where they part.

    Values may be numbers, text, arrays, tensors, or nested lists and dictionaries of them. With `inputs` they are two
    functions, called with each input (a tuple holds several arguments). Never raises: Run All gets to the end.
    """
    try:
        verdict, detail = _verdict(yours, theirs, inputs)
    except Exception as error:
        verdict, detail = "different", f"they cannot be compared ({type(error).__name__}: {error})"
    print(f"[{verdict}] {name}" + (f": {detail}" if detail else ""))


def _verdict(yours: Any, theirs: Any, inputs: Iterable[Any] | None) -> tuple[str, str]:
    if _missing(yours):
        return "not yet", "put your answer in place of the ..."
    if inputs is None:
        apart, largest = _compare(yours, theirs)
        return ("different", apart) if apart else _agreement(largest, "")
    sizes = []
    for given in inputs:
        arguments = given if isinstance(given, tuple) else (given,)
        expected = theirs(*arguments)
        try:
            answer = yours(*arguments)
        except Exception as error:
            return "different", f"yours raises {type(error).__name__}: {error}, at input {_clip(given)}"
        if _missing(answer):
            return "not yet", "your function returns nothing"
        apart, largest = _compare(answer, expected)
        if apart:
            return "different", f"at input {_clip(given)}: {apart}"
        sizes.append(largest)
    if not sizes:
        return "different", "there are no inputs to compare them on"
    return _agreement(max(sizes), f"on {len(sizes)} inputs")


def _missing(value: Any) -> bool:
    return value is None or value is ...


def _agreement(largest: float, where: str) -> tuple[str, str]:
    return ("close", f"largest difference {largest:.2g}") if largest else ("exact", where)


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
        yield place, repr(a), repr(b)


def _numbers(value: Any) -> np.ndarray | None:
    """A float64 array of a number, array, tensor or rectangular list; None of anything else."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().double().numpy()
    try:
        array = np.asarray(value)
    except ValueError:  # ragged
        return None
    return array.astype(float) if array.dtype.kind in "biuf" else None


def _clip(value: Any) -> str:
    text = " ".join((value if isinstance(value, str) else repr(value)).split())
    return text if len(text) <= 80 else text[:77] + "..."


# Guesses


class Guess:
    """A reader's guess on a slider, to be held against the measured difference later."""

    def __init__(self, question: str, low: float, high: float, step: float, unit: str) -> None:
        self.unit, self.touched = unit, False
        ends = {"min": low, "max": high, "step": step, "value": round((low + high) / 2 / step) * step}
        words = {"description": "your guess", "tooltip": question, "readout_format": "+.2f"}
        self._slider = widgets.FloatSlider(**ends, **words, layout={"width": "500px"})
        self._slider.observe(self._touch, "value")
        self.widget = widgets.VBox([widgets.HTML(html.escape(question)), self._slider])

    def _touch(self, change: Any) -> None:
        self.touched = True

    @property
    def value(self) -> float:
        """Where the slider stands."""
        return self._slider.value

    def reveal(self, comparison: Comparison) -> None:
        """Print the guess beside the measured mean difference and its interval."""
        print(f"measured: {comparison}")
        if not self.touched:
            print("You have not guessed: the slider is where it was.")
            return
        place = "inside" if abs(self.value - comparison.mean) <= comparison.half else "outside"
        where = f", {place} the 95 % interval" if math.isfinite(comparison.half) else "; one seed has no interval"
        print(f"your guess: {self.value:+z.2f} {self.unit}{where}")


def predict(question: str, low: float, high: float, step: float = 0.1, unit: str = "points") -> Guess:
    """Ask for a guess with a slider. `.value` is the guess; `.reveal(comparison)` answers it."""
    guess = Guess(question, low, high, step, unit)
    display(guess.widget)
    return guess
