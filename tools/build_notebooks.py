"""Build the lessons: notebooks/src/NN_topic.py -> notebooks/NN_topic.ipynb and notebooks/solutions/NN_topic.ipynb.

The source is text in the percent format, with its solutions. It is built in one direction, executed, and written in the
published form: cells executed 1..n in order, no error, nothing on stderr, stable ids, pictures in place of widgets, no
times and no paths of this machine.

How an exercise is written. A line `# solution` inside a function, or at the end of a cell, starts one: what follows, up
to the end of that block, is kept in `solutions/` and becomes `...  # your code` in the lesson. A cell tagged `solution`
(`# %% tags=["solution"]`) is only in `solutions/`. `check` says "not yet" to `...`, so both notebooks run to the end;
in `solutions/` each check has to say correct.

How a cell is folded. Tagged `hide-input` (`# %% tags=["hide-input"]`) it is collapsed, its output is not: imports,
bookkeeping that is not the lesson, and the code of a quiz, which has the answers. Tagged `hide-output` its output is
collapsed until the cell is run: what a guess is about, which the saved notebook has in sight. A section whose heading
begins with "Deeper" (`# ## Deeper: ...`, at the top of a cell of its own) is collapsed up to the next heading.

Cells tagged `loop` are the training loop of lesson 02, which other lessons change: see `tricks/course/from_zero.py`.

    python tools/build_notebooks.py [NAME ...] [--jobs N]     build; NAME is the start of a lesson's name, such as 05_2
    python tools/build_notebooks.py --check                   compare sources with built notebooks, execute nothing
    python tools/build_notebooks.py --refresh                 rewrite what `show` displayed in built notebooks
    python tools/build_notebooks.py --execute-only            execute in the smoke budget, keep nothing
    python tools/build_notebooks.py --figures [NAME ...]      execute in the smoke budget, keep the exported figures
    python tools/build_notebooks.py --panels FOLDER [NAME ...]    execute in the smoke budget, freeze the panels there
"""

import argparse
import ast
import asyncio
import contextlib
import hashlib
import json
import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from traitlets import default

from tricks import ROOT
from tricks.course.freeze import lesson_key
from tricks.course.kernel import DISPLAY_NAME, LANGUAGE, CourseKernels
from tricks.course.lesson import shown, shown_loop
from tricks.data import pennfudan
from tricks.data.files import DataError, write_atomic
from tricks.data.sets import load

NOTEBOOKS = ROOT / "notebooks"
CELL_SECONDS = 900
FROM_LESSON = "../_static/panels"  # the address of the panels' folder on a lesson's page of the site
LARGEST = 1_000_000  # bytes: GitHub shows nothing larger in full
WIDGET = "application/vnd.jupyter.widget-view+json"
METADATA = {  # what JupyterLab would write: a notebook that has it is not changed by being opened
    "kernelspec": {"display_name": DISPLAY_NAME, "language": "python", "name": "python3"},
    "language_info": LANGUAGE,
}


SHOW = {"show": shown, "show_loop": shown_loop}  # call in a lesson: what gives the text that it displays
# MyST-NB's words for what is collapsed, and JupyterLab's
FOLDED = {"hide-input": "source_hidden", "hide-output": "outputs_hidden"}


class BuildError(Exception):
    """A lesson that must not be published; the message names the notebook and each fault with its cell."""


# Source to notebook


def parse(text: str, solutions: bool) -> nbformat.NotebookNode:
    """The notebook of a source, not executed: with its solutions, or with blanks in their place."""
    source = jupytext.reads(text, fmt="py:percent")
    notebook = nbformat.v4.new_notebook(metadata=METADATA)
    for cell in source.cells:
        tags = cell.metadata.get("tags", [])
        if "solution" in tags and not solutions:
            continue
        content = solved(cell.source) if solutions else blanked(cell.source)
        new = nbformat.v4.new_code_cell if cell.cell_type == "code" else nbformat.v4.new_markdown_cell
        position = len(notebook.cells)
        key = hashlib.sha256(f"{position}\n{content}".encode()).hexdigest()[:12]
        notebook.cells.append(new(content, id=key, metadata=metadata(tags, content)))
    return notebook


def metadata(tags: list[str], content: str = "") -> dict[str, Any]:
    """A cell's metadata: its tags, which of its parts they fold, and whether its section is collapsed."""
    folded = {part: True for tag, part in FOLDED.items() if tag in tags}
    deeper = {"jp-MarkdownHeadingCollapsed": True} if content.startswith("## Deeper") else {}
    return {**({"tags": tags} if tags else {}), **({"jupyter": folded} if folded else {}), **deeper}


def blanked(code: str) -> str:
    """The code with `...  # your code` in place of each solution."""
    kept: list[str] = []
    indent: int | None = None  # of the solution that is being left out
    for line in code.splitlines():
        depth = len(line) - len(line.lstrip())
        if indent is not None and line.strip() and depth < indent:
            kept += ["", ""] if depth == 0 else []  # the blank lines between functions went with the solution
            indent = None
        if indent is None and line.strip() == "# solution":
            indent = depth
            kept.append(" " * depth + "...  # your code")
        elif indent is None:
            kept.append(line)
    return "\n".join(kept)


def solved(code: str) -> str:
    """The code without the marks."""
    return "\n".join(line for line in code.splitlines() if line.strip() != "# solution")


# Execution and the published form


class _Kernel(AsyncKernelManager):
    @default("kernel_spec_manager")
    def _this_python(self) -> KernelSpecManager:
        return CourseKernels(parent=self)

    @default("transport_encryption")
    def _encrypted(self) -> str:
        return "auto"  # newer ipykernels print a warning without it


async def execute(notebook: nbformat.NotebookNode, budget: str, figures: Path | None = None) -> None:
    """Run all cells, in place, in the folder of the notebooks. BuildError with the cell and what went wrong.

    `figures` is where the lesson's exports go instead of figures/.
    """
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        kernel_manager_class=_Kernel,
        timeout=CELL_SECONDS,
        coalesce_streams=True,
        record_timing=False,
        resources={"metadata": {"path": str(NOTEBOOKS)}},
    )
    environment = {**os.environ, "TRICKS_BUDGET": budget}
    if figures:
        environment["TRICKS_FIGURES"] = str(figures)
    try:
        await client.async_execute(env=environment)
    except CellExecutionError as error:
        cell = next(i for i, cell in enumerate(notebook.cells) if any(o.output_type == "error" for o in outputs(cell)))
        raise BuildError(f"cell {cell}: {error.ename}: {error.evalue}") from error
    except (CellTimeoutError, DeadKernelError) as error:
        raise BuildError(str(error)) from error


def outputs(cell: nbformat.NotebookNode) -> list[Any]:
    """The outputs of a cell; none if it is text."""
    return cell.get("outputs", [])


def publish(notebook: nbformat.NotebookNode) -> str:
    """The text of the published notebook. BuildError if it has faults that no rewriting may hide."""
    notebook.metadata = nbformat.from_dict(METADATA)  # without widget state and the version of this Python
    count = 0
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict(metadata(cell.metadata.get("tags", []), cell.source))
        if cell.cell_type == "code":
            count += 1
            cell.execution_count = count
        for output in outputs(cell):
            if output.output_type == "execute_result":
                output.execution_count = count
            data = output.get("data", {})
            if data.pop(WIDGET, None) is not None and data.keys() <= {"text/plain"}:
                output.data = {"text/plain": "Interactive: run this cell in JupyterLab."}
        for output in list(outputs(cell)):
            if goal := output.get("metadata", {}).pop("goal", ""):  # of a panel, whose still picture says nothing of it
                text = nbformat.v4.new_output("display_data", {"text/markdown": goal, "text/plain": goal})
                cell.outputs.insert(cell.outputs.index(output) + 1, text)
    if found := faults(notebook):
        raise BuildError("\n".join(found))
    return nbformat.writes(notebook) + "\n"


def faults(notebook: nbformat.NotebookNode) -> list[str]:
    """What keeps an executed notebook from being in the published form, one line each."""
    found: list[str] = []
    count = 0
    if notebook.metadata != METADATA:
        found.append(f"metadata is {dict(notebook.metadata)}, must be {METADATA}")
    for i, cell in enumerate(notebook.cells):
        if cell.metadata != (wanted := metadata(cell.metadata.get("tags", []), cell.source)):
            found.append(f"cell {i}: metadata is {dict(cell.metadata)}, must be {wanted}")
        if cell.cell_type != "code":
            continue
        count += 1
        if cell.execution_count != count:
            found.append(f"cell {i}: executed as {cell.execution_count}, must be {count}")
        for output in outputs(cell):
            text = "\n".join(map(str, [output.get("text", ""), *output.get("data", {}).values()]))
            if output.output_type == "error":
                found.append(f"cell {i}: {output.ename}: {output.evalue}")
            if output.get("name") == "stderr":
                found.append(f"cell {i}: writes to stderr: {text.strip()}")
            if WIDGET in output.get("data", {}):
                found.append(f"cell {i}: a widget view, which nobody without a kernel can see")
            if str(ROOT) in text:
                found.append(f"cell {i}: prints a path of this machine: {_line_with(str(ROOT), text)}")
            if match := re.search(r" at 0x[0-9a-f]{6,}", text):
                found.append(f"cell {i}: prints a memory address, another one each time: {_line_with(match[0], text)}")
    size = len(nbformat.writes(notebook).encode())
    if size >= LARGEST:
        found.append(f"{size:,} bytes, must be below {LARGEST:,}")
    return found


def _line_with(part: str, text: str) -> str:
    return next(line.strip()[:200] for line in text.splitlines() if part in line)


def unsolved(notebook: nbformat.NotebookNode) -> list[str]:
    """The checks that do not say correct, one line each."""
    said = [
        (i, output.get("data", {}).get("text/plain", ""))
        for i, cell in enumerate(notebook.cells)
        for output in outputs(cell)
    ]
    return [f"cell {i}: {text}" for i, text in said if re.match("[✗○] ", text)]


@cache
def prepare_data() -> None:
    """Fetch and decode the lessons' data here: progress goes to stderr, which a published notebook has none of."""
    load("auto")
    with contextlib.suppress(DataError):  # the lessons of section 6 say so, and draw their scenes
        pennfudan.fetch()


async def built(source: Path, solutions: bool, budget: str, figures: Path | None = None) -> str:
    """The published text of one lesson, executed. BuildError with the notebook's name before each fault."""
    name = ("solutions/" if solutions else "") + source.stem
    notebook = parse(source.read_text(encoding="utf8"), solutions)
    prepare_data()
    try:
        await execute(notebook, budget, figures=figures)
        if solutions and (wrong := unsolved(notebook)):
            raise BuildError("\n".join(wrong))
        return publish(notebook)
    except BuildError as error:
        raise BuildError("\n".join(f"{name}: {line}" for line in str(error).splitlines())) from error


# Commands


def sources(names: list[str]) -> list[Path]:
    """The lessons whose name starts with one of `names`; all of them without names. ValueError if a name fits none."""
    everything = sorted((NOTEBOOKS / "src").glob("*.py"))
    for name in names:
        if not any(path.stem.startswith(name) for path in everything):
            raise ValueError(f"no lesson {name!r}; there are {', '.join(path.stem for path in everything)}")
    return [path for path in everything if not names or path.stem.startswith(tuple(names))]


def target(source: Path, solutions: bool) -> Path:
    """Where the notebook of a source belongs."""
    return NOTEBOOKS / ("solutions" if solutions else "") / f"{source.stem}.ipynb"


def out_of_step(source: Path, solutions: bool) -> str:
    """How a built notebook differs from its source, or "". Executes nothing."""
    path = target(source, solutions)
    name = path.relative_to(NOTEBOOKS).as_posix()
    if not path.exists():
        return f"{name} is not built"
    wanted, found = parse(source.read_text(encoding="utf8"), solutions), nbformat.read(path, as_version=4)
    for i, (a, b) in enumerate(zip(wanted.cells, found.cells, strict=False)):
        if (a.cell_type, a.source, a.id, a.metadata) != (b.cell_type, b.source, b.id, b.metadata):
            return f"{name}: cell {i} is not the source's"
    if len(wanted.cells) != len(found.cells):
        return f"{name} has {len(found.cells)} cells, the source {len(wanted.cells)}"
    return ""


# What `show` displayed: the module's source, which may have changed since the notebook was built


def shown_sources(notebook: nbformat.NotebookNode) -> Iterator[tuple[str, Any, str]]:
    """(cell and call, output, what it would hold now) of each source that a built notebook shows.

    Nothing of a cell is executed but its imports. BuildError where outputs and calls of `show` do not pair off.
    """
    names: dict[str, Any] = {}
    for i, cell in enumerate(notebook.cells):
        if cell.cell_type != "code":
            continue
        body = ast.parse(cell.source).body
        values = [line.value for line in body if isinstance(line, ast.Expr) and isinstance(line.value, ast.Call)]
        calls = [ast.unparse(call) for call in values if ast.unparse(call.func) in SHOW]
        found = [
            output for output in outputs(cell) if "\n````python\n" in output.get("data", {}).get("text/markdown", "")
        ]
        if len(found) != len(calls):
            raise BuildError(
                f"cell {i}: {len(found)} shown sources, but {len(calls)} times show(...) as a line of its own"
            )
        try:
            imports: list[ast.stmt] = [line for line in body if isinstance(line, ast.Import | ast.ImportFrom)]
            exec(compile(ast.Module(imports, []), f"cell {i}", "exec"), names)
            now = [eval(call, {**names, **SHOW}) for call in calls]
        except Exception as error:
            raise BuildError(f"cell {i}: {type(error).__name__}: {error}") from error
        yield from zip([f"cell {i}: {call}" for call in calls], found, now, strict=True)


def refresh(source: Path, solutions: bool, write: bool) -> list[str]:
    """What a built notebook has of its kernel, and which calls of `show`, are not as of today; `write` makes it that.

    Nothing else of the notebook changes. BuildError with its name if what it would show cannot be known.
    """
    path = target(source, solutions)
    name = path.relative_to(NOTEBOOKS).as_posix()
    notebook = nbformat.read(path, as_version=4)
    old = []
    try:
        for call, output, now in shown_sources(notebook):
            if output.data["text/markdown"] != now:
                output.data["text/markdown"] = now
                old.append(f"{name}: {call}")
    except BuildError as error:
        raise BuildError(f"{name}: {error}") from error
    if notebook.metadata != METADATA:
        notebook.metadata = nbformat.from_dict(METADATA)
        old.append(f"{name}: metadata")
    if write and old:
        write_atomic(path, f"{nbformat.writes(notebook)}\n".encode())
    return old


async def build(paths: list[Path], budget: str, jobs: int, keep: bool) -> int:
    """Build both forms of each lesson, `jobs` kernels at a time; return how many failed."""
    free = asyncio.Semaphore(jobs)

    async def one(source: Path, solutions: bool, figures: Path | None) -> bool:
        async with free:
            path = target(source, solutions)
            try:
                text = await built(source, solutions, budget, figures)
            except BuildError as error:
                print(error, file=sys.stderr, flush=True)
                return False
            if keep:
                write_atomic(path, text.encode())
            print(f"{path.relative_to(NOTEBOOKS).as_posix()}: {len(text) / 1000:.0f} kB", flush=True)
            return True

    with tempfile.TemporaryDirectory() as scratch:
        figures = None if keep else Path(scratch)
        done = await asyncio.gather(*(one(path, form, figures) for path in paths for form in (False, True)))
    return done.count(False)


async def export_figures(paths: list[Path]) -> int:
    """Execute each lesson in the smoke budget for the figures that it exports; return how many failed."""
    prepare_data()
    failed = 0
    for path in paths:
        try:
            await execute(parse(path.read_text(encoding="utf8"), solutions=False), "smoke")
        except BuildError as error:
            print(f"{path.stem}: {error}", file=sys.stderr, flush=True)
            failed += 1
    return failed


async def freeze_panels(paths: list[Path], folder: Path, jobs: int) -> int:
    """Execute each lesson in the smoke budget with its panels frozen into a folder; return how many failed.

    FOLDER/NAME.json has what `tricks.course.site` puts in the place of a panel's picture: by cell, then by the words of
    the picture, the HTML of a frame.
    """
    prepare_data()
    free = asyncio.Semaphore(jobs)

    async def one(source: Path, figures: Path) -> bool:
        async with free:
            key, notebook = lesson_key(source), parse(source.read_text(encoding="utf8"), solutions=False)
            start = f"from pathlib import Path\nfreeze_shown(Path({str(folder)!r}), {source.stem!r}, {FROM_LESSON!r})"
            first = f"from tricks.course.freeze import freeze_shown\n{start}"
            notebook.cells.insert(0, nbformat.v4.new_code_cell(first))
            try:
                await execute(notebook, "smoke", figures)
            except BuildError as error:
                print(f"{source.stem}: {error}", file=sys.stderr, flush=True)
                return False
            frames: dict[str, dict[str, str]] = {}
            for i, cell in enumerate(notebook.cells, -1):
                for output in outputs(cell):
                    data, about = output.get("data", {}), output.get("metadata", {})
                    if "tricks-frozen" in data.get("text/html", ""):
                        frames.setdefault(cell.id, {})[data["text/plain"]] = data["text/html"]
                    if "not frozen" in about:
                        print(f"{source.stem}: cell {i} stays a picture: {about['not frozen']}", flush=True)
            write_atomic(folder / f"{source.stem}.json", json.dumps({"key": key, "frames": frames}).encode())
            print(f"{source.stem}: {sum(map(len, frames.values()))} panels", flush=True)
            return True

    with tempfile.TemporaryDirectory() as scratch:
        done = await asyncio.gather(*(one(path, Path(scratch)) for path in paths))
    return done.count(False)


def main() -> int:
    """The command line; the exit status is 1 if a notebook fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="start of a lesson's name (default: all lessons)")
    parser.add_argument("--check", action="store_true", help="compare without executing")
    parser.add_argument("--refresh", action="store_true", help="rewrite what `show` displayed, execute nothing")
    parser.add_argument("--execute-only", action="store_true", help="execute in the smoke budget, keep nothing")
    parser.add_argument("--figures", action="store_true", help="execute in the smoke budget, keep the exported figures")
    parser.add_argument("--panels", type=Path, metavar="FOLDER", help="execute in the smoke budget, freeze the panels")
    parser.add_argument("--jobs", type=int, default=1, help="kernels at a time (default: %(default)s)")
    args = parser.parse_args()
    try:
        paths = sources(args.names)
    except ValueError as error:
        parser.error(str(error))
    lessons = [(path, form) for path in paths for form in (False, True)]
    try:
        if args.check:
            differing = [text for lesson in lessons if (text := out_of_step(*lesson))]
            differing = differing or [f"{call} is old" for lesson in lessons for call in refresh(*lesson, write=False)]
            print("\n".join(differing) or f"{len(lessons)} notebooks are in step with their sources")
            return bool(differing)
        if args.refresh:
            renewed = [call for lesson in lessons for call in refresh(*lesson, write=True)]
            print("\n".join([*renewed, f"{len(renewed)} shown sources rewritten"]))
            return 0
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    budget = "smoke" if args.execute_only else os.environ.get("TRICKS_BUDGET", "quick")
    loop = asyncio.new_event_loop()
    # in a thread of its own: in the main one, nbclient would take Ctrl-C for itself and go on with the next lesson
    threading.Thread(target=loop.run_forever, daemon=True).start()
    if args.panels:
        work = freeze_panels(paths, args.panels.resolve(), args.jobs)
    elif args.figures:
        work = export_figures(paths)
    else:
        work = build(paths, budget, args.jobs, keep=not args.execute_only)
    building = asyncio.run_coroutine_threadsafe(work, loop)
    try:
        failed = building.result()
    except DataError as error:  # WriteError as well
        print(f"error: {error}. Notebooks that were finished are kept, the others are as they were", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted. Notebooks that were finished are kept, the others are as they were", file=sys.stderr)
        sys.stderr.flush()
        os._exit(130)  # without nbclient's cleaning up, which fails here; kernels end when this process has
    if not (args.figures or args.panels):
        print(f"{2 * len(paths) - failed} notebooks built, {failed} failed")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
