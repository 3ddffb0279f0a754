"""Slides: a PowerPoint deck of the exported figures, with the lessons' questions and the sources in the speaker notes.

What a slide says comes from its figure (`tricks.plots.style.export` keeps it in the PNG) and from its lesson's source.
"""

import ast
import io
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib
from PIL import Image, ImageFont
from pptx import Presentation
from pptx.dml.color import RGBColor
from pptx.enum.shapes import MSO_SHAPE
from pptx.enum.text import MSO_ANCHOR, MSO_AUTO_SIZE, PP_ALIGN
from pptx.oxml.ns import qn
from pptx.util import Inches, Pt

from tricks import ROOT
from tricks.data.files import write_atomic
from tricks.plots.export import OWN, figures_folder
from tricks.plots.style import COLOURS, GREY, INK
from tricks.records import paper
from tricks.records.store import RUNS, nearest_name
from tricks.studies.studies import STUDIES

LESSONS = ROOT / "notebooks" / "src"
OWN_HEADING = "Your own figures"

NAME = "Bag of tricks, by hand"
SUBTITLE = "What each trick did on small networks, beside what the paper reports"
PAPER = "He et al. (2018): Bag of Tricks for Image Classification with Convolutional Neural Networks"
CITATION = (
    "T. He, Z. Zhang, H. Zhang, Z. Zhang, J. Xie, M. Li: Bag of Tricks for Image Classification with Convolutional "
    "Neural Networks. CVPR 2019, pages 558–567. arXiv:1812.01187"
)
READING = (
    "How to read the slides. n is the number of seeds, ± a 95 % t-interval. Differences are taken seed by seed, after "
    'the last epoch. "No clear difference" says that the interval holds 0, not that there is no effect. The paper\'s '
    "numbers are of ImageNet, mostly one run each; the captions say how much smaller the course's budget is."
)


@dataclass(frozen=True)
class Lesson:
    """What the deck takes from a lesson's source."""

    path: Path
    number: str  # of the paper's section: "5.2", or the letter of an appendix
    heading: str
    paper: str  # the sections, equations and tables of the paper that it is about
    questions: tuple[str, ...]
    exports: tuple[str, ...]  # names of the figures that it writes, in its order


@dataclass(frozen=True)
class Picture:
    """An exported figure and what its PNG says about it."""

    path: Path
    title: str
    alt: str
    caption: str
    caption_height: float  # share of the picture's height, from below
    records: tuple[str, ...]  # starts of paths below data/runs


# Lessons


def read_lesson(path: Path) -> Lesson:
    """A lesson from its source."""
    source = path.read_text(encoding="utf8")
    text = re.sub(r"^# ?", "", source, flags=re.MULTILINE)
    heading = re.search(r"^# (.+)$", text, re.MULTILINE)
    about = re.search(r"\*Paper:\* (.+?)\.?\s*\n\s*\n", text + "\n\n", re.DOTALL)
    discussion = re.search(r"^## For discussion\n(.*?)(?=^## |^%%|\Z)", text, re.MULTILINE | re.DOTALL)
    questions = re.split(r"^\d+\. ", discussion[1] if discussion else "", flags=re.MULTILINE)[1:]
    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call) and len(node.args) > 1)
    names = [
        (node.lineno, node.args[1].value)
        for node in calls
        if getattr(node.func, "id", "") == "export" and isinstance(node.args[1], ast.Constant)
    ]
    return Lesson(
        path,
        number_of(path.stem),
        plain(heading[1] if heading else path.stem),
        plain(re.split(r"\.\s+(?=[A-Z])", about[1])[0] if about else ""),  # its first sentence
        tuple(map(plain, questions)),
        tuple(str(name) for _, name in sorted(names)),
    )


def number_of(name: str) -> str:
    """'05_2_label_smoothing' -> '5.2', '04_...' -> '4', 'B_...' -> 'B'; '' if a name starts with no lesson's number."""
    match = re.match(r"(?:(\d\d)(?:_(\d))?|([A-Z]))_", name)
    if not match:
        return ""
    chapter, section, letter = match.groups()
    return letter or (f"{int(chapter)}.{section}" if section else str(int(chapter)))


def plain(markdown: str) -> str:
    """Markdown as one line of text."""
    without_links = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", markdown)
    return " ".join(re.sub(r"[*`$]", "", without_links).split())


def lessons(section: str | None = None) -> list[Lesson]:
    """All lessons, or those of a section such as "5", "3.1" or "B". ValueError names the sections there are."""
    everything = [read_lesson(path) for path in sorted(LESSONS.glob("*.py"))]
    if section is None:
        return everything
    if found := [each for each in everything if f"{each.number}.".startswith(f"{section}.")]:
        return found
    if section == OWN:
        return []
    sections = list(dict.fromkeys(part for e in everything for part in (e.number.split(".")[0], e.number)))
    nearest = nearest_name(section, [*sections, OWN])
    raise ValueError(f"no section {section!r}. Nearest: {nearest!r}. There are {', '.join(sections)} and {OWN!r}")


# Figures


def read_picture(path: Path) -> Picture:
    """An exported figure. ValueError names a file that is none."""
    try:
        with Image.open(path) as image:
            image.load()
            text: dict[str, str] = getattr(image, "text", {})
    except (OSError, SyntaxError) as error:  # Pillow's for a broken PNG
        raise ValueError(f"{path} is not a readable picture ({error}). Delete it, or export it again") from error
    title = re.sub(r"(?<!\w)-(?=\d)", "−", text.get("Title") or path.stem.replace("_", " "))  # a minus, not a hyphen
    records = tuple(filter(None, text.get("Source", "").split(", ")))
    height = float(text.get("Caption-Height", 0))
    return Picture(path, title, text.get("Description") or title, text.get("Comment", ""), height, records)


def outdated(lesson: Lesson, folder: Path) -> list[str]:
    """The figures of a lesson that are missing, or older than the records they show or the lesson's source."""
    return [name for name in lesson.exports if _outdated(folder / f"{name}.png", lesson.path)]


def _outdated(path: Path, source: Path) -> bool:
    if not path.exists():
        return True
    shown = [list(RUNS.glob(f"{start}-seed*.json")) for start in read_picture(path).records]
    newest = max(file.stat().st_mtime for file in [source, *(file for files in shown for file in files)])
    return not all(shown) or newest > path.stat().st_mtime


def make_figures(chosen: Sequence[Lesson], folder: Path, progress: Callable[[str], None]) -> None:
    """Execute the lessons whose figures are missing or older than what they show.

    In the smoke budget: it shortens live runs, and exported figures show records or exact arithmetic. RuntimeError
    names a lesson that did not write its figures.
    """
    due = [lesson for lesson in chosen if outdated(lesson, folder)]
    if due:
        progress(
            f"Figures of {len(due)} of {len(chosen)} lessons are missing, or older than their lesson or its records.\n"
            "Executing these lessons, without long training: a minute or two each."
        )
    # absolute: a lesson runs in another folder
    environment = {**os.environ, "TRICKS_FIGURES": str(folder.resolve())}
    for i, lesson in enumerate(due, 1):
        progress(f"[{i}/{len(due)}] {lesson.heading}: {', '.join(outdated(lesson, folder))}")
        files = [folder / f"{name}.png" for name in lesson.exports]
        before = [file.exists() and file.stat().st_mtime_ns for file in files]
        tool = [sys.executable, str(ROOT / "tools" / "build_notebooks.py"), "--figures", lesson.path.stem]
        status = subprocess.run(tool, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL).returncode
        after = [file.exists() and file.stat().st_mtime_ns for file in files]
        if left := [file.name for file, then, now in zip(files, before, after, strict=True) if now == then]:
            raise RuntimeError(
                f"{lesson.path.stem} did not write {', '.join(left)} (exit status {status}; the lines above say why)"
            )


# The deck, in inches

WIDTH, HEIGHT, MARGIN = 13.333, 7.5, 0.5
BODY = WIDTH - 2 * MARGIN
TITLE = (MARGIN + 0.2, 0.3, BODY - 0.2, 1.0)  # left, top, width, height
PICTURE = (MARGIN, 1.38, BODY, 5.12)
CAPTION = (MARGIN, 6.53, BODY, 0.42)
FOOTER = (MARGIN, 7.02, BODY - 1, 0.25)
NUMBER = (WIDTH - MARGIN - 0.8, 7.02, 0.8, 0.25)
OPENING = (MARGIN + 0.2, 0.6, BODY - 0.2, 0.9)
CONTENTS = (MARGIN + 0.2, 1.7, BODY - 0.2, 5.4)
FONT = "Arial"  # there on every machine, or one of the same widths in its place
TITLE_SIZES, CAPTION_SIZES, FOOTER_SIZE = (28, 26, 24, 22, 20), (13, 12, 11, 10, 9), 12  # points
LINE, POINTS = 1.2, 72  # line height by font size; points in an inch
EPOCH = datetime(1980, 1, 1)  # the first day of zip: a deck has no date of its own, so that it is the same bytes


def write(section: str | None = None, progress: Callable[[str], None] = print) -> Path:
    """Make the deck of all figures, or of one section, and return its path; make figures that are missing first.

    ValueError on an unknown section or one without figures; RuntimeError when a lesson fails; OSError if the folder of
    the figures cannot be written.
    """
    folder = figures_folder()
    chosen = lessons(section)
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"cannot write to {folder}")
    make_figures(chosen, folder, progress)
    pages = slides_of(chosen, folder, own=section in (None, OWN))
    if not pages:
        raise ValueError(f"section {section!r} has no figures" if section else f"there are no figures in {folder}")
    path = folder / ("deck.pptx" if section is None else f"deck_{section}.pptx")
    write_atomic(path, deck(pages))
    progress(f"{path}: {len(pages)} figures on {len(pages) + 2} slides")
    return path


def slides_of(chosen: Sequence[Lesson], folder: Path, own: bool) -> list[tuple[Lesson | None, Picture]]:
    """The lessons' figures in the order in which they are exported, others of their number, then the reader's own."""
    files = [path for part in (folder, folder / OWN) for path in part.glob("[!.]*.png")]
    left = {path.stem: path for path in sorted(files, key=lambda path: path.name)}
    pages: list[tuple[Lesson | None, Picture]] = []
    for lesson in chosen:
        others = [name for name in left if number_of(name) == lesson.number and name not in lesson.exports]
        pages += [(lesson, read_picture(left.pop(name))) for name in [*lesson.exports, *others]]
    numbers = {lesson.number for lesson in lessons()}
    if own:
        pages += [(None, read_picture(path)) for name, path in left.items() if number_of(name) not in numbers]
    return pages


def deck(pages: Sequence[tuple[Lesson | None, Picture]]) -> bytes:
    """The .pptx: a title, a slide for each figure, the sources. The same pages give the same bytes."""
    show = _template()
    _title_slide(show, list(dict.fromkeys(_heading(lesson) for lesson, _ in pages)))
    for lesson, picture in pages:
        _figure_slide(show, lesson, picture)
    _closing_slide(show, [picture for _, picture in pages])
    for slide in list(show.slides)[:2]:  # one of each layout
        _bar(slide)
    about = show.core_properties
    about.title, about.author, about.last_modified_by = NAME, "", ""
    about.created = about.modified = EPOCH
    file, packed = io.BytesIO(), io.BytesIO()
    show.save(file)
    with zipfile.ZipFile(file) as dated, zipfile.ZipFile(packed, "w") as undated:
        for name in dated.namelist():
            undated.writestr(zipfile.ZipInfo(name), dated.read(name), zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def _template() -> Any:
    """An empty presentation, 16:9, with two layouts: "Title Slide" and "Title Only", set to the margins above."""
    show = Presentation()
    show.slide_width, show.slide_height = Inches(WIDTH), Inches(HEIGHT)
    for layout in list(show.slide_layouts):
        if layout.name not in ("Title Slide", "Title Only"):
            show.slide_layouts.remove(layout)
            continue
        title = OPENING if layout.name == "Title Slide" else TITLE
        boxes = {"ctrTitle": title, "title": title, "subTitle": CONTENTS, "ftr": FOOTER, "sldNum": NUMBER}
        for shape in [*layout.placeholders]:
            if box := boxes.get(shape.element.ph.get("type")):
                shape.left, shape.top, shape.width, shape.height = map(Inches, box)
            else:  # the date
                shape.element.getparent().remove(shape.element)
    return show


def _title_slide(show: Any, headings: Sequence[str]) -> None:
    slide = show.slides.add_slide(show.slide_layouts[0])
    _fill(slide.shapes.title, [NAME], 44, bold=True)
    lines = [SUBTITLE, PAPER, "", *headings]
    _fill(slide.placeholders[1], lines, min(18, int(CONTENTS[3] * POINTS / LINE / len(lines))), GREY)
    _note(slide, READING)


def _figure_slide(show: Any, lesson: Lesson | None, picture: Picture) -> None:
    slide = _slide(show, picture.title, _footer(lesson))
    shape = slide.shapes.add_picture(str(picture.path), 0, 0)
    shape.crop_bottom = picture.caption_height  # the caption stands below, as text
    wide, high = shape.image.size
    left, top, width, height = PICTURE
    scale = min(width / wide, height / (high * (1 - shape.crop_bottom)))
    shape.width, shape.height = Inches(scale * wide), Inches(scale * high * (1 - shape.crop_bottom))
    shape.left, shape.top = Inches(left) + (Inches(width) - shape.width) // 2, Inches(top)
    shape.name = "Figure"
    shape._element.nvPicPr.cNvPr.set("descr", picture.alt)  # read aloud in place of the picture
    if picture.caption:
        text, size = fitting(picture.caption, CAPTION, CAPTION_SIZES)
        _fill(slide.shapes.add_textbox(*map(Inches, CAPTION)), [text], size, GREY)
    _note(slide, notes(lesson, picture))


def _closing_slide(show: Any, pictures: Sequence[Picture]) -> None:
    starts = dict.fromkeys(start for picture in pictures for start in picture.records)
    runs = sum(len(list(RUNS.glob(f"{start}-seed*.json"))) for start in starts)
    slide = _slide(show, "Sources", "")
    lines = [
        f"Paper: {CITATION}",
        f"Records: data/runs, one JSON file per run, with recipe, seed and epochs. {runs} are behind these slides.",
        "How they were made, and what they cannot show: docs/evidence.md.",
        "Figures: figures/, as PNG, SVG and PDF. ./course deck makes these slides again.",
    ]
    box = slide.shapes.add_textbox(*map(Inches, (TITLE[0], PICTURE[1] + 0.2, TITLE[2], PICTURE[3] - 0.2)))
    _fill(box, lines, 18, after=12)
    _note(slide, "\n".join([READING, "", *lines]))


def notes(lesson: Lesson | None, picture: Picture) -> str:
    """What the speaker sees: the takeaway, the lesson's questions, the sources."""
    lines = [picture.title, picture.caption]
    if lesson and lesson.questions:
        lines += ["", "For discussion", *(f"{i}. {question}" for i, question in enumerate(lesson.questions, 1))]
    folder = f"figures/{OWN}" if picture.path.parent.name == OWN else "figures"
    lines += ["", "Sources", f"Figure: {folder}/{picture.path.name}"]
    if lesson:
        about = ", ".join(filter(None, (paper.SOURCE, lesson.paper)))
        lines += [f"Lesson: notebooks/{lesson.path.stem}.ipynb", f"Paper: {about}"]
    return "\n".join(lines + _records(picture))


def _records(picture: Picture) -> list[str]:
    """Where the records behind a picture are: a line for each data set, and the smallest study that has them all."""
    arms: dict[str, list[str]] = {}
    for start in picture.records:
        folder, name = start.split("/")
        arms.setdefault(folder, []).append(name.rpartition("-")[0])
    names = {name for group in arms.values() for name in group}
    studies = [study for study in STUDIES.values() if names <= set(study.arms)]
    smallest = min(studies, key=lambda study: len(study.arms), default=None)
    lines = [f"Records: data/runs/{folder}, arms {', '.join(group)}" for folder, group in arms.items()]
    return (
        [*lines, f"Study: {smallest.name} (./course study --status {smallest.name})"] if names and smallest else lines
    )


def _heading(lesson: Lesson | None) -> str:
    return lesson.heading if lesson else OWN_HEADING


def _footer(lesson: Lesson | None) -> str:
    return f"{lesson.heading} · paper: {lesson.paper}" if lesson and lesson.paper else _heading(lesson)


def _slide(show: Any, title: str, footer: str) -> Any:
    """A slide with its title, footer and number."""
    layout = show.slide_layouts[1]
    slide = show.slides.add_slide(layout)
    text, size = fitting(title, TITLE, TITLE_SIZES, bold=True)
    _fill(slide.shapes.title, [text], size, bold=True)
    for placeholder in layout.placeholders:
        kind = placeholder.element.ph.get("type")
        if kind == "sldNum" or (kind == "ftr" and footer):
            slide.shapes.clone_placeholder(placeholder)
            shape = slide.shapes[-1]
            _fill(shape, [footer if kind == "ftr" else str(len(show.slides))], FOOTER_SIZE, GREY)
            if kind == "sldNum":
                _count(shape)
    return slide


def _count(shape: Any) -> None:
    """Make the number in a shape a field: it stays right when slides are moved to another deck."""
    shape.text_frame.paragraphs[0].alignment = PP_ALIGN.RIGHT
    run = shape.text_frame.paragraphs[0].runs[0]._r
    run.tag = qn("a:fld")
    run.set("id", "{B6F15528-21DE-4FAA-801E-634DDDAF4B2B}")
    run.set("type", "slidenum")


def _fill(
    shape: Any, lines: Sequence[str], size: int, colour: str = INK, *, bold: bool = False, after: int = 0
) -> None:
    """Write lines of text into a shape, without the frame's own margins."""
    frame = shape.text_frame
    frame.word_wrap, frame.auto_size = True, MSO_AUTO_SIZE.NONE
    frame.margin_left = frame.margin_right = frame.margin_top = frame.margin_bottom = 0
    frame.vertical_anchor = MSO_ANCHOR.MIDDLE if bold else MSO_ANCHOR.TOP
    for i, line in enumerate(lines):
        paragraph = frame.add_paragraph() if i else frame.paragraphs[0]
        paragraph.alignment, paragraph.space_after, paragraph.space_before = PP_ALIGN.LEFT, Pt(after), Pt(0)
        run = paragraph.add_run()
        run.text = line
        run.font.name, run.font.size, run.font.bold = FONT, Pt(size), bold
        run.font.color.rgb = RGBColor.from_string(colour.removeprefix("#"))


def _bar(slide: Any) -> None:
    """A bar before the title. In the layout, it is on every slide and read aloud on none."""
    title = slide.shapes.title
    box = title.left - Inches(0.2), title.top, Inches(0.07), title.height
    bar = slide.shapes.add_shape(MSO_SHAPE.RECTANGLE, *box)
    bar.fill.solid()
    bar.fill.fore_color.rgb = RGBColor.from_string(COLOURS[0].removeprefix("#"))
    bar.line.fill.background()
    bar._element.remove(bar._element.find(qn("p:style")))  # a shadow
    slide.slide_layout.shapes._spTree.append(bar._element)


def _note(slide: Any, text: str) -> None:
    slide.notes_slide.notes_text_frame.text = text


# Text that fits


def fitting(
    text: str, box: tuple[float, float, float, float], sizes: Sequence[int], *, bold: bool = False
) -> tuple[str, int]:
    """(text, size): the largest of some sizes at which a text fits into a box, cut with "…" if it does at none.

    It is measured in DejaVu Sans, which is wider than the slides' font.
    """
    _, _, width, height = box
    for size in sizes:
        if lines_of(text, size, width, bold) * size * LINE <= height * POINTS:
            return text, size
    size, words = sizes[-1], text.split()
    while len(words) > 1 and lines_of(f"{' '.join(words)} …", size, width, bold) * size * LINE > height * POINTS:
        words.pop()
    return f"{' '.join(words)} …", size


def lines_of(text: str, size: int, width: float, bold: bool = False) -> int:
    """How many lines a text takes at a font size in points, on a width in inches."""
    count, line = 1, ""
    for word in text.split():
        longer = f"{line} {word}".strip()
        if line and _font(size, bold).getlength(longer) > width * POINTS:
            count, longer = count + 1, word
        line = longer
    return count


@cache
def _font(size: int, bold: bool) -> ImageFont.FreeTypeFont:
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name, size)
