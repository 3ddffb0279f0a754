"""Figures for slides: PNG, SVG and PDF, 16:9, that say themselves what they show."""

import hashlib
import io
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL.PngImagePlugin import PngInfo

from tricks import ROOT
from tricks.data.files import write_error
from tricks.plots.style import SCREEN_DPI, SIZE, Figure, course_style, packed
from tricks.plots.text import plain, spoken
from tricks.records.store import Run

SLIDE_DPI = 240  # 8 x 4.5 inches are 1920 x 1080 pixels
SLIDE_COLOURS, SLIDE_ERROR = 16384, 16  # MANY_COLOURS and PALETTE_ERROR of a slide, whose edges have more shades
OWN = "own"  # the folder in figures/ of what a reader has set up; in a deck, the section that no lesson has


def figures_folder() -> Path:
    """Where figures for slides go: figures/ of the course, or TRICKS_FIGURES (tests set it)."""
    return Path(os.environ.get("TRICKS_FIGURES") or ROOT / "figures")


def export(
    fig: Figure, name: str, folder: Path | None = None, *, takeaway: str = "", runs: Sequence[Run] = ()
) -> list[Path]:
    """Write a figure for slides, 16:9: PNG of 1920 x 1080, SVG and PDF, into `folder` (figures/). Returns the paths.

    `takeaway` is what the figure shows in one sentence, printed from records like any other: the title of its slide in
    `./course deck`; the plot's own titles stand in for it. `runs` are the records behind it. Both go into the PNG's
    text, with the caption and the words for those who do not see the picture: a picture says itself what it shows.

    The same figure gives the same bytes. The figure itself stays as it was. ValueError on a name that is not made of
    letters, digits, "_" and "-"; WriteError with the path if it cannot be written.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise ValueError(f"export name {name!r}: letters, digits, _ and - only, as in '05_2_optimal_gap'")
    folder = folder or figures_folder()
    (width, height), dpi = fig.get_size_inches(), fig.dpi
    paths = []
    try:
        fig.set_size_inches(SIZE, forward=False)
        fig.set_dpi(SLIDE_DPI)
        fig.reset_layout()
        folder.mkdir(parents=True, exist_ok=True)
        with course_style():
            fig.draw_without_rendering()  # the caption finds its place
            words = slide_text(fig, takeaway, runs)
            fig.reset_layout()
            metadata = {
                "svg": {"Date": None, "Title": words["Title"], "Description": words["Description"]},
                "pdf": {"CreationDate": None, "Title": words["Title"], "Subject": words["Description"]},
            }
            contents = {"png": slide_png(fig, words)}
            for suffix, fields in metadata.items():
                file = io.BytesIO()
                fig.savefig(file, format=suffix, metadata=fields)
                contents[suffix] = file.getvalue()
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
    finally:
        fig.set_size_inches((width, height), forward=False)
        fig.set_dpi(dpi)
        fig.stale = True
    return paths


def slide_png(fig: Figure, words: dict[str, str]) -> bytes:
    """The PNG of a slide with its text fields, packed."""
    fields, file = PngInfo(), io.BytesIO()
    for name, text in words.items():
        fields.add_text(name, text)
    small = packed(fig.picture(SLIDE_DPI), SLIDE_COLOURS, SLIDE_ERROR)
    small.save(file, "png", optimize=True, pnginfo=fields, dpi=(SLIDE_DPI, SLIDE_DPI))
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


def slide_text(fig: Figure, takeaway: str, runs: Sequence[Run]) -> dict[str, str]:
    """What a slide has to say besides the picture, as the text fields of its PNG; `tricks.course.deck` reads them.

    Source: the start of the records' paths below data/runs, one per recipe. Caption-Height: the share of the picture's
    height that the caption in it takes, from below.
    """
    titles = (axes.get_title("left") or axes.get_title() for axes in fig.axes)
    own = "; ".join(dict.fromkeys(spoken(title).strip().replace("\n", " ") for title in titles if title))
    share = 0.0
    if text := next((text for text in fig.texts if fig.caption and text.get_text() == fig.get_supxlabel()), None):
        share = text.get_window_extent().y1 / fig.bbox.height
    records = dict.fromkeys(f"{path.parent.name}/{path.stem.rpartition('-')[0]}" for path in (r.path() for r in runs))
    words = {
        "Title": takeaway or own,
        "Description": fig.alt,
        "Comment": fig.caption,
        "Source": ", ".join(records),
        "Caption-Height": f"{share:.4f}",
    }
    return {name: plain(text) for name, text in words.items()}
