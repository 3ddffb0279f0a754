"""Plots: what they draw is what the data say, a redraw equals a new drawing, and an export is the same bytes."""

import importlib
import inspect
import io
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing.pool import ThreadPool
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from PIL import Image

from tricks import ROOT
from tricks.data.files import WriteError
from tricks.plots import preprocessing, seeds, smoothing, style
from tricks.plots.export import ENLARGED, PICTURE, export, on_a_slide
from tricks.plots.style import canvas, styled

CAPTION = (
    "n = 5 seeds · resnet8 · 20,000 images × 12 epochs · cifar10 (JPEG copy), 10,000 test images · some CPU, "
    "1 thread · code v1 · long enough to need a second line below the axes"
)


# Each module of plots has its examples beside its own tests
EXAMPLES = [importlib.import_module(path.stem) for path in sorted(Path(__file__).parent.glob("test_plots_*.py"))]
PLOTS = {name: plot for module in EXAMPLES for name, plot in module.PLOTS.items()}
# plot, its first arguments, the arguments of a redraw, and the same as arguments of a new plot
REDRAWN = {name: redraw for module in EXAMPLES for name, redraw in module.REDRAWN.items()}
WITHOUT_AXES = {name for module in EXAMPLES for name in getattr(module, "WITHOUT_AXES", ())}


def picture(png: bytes) -> Image.Image:
    return Image.open(io.BytesIO(png))


def captioned(name):
    """The plot with a caption, where it takes one."""
    plot = PLOTS[name]
    return plot(caption=CAPTION) if "caption" in inspect.signature(plot).parameters else plot()


def boxes(fig) -> tuple[list[Bbox], list[Bbox]]:
    """The boxes of the caption, if there is one, and of the axes with all their labels, in pixels."""
    fig.png(small=False)
    renderer = fig.canvas.get_renderer()
    captions = [text for text in fig.texts if fig.caption and text.get_text() == fig.get_supxlabel()]
    return [c.get_window_extent(renderer) for c in captions], [ax.get_tightbbox(renderer) for ax in fig.axes]


MODULES = [f"tricks.plots.{path.stem}" for path in sorted((ROOT / "tricks" / "plots").glob("[!_]*.py"))]


def test_importing_plots_loads_nothing_that_is_slow():
    """seaborn and what comes with it are loaded when a plot that uses them is drawn."""
    assert len(MODULES) > 4
    slow = {"torch", "matplotlib.pyplot", "seaborn", "pandas"}
    code = f"import sys, {', '.join(MODULES)}; print({slow} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "set()\n"


def test_the_style_is_seaborns_white_grid():
    import seaborn

    theme = seaborn.axes_style("whitegrid")
    for setting in ("axes.grid", "axes.axisbelow", "axes.facecolor", "figure.facecolor"):
        assert style.STYLE[setting] == theme[setting]


@pytest.mark.parametrize(
    "values, apart",
    [
        ([1, 5, 1], [0.5, 5, 1.5]),
        ([3, 0.2, 0, 0.1], [3, 1.1, -0.9, 0.1]),
        ([0, 0, 0.9], [-0.7, 0.3, 1.3]),  # the first two, once apart, are too close to the third
        ([0, 1, 2.5], [0, 1, 2.5]),
        ([], []),
    ],
)
def test_what_would_cover_each_other_is_spread_around_its_middle(values, apart):
    assert style.spread(values, 1) == pytest.approx(apart)


def test_a_plot_by_seaborn_leaves_pyplot_and_matplotlibs_settings_alone():
    from matplotlib import pyplot

    before = dict(matplotlib.rcParams)
    for name in ("curves", "response", "measures", "speeds", "counted"):
        PLOTS[name]()
    assert not pyplot.get_fignums()
    assert dict(matplotlib.rcParams) == before


def plot_functions() -> dict[str, Callable]:
    return {
        name: thing
        for module in map(importlib.import_module, MODULES)
        for name, thing in vars(module).items()
        if inspect.isfunction(thing)
        and thing.__module__ == module.__name__
        and not name.startswith("_")
        and inspect.signature(thing).return_annotation is style.Figure
        and name != "with_redraw"
    }


def test_every_plot_has_an_example():
    assert len(plot_functions()) > 10
    assert set(plot_functions()) <= {name.split(",")[0] for name in PLOTS}


def test_a_plot_of_records_takes_a_caption():
    """n, budget, data and device stand in it."""
    shown = 0
    for name, plot in plot_functions().items():
        parameters = inspect.signature(plot).parameters.values()
        if any(kind in str(p.annotation) for p in parameters for kind in ("store.Run", "statistics.Comparison")):
            assert "caption" in inspect.signature(plot).parameters, name
            shown += 1
    assert shown > 5


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_is_labelled_and_nothing_is_cut_off_or_covers_the_caption(name):
    fig = captioned(name)
    assert fig.axes
    if name not in WITHOUT_AXES:
        assert all(ax.get_xlabel() for ax in fig.axes if ax.get_subplotspec())
        assert all(ax.get_ylabel() or ax.get_yticklabels()[0].get_text() for ax in fig.axes)
    captions, axes = boxes(fig)
    bottom = fig.bbox.y0
    for caption in captions:
        assert caption.width > 0.5 * fig.bbox.width  # it is drawn, on a line that it fills
        assert caption.x1 <= fig.bbox.x1 and caption.y0 >= 0
        bottom = caption.y1
    assert len(captions) == ("caption" in inspect.signature(PLOTS[name]).parameters)
    moving = [artist for artist in fig.animated_artists() if isinstance(artist, Text) and artist.get_text()]
    words = [text.get_window_extent(fig.canvas.get_renderer()) for text in moving if text.get_visible()]
    for box in axes + words:
        assert box.y0 > bottom
        assert fig.bbox.x0 <= box.x0 and box.x1 <= fig.bbox.x1 and box.y1 <= fig.bbox.y1


@pytest.mark.parametrize("name", PLOTS)
def test_a_picture_is_opaque_sized_and_the_same_each_time(name):
    fig = PLOTS[name]()
    png = fig.png()
    image = picture(png).convert("RGB")
    assert image.size[0] == 1152
    assert image.getpixel((0, 0)) == (255, 255, 255)
    assert len(image.getcolors(2**24)) > 10  # something is drawn
    assert png == fig.png() == PLOTS[name]().png()


@pytest.mark.parametrize("name", REDRAWN)
def test_a_redraw_gives_the_picture_of_a_new_plot(name):
    plot, first, changed, whole = REDRAWN[name]
    fig = plot(*first)
    before = fig.png(100, small=False)
    with matplotlib.rc_context({"font.family": "serif", "font.size": 20}):  # a reader's own
        fig.redraw(*changed)
    after = fig.png(100, small=False)
    assert after != before
    assert after == plot(*whole).png(100, small=False)


@pytest.mark.parametrize("plot, values", [("optimal_gap", [(0.01 * i, 5 + i) for i in range(1, 20)])])
def test_a_redraw_draws_only_what_moves_and_takes_milliseconds(plot, values, monkeypatch):
    fig = getattr(smoothing, plot)(*values[0])
    fig.png(100)
    monkeypatch.setattr(fig.canvas, "draw", lambda: pytest.fail("the whole figure was drawn again"))
    times = []
    for value in values:
        start = time.thread_time()  # the processor's time: other programs do not count
        fig.redraw(*value)
        fig.png(100, small=False)
        times.append(time.thread_time() - start)
    assert statistics.median(times) < 0.06


@pytest.mark.parametrize("name", PLOTS)
def test_packing_a_picture_changes_no_colour_that_an_eye_could_tell(name):
    fig = PLOTS[name]()
    small, exact = fig.png(100), fig.png(100, small=False)
    difference = np.asarray(picture(small).convert("RGB"), int) - np.asarray(picture(exact), int)
    assert np.abs(difference).max() <= 10  # of 255, at single points
    assert np.abs(difference.mean(axis=(0, 1))).max() < 0.2  # no tint
    assert len(small) < len(exact)


@pytest.mark.parametrize("side", [32, 100])  # CIFAR's pictures have about a thousand colours
def test_a_photo_keeps_all_its_colours(side):
    photo = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    fig = preprocessing.images_grid([photo])
    assert picture(fig.png()).mode == "RGB"
    assert picture(fig.png()).tobytes() == picture(fig.png(small=False)).tobytes()
    assert picture(smoothing.optimal_gap().png()).mode == "P"


def test_a_change_outside_the_moving_artists_is_drawn():
    fig = smoothing.optimal_gap()
    before = fig.png()
    fig.axes[0].set_title("another title")
    assert fig.png() != before


def test_style_does_not_depend_on_the_readers_settings():
    expected = smoothing.optimal_gap().png()
    with matplotlib.rc_context({"axes.facecolor": "black", "font.size": 20, "axes.spines.top": True}):
        assert smoothing.optimal_gap().png() == expected
    assert matplotlib.rcParams["font.size"] == matplotlib.rcParamsDefault["font.size"]


def test_threads_that_draw_do_not_mix_their_settings():
    """A panel's callbacks may run beside a cell, and matplotlib's settings are those of the whole process."""
    expected, before = smoothing.optimal_gap().png(), dict(matplotlib.rcParams)
    with ThreadPool(4) as pool:
        drawn = pool.map(lambda _: smoothing.optimal_gap().png(), range(16))
    assert set(drawn) == {expected}
    assert dict(matplotlib.rcParams) == before


def test_a_figure_shows_itself_in_a_notebook_with_words_for_those_who_do_not_see_it():
    data, metadata = seeds.seeds_needed(caption="made up")._repr_mimebundle_()
    assert metadata["image/png"] == {"width": 800, "height": 400}
    assert data["image/png"].startswith("iVBORw0KGgo")
    assert data["text/plain"].startswith("Plot. studies with a clear difference, % against seeds n in each arm")
    assert data["text/plain"].endswith(". made up")


def test_a_lessons_own_plot_has_the_style():
    @styled
    def own():
        fig, ax = canvas(caption="made up")
        ax.plot([1, 2], [3, 4])
        return fig

    ax = own().axes[0]
    assert ax.lines[0].get_color() == style.COLOURS[0]
    assert not ax.spines["top"].get_visible()


@pytest.mark.parametrize("name", ["optimal_gap", "reliability", "contour_paths", "images_grid", "against_paper"])
def test_export_writes_the_same_bytes_each_time_and_leaves_the_figure_as_it_was(name, tmp_path):
    fig = captioned(name)
    before = fig.png()
    paths = export(fig, "a_slide", tmp_path / "first")
    assert [path.name for path in paths] == ["a_slide.png", "a_slide.svg", "a_slide.pdf"]
    assert fig.png() == before
    again = export(fig, "a_slide", tmp_path / "again") + export(captioned(name), "a_slide", tmp_path / "new")
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in paths] * 2
    wide, high = picture(paths[0].read_bytes()).size
    assert wide == 1920 and 0.99 * 5.1 / 12.3 < high / wide < 0.5  # with the caption below
    assert paths[1].read_text().startswith("<?xml") and paths[2].read_bytes().startswith(b"%PDF")
    assert sorted(path.name for path in (tmp_path / "first").iterdir()) == ["a_slide.pdf", "a_slide.png", "a_slide.svg"]


@pytest.mark.parametrize("name", ["optimal_gap", "reliability", "contour_paths", "curves"])
def test_an_exported_picture_is_packed_and_the_one_drawn(name, tmp_path):
    fig = captioned(name)
    fig.set_size_inches(style.SIZE)  # the slide's
    path = export(fig, "a_slide", tmp_path)[0]
    with on_a_slide(fig):
        exact, packed = picture(fig.png(240, small=False)), picture(path.read_bytes())
        fig.savefig(tmp_path / "whole.png", dpi=240)
    assert packed.mode == "P" and packed.size == exact.size
    assert packed.width / packed.info["dpi"][0] == pytest.approx(12.3, abs=0.01)  # inches, where it is put on a slide
    difference = np.asarray(packed.convert("RGB"), int) - np.asarray(exact, int)
    assert np.abs(difference).max() <= 16  # of 255, at single points
    assert (np.abs(difference) > 10).mean() < 1e-3
    assert path.stat().st_size < (tmp_path / "whole.png").stat().st_size / 2


@pytest.mark.parametrize("name", PLOTS)
def test_on_a_slide_a_plot_has_its_room_and_letters_for_a_projector_and_on_the_screen_its_own_again(name):
    """The caption is below the room of 12.3 x 5.1 inches; the deck has it as text."""
    fig = captioned(name)
    sizes = {text: text.get_fontsize() for text in fig.findobj(Text)}
    with on_a_slide(fig):
        (captions, axes), (width, height) = boxes(fig), fig.get_size_inches() * fig.dpi
        texts = [text for ax in fig.axes for text in ax.findobj(Text) if text.get_visible() and text.get_text()]
        assert min(text.get_fontsize() * ENLARGED for text in texts) >= 15.99
        top = max((caption.y1 for caption in captions), default=0.0)
        assert (height - top) / width == pytest.approx(PICTURE[1] / PICTURE[0], abs=0.002)
        for box in axes:
            assert box.x0 > -1 and box.x1 < width + 1 and box.y0 > top - 1 and box.y1 < height + 1
            assert box.height > 0.2 * (height - top)
    assert {text: text.get_fontsize() for text in sizes} == sizes


def test_an_exported_svg_is_as_large_as_on_the_slide_and_its_text_is_text_in_fonts_that_are_common(tmp_path):
    text = export(captioned("reliability"), "a_slide", tmp_path)[1].read_text(encoding="utf8")
    wide, high = (float(value) / 72 for value in re.findall(r'="([\d.]+)pt"', text)[:2])
    assert wide == pytest.approx(12.3) and 5.1 < high < 6.2
    assert "accuracy, %</text>" in text and "Is it right as often as it says?</text>" in text
    fonts = set(re.findall(r"font-family: ([^;\"]+)", text))
    assert fonts and all(font.endswith("'DejaVu Sans', Verdana, sans-serif") for font in fonts)


def test_export_of_a_moved_figure_is_what_the_screen_shows(tmp_path):
    fig = smoothing.optimal_gap(0.1, 10)
    fig.png()
    fig.redraw(0.4, 5)
    moved = export(fig, "moved", tmp_path)[0].read_bytes()
    assert moved == export(smoothing.optimal_gap(0.4, 5), "new", tmp_path)[0].read_bytes()


@pytest.mark.parametrize("name", ["", "a b", "../up", "a/b", "name.png", "-x", "über", ".hidden"])
def test_export_refuses_names_that_are_not_plain(name, tmp_path):
    with pytest.raises(ValueError, match="letters, digits, _ and - only"):
        export(smoothing.optimal_gap(), name, tmp_path)
    assert not list(tmp_path.iterdir())


def test_export_says_where_it_cannot_write(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(WriteError, match=f"{re.escape(str(tmp_path / 'file' / 'gap.png'))} was not written: "):
        export(smoothing.optimal_gap(), "gap", tmp_path / "file")


def test_an_export_that_fails_leaves_no_file_and_the_figure_as_it_was(tmp_path, monkeypatch):
    fig = smoothing.optimal_gap()
    before = fig.png()

    write = Path.write_bytes

    def full_disk(path, content):
        write(path, content[: len(content) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(WriteError, match="The disk is full: .*gap.png was not written and nothing is left of it"):
        export(fig, "gap", tmp_path)
    assert not list(tmp_path.iterdir())
    assert fig.png() == before


def test_exports_can_be_sent_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("TRICKS_FIGURES", str(tmp_path))
    assert export(smoothing.optimal_gap(), "gap")[0] == tmp_path / "gap.png"
