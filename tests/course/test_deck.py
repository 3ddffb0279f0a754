"""Slides: what they say comes from pictures and lessons, each can be shown, and nothing is executed for them."""

import ast
import json
import shutil
import subprocess
import time
from functools import cache

import numpy as np
import pytest
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath
from PIL import Image
from pptx import Presentation
from pptx.util import Inches

from tricks import ROOT
from tricks.course import cli, deck
from tricks.plots.export import export
from tricks.plots.style import canvas, styled
from tricks.plots.text import verbatim
from tricks.records import statistics
from tricks.records.store import RUNS
from tricks.studies import studies

FIGURES = ROOT / "figures"
TAKEAWAY = "Label smoothing brings no clear difference"
NUMBERS = "Here, points: -0.12 ± 0.30 · Paper: +0.40"
CAPTION = "n = 5 seeds · resnet8 · 20,000 images × 12 epochs · cifar10, 10,000 test images · some CPU · code v1"


@styled
def tiny(caption: str = CAPTION, title: str = "Accuracy"):
    fig, ax = canvas(caption=caption)
    ax.plot([1, 2], [3, 4])
    ax.set(xlabel="ε", ylabel="accuracy, %", title=title)
    return fig


def exports() -> dict[str, list[ast.Call]]:
    """The calls of `slide` in each lesson's source, by the lesson's name."""
    calls = {}
    for path in sorted((ROOT / "notebooks" / "src").glob("*.py")):
        nodes = ast.walk(ast.parse(path.read_text(encoding="utf8")))
        found = [node for node in nodes if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "slide"]
        calls[path.stem] = sorted(found, key=lambda node: node.lineno)
    return calls


NAMES = {lesson: [call.args[1].value for call in calls] for lesson, calls in exports().items()}
ALL = [name for names in NAMES.values() for name in names]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty figures folder."""
    monkeypatch.setenv("TRICKS_FIGURES", str(tmp_path))
    return tmp_path


@pytest.fixture
def course(folder, monkeypatch):
    """The pictures of the course, as a fresh clone has them; executing anything is an error."""
    for name in ALL:
        shutil.copy(FIGURES / f"{name}.png", folder)
    monkeypatch.setattr(subprocess, "Popen", lambda *args, **kwargs: pytest.fail(f"executes {args}"))
    return folder


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Two pictures of a reader: one from a panel's button, one from a cell."""
    folder = tmp_path_factory.mktemp("figures")
    export(tiny(), "gap_eps_0-1", folder / "own", takeaway=TAKEAWAY, numbers=NUMBERS, runs=studies.arm("cosine"))
    export(tiny(caption="", title=""), "05_2_of_mine", folder)
    return folder


@pytest.fixture
def own(folder, exported):
    """The figures folder with these two."""
    shutil.copytree(exported, folder, dirs_exist_ok=True)
    return folder


def slides(path):
    return list(Presentation(path).slides)


def picture(slide):
    (shape,) = [shape for shape in slide.shapes if shape.shape_type == 13]
    return shape


def texts(slide) -> list[str]:
    return [shape.text_frame.text for shape in slide.shapes if shape.has_text_frame]


def notes(slide) -> str:
    return slide.notes_slide.notes_text_frame.text


def inches(shape) -> tuple[float, float, float, float]:
    return tuple(value / Inches(1) for value in (shape.left, shape.top, shape.width, shape.height))


@cache
def width_in_inches(text: str, size: float) -> float:
    """In DejaVu Sans, which is wider than any font that a deck is likely to be shown in."""
    return TextPath((0, 0), text, size=size, prop=FontProperties(family="DejaVu Sans")).get_extents().x1 / 72


def height_in_inches(shape) -> float:
    """What the text of a shape needs, word after word, with the margins of a box: 0.1 inches left and right."""
    high = 0.1
    for paragraph in shape.text_frame.paragraphs:
        (size,) = {run.font.size.pt for run in paragraph.runs}
        space = width_in_inches("n n", size) - 2 * width_in_inches("n", size)
        high += paragraph.space_before.inches if paragraph.space_before else 0
        for line in paragraph.text.split("\v"):
            high, used = high + 1.2 * size / 72, -space
            for word in line.split():
                wide = width_in_inches(word, size)
                if used + space + wide > shape.width / Inches(1) - 0.2:
                    high, used = high + 1.2 * size / 72, -space
                used += space + wide
    return high


def can_be_shown(slide) -> None:
    """Every box lies on the slide and on no other box, its text fits into it, and no letters are below 16 points."""
    assert slide.shapes.title.text_frame.text.strip() and notes(slide).strip()
    for shape in slide.shapes:
        left, top, width, height = inches(shape)
        assert left >= 0.4 and top >= 0.14 and left + width <= 13.333 - 0.4 and top + height <= 7.5 - 0.1
        if shape.has_text_frame:
            assert shape.text_frame.text and height_in_inches(shape) <= height + 0.01, shape.text_frame.text
            runs = [run for paragraph in shape.text_frame.paragraphs for run in paragraph.runs]
            assert min(run.font.size.pt for run in runs) >= 16
    for i, one in enumerate(slide.shapes):
        for other in list(slide.shapes)[i + 1 :]:
            a, b = inches(one), inches(other)
            apart = [a[k] + a[k + 2] <= b[k] + 1e-3 or b[k] + b[k + 2] <= a[k] + 1e-3 for k in (0, 1)]
            assert any(apart), (one.name, other.name)


# what lessons and pictures say


def test_every_lesson_has_what_its_slides_need():
    lessons = [deck.read_lesson(path) for path in sorted(deck.LESSONS.glob("*.py"))]
    assert {lesson.name: list(lesson.exports) for lesson in lessons} == NAMES
    for lesson in (lesson for lesson in lessons if lesson.exports):
        assert lesson.heading and not lesson.heading.startswith("#")
        assert lesson.paper and not set("\n*") & set(lesson.paper) and not lesson.paper.endswith(".")
        questions = lesson.questions.splitlines()
        assert [line.split()[0] for line in questions] == [f"{i}." for i in range(1, len(questions) + 1)]
        assert len(questions) >= 3 and all(line.endswith((".", "?", ")")) for line in questions)
        assert not set("`$*") & set(lesson.questions)
    smoothing = next(lesson for lesson in lessons if lesson.number == "5.2")
    assert smoothing.heading == "5.2 Label smoothing"
    assert smoothing.paper == "§5.2, eq. 3–5, Fig. 4, Table 6"
    assert smoothing.questions.startswith(
        "1. Fig. 4b's one-hot histogram has a long tail to the right. What would happen"
    )


@pytest.mark.parametrize(
    "name, number", [("05_2_label_smoothing", "5.2"), ("04_cost", "4"), ("00_runs", "0"), ("B_rates", "B")]
)
def test_a_lessons_number_is_that_of_the_papers_section(name, number, tmp_path):
    source = tmp_path / f"{name}.py"
    source.write_text("# %% [markdown]\n# # A heading\n#\n# [Text](a.ipynb), no more.\n")
    assert deck.read_lesson(source) == deck.Lesson(name, number, "A heading", "", "", ())


def test_every_figure_of_a_lesson_is_exported_with_a_takeaway():
    """And what is said of records is computed: a name, not a text."""
    for lesson, calls in exports().items():
        for call in calls:
            given = {keyword.arg: keyword.value for keyword in call.keywords}
            assert "takeaway" in given, f"{lesson}, line {call.lineno}"
            if {"numbers", "runs"} & given.keys():
                constant = [name for name, value in given.items() if isinstance(value, ast.Constant)]
                assert not constant, f"{lesson}, line {call.lineno}"
    assert len(ALL) == len(set(ALL)) >= 11


def test_the_lessons_pictures_are_in_the_repository_and_no_others_are():
    listed = subprocess.run(["git", "ls-files", "figures"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a clone")
    assert sorted(listed.stdout.split()) == sorted(f"figures/{name}.png" for name in ALL)


@pytest.mark.parametrize("lesson, name", [(lesson, name) for lesson, names in NAMES.items() for name in names])
def test_a_lessons_picture_is_that_of_the_built_notebook_and_its_records_are_there(lesson, name):
    path = FIGURES / f"{name}.png"
    with Image.open(path) as image:
        image.load()
        wide, high = image.size
        fields = image.text
    caption = float(fields["Caption-Height"])
    assert wide == 1920 and wide / (high * (1 - caption)) == pytest.approx(12.3 / 5.1, rel=0.01)
    assert fields["Title"] and fields["Description"].startswith(("Plot. ", "Diagram. "))
    assert 0.03 < caption < 0.2 if fields["Comment"] else caption == 0
    assert bool(fields["Budget"]) == bool(fields["Source"])
    cells = json.loads((ROOT / "notebooks" / f"{lesson}.ipynb").read_text(encoding="utf8"))["cells"]
    shown = [output.get("data", {}) for cell in cells for output in cell.get("outputs", [])]
    words = ["".join(data.get("text/plain", "")) for data in shown]  # those of a panel say where it stands, too
    assert any(text.startswith(fields["Description"]) for text in words), f"./course run {lesson}"
    for start in filter(None, fields["Source"].split(", ")):
        assert list(RUNS.glob(f"{start}-seed*.json")), f"{start}: ./course run {lesson}"
    assert path.stat().st_size < 200_000


@pytest.mark.parametrize("arm", ["smoothing-0.1", "after-bag"])  # the records of the second one name their data, too
def test_a_figure_says_itself_what_it_shows(arm, folder):
    runs = studies.arm(arm)
    path = export(tiny(), "05_2_x", takeaway=TAKEAWAY, numbers=NUMBERS, runs=runs)[0]
    fields = deck.read_picture(path)
    assert (fields["Title"], fields["Subtitle"], fields["Comment"]) == (TAKEAWAY, NUMBERS, CAPTION)
    assert fields["Budget"] == statistics.budget(runs)
    assert fields["Description"] == f"Plot. Accuracy: accuracy, % against ε. {CAPTION}"
    assert fields["Source"] == f"cifar10/{arm}-{runs[0].recipe.hash}"
    assert TAKEAWAY in path.with_suffix(".svg").read_text(encoding="utf8")
    assert deck.read_picture(export(tiny(title="Gap of $z$"), "gap")[0])["Title"] == "Gap of z"


def test_the_height_of_the_caption_is_that_of_its_letters(folder):
    path = export(tiny(), "05_2_x")[0]
    share = float(deck.read_picture(path)["Caption-Height"])
    rows = np.asarray(Image.open(path).convert("L")).min(axis=1) < 200  # with ink, from above
    edge = round(len(rows) * (1 - share))
    assert rows[edge:].any() and not rows[edge - 6 : edge - 1].any()
    bare = export(tiny(caption=""), "05_2_y")[0]
    assert float(deck.read_picture(bare)["Caption-Height"]) == 0


# the slides


def test_the_deck_of_a_fresh_clone_has_each_figure_and_each_lessons_questions_and_executes_nothing(course, capsys):
    (course / "own").mkdir()
    export(tiny(), "lr_3", course / "own", takeaway="Of a reader: no slide of a lesson")
    start = time.process_time()
    assert cli.main(["deck"]) == 0
    assert time.process_time() - start < 10
    lessons = [lesson for path in sorted(deck.LESSONS.glob("*.py")) if (lesson := deck.read_lesson(path)).questions]
    count = len(ALL) + len(lessons) + 2
    assert capsys.readouterr().out == f"{course / 'deck.pptx'}: {len(ALL)} figures on {count} slides\n"
    first, *others, last = slides(course / "deck.pptx")
    assert len(others) == count - 2
    for lesson in lessons:
        for name in NAMES[lesson.name]:
            slide = others.pop(0)
            fields = deck.read_picture(FIGURES / f"{name}.png")
            shape = picture(slide)
            assert shape.image.blob == (FIGURES / f"{name}.png").read_bytes()
            assert shape._element.nvPicPr.cNvPr.get("descr") == fields["Description"]
            below = fields.get("Budget") or fields["Comment"] or f"Paper: {lesson.paper}"
            said = [fields["Title"], fields.get("Subtitle"), below, lesson.heading]
            assert texts(slide) == [deck.with_minus(text) for text in said if text]
        slide = others.pop(0)
        assert texts(slide) == ["For discussion", lesson.questions, f"Paper: {lesson.paper}", lesson.heading]
        assert lesson.questions in notes(slide) and f"Lesson: notebooks/{lesson.name}.ipynb" in notes(slide)
    assert "5.2 Label smoothing\v" in texts(first)[1] and deck.OWN_HEADING not in texts(first)[1]
    assert last.shapes.title.text_frame.text == "Sources"
    assert "arXiv:1812.01187" in texts(last)[1] and "data/runs" in texts(last)[1]


@pytest.mark.parametrize("section", [None, "own"])
def test_every_slide_can_be_shown_and_nothing_is_cut(section, course, own):
    deck.write(section)
    path = course / ("deck_own.pptx" if section else "deck.pptx")
    show = Presentation(path)
    assert (show.slide_width, show.slide_height) == (Inches(13.333), Inches(7.5))
    for slide in show.slides:
        can_be_shown(slide)
        assert not [text for text in texts(slide) if text.endswith("…")]


def test_pictures_keep_their_shape_and_fill_the_slide_and_their_caption_stands_below_as_text(course):
    deck.write("5")
    for slide in slides(course / "deck_5.pptx")[1:-1]:
        for shape in (shape for shape in slide.shapes if shape.shape_type == 13):
            wide, high = shape.image.size
            assert 0 <= shape.crop_bottom < 0.2
            assert (shape.crop_left, shape.crop_right, shape.crop_top) == (0, 0, 0)
            assert shape.width / shape.height == pytest.approx(wide / (high * (1 - shape.crop_bottom)), rel=1e-3)
            assert inches(shape)[2] == pytest.approx(12.3, abs=0.1)


@pytest.mark.parametrize("letters", [20, 90, 140, 240, 1000])
def test_a_title_of_any_length_stays_in_its_box(letters, folder):
    title = ("D-efficient − plain: +1.09 ± 0.24 points, higher for 3 of 3 seeds; " * 20)[:letters].strip()
    export(tiny(), "long", takeaway=title)
    deck.write("own")
    slide = slides(folder / "deck_own.pptx")[1]
    can_be_shown(slide)
    shown, whole = slide.shapes.title.text_frame.text, title.replace("-0", "−0")
    assert shown == whole if letters <= 240 else shown.endswith("…") and whole.startswith(shown[:-1])
    assert notes(slide).startswith(whole)


@pytest.mark.filterwarnings("ignore:No installed font")
def test_any_words_of_a_reader_become_a_slide(folder, tmp_path):
    words = "강아지 <b>&\x00\x1b\udcb0 cost $5-$10 {a}"
    export(tiny(caption=words, title=verbatim(words)), "plot", takeaway=words)
    drawn = "강아지 <b>&  \ufffd cost $5-$10 {a}"
    fields = deck.read_picture(folder / "plot.png")
    assert (fields["Title"], fields["Comment"]) == (drawn, drawn)
    assert fields["Description"] == f"Plot. {drawn}: accuracy, % against ε. {drawn}"
    deck.deck([(None, folder / "plot.png")]).save(tmp_path / "deck.pptx")
    slide = Presentation(tmp_path / "deck.pptx").slides[1]
    assert slide.shapes.title.text == drawn


def test_a_lessons_slide_has_its_place_and_in_the_notes_its_questions_and_sources(course):
    deck.write("5.2")
    _, idea, *_, evidence, questions, _ = slides(course / "deck_5.2.pptx")
    lesson = deck.read_lesson(deck.LESSONS / "05_2_label_smoothing.py")
    fields = deck.read_picture(FIGURES / f"{lesson.exports[-1]}.png")
    assert len(texts(idea)) == 3 and len(texts(evidence)) == 4  # which has a line of numbers, too
    assert "Paper: +0.64" in texts(evidence)[1] and "in the paper, a gain" in texts(evidence)[0]
    lines = notes(evidence).splitlines()
    assert lines[:3] == [*texts(evidence)[:2], fields["Comment"]]
    start = lines.index("For discussion") + 1
    assert lines[start : start + 3] == lesson.questions.splitlines()
    assert "Paper: He et al. 2018, arXiv:1812.01187v2, §5.2, eq. 3–5, Fig. 4, Table 6" in lines
    assert "Lesson: notebooks/05_2_label_smoothing.ipynb" in lines
    assert f"Records, in data/runs: {fields['Source']}" in lines


def test_a_negative_number_in_a_title_has_a_minus_and_a_word_keeps_its_hyphen(folder):
    export(tiny(), "x", takeaway="D-efficient − plain at ResNet-50: -0.24 ± 0.61 points (-1 of 2)")
    deck.write("own")
    title = slides(folder / "deck_own.pptx")[1].shapes.title.text_frame.text
    assert title == "D-efficient − plain at ResNet-50: −0.24 ± 0.61 points (−1 of 2)"


# sections


@pytest.mark.parametrize("section, lessons", [("5", ["05_1", "05_2", "05_3", "05_4"]), ("3.1", ["03_1"]), ("B", ["B"])])
def test_a_section_is_a_chapter_or_a_part_of_it(section, lessons, course):
    chosen = deck.pages(section, course)
    assert [path.stem for _, path in chosen if path] == [name for name in ALL if name.startswith(tuple(lessons))]
    numbers = [x.lstrip("0").replace("_", ".") for x in lessons]
    assert [lesson.number for lesson, path in chosen if not path] == numbers  # the questions


def test_a_readers_own_figures_are_a_deck_of_their_own(course, own):
    assert deck.write("own") == f"{own / 'deck_own.pptx'}: 2 figures on 4 slides"
    first, cell, panel, _ = slides(own / "deck_own.pptx")
    assert [slide.shapes.title.text_frame.text for slide in (cell, panel)] == ["05 2 of mine", TAKEAWAY]
    assert texts(first)[1].endswith("\nYour own figures")
    assert texts(panel)[1:] == [deck.with_minus(NUMBERS), CAPTION, "Your own figures"]
    (run, *_) = studies.arm("cosine")
    assert f"Figure: gap_eps_0-1.png\nRecords, in data/runs: cifar10/cosine-{run.recipe.hash}" in notes(panel)
    assert [path.stem for _, path in deck.pages(None, own) if path] == ALL
    assert [path.stem for _, path in deck.pages("5.2", own) if path] == NAMES["05_2_label_smoothing"]


# errors


def test_an_unknown_section_is_refused_with_those_there_are(capsys):
    assert cli.main(["deck", "--section", "5.7"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: no section '5.7'. Nearest: '5.") and ", 3, 3.1, 3.2, 4, 5, 5.1," in error
    assert error.count("\n") == 1


def test_a_picture_that_is_missing_is_named_with_the_command_that_writes_it(course, capsys):
    (course / "05_2_short_and_long.png").unlink()
    assert cli.main(["deck"]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: {course} has no 05_2_short_and_long.png")
    assert "./course run 05_2_label_smoothing" in error and error.count("\n") == 1
    assert not list(course.glob("*.pptx"))
    assert cli.main(["deck", "--section", "5.1"]) == 0


def test_without_figures_of_ones_own_there_is_no_deck_of_them(folder, capsys):
    assert cli.main(["deck", "--section", "own"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: section 'own' has no figures: `slide` and") and error.count("\n") == 1


def test_a_picture_that_cannot_be_read_is_named(folder, capsys):
    (folder / "half.png").write_bytes(b"\x89PNG\r\n\x1a\n half")
    assert cli.main(["deck", "--section", "own"]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: {folder / 'half.png'} is not a readable picture") and error.count("\n") == 1


def test_a_picture_that_is_not_one_of_ours_is_named(folder, capsys):
    (folder / "own").mkdir()
    Image.new("RGB", (300, 900), "white").save(folder / "own" / "photo.png")
    assert cli.main(["deck", "--section", "own"]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: {folder / 'own' / 'photo.png'} was not written by `slide`")
    assert "Move it" in error and error.count("\n") == 1


def test_a_deck_that_cannot_be_written_is_named(folder, own, capsys):
    (folder / "deck_own.pptx").mkdir()  # in the way
    assert cli.main(["deck", "--section", "own"]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: {folder / 'deck_own.pptx'} was not written: ") and error.count("\n") == 1
