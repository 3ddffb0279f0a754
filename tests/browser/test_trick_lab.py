"""The Trick Lab in a real JupyterLab: its shape at two sizes, controls by keyboard, buttons by state, copy and save."""

import os
import re
import sys
import time
from pathlib import Path

import pytest
import test_sliders
from playwright.sync_api import Locator, expect
from test_sliders import TRICK_LAB, notebook, press

from tricks import ROOT

ARTIFACTS = Path(os.environ.get("TRICKS_ARTIFACTS") or ROOT / "artifacts")

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
KEPT = """
from pathlib import Path

from tricks.records import make

make.CACHE = Path("cache").resolve()  # not the course's own
"""
LONG = "lab.set(epochs=40)"
EPOCHS = re.compile(r"Epoch \d+ of 40")  # any: an epoch may be over before the page is looked at again
FOUR = """
lab.set(epochs=4, train_images=1_000)
lab.start = lab.recipe  # one epoch of four steps is too short for a warm-up
"""
BROKEN = """
def broken(before):
    raise RuntimeError("the picture is broken")

lab.figure.redraw = broken
"""
SIZES = {"projector": (1280, 720), "zoomed": (853, 480)}  # px; the second is the first at 150 %
SECTIONS = ("Missions", "Data", "Network", "Training", "Targets", "After")
ERRORS = {"tweak B": "tweak B does not exist"}
MOVE_NOTHING = {"training images", "seed", "measured on", "weight decay", "temperature T", "distill weight", "net"}
MOVE_NOTHING |= {"tweak B", "tweak C", "tweak D", "zero γ", "no bias decay", "mixed precision", "linear scaling"}
MOVE_NOTHING |= {"optimizer", "Muon rate", "bias rate ×", "averaging", "CutMix α", "first size, px", "whitening"}
MOVE_NOTHING |= {"Dirac start", "alternating flip", "TrivialAugment"}
# Whether a part is seen whole, in the window and not under another
SEEN = """part => {
    const box = part.getBoundingClientRect();
    const at = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
    return box.top >= 0 && box.left >= 0 && box.bottom <= innerHeight && box.right <= innerWidth
        && (part.contains(at) || at.contains(part));
}"""
# What is wider than its place, so that it is cut or has a scrollbar
TOO_WIDE = """panel => [panel, ...panel.querySelectorAll('.widget-box, .widget-tab, .widget-tab-contents'),
    panel.closest('.jp-WindowedPanel-outer')].filter(part => part.scrollWidth > part.clientWidth + 1)
    .map(part => part.className)"""
SCROLL = """panel => {
    const notebook = panel.closest('.jp-WindowedPanel-outer');
    notebook.scrollTop += panel.getBoundingClientRect().top - notebook.getBoundingClientRect().top;
}"""


def button(panel: Locator, name: str) -> Locator:
    return panel.get_by_role("button", name=name, exact=True)


def able(panel: Locator) -> set[str]:
    names = ("Train", "Stop", "Reset", "All tricks", "Save runs", "Export slide", "Clear runs", "Copy as code")
    return {name for name in names if button(panel, name).is_enabled()}


def section(panel: Locator, name: str) -> None:
    """Open a section of the controls by keyboard."""
    tabs = panel.locator(".tricks-controls").first
    tab = tabs.get_by_role("tab", name=name, exact=True)
    tab.focus()
    panel.page.keyboard.press("Enter")
    expect(tab).to_have_attribute("aria-selected", "true")


def status(panel: Locator, text: str | re.Pattern[str], seconds: float = 120) -> None:
    expect(panel.get_by_text(text).first).to_be_visible(timeout=1000 * seconds)


def rows(panel: Locator) -> dict[str, Locator]:
    """The controls by their label."""
    found = panel.locator(".tricks-control").all()
    return {row.inner_text().strip("\u200b \n").split("\n")[0]: row for row in found}


@pytest.mark.timeout(600)
def test_every_control_moves_by_keyboard_and_says_so_in_picture_or_code(lab, latencies):
    lab.run(notebook(OPEN, FOUR), "controls")
    panel = lab.page.locator(".tricks-lab")
    code = panel.locator(".tricks-code textarea")
    picture = panel.locator("img").first.element_handle()
    wrong, seen = [], 0
    for name in SECTIONS[1:]:
        section(panel, name)
        for label, row in rows(panel).items():
            if not row.is_visible() or label == "dataset":  # other sets may have to be fetched
                continue
            seen += 1
            before = code.input_value()
            if label in MOVE_NOTHING:
                slider = row.locator("[role=slider]")
                target = slider if slider.count() else row.locator("button:not(.mod-active), input").first
                target.focus()
                lab.page.keyboard.press("ArrowRight" if slider.count() else "Space")
                if label in ERRORS:
                    status(panel, ERRORS[label])
                    assert "Train" not in able(panel)
                else:
                    expect(code).not_to_have_value(before, timeout=30_000)
            else:
                faults = press(panel, row, picture, latencies.setdefault("Trick Lab", []))
                wrong += [f"{label}: {fault}" for fault in faults]
            button(panel, "Reset").click()
            expect(code).to_have_value(before, timeout=30_000)
            expect(panel.locator(".tricks-error:visible")).to_have_count(0)
    assert seen == len(rows(panel)) - 1 == 33
    assert wrong == []
    assert lab.errors() == []


@pytest.mark.timeout(600)
@pytest.mark.parametrize("size", SIZES)
def test_from_the_first_click_to_the_exported_slide(size, lab):
    width, height = SIZES[size]
    window = lab.page.viewport_size
    ARTIFACTS.mkdir(exist_ok=True)
    lab.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    lab.page.set_viewport_size({"width": width, "height": height})
    try:
        lab.run(notebook(OPEN, FOUR), f"clicks_{size}")
        panel = lab.page.locator(".tricks-lab")
        panel.evaluate(SCROLL)
        bar = panel.locator(".tricks-bar")
        picture, result = panel.locator("img").nth(0), panel.locator("img").nth(1)

        def in_sight(*parts):
            for part in (*[button(panel, name) for name in ("Train", "Stop", "Save runs", "Copy as code")], *parts):
                assert part.evaluate(SEEN), part
            assert panel.evaluate(TOO_WIDE) == []

        lab.page.screenshot(path=ARTIFACTS / f"lab_{size}.png")
        in_sight()
        columns = [panel.locator(f".tricks-{side}").first.bounding_box() for side in ("controls", "pictures")]
        assert (columns[1]["x"] > columns[0]["x"]) == (width >= 900)
        if width >= 900:
            in_sight(picture)
        for image in (picture, result):
            natural = image.evaluate("img => img.naturalWidth / img.naturalHeight")
            if image.is_visible():
                box = image.bounding_box()
                assert box["width"] / box["height"] == pytest.approx(natural, rel=0.01)
                points = 10.5 * box["width"] / 800 * 100 / 96 * (1.5 if size == "zoomed" else 1)
                assert points >= 10  # of class names and values
        for name in SECTIONS:
            section(panel, name)
            in_sight()
            lab.page.screenshot(path=ARTIFACTS / f"lab_{size}_{name}.png")

        section(panel, "Training")
        assert able(panel) == {"Train", "Reset", "All tricks", "Export slide", "Copy as code"}
        button(panel, "Train").click()
        expect(button(panel, "Stop")).to_be_enabled()
        assert able(panel) == {"Stop", "Reset", "All tricks", "Export slide", "Copy as code"}
        status(bar, "Done in")
        expect(button(panel, "Train")).to_be_enabled()
        assert result.is_visible()
        in_sight(*([result] if width >= 900 else []))
        lab.page.screenshot(path=ARTIFACTS / f"lab_{size}_trained.png")
        button(panel, "All tricks").click()
        expect(picture).to_be_visible()
        panel.locator(".widget-tab").last.evaluate("tab => tab.scrollIntoView({block: 'end'})")
        in_sight()  # the bar stays while the notebook scrolls
        lab.page.screenshot(path=ARTIFACTS / f"lab_{size}_scrolled.png")

        button(panel, "Copy as code").click()
        status(bar, "Copied")
        assert "mixup_alpha=0.2" in lab.page.evaluate("navigator.clipboard.readText()")
        lab.page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(); }")
        button(panel, "Copy as code").click()
        status(bar, "Press Ctrl-C")
        code = panel.locator(".tricks-code textarea")
        assert code.evaluate(SEEN)
        assert button(panel, "Copy as code").evaluate(SEEN)
        lab.page.keyboard.press("Control+c")
        assert lab.page.evaluate("navigator.clipboard.readText()") == code.input_value()
        lab.page.screenshot(path=ARTIFACTS / f"lab_{size}_copy.png")
        button(panel, "Reset").click()
        expect(code).to_be_hidden()

        button(panel, "Save runs").click()
        question = panel.locator(".tricks-ask")
        expect(question.locator("input[type=checkbox]")).to_have_count(1)
        assert question.evaluate(SEEN)
        lab.page.screenshot(path=ARTIFACTS / f"lab_{size}_save.png")
        button(panel, "Cancel").click()
        expect(question).to_be_hidden()
        button(panel, "Export slide").click()
        status(bar, "Saved 08_lab-")
        in_sight()
        assert lab.errors() == []
    finally:
        lab.page.set_viewport_size(window)


def test_a_mission_is_chosen_by_keyboard_and_says_not_yet(lab):
    lab.run(notebook(OPEN), "missions")
    panel = lab.page.locator(".tricks-lab")
    section(panel, "Missions")
    before = panel.locator(".tricks-code textarea").input_value()
    button(panel, "Four times the batch").focus()
    lab.page.keyboard.press("Space")
    status(panel, "Four times the batch: not yet. Train the recipe as it stands")
    expect(panel.locator(".tricks-code textarea")).not_to_have_value(before)
    lab.screenshot("lab_missions", panel)
    assert lab.errors() == []


@pytest.mark.timeout(600)
def test_train_and_stop_and_a_restart_of_the_kernel_ends_the_run(lab):
    lab.run(notebook(OPEN, LONG), "training")
    panel = lab.page.locator(".tricks-lab")
    train, stop = button(panel, "Train"), button(panel, "Stop")
    section(panel, "Data")
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
    status(panel, EPOCHS)
    start = time.perf_counter()
    stop.click()
    status(panel, "Stopped. ")
    print(f"Stop took {time.perf_counter() - start:.1f} s")
    assert lab.errors() == []

    train.click()
    status(panel, EPOCHS)
    pid = int((lab.root / "pid").read_text())
    lab.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    for _ in range(150):
        if not alive(pid):
            break
        time.sleep(0.1)
    assert not alive(pid)
    status(panel, "The kernel was restarted")
    expect(panel.get_by_text(EPOCHS)).to_be_hidden()
    lab.page.screenshot(path=ARTIFACTS / "lab_restarted.png")


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.timeout(600)
@pytest.mark.parametrize("width, height", [(1440, 900), *SIZES.values()])
def test_steps_are_taken_by_keyboard_one_at_a_time_and_are_there_after_a_restart(width, height, lab):
    def said(picture, step):
        expect(picture).to_have_attribute("alt", re.compile(rf"Drawn for step {step}$"), timeout=60_000)

    recipe = f"lab.set(mixup_alpha=0.4, seed={height // 100})"  # one of its own for each size
    with lab.window(width, height):
        lab.run(notebook(KEPT, OPEN, FOUR, recipe), f"steps_{width}")
        panel = lab.page.locator(".tricks-lab")
        panel.evaluate(SCROLL)
        tab = panel.get_by_role("tab", name="Step by step", exact=True)
        tab.focus()
        lab.page.keyboard.press("Enter")
        status(panel, "One step: the loop takes one optimiser step")
        picture = panel.locator("img.tricks-steps")
        expect(picture).to_be_hidden()
        one = button(panel, "One step")
        one.focus()
        lab.page.keyboard.press("Space")
        said(picture, 1)
        before = picture.get_attribute("src")
        lab.page.keyboard.press("Space")  # the focus has stayed
        said(picture, 2)
        assert picture.get_attribute("src") != before
        status(panel, "Recorded of this recipe: 2 steps")
        expect(button(panel, "Train")).to_be_enabled()
        assert panel.evaluate(TOO_WIDE) == []
        box = picture.bounding_box()
        natural = picture.evaluate("img => img.naturalWidth / img.naturalHeight")
        assert box["width"] / box["height"] == pytest.approx(natural, rel=0.01)
        assert 10 * box["width"] / 800 * 100 / 96 * (1.5 if width == 853 else 1) >= 9.5
        panel.evaluate(SCROLL)
        if width >= 900:
            assert one.evaluate(SEEN) and picture.evaluate(SEEN)
        lab.seen(f"lab_steps_{width}")
        slider = panel.get_by_role("slider", name="recorded", exact=True)
        slider.focus()
        lab.page.keyboard.press("ArrowLeft")
        said(picture, 1)
        expect(slider).to_have_attribute("aria-valuetext", "step 1")
        button(panel, "20 steps").focus()
        lab.page.keyboard.press("Space")
        status(panel, "Recorded of this recipe: 22 steps")
        expect(button(panel, "Train")).to_be_enabled(timeout=60_000)
        assert button(panel, "Train").evaluate(SEEN)
        button(panel, "Export slide").click()
        status(panel, "Saved 08_step-")
        section(panel, "Training")
        rows(panel)["learning rate"].get_by_role("slider").focus()
        lab.page.keyboard.press("ArrowRight")
        status(panel, "The recipe has changed: its steps begin anew.")
        expect(picture).to_be_visible()
        assert lab.errors() == []

        lab.run(notebook(KEPT, OPEN, FOUR, recipe), f"steps_{width}_again")  # in another kernel
        panel.get_by_role("tab", name="Step by step", exact=True).click()
        status(panel, "Recorded of this recipe: 22 steps")
        said(picture, 22)
        button(panel, "Clear steps").click()
        expect(picture).to_be_hidden()
        assert lab.errors() == []


@pytest.mark.timeout(600)
def test_a_closed_page_loses_no_step(lab):
    lab.run(notebook(KEPT, OPEN, FOUR, "lab.set(mixup_alpha=0.4, seed=3)"), "steps_closed")
    panel = lab.page.locator(".tricks-lab")
    panel.get_by_role("tab", name="Step by step", exact=True).click()
    button(panel, "20 steps").click()
    status(panel, re.compile(r"Recorded of this recipe: \d+ step"))
    lab.page.goto("about:blank")
    for _ in range(300):  # the kernel goes on without a page
        if len(taken := sorted(lab.root.glob("cache/steps/*/*.npz"))) == 20:
            break
        time.sleep(0.1)
    assert [path.stem for path in taken] == [f"{number:06}" for number in range(1, 21)]

    lab.run(notebook(KEPT, OPEN, FOUR, "lab.set(mixup_alpha=0.4, seed=3)"), "steps_closed_again")
    panel.get_by_role("tab", name="Step by step", exact=True).click()
    status(panel, "Recorded of this recipe: 20 steps")
    expect(panel.locator("img.tricks-steps")).to_have_attribute("alt", re.compile(r"Drawn for step 20$"))
    button(panel, "Clear steps").click()
    status(panel, "All recorded steps are removed.")
    assert list(lab.root.glob("cache/steps/*/*.npz")) == []
    assert lab.errors() == []


def test_a_broken_callback_would_be_noticed(lab, monkeypatch):
    monkeypatch.setattr(sys.modules[test_sliders.__name__], "SECONDS_FOR_A_PICTURE", 3)
    lab.run(notebook(OPEN, BROKEN), "broken_lab")
    panel = lab.page.locator(".tricks-lab")
    picture = panel.locator("img").first.element_handle()
    section(panel, "Targets")
    assert press(panel, rows(panel)["label smoothing"], picture, []) == ["RuntimeError: the picture is broken"]


@pytest.mark.timeout(1200)
def test_a_newcomer_trains_the_baseline_and_all_tricks_and_exports_the_slide(lab):
    lab.run_lesson(TRICK_LAB)
    lab.screenshot(TRICK_LAB.stem)
    panel = lab.page.locator(".tricks-lab")
    expect(panel).to_have_count(1)
    first = panel.locator(".tricks-code textarea").input_value()
    assert "epochs=1" in first and button(panel, "Clear runs").is_disabled()  # the page's own cells have not moved it
    for recipe in ("Reset", "All tricks"):
        button(panel, recipe).click()
        button(panel, "Train").click()
        expect(button(panel, "Stop")).to_be_enabled()
        status(panel, "Done in", 900)
    button(panel, "Export slide").click()
    status(panel, "Saved 08_lab-")
    lab.screenshot("trick_lab", panel)
    assert lab.errors() == []
