"""Lessons in a real JupyterLab: they run from top to bottom, and every control, moved by keyboard, changes its picture.

The Trick Lab, lesson 08, is in test_trick_lab.py.
"""

import re
import statistics
import sys
import time

import build_notebooks as tool
import nbformat
import pytest
from playwright.sync_api import ElementHandle, Locator, expect
from playwright.sync_api import TimeoutError as PlaywrightTimeout

TRICK_LAB = tool.NOTEBOOKS / "src" / "08_trick_lab.py"
LESSONS = [path for path in tool.sources([]) if path != TRICK_LAB]
SECONDS_FOR_A_PICTURE = 15
SLOWEST = 1.0  # seconds from key to picture, of a panel's median: on two idle cores it is below 0.25

# The picture itself, not its address and not the page around it
PIXELS = """async img => {
    await img.decode();
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [img.naturalWidth, img.naturalHeight];
    canvas.getContext('2d').drawImage(img, 0, 0);
    return canvas.toDataURL();
}"""
CORNERS = """img => {
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [img.naturalWidth, img.naturalHeight];
    canvas.getContext('2d').drawImage(img, 0, 0);
    const at = (x, y) => Array.from(canvas.getContext('2d').getImageData(x, y, 1, 1).data);
    return [at(0, 0), at(canvas.width - 1, canvas.height - 1)].flat();
}"""
# Of every text in an output: its contrast with what lies behind it (WCAG 2), and the text. Not of code, whose colours
# are JupyterLab's.
CONTRASTS = """outputs => {
    const parse = colour => colour.match(/[\\d.]+/g).map(Number);
    const behind = node => {
        for (; node; node = node.parentElement) {
            const colour = parse(getComputedStyle(node).backgroundColor);
            if (colour[3] !== 0) return colour;
        }
    };
    const light = colour => {
        const linear = v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
        const [r, g, b] = colour.slice(0, 3).map(v => linear(v / 255));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const texts = [];
    for (const output of outputs) {
        const walk = document.createTreeWalker(output, NodeFilter.SHOW_TEXT);
        while (walk.nextNode()) {
            const [node, text] = [walk.currentNode.parentElement, walk.currentNode.textContent.trim()];
            if (!text || !node.offsetParent || node.closest('code')) continue;
            const [a, b] = [light(parse(getComputedStyle(node).color)), light(behind(node))];
            texts.push([(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), text]);
        }
    }
    return texts;
}"""
# What of a panel does not fit the window, or has no name, with the numbers
MISFITS = """panel => {
    const notebook = panel.closest('.jp-WindowedPanel-outer'), picture = panel.querySelector('img');
    const room = notebook.getBoundingClientRect(), box = picture.getBoundingClientRect(), wrong = [];
    const claim = (right, what) => right || wrong.push(`${innerWidth} × ${innerHeight}: ${what}`);
    const [shown, natural] = [box.width / box.height, picture.naturalWidth / picture.naturalHeight];
    claim(Math.abs(shown / natural - 1) <= 0.02, `the picture is ${shown} wide to high, not ${natural}`);
    claim(box.height <= notebook.clientHeight, `the picture is ${box.height} px high of ${notebook.clientHeight}`);
    claim(box.height >= Math.min(158, 0.98 * panel.clientWidth / natural), `the picture is ${box.height} px high`);
    const height = panel.getBoundingClientRect().height, few = panel.querySelectorAll('.tricks-control').length <= 4;
    claim(!few || height <= notebook.clientHeight, `the panel is ${height} px high of ${notebook.clientHeight}`);
    for (let node = panel; node !== notebook.parentElement; node = node.parentElement)
        claim(node.scrollWidth <= node.clientWidth + 1 || getComputedStyle(node).overflowX === 'visible',
            `${node.className} scrolls sideways: ${node.scrollWidth} in ${node.clientWidth} px`);
    claim(box.right <= room.right, 'the picture is wider than the notebook');
    for (const readout of panel.querySelectorAll('.widget-readout')) {
        const at = readout.getBoundingClientRect();
        claim(at.left >= room.left && at.right <= room.right, `${readout.textContent} is outside the window`);
        claim(readout.scrollWidth <= readout.clientWidth, `${readout.textContent} is cut`);
    }
    for (const handle of panel.querySelectorAll('[role=slider]')) {
        const row = handle.closest('.widget-hslider');
        const [name, value] = ['.widget-label', '.widget-readout'].map(part => row.querySelector(part).textContent);
        claim(name && handle.ariaLabel === name, `${name} is called ${handle.ariaLabel}`);
        claim(value && handle.ariaValueText === value, `${value} is spoken ${handle.ariaValueText}`);
    }
    const words = panel.querySelector('.tricks-words').textContent;
    claim(/^(Plot|Diagram)[.] /.test(words) && picture.alt === words, `the picture's alt text is ${picture.alt}`);
    return wrong;
}"""
SIZES = ((1440, 900), (1280, 720), (853, 480))  # px; the last is 1280 × 720 at a zoom of 150 %
NARROW = (640, 480)  # less than 480 are the panel's, and one control stands in a row
CHANGED = """([img, old]) => img.src !== old && img.complete && img.naturalWidth > 0"""

IMPORTS = """
from dataclasses import replace

from tricks.plots.style import canvas, styled
from tricks.plots.schedules import schedule
from tricks.plots.smoothing import optimal_gap
from tricks.course.lesson import sliders
from tricks.recipe import BASELINE
"""
GOAL = """
sliders(optimal_gap, eps=(0.001, 0.9), K=(2, 1000), goal="As many classes as there are.",
        reached=lambda eps, K: K == 1000, solution={"K": 1000})
"""
WORKING = """
def recipes(lr=0.1, warmup_epochs=1.0, epochs=12, shape="step", double=False):
    recipe = replace(BASELINE, warmup_epochs=warmup_epochs, epochs=epochs, schedule=shape)
    return {"this": replace(recipe, lr=2 * lr if double else lr)}

shapes = ["step", "cosine"]
sliders(schedule, recipes, lr=(0.01, 1.0), warmup_epochs=(0.0, 6.0), epochs=(8, 20), shape=shapes, double=False)
"""
BROKEN = """
@styled
def broken(a=2):
    if a > 4:
        raise ValueError("more than four")
    fig, ax = canvas()
    ax.plot([0, a])
    return fig

sliders(broken, a=(1, 5))
"""
DEAD = """
@styled
def dead(a=2):
    fig, ax = canvas()
    ax.plot([0, 1])
    return fig

sliders(dead, a=(1, 5))
"""
SILENT = """
panel = sliders(optimal_gap, eps=(0.001, 0.9))

def fail(change):
    raise RuntimeError("nobody sees this")

panel.controls["eps"].observe(fail, "value")
panel
"""
TEXTS = """
from tricks.course.lesson import table
from tricks.course.questions import predict

print("printed")
predict("How much?", -1, 1)
table([{"column": 1, "b": 2.5}])
"""


def notebook(*cells: str) -> nbformat.NotebookNode:
    return nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell.strip()) for cell in cells], metadata=tool.METADATA
    )


def exercise(panel: Locator, seconds: list[float]) -> list[str]:
    """Move every control of a panel by keyboard. Returns what is wrong; appends the time to each new picture."""
    panel.scroll_into_view_if_needed()
    picture = panel.locator("img").element_handle()
    panel.page.wait_for_function("img => img.complete && img.naturalWidth > 0", arg=picture)
    wrong = []
    for row in panel.locator(".tricks-control").all():
        label = row.inner_text().strip("\u200b \n").split("\n")[0]
        wrong += [f"{label}: {fault}" for fault in press(panel, row, picture, seconds)]
        assert label, "a control without a label"
    return wrong


def press(panel: Locator, row: Locator, picture: ElementHandle, seconds: list[float]) -> list[str]:
    """Press keys on a control until the picture is another one: at the end of its range it moves one way only.

    Then a slider goes there and back twice, so that its time is a median of five.
    """
    slider = row.locator("[role=slider]")
    if slider.count():
        control, keys = slider, ("ArrowRight", "ArrowLeft", "ArrowLeft")
    else:
        control, keys = row.locator("button:not(.mod-active), input[type=checkbox]").first, ("Space",)

    def moved(key: str) -> bool:
        source = picture.get_attribute("src")
        control.focus()
        start = time.perf_counter()
        panel.page.keyboard.press(key)
        try:
            panel.page.wait_for_function(CHANGED, arg=[picture, source], timeout=SECONDS_FOR_A_PICTURE * 1000)
        except PlaywrightTimeout:
            return False
        seconds.append(time.perf_counter() - start)
        return True

    before = picture.evaluate(PIXELS)
    for key in keys:
        if moved(key):
            if picture.evaluate(PIXELS) == before:
                return ["the picture is the same, pixel by pixel"]
            if slider.count():
                back = "ArrowLeft" if key == "ArrowRight" else "ArrowRight"
                return [f"{key} does nothing the second time" for key in (back, key, back, key) if not moved(key)]
            return []
        if errors := panel.locator(".tricks-error").all_inner_texts():
            return [error.strip().splitlines()[-1] for error in errors]
    return ["the picture does not change"]


def misfits(lab, panel: Locator) -> list[str]:
    """What is wrong with a panel's shape or names in windows of several sizes."""
    wrong = []
    for width, height in (*SIZES, NARROW):
        with lab.window(width, height):
            panel.scroll_into_view_if_needed()
            wrong += panel.evaluate(MISFITS)
    return wrong


@pytest.mark.timeout(900)
@pytest.mark.parametrize("source", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_runs_and_every_slider_moves_its_picture(source, lab, latencies):
    lab.run_lesson(source)
    panels = lab.page.locator(".tricks-panel").all()
    assert bool(panels) == ("sliders(" in source.read_text(encoding="utf8"))
    for i, panel in enumerate(panels):
        goal = panel.locator(".tricks-goal").inner_text()
        assert goal == "" or goal.endswith("Not yet.")
        seconds = latencies.setdefault(f"{source.stem}, panel {i}", [])
        assert exercise(panel, seconds) + misfits(lab, panel) == []
        assert statistics.median(seconds) < SLOWEST
        lab.screenshot(f"{source.stem}_panel_{i}", panel)
    lab.screenshot(source.stem)
    assert lab.errors() == []


def test_every_kind_of_control_works_and_a_slide_is_exported(lab, latencies):
    lab.run(notebook(IMPORTS, WORKING), "working")
    panel = lab.page.locator(".tricks-panel")
    assert panel.locator(".tricks-control").count() == 5
    assert exercise(panel, latencies.setdefault("every kind of control", [])) == []
    box = panel.locator("img").bounding_box()
    assert (box["width"], box["height"]) == (800, 450)
    panel.get_by_role("button", name="Export slide").click()
    panel.get_by_text("Saved schedule-lr_").wait_for(timeout=60_000)
    assert lab.errors() == []


@pytest.mark.parametrize("width, height", SIZES)
def test_a_panel_keeps_its_shape_and_says_its_goal_and_values(width, height, lab, latencies):
    lab.run(notebook(IMPORTS, GOAL, WORKING), "goal")
    first, second = lab.page.locator(".tricks-panel").all()
    assert misfits(lab, first) + misfits(lab, second) == []
    with lab.window(width, height):
        assert exercise(first, latencies.setdefault(f"a goal, {width} × {height}", [])) == []
        eps, classes = (first.get_by_role("slider", name=name, exact=True) for name in ("ε", "classes K"))
        goal = first.get_by_role("status")
        expect(goal).to_have_text("Goal: As many classes as there are. Not yet.")
        assert eps.get_attribute("aria-valuetext") == "0.12"  # a list's value after its fifth move, not its place in it
        colour = goal.locator("p").evaluate("p => getComputedStyle(p).backgroundColor")
        lab.seen(f"goal_{width}_not_yet")
        classes.press("End")
        expect(goal).to_have_text("Goal: As many classes as there are. ✓ Reached.")
        expect(classes).to_have_attribute("aria-valuetext", "1000")
        words = re.compile(r"^Plot\. Target.*Drawn for ε = 0\.12, classes K = 1000$")
        expect(first.get_by_role("img")).to_have_attribute("alt", words)
        assert goal.locator("p").evaluate("p => getComputedStyle(p).backgroundColor") != colour
        contrasts = goal.evaluate_all(CONTRASTS)
        assert len(contrasts) == 2 and min(contrasts)[0] >= 4.5
        lab.seen(f"goal_{width}_reached")
        second.scroll_into_view_if_needed()
        group = second.get_by_role("group", name="shape")
        expect(group.get_by_role("button", pressed=True)).to_have_text("step")
        lab.seen(f"five_controls_{width}")
    assert lab.errors() == []


def test_a_squeezed_panel_would_be_noticed(lab):
    lab.run(notebook(IMPORTS, GOAL), "squeezed")
    panel = lab.page.locator(".tricks-panel")
    panel.locator("img").evaluate("img => { img.style.width = '300px'; img.style.height = '450px'; }")
    panel.locator(".widget-readout").first.evaluate("node => { node.style.width = node.style.minWidth = '5px'; }")
    found = " ".join(misfits(lab, panel))
    assert "wide to high" in found and "0.1 is cut" in found


def test_in_the_dark_theme_words_can_be_read_and_pictures_stay_as_they_are(lab):
    lab.run(notebook(IMPORTS, WORKING, BROKEN.replace("a=2", "a=4"), TEXTS), "dark")
    lab.page.get_by_role("slider").nth(3).focus()
    lab.page.keyboard.press("End")
    lab.page.get_by_text("ValueError: more than four").wait_for()
    picture = lab.page.locator(".tricks-panel img").first.element_handle()
    before = picture.evaluate(PIXELS)
    theme = "theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})"
    try:
        lab.page.evaluate(theme, "JupyterLab Dark")
        lab.page.wait_for_function("document.body.dataset.jpThemeLight === 'false'")
        assert picture.evaluate(PIXELS) == before
        assert set(picture.evaluate(CORNERS)) == {255}  # white and opaque, whatever lies behind
        contrasts = lab.page.locator(".jp-OutputArea-output").evaluate_all(CONTRASTS)
        seen = " ".join(text for _, text in contrasts)
        for text in ("printed", "How much?", "your guess", "column", "learning rate", "Export slide", "more than four"):
            assert text in seen
        assert [text for contrast, text in contrasts if contrast < 4.5] == []
        lab.page.locator("#jupyterlab-splash").wait_for(state="detached")
        lab.screenshot("dark_theme")
    finally:
        lab.page.evaluate(theme, "JupyterLab Light")
    assert lab.errors() == []


def test_a_panel_shows_its_error_and_recovers(lab):
    lab.run(notebook(IMPORTS, BROKEN), "broken")
    panel = lab.page.locator(".tricks-panel")
    slider = panel.get_by_role("slider")
    slider.focus()
    lab.page.keyboard.press("End")
    panel.get_by_text("ValueError: more than four").wait_for()
    lab.page.keyboard.press("Home")
    panel.locator(".tricks-error").wait_for(state="detached")
    assert lab.errors() == []


@pytest.mark.parametrize(
    "cell, found",
    [(BROKEN, "a: ValueError: more than four"), (DEAD, "a: the picture does not change")],
    ids=["raises", "does nothing"],
)
def test_a_broken_panel_would_be_noticed(cell, found, lab, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "SECONDS_FOR_A_PICTURE", 3)
    lab.run(notebook(IMPORTS, cell.replace("a=2", "a=4")), "wrong")
    assert found in exercise(lab.page.locator(".tricks-panel"), [])


def test_an_error_that_shows_nowhere_would_be_noticed(lab):
    lab.run(notebook(IMPORTS, SILENT), "silent")
    assert exercise(lab.page.locator(".tricks-panel"), []) == []
    assert set(lab.errors()) == {"RuntimeError: nobody sees this"}  # one for each key


def test_a_cell_that_fails_would_be_noticed_at_once(lab):
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        lab.run(notebook("1 / 0", "never = 1"), "failing", timeout=20)


def test_a_lesson_that_must_not_be_published_would_be_noticed(lab, tmp_path):
    lesson = tmp_path / "lesson.py"
    lesson.write_text("# %%\nimport sys\n\nprint('unseen', file=sys.stderr)\n\n# %%\nobject()\n")
    with pytest.raises(tool.BuildError) as refused:
        lab.run_lesson(lesson)
    assert "cell 0: writes to stderr: unseen" in str(refused.value)
    assert "cell 1: prints a memory address" in str(refused.value)
