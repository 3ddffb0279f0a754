"""Guesses, quizzes and checks in a real JupyterLab: by keyboard, on a projector's small window, in both themes."""

import pytest
from playwright.sync_api import Locator, expect
from test_sliders import CONTRASTS, notebook

SIZES = [(1280, 720), (853, 480)]  # the second: a zoom of 150 %

IMPORTS = """
from IPython.display import Markdown

from tricks.course.questions import check, predict, quiz
from tricks.plots.smoothing import optimal_gap
from tricks.records.paper import Effect
from tricks.records.statistics import Comparison
"""
ASK = 'guess = predict("Change in test accuracy", -2, 2)'
REVEAL = """
guess.reveal(Comparison((0, 1, 2), (0.4, 0.6, 0.5), "points"), Effect(0.3), label="cosine", caption="n = 3")
"""
VEIL = 'guess.veil("the answer is 42", optimal_gap(), Markdown("| answer |\\n| --- |\\n| 43 |"))'
QUIZ = """
quiz("What does ε = 0.1 leave for the right class, and what does each other class of ten get?", {
    "0.9, and 0.1 for each other class": (False, "That sums to 1.8: the others share ε."),
    "0.9, and 0.011 for each of the nine other classes, which is a long text that has to be wrapped where it is shown, "
    "and not cut off at the end of the button": (True, "1 − ε, and ε/(K−1) for each other."),
    "0.91, and 0.01 for each other class": (False, "That is PyTorch's convention."),
})
"""
CHECKS = """
check("first", 1.0, 1.0)
check("second", 1.0, 2.0, hint="think twice")
check("third", ..., 2.0)
"""
FITS = (
    "box => [...box.querySelectorAll('*')].every(part => part.scrollWidth <= part.clientWidth + 1 || !part.clientWidth)"
)


@pytest.fixture(params=SIZES, ids=lambda size: "x".join(map(str, size)))
def small(lab, request):
    """The lab in a window of one of the sizes."""
    width, height = request.param
    lab.page.set_viewport_size({"width": width, "height": height})
    return lab


def press(lab, button: Locator, key: str = "Space") -> None:
    button.focus()
    lab.page.keyboard.press(key)


def button(lab, name: str) -> Locator:
    return lab.page.get_by_role("button", name=name, exact=True)


def seen(lab, text: str) -> None:
    expect(lab.page.get_by_text(text).first).to_be_visible(timeout=30_000)


def run_cell(lab, index: int) -> None:
    """Run one cell again, and wait for it."""
    code = """async index => {
        const panel = window.jupyterapp.shell.currentWidget;
        panel.content.activeCellIndex = index;
        await window.jupyterapp.commands.execute('notebook:run-cell');
    }"""
    lab.page.evaluate(code, index)


def test_a_guess_is_read_at_reveal_after_run_all_and_before(small):
    lab = small
    lab.run(notebook(IMPORTS, ASK, REVEAL, VEIL), "guess")
    page = lab.page
    expect(page.get_by_text("Hidden until the guess is revealed.")).to_have_count(4)
    for answer in ("measured", "the answer is", "43"):
        expect(page.locator(".jp-OutputArea").get_by_text(answer)).to_have_count(0)
    press(lab, button(lab, "Reveal"))
    seen(lab, "You have not guessed yet.")
    expect(page.locator(".tricks-answer img")).to_have_count(0)
    slider = page.locator(".tricks-guess [role=slider]")
    press(lab, slider, "End")
    press(lab, button(lab, "Reveal"))
    seen(lab, "You guessed +2.0, measured +0.50 ± 0.25 points: 1.5 too high, outside the 95 % interval.")
    for answer in ("measured: +0.50", "the answer is 42", "43"):
        seen(lab, answer)
    expect(page.get_by_text("Hidden until")).to_have_count(0)
    picture = page.locator(".tricks-answer img")
    picture.scroll_into_view_if_needed()
    shown = picture.evaluate(
        "img => [img.naturalWidth / img.naturalHeight, img.clientWidth / img.clientHeight, "
        "img.clientWidth, img.getBoundingClientRect().right]"
    )
    assert shown[1] == pytest.approx(shown[0], rel=0.02)
    assert shown[2] > 300 and shown[3] <= page.viewport_size["width"]
    assert "You guessed +2.0" in picture.get_attribute("alt")
    # run again, as whoever guesses first and runs the cell then
    run_cell(lab, 2)
    expect(page.locator(".tricks-answer img")).to_have_count(0)
    press(lab, slider, "Home")
    press(lab, button(lab, "Reveal"))
    seen(lab, "You guessed −2.0, measured")
    assert lab.errors() == []
    lab.screenshot(f"guess_{page.viewport_size['width']}")


def test_nobody_has_to_guess(lab):
    lab.run(notebook(IMPORTS, ASK, REVEAL), "no_guess")
    press(lab, button(lab, "Reveal"))
    press(lab, button(lab, "Show without a guess"))
    seen(lab, "Measured +0.50 ± 0.25 points.")
    assert lab.errors() == []


def test_a_group_enters_its_guesses_by_keyboard_and_they_are_kept(small):
    lab = small
    lab.run(notebook(IMPORTS, ASK, REVEAL), "group")
    page, keys = lab.page, lab.page.keyboard
    press(lab, button(lab, "Guess as a group"))
    expect(page.get_by_label("name")).to_be_visible()
    page.get_by_label("name").focus()
    for number, (name, guess) in enumerate((("Mina", "0.6"), ("", "-1"), ("José", "1.5")), 1):
        expect(page.get_by_label("name")).to_be_focused()
        keys.type(name)
        keys.press("Tab")
        keys.press("Control+A")
        keys.type(guess)
        keys.press("Tab")
        expect(button(lab, "Add")).to_be_focused()
        keys.press("Space")
        seen(lab, f"{number} entered: ")
    seen(lab, "3 entered: Mina +0.6, 1 −1.0, José +1.5. Mean +0.4")
    press(lab, button(lab, "Reveal"))
    seen(lab, "The group guessed +0.4 on average, measured +0.50 ± 0.25 points: 0.1 too low, inside")
    seen(lab, "Nearest: Mina, +0.6.")
    lab.screenshot(f"group_{page.viewport_size['width']}", page.locator(".tricks-answer"))
    run_cell(lab, 1)
    seen(lab, "3 entered: Mina +0.6, 1 −1.0, José +1.5. Mean +0.4")
    assert lab.errors() == []


def test_a_quiz_says_right_and_wrong_by_keyboard(small):
    lab = small
    lab.run(notebook(IMPORTS, QUIZ), "quiz")
    box = lab.page.locator(".tricks-quiz")
    choices = box.get_by_role("button")
    press(lab, choices.nth(0))
    seen(lab, "✗ Not this one: That sums to 1.8: the others share ε.")
    lab.page.keyboard.press("Tab")
    expect(choices.nth(1)).to_be_focused()
    lab.page.keyboard.press("Space")
    seen(lab, "✓ Right: 1 − ε, and ε/(K−1) for each other.")
    assert choices.nth(0).inner_text().startswith("✗ ") and choices.nth(1).inner_text().startswith("✓ ")
    assert box.evaluate(FITS)
    lab.screenshot(f"quiz_{lab.page.viewport_size['width']}", box)
    assert lab.errors() == []


def test_answers_are_checked_in_words_and_a_hint_opens_by_keyboard(small):
    lab = small
    lab.run(notebook(IMPORTS, CHECKS), "checks")
    for text in ("✓ first: correct", "✗ second: different", "○ third: not yet"):
        seen(lab, text)
    hint = lab.page.locator("details").get_by_text("think twice")
    expect(hint).to_be_hidden()
    press(lab, lab.page.locator("summary"), "Enter")
    expect(hint).to_be_visible()
    assert lab.errors() == []


def test_all_of_it_can_be_read_in_both_themes(lab):
    lab.run(notebook(IMPORTS, ASK, REVEAL, VEIL, QUIZ, CHECKS), "themes")
    press(lab, button(lab, "Guess as a group"))
    press(lab, lab.page.locator(".tricks-guess [role=slider]"), "End")
    press(lab, button(lab, "Reveal"))
    for number in range(2):
        press(lab, lab.page.locator(".tricks-quiz").get_by_role("button").nth(number))
    seen(lab, "You guessed +2.0")
    seen(lab, "✓ Right: ")
    theme = "theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})"
    try:
        for light in ("true", "false"):
            if light == "false":
                lab.page.evaluate(theme, "JupyterLab Dark")
            lab.page.wait_for_function("light => document.body.dataset.jpThemeLight === light", arg=light)
            lab.page.locator("#jupyterlab-splash").wait_for(state="detached")
            contrasts = lab.page.locator(".jp-OutputArea-output").evaluate_all(CONTRASTS)
            words = " ".join(text for _, text in contrasts)
            for text in ("Reveal", "Guess as a group", "You guessed", "✗ Not this one", "✓ first", "○ third", "Hint"):
                assert text in words
            assert [text for contrast, text in contrasts if contrast < 4.5] == []
    finally:
        lab.page.evaluate(theme, "JupyterLab Light")
    assert lab.errors() == []


def test_an_output_that_is_saved_collapsed_opens_when_its_cell_runs(lab):
    saved = notebook(IMPORTS, ASK, REVEAL)
    saved.cells[2].metadata = {"jupyter": {"outputs_hidden": True}}
    lab.run(saved, "collapsed")
    expect(button(lab, "Reveal")).to_be_visible()
    assert lab.errors() == []
