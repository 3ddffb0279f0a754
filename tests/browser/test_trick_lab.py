"""The Trick Lab in a real JupyterLab: controls by keyboard, Train and Stop, and what ends a run besides."""

import os
import sys
import time

import pytest
import test_sliders
from playwright.sync_api import Locator, expect
from test_sliders import TRICK_LAB, notebook, press

# A small set, so that a run takes seconds
OPEN = """
import os
from pathlib import Path

import tricks.course.lab
from tricks.data import shapes

Path("pid").write_text(str(os.getpid()))
shapes.TRAIN_IMAGES, shapes.TEST_IMAGES = 2_000, 200
lab = tricks.course.lab.Lab("shapes")
lab
"""
LONG = "lab.set(epochs=40)"
FOUR = """
lab.set(epochs=4, train_images=1_000)
lab.start = lab.recipe  # one epoch of four steps is too short for a warm-up
"""
BROKEN = """
def broken(before):
    raise RuntimeError("the picture is broken")

lab.figure.redraw = broken
"""
BUTTONS = ("Train", "Reset to baseline", "All tricks", "Clear runs", "Export slide")
MOVE_NOTHING = {"training images", "seed", "measured on", "weight decay", "temperature T", "distill weight", "net"}
MOVE_NOTHING |= {"tweak b", "tweak c", "tweak d", "zero gamma", "no bias decay", "amp", "linear scaling"}


def status(panel: Locator, text: str, seconds: float = 120) -> None:
    expect(panel.get_by_text(text).first).to_be_visible(timeout=1000 * seconds)


def rows(panel: Locator) -> dict[str, Locator]:
    """The controls by their label."""
    found = panel.locator(".tricks-control").all()
    return {row.inner_text().strip("\u200b \n").split("\n")[0]: row for row in found}


@pytest.mark.timeout(600)
def test_every_control_moves_by_keyboard_and_says_so_in_picture_or_code(lab, latencies):
    lab.run(notebook(OPEN, FOUR), "controls")
    panel = lab.page.locator(".tricks-lab")
    panel.get_by_role("button", name="Copy as code").click()
    code = panel.locator("textarea")
    picture = panel.locator("img").first.element_handle()
    controls = rows(panel)
    assert len(controls) == 24 and all(controls)
    wrong = []
    for label, row in controls.items():
        if label == "dataset":  # the others may have to be fetched
            continue
        before = code.input_value()
        if label in MOVE_NOTHING:
            slider = row.locator("[role=slider]")
            target = slider if slider.count() else row.locator("button:not(.mod-active), input[type=checkbox]").first
            target.focus()
            lab.page.keyboard.press("ArrowRight" if slider.count() else "Space")
            error = "tweak_b does not exist" if label == "tweak b" else None
            if error:
                status(panel, error)
            else:
                expect(code).not_to_have_value(before, timeout=30_000)
        else:
            faults = press(panel, row, picture, latencies.setdefault("Trick Lab", []))
            wrong += [f"{label}: {fault}" for fault in faults]
        panel.get_by_role("button", name="Reset to baseline").click()
        expect(code).to_have_value(before, timeout=30_000)
    assert wrong == []
    assert lab.errors() == []


@pytest.mark.timeout(600)
def test_train_and_stop_and_a_restart_of_the_kernel_ends_the_run(lab):
    lab.run(notebook(OPEN, LONG), "training")
    panel = lab.page.locator(".tricks-lab")
    train, stop = (panel.get_by_role("button", name=name, exact=True) for name in ("Train", "Stop"))
    slider = rows(panel)["epochs"].get_by_role("slider")
    result = panel.locator("img").nth(1)
    slider.focus()
    lab.page.keyboard.press("Home")
    before = result.get_attribute("src")
    train.click()
    status(panel, "Done in")
    assert result.get_attribute("src") != before
    slider.focus()
    lab.page.keyboard.press("End")
    train.click()
    status(panel, "Epoch 2 of 40")
    start = time.perf_counter()
    stop.click()
    status(panel, "Stopped. ")
    print(f"Stop took {time.perf_counter() - start:.1f} s")
    assert lab.errors() == []

    train.click()
    status(panel, "Epoch 1 of 40")
    pid = int((lab.root / "pid").read_text())
    lab.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    for _ in range(150):
        if not alive(pid):
            break
        time.sleep(0.1)
    assert not alive(pid)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_broken_callback_would_be_noticed(lab, monkeypatch):
    monkeypatch.setattr(sys.modules[test_sliders.__name__], "SECONDS_FOR_A_PICTURE", 3)
    lab.run(notebook(OPEN, BROKEN), "broken_lab")
    panel = lab.page.locator(".tricks-lab")
    picture = panel.locator("img").first.element_handle()
    assert press(panel, rows(panel)["label smoothing"], picture, []) == ["RuntimeError: the picture is broken"]


@pytest.mark.timeout(1200)
def test_a_newcomer_trains_the_baseline_and_all_tricks_and_exports_the_slide(lab):
    lab.run_lesson(TRICK_LAB)
    lab.screenshot(TRICK_LAB.stem)
    panel = lab.page.locator(".tricks-lab")
    expect(panel).to_have_count(1)
    press = {name: panel.get_by_role("button", name=name, exact=True).click for name in BUTTONS}
    press["Clear runs"]()
    for recipe in ("Reset to baseline", "All tricks"):
        press[recipe]()
        press["Train"]()
        expect(panel.get_by_role("status")).not_to_contain_text("Done in")
        status(panel, "Done in", 900)
    press["Export slide"]()
    status(panel, "Saved 08_lab-")
    lab.screenshot("trick_lab", panel)
    assert lab.errors() == []
