"""Slides: a PowerPoint deck of the exported figures and of the lessons' questions, sources in the speaker notes.

A picture says itself what it shows (`tricks.plots.export` keeps it in the PNG). No lesson is executed.
"""

import io
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

from matplotlib.font_manager import findfont
from PIL import Image, ImageFont
from pptx import Presentation
from pptx.enum.text import MSO_ANCHOR, PP_ALIGN
from pptx.util import Inches, Pt

from tricks import ROOT
from tricks.data.files import write_atomic
from tricks.plots.export import OWN, PICTURE, SMALLEST, figures_folder
from tricks.plots.text import FAMILY
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

QUESTIONS = "For discussion"

Language = Literal["en", "ko"]
Box = tuple[float, float, float, float]  # left, top, width, height in inches
WIDTH, HEIGHT = 13.333, 7.5  # 16:9
TITLE: Box = (0.5, 0.15, 12.333, 0.85)
NUMBERS: Box = (0.5, 1.0, 12.333, 0.64)
TITLE_ALONE: Box = (0.5, 0.15, 12.333, 1.3)
PICTURE_BOX: Box = (0.5, 1.64, *PICTURE)
FOOT: Box = (0.5, 6.75, 8.6, 0.65)  # n, budget and data
PLACE: Box = (9.2, 6.75, 3.633, 0.65)  # which lesson
TEXT: Box = (0.5, 1.5, 12.333, 5.2)
WHOLE: Box = (0.5, 1.5, 12.333, 5.85)
SIZES = (32, 30, 28, 26, 24, 22, 20, 18, SMALLEST)  # points, of which a text has the largest that fits
INSET = (0.1, 0.05)  # inches that python-pptx leaves free in a box, left and right, above and below
LINE, GAP = 1.2, 0.5  # in heights of its letters: what a line takes, and what is free between two paragraphs


class Words(NamedTuple):
    """A text on a slide."""

    text: str
    box: Box
    largest: int = 18  # points
    right: bool = False  # at the box's right edge


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
    written = path.read_text(encoding="utf8")  # read by hand: jupytext takes seconds to be imported
    _, *cells = re.split(r"^# %%(.*)\n", written, flags=re.MULTILINE)  # what follows "# %%", and the cell, in turn
    kinds: dict[bool, list[str]] = {True: [], False: []}
    for tags, cell in zip(cells[::2], cells[1::2], strict=True):
        kinds["[markdown]" in tags].append(cell.strip())
    text = re.sub(r"^# ?", "", "\n#\n".join(kinds[True]), flags=re.MULTILINE)
    code = "\n\n".join(kinds[False])
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


def pages(section: str | None, folder: Path) -> list[tuple[Lesson | None, Path | None]]:
    """What the slides are of, in the lessons' order: a lesson's pictures, then, without a picture, its questions.

    Of all lessons, or of those of a section such as "5", "3.1" or "B". A reader's own pictures are no lesson's, and the
    section "own" has them alone.

    ValueError names the sections there are; FileNotFoundError says which lesson writes a picture that is missing.
    """
    lessons = [read_lesson(path) for path in sorted(LESSONS.glob("*.py"))]
    if section == OWN:
        theirs = {folder / f"{name}.png" for lesson in lessons for name in lesson.exports}
        pictures = [*sorted(folder.glob("[!.]*.png")), *sorted((folder / OWN).glob("[!.]*.png"))]
        own: list[tuple[Lesson | None, Path | None]] = [(None, path) for path in pictures if path not in theirs]
        if not own:
            raise ValueError(f"section {section!r} has no figures: `slide` and the button Export slide write some")
        return own
    chosen = [each for each in lessons if section is None or f"{each.number}.".startswith(f"{section}.")]
    if not chosen:
        there = [*dict.fromkeys(part for each in lessons for part in (each.number.split(".")[0], each.number)), OWN]
        nearest = nearest_name(str(section), there)
        raise ValueError(f"no section {section!r}. Nearest: {nearest!r}. There are {', '.join(there)}")
    found: list[tuple[Lesson | None, Path | None]] = []
    for lesson in chosen:
        paths = [folder / f"{name}.png" for name in lesson.exports]
        if missing := [path.name for path in paths if not path.exists()]:
            raise FileNotFoundError(f"{folder} has no {', '.join(missing)}: ./course run {lesson.name} writes it")
        found += [(lesson, path) for path in paths]
        found += [(lesson, None)] if lesson.questions else []
    return found


def write(section: str | None = None, lang: Language = "en") -> str:
    """Make the deck of all lessons, or of one section, and say where it is. Errors: those of `pages`, and OSError.

    `lang` is that of the speaker notes, and part of the file's name where it is not English.
    """
    folder = figures_folder()
    chosen = pages(section, folder)
    path = folder / f"{'_'.join(filter(None, ('deck', section, lang if lang != 'en' else None)))}.pptx"
    file = io.BytesIO()
    deck(chosen, lang).save(file)
    write_atomic(path, file.getvalue())
    return f"{path}: {sum(picture is not None for _, picture in chosen)} figures on {len(chosen) + 2} slides"


def deck(chosen: Sequence[tuple[Lesson | None, Path | None]], lang: Language = "en") -> Any:
    """The presentation: a title, a slide for each figure and for each lesson's questions, the sources."""
    show = Presentation()
    show.slide_width, show.slide_height = Inches(WIDTH), Inches(HEIGHT)
    show.core_properties.title, show.core_properties.author = NAME, ""
    headings = dict.fromkeys(lesson.heading if lesson else OWN_HEADING for lesson, _ in chosen)
    add_slide(show, NAME, READING, Words(f"{SUBTITLE}\n" + "\v".join(headings), WHOLE, 24))
    for lesson, path in chosen:
        if path:
            add_figure(show, lesson, path, lang)
        elif lesson:
            notes = f"{to_say(lesson, lang)}\n\n{source(lesson)}"
            words = Words(lesson.questions, TEXT, 28), Words(sections(lesson), FOOT), place(lesson)
            add_slide(show, QUESTIONS, notes, *words)
    add_slide(show, "Sources", READING, Words("\n".join((*SOURCES, READING)), WHOLE, 24))
    return show


def add_figure(show: Any, lesson: Lesson | None, path: Path, lang: Language = "en") -> None:
    """A slide with takeaway, numbers, picture, budget; the questions and sources are in its notes."""
    fields = read_picture(path)
    title = with_minus(fields["Title"] or path.stem.replace("_", " "))
    numbers, caption = with_minus(fields.get("Subtitle", "")), fields["Comment"]
    below, notes = caption, [title, *([numbers] if numbers else []), caption, ""]
    if lesson:
        below = fields.get("Budget") or caption or sections(lesson)
        notes += [*([QUESTIONS] if lang == "en" else []), to_say(lesson, lang), "", source(lesson)]
    notes += [f"Figure: {path.name}", f"Records, in data/runs: {fields['Source'] or 'none'}"]
    words = [Words(numbers, NUMBERS, 20)] if numbers else []
    slide = add_slide(show, title, "\n".join(notes), *words, Words(below, FOOT), place(lesson))
    shape = slide.shapes.add_picture(str(path), 0, 0)
    shape.crop_bottom = float(fields["Caption-Height"])  # what the caption says stands below, as text
    _, top, width, height = map(Inches, PICTURE_BOX)
    high = shape.height * (1 - shape.crop_bottom)
    larger = min(width / shape.width, height / high)
    shape.width, shape.height = round(larger * shape.width), round(larger * high)
    shape.left, shape.top = (show.slide_width - shape.width) // 2, top + (height - shape.height) // 2
    shape._element.nvPicPr.cNvPr.set("descr", fields["Description"])  # read aloud in place of the picture


def to_say(lesson: Lesson, lang: Language) -> str:
    """A lesson's part of the speaker notes: its questions, or in Korean what the page of its session says."""
    if lang == "en":
        return lesson.questions
    from tricks.course import korean  # with the card and all that it computes from

    return korean.notes(lesson.name)


def source(lesson: Lesson) -> str:
    """Where a slide of a lesson comes from, for its notes."""
    return f"Lesson: notebooks/{lesson.name}.ipynb\nPaper: {paper.SOURCE}, {lesson.paper}"


def sections(lesson: Lesson) -> str:
    """What of the paper a lesson is about, for the foot of a slide."""
    return f"Paper: {lesson.paper}" if lesson.paper else ""


def place(lesson: Lesson | None) -> Words:
    """Of which lesson a slide is."""
    return Words(lesson.heading if lesson else OWN_HEADING, PLACE, right=True)


def with_minus(text: str) -> str:
    """The text with a minus in place of a hyphen before a number."""
    return re.sub(r"(?<!\w)-(?=\d)", "−", text)


def add_slide(show: Any, title: str, notes: str, *words: Words) -> Any:
    """A slide with its title, speaker notes and texts, each as large as it fits into its box."""
    slide = show.slides.add_slide(show.slide_layouts.get_by_name("Title Only"))
    slide.notes_slide.notes_text_frame.text = notes
    alone = all(each.box != NUMBERS for each in words)
    put(slide.shapes.title, Words(title, TITLE_ALONE if alone else TITLE, SIZES[0]), MSO_ANCHOR.MIDDLE)
    for each in filter(lambda each: each.text, words):
        put(slide.shapes.add_textbox(0, 0, 0, 0), each, MSO_ANCHOR.TOP)
    return slide


def put(shape: Any, words: Words, anchor: Any) -> None:
    """Put a text into a shape, and both into their place."""
    shape.left, shape.top, shape.width, shape.height = map(Inches, words.box)
    text, points = fitted(words)
    shape.text_frame.text, shape.text_frame.word_wrap, shape.text_frame.vertical_anchor = text, True, anchor
    for i, paragraph in enumerate(shape.text_frame.paragraphs):
        paragraph.alignment = PP_ALIGN.RIGHT if words.right else PP_ALIGN.LEFT
        paragraph.space_before = Pt(GAP * points if i else 0)
        for run in paragraph.runs:
            run.font.size = Pt(points)


def fitted(words: Words) -> tuple[str, int]:
    """A text and the points in which it fits into its box; where the smallest are too many, it ends in "…"."""
    _, _, width, height = words.box
    for points in SIZES:
        if points <= words.largest and height_of(words.text, width, points) <= height:
            return words.text, points
    text = words.text
    while height_of(f"{text}…", width, SMALLEST) > height:
        text = text[: -1 - len(text) // 50].rstrip()
    return f"{text}…", SMALLEST


def height_of(text: str, width: float, points: float) -> float:
    """Inches that a text takes in a box: its paragraphs ("\\n"), and lines ("\\v") broken at their spaces.

    Its letters are DejaVu Sans, which is wider than the fonts that a deck is likely to be shown in.
    """
    room = 0.98 * (width - 2 * INSET[0]) * 72 / points  # programs place letters a little differently
    lines, space = 0, length(" ")
    for line in re.split("[\n\v]", text):
        lines, used = lines + 1, 0.0
        for word in line.split():
            wide = length(word)
            if used and used + space + wide > room:
                lines, used = lines + 1, 0.0
            used += wide + (space if used else 0)
            lines, used = lines + int(used // room), used % room  # of a word longer than a line
    return (lines * LINE + text.count("\n") * GAP) * points / 72 + 2 * INSET[1]


@cache
def length(text: str) -> float:
    """Of a text, in heights of its letters; of Chinese, Japanese and Korean characters, each is as wide as high."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return letters().getlength(text) / letters().size + wide


@cache
def letters() -> ImageFont.FreeTypeFont:
    """The course's font."""
    return ImageFont.truetype(findfont(FAMILY), 100)
