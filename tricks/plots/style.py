"""What all plots share: `Figure`, the style, `canvas`, and redrawing for sliders.

A figure shows itself in a notebook without pyplot. A plot that a slider drives makes the artists that move with
`animated=True` and gives the figure a `redraw` that takes the changing arguments again: everything else stays as drawn,
and a redraw costs milliseconds. A plot without `redraw` works with a slider too, and is built anew at every move.
"""

import base64
import io
import math
import textwrap
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import matplotlib
import matplotlib.figure
import numpy as np
from cycler import cycler
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.text import Annotation, Text
from PIL import Image, ImageChops

from tricks.plots.text import FAMILY, covered, plain, spoken, verbatim

# seaborn's "colorblind" but darker, and told apart as well with every common colour vision. On white, words can have
# the first three (WCAG 2: a contrast of 4.5), lines, markers and bars all of them (3).
COLOURS = ("#0173b2", "#c24e00", "#00663c", "#d65ba2", "#c98200", "#4b1f6f")
INK, GREY, LIGHT = "#222222", "#666666", "#8c8c8c"  # LIGHT: what carries meaning and stands back
PALE = "#dddddd"  # grounds, which carry none
SIZE = (8.0, 4.5)  # inches: 16:9, so that text of 11 points is 18 points on a slide 13.3 inches wide
SCREEN_DPI = 100  # one pixel of the picture is one of the page
SMALL = 10  # points: nothing on the screen is smaller
PRINT_DPI = 144  # still pictures: sharp on a dense screen, shown at the same size
CAPTION_COLUMNS = 106  # letters of SMALL in a line as wide as the figure
LINE = 0.17  # inches that such a line takes
MANY_COLOURS = 4096  # with more, it is a photo, and a palette would take seconds to find
PALETTE_ERROR = 10  # of 255, what a palette may change a colour by: plots stay below, photos do not
STYLE: Any = {
    "font.family": FAMILY,
    "font.size": 11,
    "text.color": INK,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.titlesize": 12,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.prop_cycle": cycler(color=COLOURS),
    "grid.color": "#E8E8E8",
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "lines.linewidth": 2,
    "legend.fontsize": SMALL,
    "legend.frameon": False,
    "axes.facecolor": "white",
    "figure.facecolor": "white",  # opaque: a dark theme must not shine through
    "savefig.facecolor": "white",
    "figure.constrained_layout.h_pad": 0.08,
    "figure.constrained_layout.w_pad": 0.08,
    "svg.hashsalt": "tricks",  # the same ids in every export
    "pdf.fonttype": 42,
}
P = ParamSpec("P")
R = TypeVar("R")
_STYLING = threading.RLock()


@contextmanager
def course_style() -> Iterator[None]:
    """The course's settings of matplotlib, which are global: threads that draw take turns."""
    with _STYLING, matplotlib.rc_context(STYLE):
        yield


class Figure(matplotlib.figure.Figure):
    """A figure that draws itself to PNG for notebooks, redrawing only its animated artists where it can."""

    redraw: Callable[..., None] | None = None
    caption: str = ""
    words: str = ""  # what the picture shows, where its axes do not say it
    draft = False  # about to be replaced by another one: what a notebook gets is made fast, not small and sharp
    _background: Any = None  # all but the animated artists, as drawn

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        FigureCanvasAgg(self)  # attaches itself

    def png(self, dpi: int = PRINT_DPI, small: bool = True) -> bytes:
        """The picture as PNG: the same bytes for the same figure. `small` packs it well, otherwise fast."""
        picture = self.picture(dpi)
        if small:
            picture = packed(picture, MANY_COLOURS, PALETTE_ERROR)
        file = io.BytesIO()
        picture.save(file, "png", optimize=small, compress_level=1)
        return file.getvalue()

    def picture(self, dpi: int) -> Image.Image:
        """The picture in RGB. Where it can, only what moves is drawn again.

        `stale` is matplotlib's own record of a change outside the animated artists. While it is not set, all that was
        drawn without them is still right, and only they are drawn again.
        """
        canvas: Any = self.canvas
        if self.dpi != dpi:
            self.set_dpi(dpi)
        if self.stale or self._background is None:
            self.reset_layout()
            with course_style():  # some ticks are made only now
                canvas.draw()
            self._background = canvas.copy_from_bbox(self.bbox)
        else:
            canvas.restore_region(self._background)
        moving = self.animated_artists()
        with covered(artist for artist in moving if isinstance(artist, Text)):
            for artist in moving:
                artist.draw(canvas.get_renderer())
        return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")

    def draw(self, renderer: Any) -> None:
        """Draw all but the animated artists, for whichever kind of file, in fonts that have what texts hold."""
        with covered(self.findobj(Text)):  # pyright: ignore[reportArgumentType]
            super().draw(renderer)

    def reset_layout(self) -> None:
        """Put the axes back on their grid: solved from anywhere else, the layout would come out a little different."""
        for axes in self.axes:
            if spec := axes.get_subplotspec():
                axes.set_position(spec.get_position(self))
                axes.set_in_layout(True)  # set_position takes it out

    def animated_artists(self) -> list[Artist]:
        """Those that a redraw moves, in the order in which they are drawn."""
        artists = [artist for axes in self.axes for artist in axes.get_children() if artist.get_animated()]
        return sorted(artists, key=lambda artist: artist.zorder)

    @property
    def alt(self) -> str:
        """What the picture shows, in words, for those who do not see it."""
        if self.words:
            return f"Diagram. {self.words}. {self.caption}".rstrip(". ")
        panels = []
        for axes in self.axes:
            labels = " against ".join(filter(None, (axes.get_ylabel(), axes.get_xlabel())))
            panels.append(": ".join(filter(None, ((axes.get_title("left") or axes.get_title()).strip(), labels))))
        text = spoken("; ".join(filter(None, panels)).replace("\n", " "))
        return f"Plot. {text}. {self.caption}".rstrip(". ")

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict[str, str], dict[str, Any]]:
        width, height = (round(inches * SCREEN_DPI) for inches in self.get_size_inches())
        picture = self.png(SCREEN_DPI, small=False) if self.draft else self.png()
        data = {"image/png": base64.b64encode(picture).decode(), "text/plain": self.alt}
        return data, {"image/png": {"width": width, "height": height}}


def packed(picture: Image.Image, colours: int, error: int) -> Image.Image:
    """A plot with a palette, less than half the bytes; a picture of more colours, or changed by more, as it was."""
    if picture.getcolors(colours):
        small = picture.quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=1, dither=Image.Dither.NONE)
        if np.asarray(ImageChops.difference(picture, small.convert("RGB"))).max() <= error:
            return small
    return picture


def styled(plot: Callable[P, R]) -> Callable[P, R]:
    """Decorator: run a function that draws in the course's style, whatever the reader's own matplotlib settings are."""

    @wraps(plot)
    def in_style(*args: P.args, **kwargs: P.kwargs) -> R:
        with course_style():
            return plot(*args, **kwargs)

    return in_style


def canvas(
    columns: int = 1, rows: int = 1, *, height: float = SIZE[1], caption: str = "", **grid: Any
) -> tuple[Figure, Any]:
    """(figure, axes) with `rows` x `columns` axes, to be called in a `styled` function; one axes comes as itself.

    `caption` (n, budget, data, device, as `records.statistics.caption` has them) stands in small grey letters below
    the axes; for each line of it after the first, the figure is higher. `grid` goes to
    `matplotlib.figure.Figure.subplots`.
    """
    lines = textwrap.wrap(plain(caption), CAPTION_COLUMNS)
    fig = Figure(figsize=(SIZE[0], height + LINE * max(0, len(lines) - 1)), layout="constrained")
    axes = fig.subplots(rows, columns, **grid)
    if lines:
        fig.caption = plain(caption)
        fig.supxlabel(verbatim("\n".join(lines)), x=0.01, ha="left", fontsize=SMALL, color=GREY)
    return fig, axes


# Shared by the plots


def with_redraw(fig: Figure, redraw: Callable[..., None], *start: Any) -> Figure:
    """Draw a plot's first state with the function that draws all later ones.

    What moves is taken out of the layout, or the axes of a moved figure would stand elsewhere than those of a new one.
    """
    redraw(*start)
    for artist in fig.animated_artists():
        artist.set_in_layout(False)
    fig.redraw = styled(redraw)  # it may make new artists
    return fig


def heading(ax: Axes, lines: int = 1, above: float = 6, **font: Any) -> Annotation:
    """An empty text where the title stands, `above` points over the axes: `lines` of words that a slider changes."""
    ax.set_title("\n".join(" " * lines), **font)
    at = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "baseline"}
    return ax.annotate("", (0, 1), xytext=(0, above), animated=True, **at, **font)


def set_limits(ax: Axes, **limits: tuple[float, float]) -> None:
    """Set axis limits only where they change: an unneeded call would make the whole figure stale."""
    for name, limit in limits.items():
        if getattr(ax, f"get_{name}")() != limit:
            getattr(ax, f"set_{name}")(limit)


def on(ground: Any) -> str:
    """The colour of words on a ground: black or white, whichever has the greater contrast, at least 4.58."""
    return max(("black", "white"), key=lambda ink: contrast(ink, ground))


def contrast(first: Any, second: Any) -> float:
    """Contrast of two colours, from 1 to 21 (WCAG 2)."""
    low, high = sorted(_luminance(colour) for colour in (first, second))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: Any) -> float:
    linear = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour))
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def spread(values: Sequence[float], least: float) -> list[float]:
    """The values, those closer than `least` to each other moved apart to it, around their common mean."""
    groups: list[list[int]] = []
    for i in sorted(range(len(values)), key=values.__getitem__):
        groups.append([i])
        while len(groups) > 1 and _ends(groups[-1], values, least)[0] - _ends(groups[-2], values, least)[1] < least:
            last = groups.pop()
            groups[-1] += last
    places = list(values)
    for group in groups:
        low, _ = _ends(group, values, least)
        for k, i in enumerate(group):
            places[i] = low + k * least
    return places


def _ends(group: Sequence[int], values: Sequence[float], least: float) -> tuple[float, float]:
    middle, half = sum(values[i] for i in group) / len(group), least * (len(group) - 1) / 2
    return middle - half, middle + half


def signed(value: float, digits: int = 2) -> str:
    """A number with its sign, a minus being as wide as a plus."""
    return f"{value:+z.{digits}f}".replace("-", "−")


def ceiling(value: float) -> float:
    """An axis limit with room above `value`, out of so few that a slider moves the curve and seldom the axis."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1.2, 2, 3, 5, 8, 12) if step * power >= 1.04 * value)
