"""Figures for slides: PNG, SVG and PDF, as wide as a slide and with letters for a projector.

They say themselves what they show: the PNG's text fields have it, and `tricks.course.deck` reads them.
"""

import hashlib
import io
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axis import Axis
from matplotlib.text import Text
from PIL.PngImagePlugin import PngInfo

from tricks import ROOT
from tricks.data.files import write_error
from tricks.plots.style import SCREEN_DPI, SIZE, Figure, course_style, packed
from tricks.plots.text import FAMILY, plain, spoken
from tricks.records.statistics import budget
from tricks.records.store import Run

PICTURE = (12.3, 5.1)  # inches that a slide of 13.33 x 7.5 has for a picture, without its caption
SMALLEST = 16  # points of the smallest type on a slide
ENLARGED = PICTURE[0] / SIZE[0]  # a picture is drawn as wide as on the screen, and shown so much larger
SLIDE_DPI = 240  # 1,920 pixels across
ELSEWHERE = "Verdana, sans-serif"  # in an SVG, where DejaVu Sans is not installed: as wide, and common
SLIDE_COLOURS, SLIDE_ERROR = 16384, 16  # MANY_COLOURS and PALETTE_ERROR of a slide, whose edges have more shades
OWN = "own"  # the folder in figures/ of what a reader has set up; in a deck, the section that no lesson has


def figures_folder() -> Path:
    """Where figures for slides go: figures/ of the course, or TRICKS_FIGURES (tests set it)."""
    return Path(os.environ.get("TRICKS_FIGURES") or ROOT / "figures")


def export(
    fig: Figure,
    name: str,
    folder: Path | None = None,
    *,
    takeaway: str = "",
    numbers: str = "",
    runs: Sequence[Run] = (),
) -> list[Path]:
    """Write a figure for slides: PNG, SVG with its text as text, and PDF, into `folder` (figures/). Returns the paths.

    `takeaway` is what the figure shows in one sentence, the title of its slide in `./course deck`; the plot's own
    titles stand in for it. `numbers` are those behind the sentence, its second line (`records.statistics.headline`
    makes both), and `runs` the records behind them. All go into the PNG's text, with the caption and the words for
    those who do not see the picture: a picture says itself what it shows.

    The same figure gives the same bytes. The figure itself stays as it was. ValueError on a name that is not made of
    letters, digits, "_" and "-"; WriteError with the path if it cannot be written.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise ValueError(f"export name {name!r}: letters, digits, _ and - only, as in '05_2_optimal_gap'")
    folder = folder or figures_folder()
    paths = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with course_style(), on_a_slide(fig):
            words = slide_text(fig, takeaway, numbers, runs)
            fig.reset_layout()
            contents = {"png": slide_png(fig, words), "svg": slide_svg(fig, words), "pdf": slide_pdf(fig, words)}
        for suffix, content in contents.items():
            path = folder / f"{name}.{suffix}"
            partial = folder / f".{name}.{os.getpid()}.{suffix}"  # not half a slide on a full disk, nor two at once
            try:
                partial.write_bytes(content)
                os.replace(partial, path)
            finally:
                partial.unlink(missing_ok=True)
            paths.append(path)
    except OSError as error:
        raise write_error(folder / f"{name}.png", error) from error
    return paths


@contextmanager
def on_a_slide(fig: Figure) -> Iterator[None]:
    """In here, a figure has the shape of a picture on a slide, its caption below, and no type below 16 points."""
    (width, height), dpi = fig.get_size_inches(), fig.dpi
    small: dict[Text, float] = {}
    try:
        fig.set_dpi(SLIDE_DPI)
        laid_out(fig, 0)
        caption = caption_of(fig)
        for text in texts(fig):
            if text is not caption and text.get_fontsize() < SMALLEST / ENLARGED:
                small[text] = float(text.get_fontsize())
                text.set_fontsize(SMALLEST / ENLARGED)
        laid_out(fig, caption.get_window_extent().y1 / SLIDE_DPI if caption else 0)
        yield
    finally:
        for text, points in small.items():
            text.set_fontsize(points)
        fig.set_size_inches((width, height), forward=False)
        fig.set_dpi(dpi)
        fig.stale = True


def laid_out(fig: Figure, below: float) -> None:
    """Put everything into place on a slide, with so many inches below for the caption."""
    fig.set_size_inches((SIZE[0], PICTURE[1] / ENLARGED + below), forward=False)
    fig.reset_layout()
    fig.draw_without_rendering()


def texts(fig: Figure) -> Iterator[Any]:
    """All texts of a figure, also those of ticks that are in store for an axis with more of them."""
    yield from fig.findobj(Text)
    for axis in fig.findobj(Axis):
        for tick in (*axis.majorTicks, *axis.minorTicks):  # pyright: ignore[reportAttributeAccessIssue]
            yield from (tick.label1, tick.label2)


def caption_of(fig: Figure) -> Text | None:
    """The caption in a picture."""
    return next((text for text in fig.texts if fig.caption and text.get_text() == fig.get_supxlabel()), None)


def slide_png(fig: Figure, words: dict[str, str]) -> bytes:
    """The PNG of a slide with its text fields, packed."""
    fields, file = PngInfo(), io.BytesIO()
    for name, text in words.items():
        fields.add_text(name, text)
    small, dpi = packed(fig.picture(SLIDE_DPI), SLIDE_COLOURS, SLIDE_ERROR), SLIDE_DPI / ENLARGED
    small.save(file, "png", optimize=True, pnginfo=fields, dpi=(dpi, dpi))
    return file.getvalue()


def slide_svg(fig: Figure, words: dict[str, str]) -> bytes:
    """The SVG of a slide, as large as it stands there; text is text, which can be edited."""
    text = svg(fig, {"Title": words["Title"], "Description": words["Description"]})
    larger = re.sub(r'="([\d.]+)pt"', lambda found: f'="{ENLARGED * float(found[1]):g}pt"', text, count=2)
    return larger.encode("utf8")


def svg(fig: Figure, about: Mapping[str, Any]) -> str:
    """The figure as SVG with its text as text: the same for the same figure."""
    file = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        fig.savefig(file, format="svg", metadata={"Date": None, **about})
    return file.getvalue().replace(f"'{FAMILY}'", f"'{FAMILY}', {ELSEWHERE}")


def slide_pdf(fig: Figure, words: dict[str, str]) -> bytes:
    """The PDF of a slide."""
    file = io.BytesIO()
    about = {"CreationDate": None, "Title": words["Title"], "Subject": words["Description"]}
    fig.savefig(file, format="pdf", metadata=about)
    return file.getvalue()


def export_own(
    fig: Figure, name: str, values: Mapping[str, Any], *, takeaway: str = "", runs: Sequence[Run] = ()
) -> list[Path]:
    """Write a figure that a reader has set up, as `export` does, into own/ of the figures; it overwrites no other one.

    The file is called by `values`, cut short where there are many, and by six digits of the picture's hash:
    optimal_gap-eps_0p1-K_10-3fa9c1. The same picture gives the same name.
    """
    words = [f"{key}_{value:g}" if isinstance(value, float) else f"{key}_{value}" for key, value in values.items()]
    text = re.sub(r"[^A-Za-z0-9-]+", "_", "-".join([name, *words]).replace(".", "p"))
    picture = hashlib.sha256(fig.png(SCREEN_DPI, small=False)).hexdigest()
    name = f"{text[:80]}-{picture[:6]}".lstrip("_-")
    return export(fig, name, figures_folder() / OWN, takeaway=takeaway, runs=runs)


def slide_text(fig: Figure, takeaway: str, numbers: str, runs: Sequence[Run]) -> dict[str, str]:
    """What a slide has to say besides the picture, as the text fields of its PNG; `tricks.course.deck` reads them.

    Budget: the runs' n, budget and data for an audience. Source: the start of the records' paths below data/runs, one
    per recipe. Caption-Height: the share of the picture's height that the caption in it takes, from below.
    """
    titles = (axes.get_title("left") or axes.get_title() for axes in fig.axes)
    own = "; ".join(dict.fromkeys(spoken(title).strip().replace("\n", " ") for title in titles if title))
    caption = caption_of(fig)
    share = caption.get_window_extent().y1 / fig.bbox.height if caption else 0.0
    records = dict.fromkeys(
        f"{path.parent.name}/{path.stem.rpartition('-seed')[0]}" for path in (run.path() for run in runs)
    )
    words = {
        "Title": takeaway or own,
        "Subtitle": numbers,
        "Budget": budget(runs) if runs else "",
        "Description": fig.alt,
        "Comment": fig.caption,
        "Source": ", ".join(records),
        "Caption-Height": f"{share:.4f}",
    }
    return {name: plain(text) for name, text in words.items()}
