"""The committed notebooks are what their sources say, in the published form; and the tool that builds them."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import time

import build_notebooks as tool
import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from tricks import ROOT
from tricks.course.lesson import shown, shown_loop
from tricks.schedules import cosine_lr, lr_at

LESSONS = tool.sources([])
FORMS = [False, True]


# The committed notebooks


def test_there_are_lessons_and_each_notebook_has_a_source():
    assert LESSONS
    built = {path for folder in (tool.NOTEBOOKS, tool.NOTEBOOKS / "solutions") for path in folder.glob("*.ipynb")}
    assert built == {tool.target(source, form) for source in LESSONS for form in FORMS}


@pytest.mark.parametrize("solutions", FORMS, ids=["lesson", "solutions"])
@pytest.mark.parametrize("source", LESSONS, ids=lambda path: path.stem)
def test_a_committed_notebook_is_its_source_in_the_published_form(source, solutions):
    assert tool.out_of_step(source, solutions) == ""
    text = tool.target(source, solutions).read_text(encoding="utf8")
    notebook = nbformat.reads(text, as_version=4)
    nbformat.validate(notebook)
    assert tool.faults(notebook) == []
    assert text.endswith("}\n")
    outputs = [output for cell in notebook.cells for output in tool.outputs(cell)]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    said = "".join(output.get("text", "") + output.get("data", {}).get("text/plain", "") for output in outputs)
    assert "--fetch` gets it" not in said, "built where CIFAR-10 was not found: set TRICKS_DATA, build again"
    if solutions:
        assert tool.unsolved(notebook) == []
        assert not any("# your code" in cell.source for cell in notebook.cells)


@pytest.mark.parametrize("solutions", FORMS, ids=["lesson", "solutions"])
@pytest.mark.parametrize("source", LESSONS, ids=lambda path: path.stem)
def test_what_a_committed_notebook_shows_of_the_module_is_the_code_of_today(source, solutions):
    assert tool.refresh(source, solutions, write=False) == [], "run python tools/build_notebooks.py --refresh"


def test_every_shown_source_in_the_committed_notebooks_is_compared():
    compared = 0
    for path in (tool.target(source, form) for source in LESSONS for form in FORMS):
        notebook = nbformat.read(path, as_version=4)
        markdown = [o.data.get("text/markdown", "") for c in notebook.cells for o in tool.outputs(c) if "data" in o]
        found = len(list(tool.shown_sources(notebook)))
        assert found == sum(text.startswith("`tricks/") for text in markdown)
        compared += found
    assert compared > 0


# Source to notebook

SOURCE = """\
# %% [markdown]
# # A lesson

# %%
import sys

from tricks.plots.smoothing import optimal_gap
from tricks.course.lesson import live, sliders
from tricks.course.questions import check, predict

sliders(optimal_gap, eps=(0.001, 0.9), K=(2, 1000))

# %%
guess = predict("How much?", 0, 1)


# %%
def double(x):
    # solution
    y = x + x

    return y


check("double", double, lambda x: 2 * x, [1, 2.5])

# %% tags=["solution"]
print("only for those who look")

# %%
rows = list(live(({"epoch": e, "train_loss": 1 / e, "test_accuracy": 50.0} for e in (1, 2)), 2))
print("budget", __import__("os").environ["TRICKS_BUDGET"])
sys.stdout.flush()
print("two writes, one output")
"""


@pytest.fixture
def lesson(tmp_path, monkeypatch):
    """A lesson of its own in a folder of its own; returns its source's path."""
    monkeypatch.setattr(tool, "NOTEBOOKS", tmp_path)
    path = tmp_path / "src" / "01_lesson.py"
    path.parent.mkdir()
    path.write_text(SOURCE, encoding="utf8")
    return path


def run(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["build_notebooks.py", *arguments])
    return tool.main()


def test_a_lesson_has_blanks_where_its_solutions_are():
    blank, full = (tool.parse(SOURCE, form) for form in FORMS)
    assert (blank.cells[0].cell_type, blank.cells[0].source) == ("markdown", "# A lesson")
    question = 'def double(x):\n    ...  # your code\n\n\ncheck("double", double, lambda x: 2 * x, [1, 2.5])'
    assert blank.cells[3].source == question
    assert full.cells[3].source == question.replace("...  # your code", "y = x + x\n\n    return y")
    assert full.cells[4].source == 'print("only for those who look")' and full.cells[4].metadata.tags == ["solution"]
    rest = [cell.source for cell in full.cells if cell is not full.cells[3] and cell is not full.cells[4]]
    assert [cell.source for cell in blank.cells if cell is not blank.cells[3]] == rest


@pytest.mark.parametrize(
    "code, blank",
    [
        ("x = 1", "x = 1"),
        ("x = ...\n# solution\nx = 2\ny = 3", "x = ...\n...  # your code"),
        ("def f():\n    # solution\n    return 1", "def f():\n    ...  # your code"),
        (
            "def f():\n    a = 1\n    # solution\n    return a\n\n\nf()",
            "def f():\n    a = 1\n    ...  # your code\n\n\nf()",
        ),
        (
            "for i in x:\n    if i:\n        # solution\n        a = i\n    print(a)",
            "for i in x:\n    if i:\n        ...  # your code\n    print(a)",
        ),
        (
            "def f():\n    # solution\n    return 1\n\n\ndef g():\n    # solution\n    return 2",
            "def f():\n    ...  # your code\n\n\ndef g():\n    ...  # your code",
        ),
        ("print('the # solution is')", "print('the # solution is')"),
    ],
)
def test_a_solution_ends_with_its_block(code, blank):
    assert tool.blanked(code) == blank


def test_a_folded_cell_is_collapsed_in_jupyterlab_and_stays_so_when_published():
    notebook = tool.parse('# %% tags=["hide-input"]\n1\n\n# %%\n1\n\n# %% tags=["hide-output"]\n1\n', False)
    folded = {"tags": ["hide-input"], "jupyter": {"source_hidden": True}}
    collapsed = {"tags": ["hide-output"], "jupyter": {"outputs_hidden": True}}
    assert [cell.metadata for cell in notebook.cells] == [folded, {}, collapsed]
    for cell in notebook.cells:
        cell.metadata["execution"] = {}
    published = nbformat.reads(tool.publish(notebook), as_version=4)
    nbformat.validate(published)
    assert [cell.metadata for cell in published.cells] == [folded, {}, collapsed]
    for wrong in ({}, {"source_hidden": False}, {"source_hidden": True, "outputs_hidden": True}):
        published.cells[0].metadata["jupyter"] = wrong
        assert "cell 0: metadata is" in "".join(tool.faults(published))
    published.cells[0].metadata = {"jupyter": {"source_hidden": True}}  # without the tag
    assert "cell 0: metadata is" in "".join(tool.faults(published))


def test_a_section_headed_deeper_is_collapsed_and_each_begins_a_cell():
    notebook = tool.parse("# %% [markdown]\n# ## Deeper: why\n\n# %% [markdown]\n# ## Not deeper\n", False)
    assert [cell.metadata for cell in notebook.cells] == [{"jp-MarkdownHeadingCollapsed": True}, {}]
    assert tool.faults(nbformat.reads(tool.publish(notebook), as_version=4)) == []
    headings = [
        (line, cell.source.startswith("## Deeper"))
        for source in LESSONS
        for cell in tool.parse(source.read_text(encoding="utf8"), True).cells
        for line in cell.source.splitlines()
        if cell.cell_type == "markdown" and line.startswith("#") and "Deeper" in line
    ]
    assert len(headings) >= 5 and [line for line, begins in headings if not begins] == []


def test_ids_repeat_and_tell_cells_apart():
    first, again = tool.parse(SOURCE, True), tool.parse(SOURCE, True)
    ids = [cell.id for cell in first.cells]
    assert ids == [cell.id for cell in again.cells]
    assert len(set(ids)) == len(ids)
    twice = tool.parse("# %%\n1\n\n# %%\n1\n", True)
    assert twice.cells[0].source == twice.cells[1].source and twice.cells[0].id != twice.cells[1].id
    nbformat.validate(first)


# The published form


def executed(*outputs, **metadata):
    """A notebook of one executed cell with these outputs."""
    cell = new_code_cell("1", execution_count=1, outputs=list(outputs), metadata=metadata)
    return new_notebook(cells=[cell], metadata=tool.METADATA)


def printed(text, name="stdout"):
    return new_output("stream", name=name, text=text)


@pytest.mark.parametrize(
    "output, fault",
    [
        (printed("UserWarning: old\n", "stderr"), "cell 0: writes to stderr: UserWarning: old"),
        (new_output("error", ename="ValueError", evalue="bad", traceback=[]), "cell 0: ValueError: bad"),
        (printed(f"saved\nin {ROOT}/figures\n"), f"cell 0: prints a path of this machine: in {ROOT}/figures"),
        (
            printed("<function f at 0x7f38e9996560>"),
            "cell 0: prints a memory address, another one each time: <function f",
        ),
        (printed("x" * 1_100_000), "bytes, must be below 1,000,000"),
    ],
)
def test_what_must_not_be_published_is_named(output, fault):
    with pytest.raises(tool.BuildError, match=re.escape(fault)):
        tool.publish(executed(output))


def test_faults_see_what_publishing_would_have_put_right():
    view = new_output("display_data", {"text/plain": "VBox()", tool.WIDGET: {}})
    notebook = executed(view, execution={"iopub.execute_input": "2026-01-01"})
    notebook.cells[0].execution_count = 7
    notebook.metadata["widgets"] = {}
    found = "\n".join(tool.faults(notebook))
    for part in (
        "metadata is {'kernel",
        "cell 0: metadata is {'execution",
        "executed as 7, must be 1",
        "a widget view",
    ):
        assert part in found
    assert tool.faults(nbformat.reads(tool.publish(notebook), as_version=4)) == []


def test_widgets_leave_their_picture_or_a_line_of_text():
    picture = new_output(
        "execute_result", {"image/png": "iVBO", "text/plain": "Plot.", tool.WIDGET: {}}, execution_count=1
    )
    bare = new_output("display_data", {"text/plain": "VBox()", tool.WIDGET: {}})
    quiz = new_output("display_data", {"text/html": "<p>Why?</p>", "text/plain": "Why?", tool.WIDGET: {}})
    first, second, third = nbformat.reads(tool.publish(executed(picture, bare, quiz)), as_version=4).cells[0].outputs
    assert first.data == {"image/png": "iVBO", "text/plain": "Plot."}
    assert second.data == {"text/plain": "Interactive: run this cell in JupyterLab."}
    assert third.data == {"text/html": "<p>Why?</p>", "text/plain": "Why?"}


def test_a_goal_stands_beside_its_panels_still_picture():
    data = {"image/png": "iVBO", "text/plain": "Plot.", tool.WIDGET: {}}
    panel = new_output("execute_result", data, execution_count=1, metadata={"goal": "Goal: find it.", "image/png": {}})
    after = printed("printed")
    outputs = nbformat.reads(tool.publish(executed(panel, after)), as_version=4).cells[0].outputs
    assert [output.output_type for output in outputs] == ["execute_result", "display_data", "stream"]
    assert outputs[0].metadata == {"image/png": {}}
    assert outputs[1].data == {"text/markdown": "Goal: find it.", "text/plain": "Goal: find it."}


def test_a_solution_that_does_not_pass_its_check_is_named():
    said = ("✓ a: correct", "○ b: not yet, put", "✓ c: correct (rounding 1e-9)", "✗ d: different, at 1", "a ✗ e")
    notebook = executed(printed("✗ f\n"), *(new_output("display_data", {"text/plain": text}) for text in said))
    assert tool.unsolved(notebook) == ["cell 0: ○ b: not yet, put", "cell 0: ✗ d: different, at 1"]


# The commands


def test_a_build_writes_both_forms_the_same_each_time(lesson, monkeypatch, capfd):
    tool.prepare_data()  # where nothing is decoded yet, this shows its progress
    capfd.readouterr()
    monkeypatch.setenv("TRICKS_BUDGET", "full")
    assert run(monkeypatch, "--jobs", "2") == 0
    out, err = capfd.readouterr()
    assert out.splitlines()[-1] == "2 notebooks built, 0 failed"
    assert err == ""
    paths = [tool.target(lesson, form) for form in FORMS]
    first = [path.read_bytes() for path in paths]
    assert run(monkeypatch, "01") == 0
    assert [path.read_bytes() for path in paths] == first
    assert run(monkeypatch, "--check") == 0

    blank, full = (nbformat.read(path, as_version=4) for path in paths)
    slider, guess, exercise, last = (cell.outputs for cell in blank.cells if cell.cell_type == "code")
    assert set(slider[0].data) == {"image/png", "text/plain"}
    assert guess[0].data == {"text/plain": "Interactive: run this cell in JupyterLab."}
    assert exercise[0].data["text/plain"] == "○ double: not yet, your function returns nothing"
    assert [output.output_type for output in last] == ["display_data", "stream"]
    assert last[1].text == "budget full\ntwo writes, one output\n"
    assert full.cells[3].outputs[0].data["text/plain"] == "✓ double: correct (on 2 inputs)"


def test_a_lesson_that_fails_is_named_and_the_old_notebook_stays(lesson, monkeypatch, capfd):
    old = tool.target(lesson, False)
    old.write_text("old")
    lesson.write_text("# %%\nprint(1)\n\n# %%\nraise RuntimeError('no luck')\n")
    assert run(monkeypatch) == 1
    out, err = capfd.readouterr()
    assert "01_lesson: cell 1: RuntimeError: no luck" in err
    assert "solutions/01_lesson: cell 1: RuntimeError: no luck" in err
    assert out.splitlines()[-1] == "0 notebooks built, 2 failed"
    assert old.read_text() == "old" and not tool.target(lesson, True).exists()


def test_execute_only_runs_in_the_smoke_budget_and_keeps_nothing(lesson, monkeypatch, capfd):
    monkeypatch.setenv("TRICKS_BUDGET", "full")
    lesson.write_text(
        "# %%\nimport os\nfrom tricks.course.lesson import slide\nfrom tricks.plots.smoothing import optimal_gap\n"
        "assert os.environ['TRICKS_BUDGET'] == 'smoke'\n"
        "assert slide(optimal_gap(), 'gap')[0].parent == __import__('pathlib').Path(os.environ['TRICKS_FIGURES'])\n"
    )
    assert run(monkeypatch, "--execute-only") == 0, capfd.readouterr().err
    assert sorted(path.name for path in lesson.parent.parent.rglob("*")) == ["01_lesson.py", "src"]


def test_figures_are_exported_in_the_smoke_budget_and_no_notebook_is_written(lesson, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("TRICKS_BUDGET", "full")
    monkeypatch.setenv("TRICKS_FIGURES", str(tmp_path / "figures"))
    lesson.write_text(
        "# %%\nimport os\nfrom tricks.course.lesson import slide\nfrom tricks.plots.smoothing import optimal_gap\n"
        "assert os.environ['TRICKS_BUDGET'] == 'smoke'\nslide(optimal_gap(), 'gap')\n\n# %%\n1 / 0\n"
    )
    assert run(monkeypatch, "--figures") == 1
    assert capfd.readouterr().err == "01_lesson: cell 1: ZeroDivisionError: division by zero\n"
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == ["gap.pdf", "gap.png", "gap.svg"]
    assert not list(lesson.parent.parent.rglob("*.ipynb"))


def test_a_cell_that_takes_too_long_is_named(lesson, monkeypatch):
    monkeypatch.setattr(tool, "CELL_SECONDS", 2)
    lesson.write_text("# %%\nwhile True:\n    pass\n")
    with pytest.raises(tool.BuildError, match="01_lesson: A cell timed out"):
        asyncio.run(tool.built(lesson, False, "smoke"))


def test_an_interrupted_build_says_what_is_kept_and_nothing_else(lesson):
    started = lesson.with_name("started")
    lesson.write_text(f"# %%\nfrom pathlib import Path\nPath({str(started)!r}).touch()\nwhile True:\n    pass\n")
    code = (
        "import sys, pathlib, build_notebooks as tool\n"
        f"tool.NOTEBOOKS, tool.prepare_data = pathlib.Path({str(tool.NOTEBOOKS)!r}), lambda: None\n"
        "sys.argv = ['build_notebooks']\n"
        "sys.exit(tool.main())"
    )
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'tools'}"}
    building = subprocess.Popen([sys.executable, "-c", code], env=environment, stderr=subprocess.PIPE, text=True)
    while not started.exists():
        assert building.poll() is None
        time.sleep(0.1)
    building.send_signal(signal.SIGINT)
    assert building.wait(20) == 130
    assert building.stderr.readline().startswith("Interrupted. Notebooks that were finished are kept")
    assert [path.name for path in lesson.parent.parent.iterdir()] == ["src"]


def test_check_names_each_notebook_that_is_out_of_step(lesson, monkeypatch, capsys):
    assert run(monkeypatch, "--check") == 1
    assert capsys.readouterr().out == "01_lesson.ipynb is not built\nsolutions/01_lesson.ipynb is not built\n"
    for form in FORMS:
        path = tool.target(lesson, form)
        path.parent.mkdir(exist_ok=True)
        path.write_text(nbformat.writes(tool.parse(SOURCE, form)) + "\n")
    assert run(monkeypatch, "--check") == 0
    assert capsys.readouterr().out == "2 notebooks are in step with their sources\n"
    lesson.write_text(SOURCE.replace("y = x + x", "y = 2 * x"))
    assert run(monkeypatch, "--check") == 1
    assert capsys.readouterr().out == "solutions/01_lesson.ipynb: cell 3 is not the source's\n"
    lesson.write_text(SOURCE + "\n# %%\n1\n")
    assert run(monkeypatch, "--check") == 1
    assert "01_lesson.ipynb has 5 cells, the source 6" in capsys.readouterr().out


SHOWS = """\
# %%
from tricks.course.lesson import show, table
from tricks.schedules import cosine_lr, lr_at

table([{"a": 1}])
show(cosine_lr)
print("between")
show(lr_at, around="warmup_steps", context=0)
"""
OLD = "`tricks/schedules.py`, lines 1–2\n\n````python\ndef cosine_lr():\n    return 0\n````"


def markdown(text):
    return new_output("display_data", {"text/markdown": text, "text/plain": "<Markdown object>"})


def built_long_ago(lesson, *sources):
    """Both notebooks of a lesson that shows two sources; returns their paths and what they hold."""
    lesson.write_text(SHOWS)
    paths = [tool.target(lesson, form) for form in FORMS]
    for form, path in zip(FORMS, paths, strict=True):
        notebook = tool.parse(SHOWS, form)
        notebook.cells[0].outputs = [markdown("| a |"), *map(markdown, sources[:1]), printed("between\n")]
        notebook.cells[0].outputs += map(markdown, sources[1:])
        path.parent.mkdir(exist_ok=True)
        path.write_text(tool.publish(notebook))
    return paths, [nbformat.read(path, as_version=4) for path in paths]


def test_check_names_each_shown_source_that_is_not_the_code_of_today(lesson, monkeypatch, capsys):
    built_long_ago(lesson, shown(cosine_lr), OLD)
    assert run(monkeypatch, "--check") == 1
    line = "01_lesson.ipynb: cell 0: show(lr_at, around='warmup_steps', context=0)"
    assert capsys.readouterr().out == f"{line} is old\nsolutions/{line} is old\n"


def test_refresh_rewrites_what_show_displayed_and_nothing_else(lesson, monkeypatch, capsys):
    paths, before = built_long_ago(lesson, OLD, OLD)
    assert run(monkeypatch, "--refresh") == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "01_lesson.ipynb: cell 0: show(lr_at, around='warmup_steps', context=0)",
        "solutions/01_lesson.ipynb: cell 0: show(cosine_lr)",
        "solutions/01_lesson.ipynb: cell 0: show(lr_at, around='warmup_steps', context=0)",
        "4 shown sources rewritten",
    ]
    for path, notebook in zip(paths, before, strict=True):
        notebook.cells[0].outputs[1].data["text/markdown"] = shown(cosine_lr)
        notebook.cells[0].outputs[3].data["text/markdown"] = shown(lr_at, around="warmup_steps", context=0)
        assert path.read_text() == nbformat.writes(notebook) + "\n"
    assert run(monkeypatch, "--check") == 0
    times = [path.stat().st_mtime_ns for path in paths]
    assert run(monkeypatch, "--refresh") == 0
    assert [path.stat().st_mtime_ns for path in paths] == times


def test_lines_shown_of_the_loop_are_compared_too():
    notebook = tool.parse('# %%\nshow_loop("# mixup")\n', False)
    notebook.cells[0].outputs = [markdown(OLD)]
    ((call, output, now),) = tool.shown_sources(notebook)
    assert (call, output) == ("cell 0: show_loop('# mixup')", notebook.cells[0].outputs[0])
    assert now == shown_loop("# mixup")


@pytest.mark.parametrize(
    "old, new, fault",
    [
        (
            "show(cosine_lr)",
            "for _ in range(1):\n    show(cosine_lr)",
            "cell 0: 2 shown sources, but 1 times show(...)",
        ),
        ("show(cosine_lr)", "", "cell 0: 2 shown sources, but 1 times show(...)"),
        ("print(", "show(cosine_lr)\nprint(", "cell 0: 2 shown sources, but 3 times show(...)"),
        ("import cosine_lr,", "import gone,", "cell 0: ImportError: cannot import name 'gone'"),
        ('"warmup_steps"', '"gone"', "cell 0: ValueError: 'gone' does not occur in lr_at"),
    ],
)
def test_a_shown_source_that_cannot_be_compared_is_named(old, new, fault, lesson, monkeypatch, capsys):
    paths, before = built_long_ago(lesson, OLD, OLD)
    for path, notebook in zip(paths, before, strict=True):
        notebook.cells[0].source = notebook.cells[0].source.replace(old, new)
        path.write_text(nbformat.writes(notebook) + "\n")
    was = [path.read_bytes() for path in paths]
    assert run(monkeypatch, "--refresh") == 1
    assert capsys.readouterr().err.startswith(f"01_lesson.ipynb: {fault}")
    assert [path.read_bytes() for path in paths] == was


def test_an_unknown_lesson_is_refused_with_the_names_there_are(lesson, monkeypatch, capsys):
    with pytest.raises(SystemExit) as stopped:
        run(monkeypatch, "99")
    assert stopped.value.code == 2
    assert "no lesson '99'; there are 01_lesson" in capsys.readouterr().err
