"""Sliders in a real JupyterLab: each control of each lesson, moved by keyboard, changes the picture and raises nothing."""

import time

import build_notebooks as tool
import nbformat
import pytest

LESSONS = [path for path in tool.sources([]) if "sliders(" in path.read_text(encoding="utf8")]
ROW = ".widget-inline-hbox"

# The picture itself, not its address and not the page around it
PIXELS = """async img => {
    await img.decode();
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [img.naturalWidth, img.naturalHeight];
    canvas.getContext('2d').drawImage(img, 0, 0);
    return canvas.toDataURL();
}"""
CHANGED = """([img, old]) => img.src !== old && img.complete && img.naturalWidth > 0"""

PANELS = """
from dataclasses import replace

from tricks.figures import canvas, optimal_gap, schedule, styled
from tricks.notebook import sliders
from tricks.recipe import BASELINE
"""
WORKING = '''
def recipes(lr=0.1, warmup_epochs=1.0, epochs=12, shape="step", quarter=False):
    """One control of each kind."""
    recipe = replace(BASELINE, lr=lr, warmup_epochs=warmup_epochs, epochs=epochs, schedule=shape)
    return {"this": replace(recipe, first_decay=0.25 if quarter else 0.5)}

sliders(schedule, recipes, lr=(0.01, 1.0), warmup_epochs=(0.0, 6.0), epochs=(8, 20), shape=["step", "cosine"], quarter=False)
'''
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


def notebook(*cells: str) -> nbformat.NotebookNode:
    return nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell.strip()) for cell in cells], metadata=tool.METADATA
    )


def exercise(panel, seconds: list[float]) -> list[str]:
    """Move every control of a panel by keyboard. Returns what is wrong; appends the time of each new picture."""
    page = panel.page
    panel.scroll_into_view_if_needed()
    picture = panel.locator("img").element_handle()
    page.wait_for_function("img => img.complete && img.naturalWidth > 0", arg=picture)
    wrong = []
    rows = panel.locator(ROW).all()
    assert rows, "a panel without controls"
    for row in rows:
        label = row.locator(".widget-label").inner_text().strip() or row.inner_text().strip()
        if not label:
            wrong.append("a control without a label")
        control = row.locator("[role=slider], select, input[type=checkbox]").first
        before = picture.evaluate(PIXELS)
        # the picture need not change at each step, and at one end of its range a control moves one way only
        for key in ("Space",) if control.get_attribute("type") == "checkbox" else ("ArrowRight", "ArrowLeft", "ArrowLeft"):
            source = picture.get_attribute("src")
            control.focus()
            start = time.perf_counter()
            page.keyboard.press("ArrowDown" if key == "ArrowRight" and control.evaluate("c => c.tagName") == "SELECT" else key)
            try:
                page.wait_for_function(CHANGED, arg=[picture, source], timeout=15_000)
                seconds.append(time.perf_counter() - start)
                break
            except page.context.browser.contexts and TimeoutError:
                pass
        if picture.evaluate(PIXELS) == before:
            wrong.append(f"{label}: the picture did not change")
        wrong += [f"{label}: {text.strip().splitlines()[-1]}" for text in panel.locator(".tricks-error").all_inner_texts()]
    return wrong
