"""The site: what Sphinx is given, and a small site of two lessons, which asks nothing of other hosts."""

import base64
import json
import os
import re
from collections import namedtuple
from pathlib import Path

import pytest
import yaml

from tricks import ROOT

if os.environ.get("CI") != "true":  # there, a package that is missing is an error
    for package in ("sphinx", "myst_nb", "furo", "latex2mathml"):
        pytest.importorskip(package, reason="./course site needs the packages of the group `site` in pyproject.toml")

from tricks.course import cli, site

LESSONS = ("05_2_label_smoothing", "C_when_to_believe")
PAGES = ["index.html", *(f"notebooks/{name}.html" for name in LESSONS), "docs/decision_card.html"]
PAGES += [f"docs/{name}.html" for name in ("session_plan", "faq", "troubleshooting", "evidence")]
OUTSIDE = re.compile(
    r"""(?:<(?:script|img|iframe|source)\b[^>]*\bsrc|<link\b[^>]*\bhref)=["']?(?:https?:)?//[^"'\s>]+"""
)
Done = namedtuple("Done", "returncode")
PANEL = "<!doctype html><title>frozen</title>"
FRAME = '<div class="tricks-frozen"><iframe src="../_static/panels/gap-1.html" title="a gap"></iframe></div>'


def panels(folder: Path) -> tuple[str, str]:
    """Make a folder of one frozen panel: the id of the cell that it belongs to, and the words of its still picture."""
    cells = json.loads((ROOT / "notebooks" / f"{LESSONS[0]}.ipynb").read_bytes())["cells"]
    cell, words = next(
        (cell["id"], words)
        for cell in cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
        if "Drawn for " in (words := "".join(output["data"]["text/plain"]))
    )
    index = {"key": "k", "frames": {cell: {words: FRAME}, "another": {words: FRAME.replace("gap-1", "gap-2")}}}
    (folder / f"{LESSONS[0]}.json").write_text(json.dumps(index), "utf8")
    (folder / "gap-1.html").write_text(PANEL, "utf8")
    return cell, words


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a site of two lessons, one of them with a frozen panel, and what was said of it."""
    folder = tmp_path_factory.mktemp("site")
    panels(folder)
    said = site.write(LESSONS, folder, folder / "cache")
    return folder / "cache" / "html", said


def test_all_pages_are_there_and_it_says_how_large_they_are_and_how_long_it_took(built):
    folder, said = built
    assert [name for name in PAGES if not (folder / name).exists()] == []
    assert re.fullmatch(rf"{re.escape(str(folder))}/index\.html: \d+ pages, \d+\.\d MB, in \d+ s", said)


def test_nothing_is_asked_of_another_host(built):
    assert OUTSIDE.search('<script src="https://cdn.example/x.js">') and OUTSIDE.search("<link href=//cdn.example/x>")
    for path in built[0].rglob("*.html"):
        assert OUTSIDE.findall(path.read_text("utf8")) == [], path
    for path in built[0].rglob("*.css"):
        assert not re.search(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", path.read_text("utf8")), path


def test_code_is_folded_where_the_lesson_folds_it(built):
    page = (built[0] / "notebooks" / f"{LESSONS[0]}.html").read_text("utf8")
    cells = json.loads((ROOT / "notebooks" / f"{LESSONS[0]}.ipynb").read_bytes())["cells"]
    folded = [cell for cell in cells if cell["metadata"].get("jupyter", {}).get("source_hidden")]
    assert all("hide-input" in cell["metadata"]["tags"] for cell in folded)
    assert page.count("tag_hide-input") == len(folded) > 10
    assert page.count('<details class="admonition hide above-input') == len(folded)
    assert page.count('<details class="admonition hide below-input') > 0


def test_formulas_are_mathml(built):
    page = (built[0] / "notebooks" / f"{LESSONS[0]}.html").read_text("utf8")
    assert '<math xmlns="http://www.w3.org/1998/Math/MathML" display="block">' in page
    assert "MathJax" not in page and r"\frac" not in page


def test_pictures_have_their_words_and_size(built):
    page = (built[0] / "notebooks" / f"{LESSONS[1]}.html").read_text("utf8")
    stills = re.findall(
        r'<a class="still" href="([^"]+)"><img src="\1" alt="Plot\. [^"]+" (?:height|width)="\d+"', page
    )
    assert len(stills) > 5
    assert all((built[0] / "notebooks" / name).resolve().is_file() for name in stills)


def test_a_frozen_panel_takes_the_place_of_its_still_picture_and_of_no_other(built, tmp_path):
    page = (built[0] / "notebooks" / f"{LESSONS[0]}.html").read_text("utf8")
    assert page.count(FRAME) == page.count("<iframe") == 1
    assert (built[0] / "_static" / "panels" / "gap-1.html").read_text("utf8") == PANEL
    cell, words = panels(tmp_path)
    assert not list((built[0] / "_static" / "stills").glob(f"*{cell}*"))
    assert len(list((built[0] / "_static" / "stills").glob(f"{LESSONS[0]}-*"))) > 4
    # one that is drawn from another run has other words
    index = tmp_path / f"{LESSONS[0]}.json"
    index.write_text(json.dumps({"key": "k", "frames": {cell: {f"{words}.": FRAME}}}), "utf8")
    files = site.lesson_files(LESSONS[0], set(), tmp_path)
    assert not any(name.startswith("_static/panels/") for name in files)
    assert any(cell in name for name in files)


def test_only_lessons_that_changed_are_executed_for_their_panels(tmp_path, monkeypatch, capfd):
    lesson, called = site.LESSONS / f"{LESSONS[0]}.py", []
    for path in site.LESSONS.glob("*.py"):
        (tmp_path / f"{path.stem}.json").write_text(json.dumps({"key": site.lesson_key(path), "frames": {}}), "utf8")
    monkeypatch.setattr(site, "PANELS", tmp_path)
    monkeypatch.setattr(site.subprocess, "run", lambda command, **_: called.append(command) or Done(len(called) - 1))
    site.freeze()
    assert called == []
    (tmp_path / f"{lesson.stem}.json").unlink()
    site.freeze()
    assert called[0][-4:] == [str(tmp_path), "--jobs", "2", lesson.stem]
    with pytest.raises(ValueError, match="not all panels are frozen"):
        site.freeze()
    assert "1 lessons are executed to freeze their panels" in capfd.readouterr().out


def test_the_card_is_that_of_today(built):
    from tricks.course.card import CARD

    page = (built[0] / "docs" / "decision_card.html").read_text("utf8")
    assert page.count("<tr ") == len(CARD) + 1
    assert "One line a trick." in page and "How to read a line." in page


def test_the_search_knows_the_lessons(built):
    index = (built[0] / "searchindex.js").read_text("utf8")
    assert all(f"notebooks/{name}" in index for name in LESSONS)
    assert "fetch(" not in (built[0] / "_static" / "documentation_options.js").read_text("utf8")
    assert "SHOW_SEARCH_SUMMARY: false" in (built[0] / "_static" / "documentation_options.js").read_text("utf8")


# without a build


def test_a_link_to_what_is_no_page_becomes_words_and_other_brackets_stay():
    pages = {"docs/faq.md", "notebooks/C_when_to_believe.ipynb"}
    kept = "[a](faq.md), [b](../notebooks/C_when_to_believe.ipynb), [c](https://example.org/x.md), `layers[0](x)`"
    gone = "[a](../CONTRIBUTING.md) [b](../notebooks/99_no_such.ipynb) [c](../data/runs)"
    for text, wanted in {kept: kept, gone: "a b c", "![p](images/p.png)": "![p](images/p.png)"}.items():
        assert site.linked(text, "docs", pages) == wanted


def test_a_link_to_a_picture_stays_and_the_picture_goes_along(tmp_path):
    files = site.sources(["08_trick_lab"], tmp_path)
    assert b"](../docs/images/trick_lab.png)" in files["notebooks/08_trick_lab.ipynb"]
    assert files["docs/images/trick_lab.png"] == (ROOT / "docs" / "images" / "trick_lab.png").read_bytes()


def test_files_that_did_not_change_keep_their_date_and_others_go(tmp_path):
    assert not site.lay(tmp_path, {"a.md": b"a", "b/c.md": b"c"})
    before = (tmp_path / "a.md").stat().st_mtime_ns
    assert site.lay(tmp_path, {"a.md": b"a", "d.md": b"d"})
    assert (tmp_path / "a.md").stat().st_mtime_ns == before
    assert sorted(path.name for path in tmp_path.rglob("*.md")) == ["a.md", "d.md"]


def test_a_lesson_that_is_not_built_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"99_no_such\.ipynb is not built: \./course run 99_no_such builds it"):
        site.sources(["99_no_such"], tmp_path)


def test_words_are_escaped_and_bytes_are_those_of_the_notebook(tmp_path):
    assert 'alt="a &lt; &quot;b&quot;"' in site.still("x.png", 'a < "b"', {"width": 8, "height": 4})
    files = site.lesson_files(LESSONS[0], set(), tmp_path)
    cells = json.loads((ROOT / "notebooks" / f"{LESSONS[0]}.ipynb").read_bytes())["cells"]
    first = next(
        o["data"]["image/png"] for c in cells for o in c.get("outputs", []) if "image/png" in o.get("data", {})
    )
    assert base64.b64decode("".join(first)) in files.values()


def test_warnings_of_sphinx_are_an_error_with_their_place(built, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(site, "sources", lambda *_: {"index.md": b"# T\n\n[there](nowhere.md)\n"})
    monkeypatch.setattr(site, "freeze", lambda: None)
    monkeypatch.setattr(site, "write", lambda write=site.write: write(folder=tmp_path))
    assert cli.main(["site"]) == 1
    said = capsys.readouterr().err
    assert f"the site in {tmp_path / 'html'} has faults. " in said
    assert re.search(r"/index\.md:3: WARNING: .*nowhere\.md", said)
    assert "already registered" not in said  # by another site in this process


def test_the_workflow_publishes_what_the_command_makes():
    path = ROOT / ".github" / "workflows" / "site.yml"
    workflow = yaml.safe_load(path.read_text("utf8"))
    steps = workflow["jobs"]["publish"]["steps"]
    assert [step["run"] for step in steps if "run" in step] == ["./course data cifar10 --fetch", "./course site"]
    (folder,) = [step["with"]["path"] for step in steps if "upload-pages-artifact" in step.get("uses", "")]
    assert ROOT / folder == site.FOLDER / "html"
    assert "not\n# been run" in path.read_text("utf8")
