"""The course as web pages: the lessons as they were built, the documents, search; no kernel, no network.

Sphinx reads a folder of sources that `sources` makes of notebooks/ and docs/, with myst-nb, which executes nothing.
Theme: furo, the smallest of the well-kept ones (200 kB), light and dark, and made for narrow screens. Formulas become
MathML when the site is built: browsers draw it themselves, so that neither scripts nor fonts of megabytes go along.
"""

import base64
import html
import io
import json
import os
import posixpath
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace, patch_docutils

from tricks import ROOT
from tricks.course import card
from tricks.course.deck import LESSONS, NAME
from tricks.course.freeze import lesson_key
from tricks.course.lesson import tabled
from tricks.data.files import write_atomic, write_error

FOLDER = ROOT / "data" / "cache" / "site"
PANELS = FOLDER / "panels"
STATIC = tuple(Path(__file__).with_name(name) for name in ("site.css", "site.js", "site.svg"))
CARD = "docs/decision_card.md"
FIRST = (
    CARD,
    "docs/session_plan.md",
    "docs/faq.md",
    "docs/troubleshooting.md",
    "docs/evidence.md",
)  # other docs follow
CALL = "table(card.card())"  # in lesson 07, between the two parts of its words on the card
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s]+)\)")

CONFIG: dict[str, Any] = {
    "project": NAME,
    "extensions": ["myst_nb", "tricks.course.site"],
    "nb_execution_mode": "off",
    "nb_render_markdown_format": "myst",  # the tables of the outputs
    "nb_ipywidgets_js": {},  # else from another host
    "nb_code_prompt_show": "Show {type}",
    "nb_code_prompt_hide": "Hide {type}",
    "myst_enable_extensions": ["dollarmath"],
    "myst_update_mathjax": False,
    "suppress_warnings": ["myst.header"],  # a cell may begin with a heading of the third level
    "html_theme": "furo",
    "html_title": NAME,
    "html_favicon": "_static/site.svg",
    "html_math_renderer": "mathml",
    "html_static_path": ["_static"],
    "html_css_files": ["site.css"],
    "html_js_files": ["site.js"],
    "html_copy_source": False,
    "html_show_copyright": False,
    "html_show_search_summary": False,  # they are fetched, which a browser refuses to a page that is a file
    "html_use_index": False,
}


def freeze(jobs: int = 2) -> None:
    """Freeze the panels of all lessons that are not as they were, or whose code or records are not.

    Each lesson is executed for it, with the smallest runs, `jobs` at a time. ValueError if one fails.
    """
    old = [path.stem for path in sorted(LESSONS.glob("*.py")) if panels_of(path.stem)["key"] != lesson_key(path)]
    if old:
        print(f"{len(old)} lessons are executed to freeze their panels; all of them take 5 to 15 minutes.", flush=True)
        tool = [sys.executable, str(ROOT / "tools" / "build_notebooks.py"), "--panels", str(PANELS)]
        threads = str(max(1, (os.cpu_count() or 1) // jobs))  # more of them than cores wait for each other
        environment = {**os.environ, "OMP_NUM_THREADS": threads}
        if subprocess.run([*tool, "--jobs", str(jobs), *old], cwd=ROOT, env=environment).returncode:
            raise ValueError("not all panels are frozen; what is named above says why. The same command goes on")


def panels_of(lesson: str, panels: Path | None = None) -> dict[str, Any]:
    """What the lesson's panels are frozen from, and the HTML of their frames, by cell and by the picture's words."""
    path = (panels or PANELS) / f"{lesson}.json"
    return json.loads(path.read_bytes()) if path.exists() else {"key": "", "frames": {}}


def write(lessons: Sequence[str] | None = None, panels: Path | None = None, folder: Path = FOLDER) -> str:
    """Make the site in `folder`/html, and say where it is, how large, and how long it took.

    `lessons` are names of notebooks, all if None; `panels` the folder of frozen panels. What did not change is not made
    again. ValueError with Sphinx's warnings, such as a link that leads nowhere; WriteError.
    """
    begun = time.perf_counter()
    pages = folder / "html"
    try:
        if lay(folder / "source", sources(lessons, panels or PANELS)):
            for made in (pages, folder / "doctrees"):  # Sphinx would leave pages whose source has gone
                shutil.rmtree(made, ignore_errors=True)
        if found := build(folder / "source", pages, folder / "doctrees"):
            raise ValueError(f"the site in {pages} has faults. Correct their sources, or build those anew:\n{found}")
        size = sum(path.stat().st_size for path in pages.rglob("*") if path.is_file())
    except OSError as error:
        raise write_error(pages, error) from error
    count, seconds = len(list(pages.rglob("*.html"))), time.perf_counter() - begun
    return f"{pages / 'index.html'}: {count} pages, {size / 1e6:.1f} MB, in {seconds:.0f} s"


def build(source: Path, pages: Path, doctrees: Path) -> str:
    """Let Sphinx make pages of a folder of sources; its warnings, one a line."""
    warnings = io.StringIO()
    with patch_docutils(), docutils_namespace():  # or a second call in a process would warn of what the first one left
        Sphinx(source, None, pages, doctrees, "html", CONFIG, status=None, warning=warnings).build()
    return re.sub(r"\x1b\[[0-9;]*m", "", warnings.getvalue()).strip()


def lay(folder: Path, files: Mapping[str, bytes]) -> bool:
    """Make a folder hold these files and no others, and say whether it held others.

    A file with the same content is left alone, because Sphinx takes one by its date.
    """
    extra = [path for path in folder.rglob("*") if path.is_file() and path.relative_to(folder).as_posix() not in files]
    for path in extra:
        path.unlink()
    for name, content in files.items():
        path = folder / name
        if not path.exists() or path.read_bytes() != content:
            write_atomic(path, content)
    return bool(extra)


def sources(lessons: Sequence[str] | None, panels: Path) -> dict[str, bytes]:
    """Name and content of each file that Sphinx reads. The folders are those of the course, so links stay right.

    FileNotFoundError says which lesson is not built.
    """
    names = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb")) if lessons is None else lessons
    written = (path for path in (ROOT / "docs").rglob("*.md") if path.parent.name != "src")  # there are templates
    texts = {path.relative_to(ROOT).as_posix(): path.read_text("utf8") for path in written}
    texts[CARD] = card_page()
    docs = [*FIRST, *sorted(texts.keys() - {*FIRST})]
    texts["index.md"] = index_page(names, docs)
    pictures = {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in (ROOT / "docs/images").glob("*.png")}
    pages = {*texts, *pictures, *(f"notebooks/{name}.ipynb" for name in names)}
    files = {name: linked(text, posixpath.dirname(name), pages).encode() for name, text in texts.items()}
    for name in names:
        files |= lesson_files(name, pages, panels)
    return files | pictures | {f"_static/{path.name}": path.read_bytes() for path in STATIC}


def lesson_files(name: str, pages: set[str], panels: Path) -> dict[str, bytes]:
    """A built lesson with its pictures beside it as files, which pages then load when they are scrolled to.

    A frozen panel takes the place of a picture that has the same words: where they differ, it is drawn from a live run,
    which has another outcome where panels are frozen.
    """
    path = ROOT / "notebooks" / f"{name}.ipynb"
    if not path.exists():
        raise FileNotFoundError(f"{path} is not built: ./course run {name} builds it")
    notebook, files, frames = json.loads(path.read_bytes()), {}, panels_of(name, panels)["frames"]
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = linked("".join(cell["source"]), "notebooks", pages)
        for i, output in enumerate(cell.get("outputs", [])):
            data = output.get("data", {})
            if "image/png" not in data:
                continue
            words = "".join(data["text/plain"])
            if frozen := frames.get(cell["id"], {}).get(words):
                file = re.findall(r'src="[^"]*/([^/"]+)"', frozen)[0]
                files[f"_static/panels/{file}"] = (panels / file).read_bytes()
            else:
                file = f"_static/stills/{name}-{cell['id']}-{i}.png"
                files[file] = base64.b64decode("".join(data["image/png"]))
                frozen = still(f"../{file}", words, output["metadata"].get("image/png", {}))
            output["data"] = {"text/html": frozen, "text/plain": words}
    return {f"notebooks/{name}.ipynb": json.dumps(notebook, ensure_ascii=False).encode(), **files}


def still(file: str, words: str, size: Mapping[str, int]) -> str:
    """A picture as HTML; it opens by itself, for those who want it larger."""
    place = "".join(f' {side}="{pixels}"' for side, pixels in size.items())
    return f'<a class="still" href="{file}"><img src="{file}" alt="{html.escape(words)}"{place} loading="lazy"></a>'


def linked(text: str, folder: str, pages: set[str]) -> str:
    """Markdown in which links to files of the course that the site does not have (`pages` it has) are words."""

    def kept(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, match[2].partition("#")[0]))
        ours = "://" not in match[2] and (target.endswith((".ipynb", ".md")) or (ROOT / target).exists())
        return match[1] if ours and target not in pages else match[0]

    return LINK.sub(kept, text)


def index_page(lessons: Sequence[str], docs: Sequence[str]) -> str:
    """The first page: what the README says of the course and its lessons, and what stands in the sidebar."""
    readme = (ROOT / "README.md").read_text("utf8")
    begin = readme.partition("\n## ")[0].replace("(README.ko.md)", "(docs/ko/README.md)")
    table = readme.partition("\n## Lessons\n")[2].partition("\n## ")[0]
    korean = sorted((name for name in docs if name.startswith("docs/ko/")), key=lambda name: "README" not in name)
    lists = {
        "Lessons": [f"notebooks/{name}" for name in lessons],
        "To hold a session": [name.removesuffix(".md") for name in docs if name not in korean],
        "한국어": [name.removesuffix(".md") for name in korean],
    }
    trees = (
        "\n".join(["```{toctree}", ":hidden:", f":caption: {caption}", "", *names, "```"])
        for caption, names in lists.items()
    )
    return "\n\n".join([begin, f"## Lessons\n{table}", *trees]) + "\n"


def card_page() -> str:
    """The decision card: its rows as of today, between what the source of lesson 07 says of them."""
    source = (LESSONS / "07_conclusion.py").read_text("utf8")
    text = re.sub(r"^(# %%.*|# ?)", "", source.partition("# ## The decision card\n")[2], flags=re.MULTILINE)
    before, after = text.partition("\n## ")[0].split(f"\n{CALL}\n")
    return f"# The decision card\n\n{before.strip()}\n\n{tabled(card.card()).data}\n\n{after.strip()}\n"


# What Sphinx asks of an extension


def setup(app: Sphinx) -> dict[str, Any]:
    """Draw formulas as MathML."""
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def inline(writer: Any, node: nodes.math) -> None:
    """A formula within a line."""
    writer.body.append(convert(node.astext()))
    raise nodes.SkipNode


def block(writer: Any, node: nodes.math_block) -> None:
    """A formula in lines of its own."""
    writer.body.append(f'<div class="formula">{convert(node.astext(), display="block")}</div>')
    raise nodes.SkipNode
