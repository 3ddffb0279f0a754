"""Slides: what they say comes from figures and lessons, each can be shown, and the same deck is the same bytes."""

import ast
import io
import os
import subprocess
import sys
import zipfile
from dataclasses import replace
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
from tricks.studies import studies

TAKEAWAY = "Label smoothing, ε = 0.1: −0.12 ± 0.30 points; paper +0.40"
CAPTION = "n = 5 seeds · resnet8 · 20,000 images × 12 epochs · cifar10, 10,000 test images · some CPU · code v1"


@styled
def tiny(caption: str = CAPTION, title: str = "Accuracy"):
    fig, ax = canvas(caption=caption)
    ax.plot([1, 2], [3, 4])
    ax.set(xlabel="ε", ylabel="accuracy, %", title=title)
    return fig


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty figures folder."""
    monkeypatch.setenv("TRICKS_FIGURES", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A lesson's figure, one of a reader for the same section, a reader's own, and any picture."""
    folder = tmp_path_factory.mktemp("figures")
    (lesson,) = deck.lessons("5.2")
    for name in lesson.exports:
        export(tiny(), name, folder, takeaway=TAKEAWAY, runs=studies.arm("smoothing-0.1") + studies.arm("cosine"))
    export(tiny(caption=""), "05_2_of_mine", folder, takeaway="word " * 80)
    export(tiny(), "optimal_gap-eps_0p4", folder / "own")
    Image.new("RGB", (300, 900), "white").save(folder / "tall_photo.png")
    return deck.slides_of([lesson], folder, own=True)


@pytest.fixture(scope="module")
def shown(pages):
    return Presentation(io.BytesIO(deck.deck(pages)))


def inches(shape) -> tuple[float, float, float, float]:
    return tuple(value / Inches(1) for value in (shape.left, shape.top, shape.width, shape.height))


@cache
def width_in_inches(text: str, size: float, bold: bool) -> float:
    """Measured by matplotlib's outlines, and not by Pillow as in `deck`."""
    font = FontProperties(family="DejaVu Sans", weight="bold" if bold else "normal")
    return TextPath((0, 0), text, size=size, prop=font).get_extents().x1 / 72


def lines_in(text: str, size: float, bold: bool, width: float) -> int:
    """How many lines a text takes, word after word."""
    space = width_in_inches("n n", size, bold) - 2 * width_in_inches("n", size, bold)
    count, used = 1, -space
    for word in text.split():
        wide = width_in_inches(word, size, bold)
        if used + space + wide > width:
            count, used = count + 1, -space
        used += space + wide
    return count


# what lessons and figures say


def test_every_lesson_has_what_its_slides_need():
    found = deck.lessons()
    assert len(found) == len(list((ROOT / "notebooks" / "src").glob("*.py"))) >= 11
    for lesson in found:
        assert lesson.number and lesson.heading and not lesson.heading.startswith("#")
        if lesson.exports:
            assert lesson.paper and "\n" not in lesson.paper
            assert len(lesson.questions) >= 3 and all(
                question.endswith((".", "?", ")")) for question in lesson.questions
            )
        assert {deck.number_of(name) for name in lesson.exports} <= {lesson.number}
    smoothing = next(lesson for lesson in found if lesson.number == "5.2")
    assert smoothing.heading == "5.2 Label smoothing"
    assert smoothing.paper == "§5.2, eq. 3–5, Fig. 4, Table 6"
    assert smoothing.questions[0].startswith("Fig. 4b's one-hot histogram has a long tail")


def test_every_figure_of_a_lesson_is_exported_with_a_takeaway():
    """And the sentence is computed: a name, not a text."""
    exports = 0
    for lesson in deck.lessons():
        for node in ast.walk(ast.parse(lesson.path.read_text(encoding="utf8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "export":
                exports += 1
                given = {keyword.arg: keyword.value for keyword in node.keywords}
                assert "takeaway" in given, f"{lesson.path.name}, line {node.lineno}"
                assert not isinstance(given["takeaway"], ast.Constant), f"{lesson.path.name}, line {node.lineno}"
    assert exports == sum(len(lesson.exports) for lesson in deck.lessons()) >= 11


@pytest.mark.parametrize(
    "name, number",
    [
        ("05_2_label_smoothing", "5.2"),
        ("04_cost", "4"),
        ("00_runs", "0"),
        ("B_rates", "B"),
        ("optimal_gap", ""),
        ("x", ""),
    ],
)
def test_the_number_of_a_name(name, number):
    assert deck.number_of(name) == number


@pytest.mark.parametrize("section, numbers", [("5", ["5.1", "5.2", "5.3", "5.4"]), ("3.1", ["3.1"]), ("B", ["B"])])
def test_a_section_is_a_chapter_or_a_part_of_it(section, numbers):
    assert [lesson.number for lesson in deck.lessons(section)] == numbers


def test_markdown_becomes_plain_text():
    assert deck.plain("*Why* `x`\nand [a **b**](c.ipynb)?") == "Why x and a b?"


def test_a_figure_says_itself_what_it_shows(folder):
    runs = studies.arm("smoothing-0.1")
    path = export(tiny(), "05_2_x", takeaway=TAKEAWAY, runs=runs)[0]
    picture = deck.read_picture(path)
    assert (picture.title, picture.caption) == (TAKEAWAY, CAPTION)
    assert picture.alt == f"Plot. Accuracy: accuracy, % against ε. {CAPTION}"
    assert picture.records == (f"cifar10/smoothing-0.1-{runs[0].recipe.hash}",)
    assert 0.03 < picture.caption_height < 0.15
    assert TAKEAWAY in path.with_suffix(".svg").read_text(encoding="utf8")


def test_the_height_of_the_caption_is_that_of_its_letters(folder):
    path = export(tiny(), "05_2_x")[0]
    share = deck.read_picture(path).caption_height
    rows = np.asarray(Image.open(path).convert("L")).min(axis=1) < 200  # with ink, from above
    edge = round(len(rows) * (1 - share))
    assert rows[edge:].any() and not rows[edge - 6 : edge - 1].any()
    bare = export(tiny(caption=""), "05_2_y")[0]
    assert deck.read_picture(bare).caption_height == 0


def test_without_a_takeaway_the_plots_title_stands_in_for_it(folder):
    assert deck.read_picture(export(tiny(title="Gap of $z$"), "gap")[0]).title == "Gap of z"
    assert deck.read_picture(export(tiny(title=""), "optimal_gap")[0]).title == "optimal gap"


def test_a_negative_number_in_a_title_has_a_minus_and_a_word_keeps_its_hyphen(folder):
    takeaway = "D-efficient − plain at ResNet-50: -0.24 ± 0.61 points (-1 of 2)"
    title = deck.read_picture(export(tiny(), "05_2_x", takeaway=takeaway)[0]).title
    assert title == "D-efficient − plain at ResNet-50: −0.24 ± 0.61 points (−1 of 2)"


# the slides


def test_every_slide_can_be_shown(shown, pages):
    assert (shown.slide_width, shown.slide_height) == (Inches(13.333), Inches(7.5))
    assert len(shown.slides) == len(pages) + 2
    for slide in shown.slides:
        assert slide.shapes.title.text_frame.text.strip()
        assert slide.notes_slide.notes_text_frame.text.strip()
        for shape in slide.shapes:
            left, top, width, height = inches(shape)
            assert left >= 0.4 and top >= 0.25 and left + width <= 13.333 - 0.4 and top + height <= 7.5 - 0.2
            assert not shape.is_placeholder or shape.text_frame.text.strip()  # none is left empty
        for i, one in enumerate(slide.shapes):  # nothing covers anything
            for other in list(slide.shapes)[i + 1 :]:
                a, b = inches(one), inches(other)
                apart = [a[k] + a[k + 2] <= b[k] + 1e-3 or b[k] + b[k + 2] <= a[k] + 1e-3 for k in (0, 1)]
                assert any(apart), (one.name, other.name)


def test_every_text_fits_its_box(shown):
    checked = 0
    for slide in shown.slides:
        for shape in (shape for shape in slide.shapes if shape.has_text_frame):
            _, _, width, height = inches(shape)
            used = 0.0
            for paragraph in shape.text_frame.paragraphs:
                for run in paragraph.runs:  # one, or none where the number of the slide is
                    size = run.font.size.pt
                    used += lines_in(run.text, size, run.font.bold, width) * 1.2 * size / 72
                    used += paragraph.space_after.pt / 72
                    checked += 1
            assert used <= height + 0.01, shape.text_frame.text
    assert checked > 20


def test_a_figures_slide_has_takeaway_picture_caption_footer_and_notes(shown, pages):
    slide, (lesson, picture) = shown.slides[1], pages[0]
    assert slide.shapes.title.text_frame.text == TAKEAWAY
    texts = [shape.text_frame.text for shape in slide.shapes if shape.has_text_frame]
    assert texts == [TAKEAWAY, "5.2 Label smoothing · paper: §5.2, eq. 3–5, Fig. 4, Table 6", "2", CAPTION]
    (shape,) = [shape for shape in slide.shapes if shape.shape_type == 13]
    assert shape.image.blob == picture.path.read_bytes()
    assert shape._element.nvPicPr.cNvPr.get("descr") == picture.alt
    notes = slide.notes_slide.notes_text_frame.text
    assert all(question in notes for question in lesson.questions) and "For discussion" in notes
    assert f"Paper: He et al. 2018, arXiv:1812.01187v2, {lesson.paper}" in notes
    assert "Records: data/runs/cifar10, arms smoothing-0.1, cosine" in notes
    assert "Lesson: notebooks/05_2_label_smoothing.ipynb" in notes


def test_pictures_keep_their_shape_and_are_as_large_as_they_can_be(shown, pages):
    for slide, (_, picture) in zip(list(shown.slides)[1:-1], pages, strict=True):
        (shape,) = [shape for shape in slide.shapes if shape.shape_type == 13]
        wide, high = shape.image.size
        high *= 1 - shape.crop_bottom
        _, _, width, height = inches(shape)
        assert shape.crop_bottom == pytest.approx(picture.caption_height, abs=1e-4)
        assert (shape.crop_left, shape.crop_right, shape.crop_top) == (0, 0, 0)
        assert width / height == pytest.approx(wide / high, rel=1e-3)
        assert height == pytest.approx(5.12, abs=0.01) or width == pytest.approx(12.333, abs=0.01)


def test_readers_own_figures_come_last_and_have_notes_too(shown, pages):
    assert [picture.path.stem for _, picture in pages][-3:] == ["05_2_of_mine", "optimal_gap-eps_0p4", "tall_photo"]
    slide = shown.slides[len(pages)]
    assert slide.shapes.title.text_frame.text == "tall photo"
    assert "Figure: figures/tall_photo.png" in slide.notes_slide.notes_text_frame.text
    before = shown.slides[len(pages) - 1].notes_slide.notes_text_frame.text
    assert "Figure: figures/own/optimal_gap-eps_0p4.png" in before


def test_a_title_too_long_for_its_box_is_cut_and_whole_in_the_notes(shown):
    slide = shown.slides[2]
    assert slide.shapes.title.text_frame.text.endswith("word …")
    assert ("word " * 80).strip() in slide.notes_slide.notes_text_frame.text


def test_the_first_slide_names_the_sections_and_the_last_the_sources(shown):
    first, last = ([shape.text_frame.text for shape in slide.shapes] for slide in (shown.slides[0], shown.slides[-1]))
    assert "5.2 Label smoothing\nYour own figures" in first[1]
    assert last[0] == "Sources"
    assert "arXiv:1812.01187" in last[-1] and "data/runs" in last[-1]


def test_titles_shrink_before_they_are_cut():
    box = (0, 0, 10, 1)
    assert deck.fitting("Short", box, (28, 20)) == ("Short", 28)
    assert deck.fitting("word " * 25, box, (28, 20))[1] == 20
    text, size = deck.fitting("word " * 100, box, (28, 20))
    assert size == 20 and text.endswith("word …")
    assert deck.lines_of(text, 20, 10) == 3 and deck.lines_of(f"word word {text}", 20, 10) == 4


def test_the_same_figures_give_the_same_bytes(pages, tmp_path):
    first = deck.deck(pages)
    assert deck.deck(pages) == first
    with zipfile.ZipFile(io.BytesIO(first)) as file:
        assert {entry.date_time for entry in file.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert b"1980-01-01T00:00:00Z" in file.read("docProps/core.xml")
    code = (
        "import sys; from pathlib import Path; from tricks import deck; (lesson,) = deck.lessons('5.2')\n"
        "sys.stdout.buffer.write(deck.deck(deck.slides_of([lesson], Path(sys.argv[1]), own=True)))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    folder = str(pages[0][1].path.parent)
    again = subprocess.run([sys.executable, "-c", code, folder], cwd=ROOT, env=environment, capture_output=True)
    assert again.stdout == first, again.stderr.decode()


# making figures that are missing


@pytest.fixture
def lesson(tmp_path, monkeypatch):
    """A small lesson in place of the real ones."""
    source = tmp_path / "src" / "05_9_small.py"
    source.parent.mkdir()
    source.write_text(
        '# %% [markdown]\n# # 5.9 Small\n#\n# *Paper:* §5.\n\n# %%\nexport(fig, "05_9_gap", takeaway=t)\n'
    )
    os.utime(source, (0, 0))
    monkeypatch.setattr(deck, "LESSONS", source.parent)
    return deck.read_lesson(source)


def execution(monkeypatch, folder, writes=True):
    """What the builder was called with; in place of executing, it writes the figure."""
    calls = []

    def run(command, **options):
        calls.append((command, options["env"]["TRICKS_FIGURES"]))
        if writes:
            export(tiny(), "05_9_gap", folder, takeaway=TAKEAWAY)
        return subprocess.CompletedProcess(command, 0 if writes else 1)

    monkeypatch.setattr(deck.subprocess, "run", run)
    return calls


def test_missing_figures_are_made_once_and_it_says_so(lesson, folder, monkeypatch, capsys):
    calls = execution(monkeypatch, folder)
    assert cli.main(["deck"]) == 0
    ((command, where),) = calls
    assert command[-2:] == ["--figures", "05_9_small"] and where == str(folder)
    out = capsys.readouterr().out
    assert "Figures of 1 of 1 lessons are missing" in out and "[1/1] 5.9 Small: 05_9_gap" in out
    assert out.splitlines()[-1] == f"{folder / 'deck.pptx'}: 1 figures on 3 slides"
    assert len(Presentation(folder / "deck.pptx").slides) == 3
    assert cli.main(["deck", "--section", "5"]) == 0
    assert len(calls) == 1
    assert capsys.readouterr().out == f"{folder / 'deck_5.pptx'}: 1 figures on 3 slides\n"


def test_figures_older_than_their_records_or_their_lesson_are_made_again(lesson, folder, monkeypatch, tmp_path):
    records = tmp_path / "runs"
    monkeypatch.setattr(deck, "RUNS", records)
    (run, *_) = studies.arm("cosine")
    old = run.save(records)
    path = export(tiny(), "05_9_gap", runs=[run])[0]
    for file in (path, old):
        os.utime(file, (1000, 1000))
    assert deck.outdated(lesson, folder) == []
    new = replace(run, seed=99).save(records)
    assert deck.outdated(lesson, folder) == ["05_9_gap"]
    new.unlink()
    replace(run, name="other").save(records)
    assert deck.outdated(lesson, folder) == []
    os.utime(lesson.path, (2000, 2000))
    assert deck.outdated(lesson, folder) == ["05_9_gap"]
    os.utime(lesson.path, (0, 0))
    old.unlink()  # of a recipe that is no longer recorded
    assert deck.outdated(lesson, folder) == ["05_9_gap"]


def test_a_lesson_that_fails_is_named(lesson, folder, monkeypatch, capsys):
    execution(monkeypatch, folder, writes=False)
    with pytest.raises(SystemExit) as stopped:
        cli.main(["deck"])
    assert str(stopped.value).startswith("error: 05_9_small did not write 05_9_gap.png (exit status 1;")
    assert not list(folder.glob("*.pptx"))


def test_an_unknown_section_is_refused_with_those_there_are(capsys):
    assert cli.main(["deck", "--section", "5.7"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: no section '5.7'. Nearest: '5.") and ", 3, 3.1, 3.2, 4, 5, 5.1," in error
    assert error.count("\n") == 1


def test_without_figures_of_ones_own_there_is_no_deck_of_them(folder, capsys):
    assert cli.main(["deck", "--section", "own"]) == 1
    assert capsys.readouterr().err == "error: section 'own' has no figures\n"


def test_a_picture_that_cannot_be_read_is_named(folder, capsys):
    (folder / "half.png").write_bytes(b"\x89PNG\r\n\x1a\n half")
    assert cli.main(["deck", "--section", "own"]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: {folder / 'half.png'} is not a readable picture") and error.count("\n") == 1


def test_a_folder_that_cannot_be_written_is_named(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("TRICKS_FIGURES", str(tmp_path / "file"))
    assert cli.main(["deck", "--section", "own"]) == 1
    error = capsys.readouterr().err
    assert str(tmp_path / "file") in error and error.count("\n") == 1
