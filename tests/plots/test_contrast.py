"""What a plot shows can be seen: large type, enough contrast, colours that colour-blind readers tell apart.

The limits are WCAG 2's: a contrast of 4.5 for words, 3 for what carries meaning.
"""

from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pytest
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.collections import QuadMesh
from matplotlib.colors import to_rgb, to_rgba, to_rgba_array
from matplotlib.contour import ContourSet
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from test_all_plots import PLOTS, captioned

from tricks.plots import style
from tricks.plots.style import COLOURS, GREY, INK, LIGHT, SCREEN_DPI, SMALL, contrast

SHADES = {"curves"}  # its bands lie behind the seeds' lines, which show how far they are apart
# of linear RGB, all cones of a kind missing: Machado, Oliveira and Fernandes (2009), table of severity 1.0
SIGHT = {
    "all cones": np.eye(3),
    "no long ones": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "no middle ones": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "no short ones": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}


def seen(colour: str, sight: str) -> np.ndarray:
    """CIELAB (D65) of a colour as someone sees it."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(np.array(SIGHT[sight]) @ linear, 0, 1)
    xyz = np.array([[0.4125, 0.3576, 0.1804], [0.2127, 0.7152, 0.0722], [0.0193, 0.1192, 0.9503]]) @ linear
    f = np.cbrt(xyz / (0.9505, 1, 1.0888))
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def least_difference(colours) -> float:
    """Of any two colours, with any sight."""
    differences = [
        np.linalg.norm(seen(first, sight) - seen(second, sight))
        for first, second in combinations(colours, 2)
        for sight in SIGHT
    ]
    assert len(differences) >= 4
    return float(min(differences))


def test_contrast_is_that_of_the_standard():
    assert contrast("black", "white") == pytest.approx(21)
    assert contrast("#767676", "white") == pytest.approx(4.54, abs=0.005)  # the palest grey for words on white
    assert contrast("white", "#ff0000") == pytest.approx(4.00, abs=0.005)
    assert min(contrast(style.on(grey), grey) for grey in np.linspace(0, 1, 256).astype(str)) > 4.5


def test_each_colour_shows_on_white_and_the_first_three_are_dark_enough_for_words():
    assert min(contrast(colour, "white") for colour in (*COLOURS[:3], GREY, INK)) >= 4.5
    assert min(contrast(colour, "white") for colour in (*COLOURS, LIGHT)) >= 3


def test_colours_are_told_apart_with_every_colour_vision():
    from seaborn import color_palette

    theirs = [color_palette("colorblind").as_hex()[i] for i in (0, 3, 2, 4, 1, 9)]
    assert len(COLOURS) == len(theirs)
    assert least_difference(COLOURS) >= least_difference(theirs) > 12
    assert min(least_difference([colour, grey]) for colour in COLOURS for grey in (GREY, LIGHT)) > 9


class Drawn(NamedTuple):
    """A plot as it is drawn on the screen."""

    name: str
    fig: style.Figure
    texts: list[Text]
    boxes: list[Bbox]
    ground: np.ndarray  # the picture without words, (height, width, 3) in 0..255


@pytest.fixture(scope="module", params=PLOTS)
def plot(request) -> Drawn:
    fig, texts, write = captioned(request.param), [], Text.draw

    def note(text, renderer):
        if text.get_visible() and text.get_text().strip() and text not in texts:
            texts.append(text)
        write(text, renderer)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Text, "draw", note)
        patch.setattr(RendererAgg, "draw_text", lambda *args, **kwargs: None)
        ground = np.asarray(fig.picture(SCREEN_DPI))
    return Drawn(request.param, fig, texts, [box_of(text, fig) for text in texts], ground)


def box_of(text: Text, fig: Any) -> Bbox:
    """Where its words stand, in pixels, without empty lines at its end, where a heading may stand."""
    box, words = text.get_window_extent(fig.canvas.get_renderer()), text.get_text()
    empty = (len(words) - len(words.rstrip("\n"))) / (words.count("\n") + 1)
    return Bbox([[box.x0, box.y0 + empty * box.height], [box.x1, box.y1]])


def test_words_are_large_enough_whole_and_apart(plot):
    assert plot.texts
    assert min(text.get_fontsize() for text in plot.texts) >= SMALL
    edge = plot.fig.bbox
    for text, box in zip(plot.texts, plot.boxes, strict=True):
        assert edge.x0 <= box.x0 and edge.y0 <= box.y0 and box.x1 <= edge.x1 and box.y1 <= edge.y1, text
    pairs = combinations(zip(plot.texts, plot.boxes, strict=True), 2)
    assert [(a, b) for (a, one), (b, other) in pairs if one.padded(-1).overlaps(other.padded(-1))] == []


def test_words_stand_out_from_what_is_behind_them(plot):
    """From three quarters of it: a curve may pass behind a word."""
    assert plot.texts
    height = len(plot.ground)
    for text, box in zip(plot.texts, plot.boxes, strict=True):
        behind = plot.ground[height - int(box.y1) : height - int(box.y0), int(box.x0) : int(box.x1)]
        colours, counts = np.unique(behind.reshape(-1, 3), axis=0, return_counts=True)
        clear = [contrast(text.get_color(), colour) >= 4.5 for colour in colours / 255]
        assert counts[clear].sum() >= 0.75 * counts.sum() > 0, text


def marks(fig) -> dict[str, list]:
    """What carries data, but for heat maps and pictures: of each artist the colours that may show it, on white."""
    found: dict[str, list] = {}
    for ax in fig.axes:
        for artist in (*ax.lines, *ax.patches, *ax.collections):
            if not artist.get_visible() or isinstance(artist, QuadMesh | ContourSet):
                continue
            if isinstance(artist, Line2D):
                marked = artist.get_marker() not in ("", "None", None) and artist.get_fillstyle() != "none"
                colours = [artist.get_color(), *([artist.get_markerfacecolor()] if marked else [])]
                colours = [to_rgba(colour, artist.get_alpha()) for colour in colours if np.size(artist.get_xdata())]
            else:
                edges = to_rgba_array(artist.get_edgecolor()) if np.max(artist.get_linewidth(), initial=0) else []
                colours = [*to_rgba_array(artist.get_facecolor()), *edges]
            found[f"{ax.get_title('left')}: {type(artist).__name__} {len(found)}"] = [
                alpha * np.array(rgb) + 1 - alpha for *rgb, alpha in colours
            ]
    return {mark: colours for mark, colours in found.items() if colours}


def test_what_carries_data_shows_on_white(plot):
    name = plot.name.split(",")[0]
    kinds = {"FillBetweenPolyCollection"} if name in SHADES else ()
    for mark, colours in marks(plot.fig).items():
        if not any(kind in mark for kind in kinds):
            assert max(contrast(colour, "white") for colour in colours) >= 3, mark


def test_marks_are_found_in_most_plots():
    assert sum(len(marks(plot())) > 1 for plot in PLOTS.values()) > 0.75 * len(PLOTS)
