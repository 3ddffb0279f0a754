"""Slides: a PowerPoint deck of the exported figures, with the lessons' questions and the sources in the speaker notes.

A picture says itself what it shows (`tricks.plots.export` keeps it in the PNG). No lesson is executed.
"""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jupytext
from PIL import Image
from pptx import Presentation
from pptx.enum.text import PP_ALIGN
from pptx.util import Inches, Pt

from tricks import ROOT
from tricks.data.files import write_atomic
from tricks.plots.export import OWN, figures_folder
from tricks.records import paper
from tricks.records.store import nearest_name

LESSONS = ROOT / "notebooks" / "src"
OWN_HEADING = "Your own figures"

NAME = "Bag of tricks, by hand"
SUBTITLE = "What each trick did on small networks, beside what the paper reports"
CITATION = (
    "T. He, Z. Zhang, H. Zhang, Z. Zhang, J. Xie, M. Li: Bag of Tricks for Image Classification with Convolutional "
    "Neural Networks. CVPR 2019, pages 558–567. arXiv:1812.01187"
)
READING = (
    "How to read the slides. n is the number of seeds, ± a 95 % t-interval. Differences are taken seed by seed, after "
    'the last epoch. "No clear difference" says that the interval holds 0, not that there is no effect. The paper\'s '
    "numbers are of ImageNet, mostly one run each; the captions say how much smaller the course's budget is."
)
SOURCES = (
    f"Paper: {CITATION}",
    "Records: data/runs, one JSON file per run, with recipe, seed and epochs.",
    "How they were made, and what they cannot show: docs/evidence.md.",
    "Figures: figures/, as PNG; ./course run writes them again, as SVG and PDF too. ./course deck makes these slides.",
)

Box = tuple[float, float, float, float]  # left, top, width, height in inches
WIDTH, HEIGHT = 13.333, 7.5  # 16:9
TITLE: Box = (0.5, 0.2, 12.333, 1.05)
PICTURE_TOP, PICTURE_HEIGHT = 1.3, 5.25
CAPTION: Box = (0.5, 6.6, 12.333, 0.75)
TEXT: Box = (0.5, 1.4, 12.333, 5.8)
TITLE_SIZES = {90: 28, 140: 24, 240: 18}  # points of a title with up to so many letters; 12 of a longer one


@dataclass(frozen=True)
class Lesson:
    """What the deck takes from a lesson's source."""

    name: str
    number: str  # of the paper's section: "5.2", or the letter of an appendix
    heading: str
    paper: str  # the sections, equations and tables of the paper that it is about
    questions: str  # for discussion, one a line
    exports: tuple[str, ...]  # names of the figures that it writes, in its order


def read_lesson(path: Path) -> Lesson:
    """A lesson from its source."""
    cells = jupytext.read(path, fmt="py:percent").cells
    text, code = ("\n\n".join(c.source for c in cells if c.cell_type == kind) for kind in ("markdown", "code"))
    text = re.sub(r"\[([^]]*)]\([^)]*\)|[`$]", r"\1", text)  # without links and marks
    about = " ".join(text.partition("*Paper:* ")[2].partition("\n\n")[0].split())
    questions = text.partition("## For discussion\n")[2].partition("\n## ")[0].replace("*", "")
    chapter, section = path.stem.split("_")[:2]
    chapter = chapter.lstrip("0") or "0"
    return Lesson(
        path.stem,
        f"{chapter}.{section}" if section.isdigit() else chapter,
        text.partition("\n")[0].removeprefix("# "),
        re.split(r"\.(?:$| [A-Z])", about)[0],  # the first sentence
        re.sub(r"\n +", " ", questions).strip(),
        tuple(re.findall(r'\bslide\(\w+, "([\w-]+)"', code)),
    )


def read_picture(path: Path) -> dict[str, str]:
    """The text fields of an exported figure. ValueError names a file that is none."""
    try:
        with Image.open(path) as image:
            image.load()
            fields: dict[str, str] = getattr(image, "text", {})
    except (OSError, SyntaxError) as error:  # Pillow's for a broken PNG
        raise ValueError(f"{path} is not a readable picture ({error}). Delete it, or export it again") from error
    if missing := {"Title", "Description", "Comment", "Source", "Caption-Height"} - fields.keys():
        raise ValueError(f"{path} was not written by `slide`: no text field {min(missing)!r}. Move it somewhere else")
    return fields


def pages(section: str | None, folder: Path) -> list[tuple[Lesson | None, Path]]:
    """The pictures of all lessons, or of those of a section such as "5", "3.1", "B" or "own", in the lessons' order.

    ValueError names the sections there are; FileNotFoundError says which lesson writes a picture that is missing.
    """
    lessons = [read_lesson(path) for path in sorted(LESSONS.glob("*.py"))]
    chosen = [each for each in lessons if section is None or f"{each.number}.".startswith(f"{section}.")]
    if not chosen and section != OWN:
        there = [*dict.fromkeys(part for each in lessons for part in (each.number.split(".")[0], each.number)), OWN]
        nearest = nearest_name(str(section), there)
        raise ValueError(f"no section {section!r}. Nearest: {nearest!r}. There are {', '.join(there)}")
    found: list[tuple[Lesson | None, Path]] = []
    for lesson in chosen:
        paths = [folder / f"{name}.png" for name in lesson.exports]
        if missing := [path.name for path in paths if not path.exists()]:
            raise FileNotFoundError(f"{folder} has no {', '.join(missing)}: ./course run {lesson.name} writes it")
        found += [(lesson, path) for path in paths]
    if section in (None, OWN):
        theirs = {folder / f"{name}.png" for lesson in lessons for name in lesson.exports}
        pictures = [*sorted(folder.glob("[!.]*.png")), *sorted((folder / OWN).glob("[!.]*.png"))]
        found += [(None, path) for path in pictures if path not in theirs]
    if not found:
        raise ValueError(f"section {section!r} has no figures: `slide` and the button Export slide write some")
    return found


def write(section: str | None = None) -> str:
    """Make the deck of all figures, or of one section, and say where it is. Errors: those of `pages`, and OSError."""
    folder = figures_folder()
    chosen = pages(section, folder)
    path = folder / ("deck.pptx" if section is None else f"deck_{section}.pptx")
    file = io.BytesIO()
    deck(chosen).save(file)
    write_atomic(path, file.getvalue())
    return f"{path}: {len(chosen)} figures on {len(chosen) + 2} slides"


def deck(chosen: Sequence[tuple[Lesson | None, Path]]) -> Any:
    """The presentation: a title, a slide for each figure, the sources."""
    show = Presentation()
    show.slide_width, show.slide_height = Inches(WIDTH), Inches(HEIGHT)
    show.core_properties.title, show.core_properties.author = NAME, ""
    headings = dict.fromkeys(lesson.heading if lesson else OWN_HEADING for lesson, _ in chosen)
    add_slide(show, NAME, READING, [SUBTITLE, CITATION, "", *headings], 14, TEXT)
    for lesson, path in chosen:
        add_figure(show, lesson, path)
    add_slide(show, "Sources", READING, SOURCES, 18, TEXT)
    return show


def add_figure(show: Any, lesson: Lesson | None, path: Path) -> None:
    """A slide with takeaway, picture and caption; the questions and sources are in its notes."""
    fields = read_picture(path)
    title = re.sub(r"(?<!\w)-(?=\d)", "−", fields["Title"] or path.stem.replace("_", " "))  # a minus, not a hyphen
    caption, place = fields["Comment"], OWN_HEADING
    notes = [title, caption, "", f"Figure: {path.name}", f"Records, in data/runs: {fields['Source'] or 'none'}"]
    if lesson:
        place = f"{lesson.heading} · paper: {lesson.paper}"
        notes[2:3] = ["", "For discussion", lesson.questions, "", f"Lesson: notebooks/{lesson.name}.ipynb"]
        notes += [f"Paper: {paper.SOURCE}, {lesson.paper}"]
    slide = add_slide(show, title, "\n".join(notes), [caption, place], 12, CAPTION)
    shape = slide.shapes.add_picture(str(path), 0, Inches(PICTURE_TOP), height=Inches(PICTURE_HEIGHT))
    shape.crop_bottom = float(fields["Caption-Height"])  # the caption stands below, as text
    shape.width = round(shape.width / (1 - shape.crop_bottom))
    shape.left = (show.slide_width - shape.width) // 2
    shape._element.nvPicPr.cNvPr.set("descr", fields["Description"])  # read aloud in place of the picture


def add_slide(show: Any, title: str, notes: str, lines: Sequence[str], size: int, box: Box) -> Any:
    """A slide with its title, speaker notes, and lines of text in a box."""
    slide = show.slides.add_slide(show.slide_layouts.get_by_name("Title Only"))
    slide.notes_slide.notes_text_frame.text = notes
    large = next((points for letters, points in TITLE_SIZES.items() if len(title) <= letters), 12)
    text = slide.shapes.add_textbox(0, 0, 0, 0)
    for shape, place, words, points in ((slide.shapes.title, TITLE, title, large), (text, box, "\n".join(lines), size)):
        shape.left, shape.top, shape.width, shape.height = map(Inches, place)
        shape.text_frame.text, shape.text_frame.word_wrap = words, True
        for paragraph in shape.text_frame.paragraphs:
            paragraph.alignment = PP_ALIGN.LEFT
            for run in paragraph.runs:
                run.font.size = Pt(points)
    return slide
