"""What a newcomer meets: JupyterLab as `./course lab` opens it, a live run, and lessons without their data."""

import shutil

import build_notebooks as tool
import nbformat
import pytest
from playwright.sync_api import TimeoutError, expect
from test_sliders import CONTRASTS, notebook

LESSONS = ("00_start_here", "05_1_cosine_decay", "08_trick_lab")
OPEN = "path => { window.jupyterapp.commands.execute('docmanager:open', {path}); }"
IS_OPEN = "path => window.jupyterapp.shell.currentWidget?.context?.path === path"
STATE = """() => {
    const panel = window.jupyterapp.shell.currentWidget;
    return [panel.context.path, panel.context.model.dirty, panel.sessionContext.session.kernel.name,
        document.querySelectorAll('.jp-mod-dirty').length];
}"""
# Names in the list of files, and those of whose first 24 letters not all fit
LISTED = """() => {
    const names = [...document.querySelectorAll('.jp-DirListing-itemText')];
    const pen = document.createElement('canvas').getContext('2d');
    const fits = name => {
        pen.font = getComputedStyle(name).font;
        const begins = pen.measureText(name.innerText.slice(0, 24) + '…').width <= name.clientWidth;
        return begins || name.scrollWidth <= name.clientWidth + 1;
    };
    return [names.map(name => name.innerText), names.filter(name => !fits(name)).map(name => name.innerText)];
}"""
# Twenty times a second: the moment, the run's picture, how high it is shown, whether the run has said that it begins
RECORD = """() => {
    window.seen = [];
    setInterval(() => {
        const image = document.querySelector('.jp-OutputArea-output img');
        const begun = document.querySelector('.jp-Notebook').innerText.includes('Live run on');
        window.seen.push([performance.now() / 1000, image?.src ?? '', image?.clientHeight ?? 0, begun]);
    }, 50);
}"""

# Whether a whole picture of the open lesson and a question in its text are in the window
FIRST_SCREEN = """() => {
    const {context, content} = window.jupyterapp.shell.currentWidget;
    const room = content.node.getBoundingClientRect();
    const inside = node => {
        const place = node.getBoundingClientRect();
        return place.height > 0 && place.top >= room.top && place.bottom <= room.bottom;
    };
    const seen = selector => [...content.node.querySelectorAll(selector)].filter(inside);
    const asked = seen('.jp-MarkdownOutput :is(h1, h2, p, li)').some(text => text.innerText.includes('?'));
    return context.isReady && seen('.jp-OutputArea-output img').some(image => image.complete) && asked;
}"""

RUN = (
    """
from tricks.course import lesson
from tricks.data.sets import load
from tricks.studies.studies import recipe_of

lesson.BUDGETS["smoke"] = ((2_000, 3), (12, 1))
dataset = load("shapes")
""",
    """
live = lesson.live_run(recipe_of("cosine"), dataset)
""",
)
NO_DATA = """
from tricks.course import lesson
from tricks.data import sets
from tricks.data.files import DataError

def no_network(name):
    raise DataError("cifar-10-python.tar.gz could not be fetched:\\n  https://example.org: no route to host\\nPut it")

sets.fetch = no_network
dataset = lesson.load_data()
"""
DECODED = """
import tempfile
from pathlib import Path

import numpy as np

from tricks.data.folders import write_pictures

with tempfile.TemporaryDirectory() as folder:
    write_pictures(Path(folder, "train.npy"), np.zeros((2_000, 8, 8, 3), np.uint8), 32, "made up, train set")
print("decoded")
"""


@pytest.fixture(scope="module")
def lessons(newcomer):
    """The lessons as a clone has them."""
    shutil.copytree(tool.NOTEBOOKS, newcomer.root / "notebooks")
    for path in newcomer.root.rglob("*.ipynb"):
        fresh = nbformat.read(path, as_version=4)
        fresh.metadata = nbformat.from_dict(tool.METADATA)
        path.write_text(nbformat.writes(fresh) + "\n")
    fresh.metadata.language_info.version = "3.0.0"  # of another kernel than ours
    nbformat.write(fresh, newcomer.root / "notebooks" / "other.ipynb")
    return newcomer


@pytest.mark.timeout(300)
def test_opening_lessons_asks_nothing_and_changes_nothing(lessons):
    page = lessons.page
    page.goto(f"{lessons.url}/?token={lessons.token}", wait_until="domcontentloaded")
    page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=120_000)

    def opened(path: str) -> str:
        page.evaluate(OPEN, path)
        page.wait_for_function(IS_OPEN, arg=path, timeout=60_000)
        return path

    for name in LESSONS:
        path = opened(f"notebooks/{name}.ipynb")
        lessons.wait_until_idle()
        page.wait_for_timeout(2000)  # what a kernel says of itself is written into the notebook when it has started
        assert page.evaluate(STATE) == [path, False, "python3", 0]
    opened("notebooks/other.ipynb")  # such a change would be seen
    lessons.wait_until_idle()
    page.wait_for_function("() => window.jupyterapp.shell.currentWidget.context.model.dirty")
    assert page.evaluate(STATE)[1:] == [True, "python3", 1]
    for asking in (".jp-Dialog", ".Toastify__toast"):
        expect(page.locator(asking)).to_have_count(0)
    lessons.screenshot("start")
    listed, cut = page.evaluate(LISTED)
    assert [name for name in listed if "." in name and name != "other.ipynb"] == sorted(
        path.name for path in tool.NOTEBOOKS.glob("*.ipynb")
    )
    assert "solutions" in listed and "src" not in listed and cut == []
    assert opened("notebooks/solutions/00_start_here.ipynb") and opened("notebooks/src/00_start_here.py")
    assert lessons.problems == []


@pytest.mark.parametrize("name", [path.stem for path in tool.sources([])])
@pytest.mark.timeout(180)
def test_the_first_screen_of_a_lesson_has_a_picture_and_a_question(lessons, name):
    """Without scrolling, beside the list of files, before anything is run: as a projector shows it."""
    page, path = lessons.page, f"notebooks/{name}.ipynb"
    if not page.url.startswith(lessons.url):
        page.goto(f"{lessons.url}/?token={lessons.token}", wait_until="domcontentloaded")
        page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=120_000)
    page.evaluate(OPEN, path)
    page.wait_for_function(IS_OPEN, arg=path, timeout=60_000)
    for width, height in ((1440, 900), (1280, 720)):
        with lessons.window(width, height):
            try:
                page.wait_for_function(FIRST_SCREEN, timeout=20_000)
            except TimeoutError:
                pytest.fail(f"at {width} x {height} there is no whole picture, or no question, on the first screen")
            finally:
                lessons.seen(f"first_screen_{name}_{width}")


@pytest.mark.timeout(600)
def test_a_live_run_has_a_picture_from_its_first_second_that_moves_and_keeps_its_height(newcomer):
    newcomer.open(notebook(*RUN), "live")
    newcomer.page.evaluate(RECORD)
    newcomer.start_cells()
    newcomer.page.wait_for_function(
        "() => window.jupyterapp.shell.currentWidget.content.model.cells.get(1).executionCount !== null",
        timeout=400_000,
    )
    seen = newcomer.page.evaluate("() => window.seen")
    begun = next(at for at, *_, said in seen if said)
    pictures = [(at, picture, height) for at, picture, height, _ in seen if picture]
    changes = [pictures[0][0]] + [b[0] for a, b in zip(pictures, pictures[1:], strict=False) if a[1] != b[1]]
    print("pictures", ", ".join(f"{at - begun:.1f}" for at in changes), "s after the start")
    assert changes[0] - begun < 1 and len(changes) >= 3  # eleven on an idle machine
    assert len({height for *_, height in pictures if height}) == 1
    newcomer.screenshot("live")
    assert newcomer.errors() == []


@pytest.mark.timeout(300)
def test_without_its_data_a_lesson_says_in_a_box_what_to_do_and_nothing_is_red(newcomer):
    newcomer.run(notebook(NO_DATA, DECODED), "no_data")
    box = newcomer.page.get_by_role("note")
    expect(box).to_contain_text("./course data cifar10 --fetch gets it (170 MB)")
    expect(newcomer.page.get_by_text("decoded", exact=True)).to_be_visible()
    expect(newcomer.page.locator("[data-mime-type='application/vnd.jupyter.stderr']")).to_have_count(0)
    for theme in ("JupyterLab Dark", "JupyterLab Light"):
        newcomer.page.evaluate("theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})", theme)
        newcomer.page.wait_for_timeout(1000)
        contrasts = box.evaluate_all(CONTRASTS.replace("node.closest('code')", "false"))
        assert len(contrasts) >= 3 and min(contrast for contrast, _ in contrasts) >= 4.5
        newcomer.screenshot(f"no_data_{theme.split()[1].lower()}", box)
