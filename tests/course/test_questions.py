"""What asks the reader: checks that never raise, quizzes that explain, guesses that are read when Reveal is pressed."""

import base64
import html
import math
import re

import numpy as np
import pytest
import torch
from IPython.display import Markdown

from tricks.course import questions
from tricks.course.questions import GOOD, OPEN, WRONG, Answer, Quiz, Veiled, bug_hunt, check, predict, quiz
from tricks.plots.smoothing import optimal_gap
from tricks.records.paper import Effect
from tricks.records.statistics import Comparison


class Screen(list):
    """What was displayed."""

    def __call__(self, thing, raw=False):
        self.append(thing)


@pytest.fixture(autouse=True)
def screen(monkeypatch):
    screen = Screen()
    monkeypatch.setattr(questions, "display", screen)
    monkeypatch.setattr(questions, "GUESSES", {})
    return screen


def words(code: str) -> str:
    """What HTML says, tags taken out."""
    return html.unescape(re.sub(r"<style>.*?</style>|<[^>]*>", "", code, flags=re.DOTALL))


# Checks


class Hostile:
    """Raises at everything that a comparison may ask for."""

    def __eq__(self, other):
        raise RuntimeError("no ==")

    def __array__(self, *args, **kwargs):
        raise RuntimeError("no array")

    def __repr__(self):
        raise RuntimeError("no repr")


@pytest.mark.parametrize(
    "yours, theirs, expected",
    [
        (..., 1, "○ x: not yet, put your answer in place of the ..."),
        (None, 1, "○ x: not yet, put your answer in place of the ..."),
        (3, 3.0, "✓ x: correct"),
        (True, 1, "✓ x: correct"),
        (math.nan, math.nan, "✓ x: correct"),
        (math.inf, math.inf, "✓ x: correct"),
        ("cosine", "cosine", "✓ x: correct"),
        ([1, [2, 3]], [1, [2, 3]], "✓ x: correct"),
        (torch.ones(2, 3), np.ones((2, 3)), "✓ x: correct"),
        (torch.ones(2, dtype=torch.bfloat16, requires_grad=True), [1, 1], "✓ x: correct"),
        ([], [], "✓ x: correct"),
        (1.0000005, 1.0, "✓ x: correct (rounding 5e-07)"),
        ([1, 2.5, 3], [1, 2, 3], "✗ x: different, at [1]: yours is 2.5, expected 2"),
        ([[1, 2], [3, math.nan]], [[1, 2], [3, 4]], "✗ x: different, at [1, 1]: yours is nan, expected 4"),
        (math.inf, 1.0, "✗ x: different, yours is inf, expected 1"),
        (torch.ones(2, 3), torch.ones(3, 2), "✗ x: different, your shape is (2, 3), expected (3, 2)"),
        ({"a": 1, "b": [2, 5]}, {"a": 1, "b": [2, 3]}, "✗ x: different, at ['b'][1]: yours is 5, expected 3"),
        ({"a": 1}, {"b": 1}, "✗ x: different, yours is {'a': 1}, expected {'b': 1}"),
        ("cosine", "step", "✗ x: different, yours is 'cosine', expected 'step'"),
        ("0.1", 0.1, "✗ x: different, yours is '0.1', expected 0.1"),
        ([1, [2]], [1, [2, 3]], "✗ x: different, at [1]: your shape is (1,), expected (2,)"),
        (
            torch.ones(2, 3),
            (torch.ones(2), "a"),
            "✗ x: different, yours is Tensor of shape (2, 3), expected (Tensor of shape (2,), 'a')",
        ),
    ],
)
def test_check_of_values(yours, theirs, expected, screen):
    check("x", yours, theirs)
    assert screen[0]["text/plain"] == expected
    assert words(screen[0]["text/html"]) == expected


def test_check_allows_for_another_order_of_float32_arithmetic(screen):
    x = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    check("sum", x.sum(), x.double().sum())
    check("sum", x.flip(0).cumsum(0)[-1] + 1e-2, x.double().sum())
    assert screen[0]["text/plain"].startswith("✓ sum: correct (rounding ")
    assert screen[1]["text/plain"].startswith("✗ sum: different, ")


@pytest.mark.parametrize(
    "yours, expected",
    [
        (lambda x, y: y + x, "✓ f: correct (on 3 inputs)"),
        (lambda x, y: (x + y) * (1 + 1e-7), "✓ f: correct (on 3 inputs, rounding 1.1e-06)"),
        (lambda x, y: x + y if x < 2 else 0, "✗ f: different, at input 2 of 3, (2, 3): yours is 0, expected 5"),
        (lambda x, y: ..., "○ f: not yet, your function returns nothing"),
        (lambda x: x, "✗ f: different, at input 1 of 3, (1, 2): yours raises TypeError: "),
        (lambda x, y: x / (x - 2), "✗ f: different, at input 1 of 3, (1, 2): yours is -1, expected 3"),
        (5, "✗ f: different, at input 1 of 3, (1, 2): yours raises TypeError: 'int' object is not callable"),
    ],
)
def test_check_of_functions_names_the_first_input_where_they_part(yours, expected, screen):
    check("f", yours, lambda x, y: x + y, iter([(1, 2), (2, 3), (5, 6)]))
    assert screen[0]["text/plain"].startswith(expected)


def test_check_names_a_tensor_by_its_shape_and_does_not_dump_it(screen):
    check("f", lambda x, y: x[:2], lambda x, y: x, [(torch.randn(6, 3), 2)])
    check("f", lambda x: x, lambda x: x + 1, [np.ones(4)])
    first, second = (each["text/plain"] for each in screen)
    where = "✗ f: different, at input 1 of 1, (Tensor of shape (6, 3), 2): "
    assert first == f"{where}your shape is (2, 3), expected (6, 3)"
    assert second == "✗ f: different, at input 1 of 1, ndarray of shape (4,): at [0]: yours is 1, expected 2"


def test_check_of_functions_without_inputs_is_not_a_pass(screen):
    check("f", abs, abs, [])
    assert screen[0]["text/plain"] == "✗ f: different, there are no inputs to compare them on"


def test_a_hint_is_folded_away_and_gone_once_the_answer_is_correct(screen):
    for yours in (..., 2, 1):
        check("<x>", yours, 1, hint="think of <b>")
    for shown in screen[:2]:
        assert "<details><summary>Hint</summary><div>think of &lt;b&gt;</div></details>" in shown["text/html"]
        assert "think" not in shown["text/plain"]
    assert "think" not in screen[2]["text/html"]
    assert all("&lt;x&gt;" in shown["text/html"] and "<x>" in shown["text/plain"] for shown in screen)


ODD = [Hostile(), Hostile, object(), "text", b"bytes", {}, {"a": Hostile()}, [1, "a"], [[1], [2, 3]], {1}, 1j, math.nan]
ODD += [
    np.array(["a"]),
    np.array([None]),
    torch.empty(0),
    torch.empty(2, device="meta"),
    torch.nn.Linear(1, 1),
    lambda: 1,
]


@pytest.mark.parametrize("yours", ODD, ids=range(len(ODD)))
@pytest.mark.parametrize("theirs", [1.0, Hostile(), torch.ones(2), "text", {"a": 1}, [1, [2]]], ids=range(6))
def test_check_never_raises_and_writes_nothing_to_stderr(yours, theirs, screen, capfd, recwarn):
    check("odd", yours, theirs)
    check("odd", yours, theirs, [1, (2, 3)])
    assert len(screen) == 2 and all(shown["text/plain"][0] in "✓✗○" for shown in screen)
    assert not any("\n" in shown["text/plain"] for shown in screen)
    assert capfd.readouterr() == ("", "") and not recwarn.list


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("colours", [GOOD, WRONG, OPEN, ("#ffffff", "#0173b2")])
def test_letters_in_a_box_can_be_read(colours):
    dark, light = sorted(map(luminance, colours))
    assert (light + 0.05) / (dark + 0.05) >= 4.5


# Quizzes

CHOICES = {
    "Two": (False, "That is 1 + 1."),
    "Three, <or> 3": (True, "One more than 2."),
    "Four": (False, "That is 2 + 2."),
}


def test_every_choice_of_a_quiz_has_its_explanation_and_more_tries_are_allowed(screen):
    quiz("What is 1 + 2, <really>?", CHOICES)
    (shown,) = screen
    assert "What is 1 + 2, &lt;really&gt;?" in shown.children[0].value
    assert [button.description for button in shown.buttons.values()] == list(CHOICES)
    assert not any(answer.value for answer in shown.answers.values())
    for text, (right, why) in CHOICES.items():
        shown.buttons[text].click()
        mark, colours = ("✓", GOOD) if right else ("✗", WRONG)
        assert shown.buttons[text].description == f"{mark} {text}"
        style = shown.buttons[text].style
        assert (style.text_color, style.button_color) == colours
        assert words(shown.answers[text].value) == f"✓ Right: {why}" if right else f"✗ Not this one: {why}"
    shown.buttons["Two"].click()
    assert shown.buttons["Two"].description == "✗ Two"


def test_a_saved_quiz_unfolds_the_explanation_of_each_choice():
    data, _ = Quiz("What is 1 + 2?", CHOICES)._repr_mimebundle_()
    folded = re.findall(r"<details><summary>(.*?)</summary>(.*?)</details>", data["text/html"])
    assert [html.unescape(choice) for choice, _ in folded] == list(CHOICES)
    assert [answer for _, answer in folded][1] == "✓ Right: One more than 2."
    assert data["text/plain"].startswith("What is 1 + 2?\n- Two ✗ Not this one: That is 1 + 1.\n")


@pytest.mark.parametrize(
    "choices, message",
    [
        ({"a": (False, "no"), "b": (False, "no")}, "quiz 'Why\\?': 0 of 2 choices are right, it must be one"),
        ({"a": (True, "yes"), "b": (True, "yes")}, "quiz 'Why\\?': 2 of 2 choices are right, it must be one"),
        ({"a": (True, "yes"), "b": (False, " ")}, "quiz 'Why\\?': say why 'b' is right or wrong"),
        ({}, "quiz 'Why\\?': 0 of 0 choices are right"),
    ],
)
def test_a_quiz_without_one_right_choice_or_with_an_unexplained_one_is_refused(choices, message):
    with pytest.raises(ValueError, match=message):
        quiz("Why?", choices)


HUNTED = """
def mean(values):
    total = 0.0
    for value in values:
        total = value
    return total / len(values)
"""


def means(names):
    assert names["mean"]([1.0, 3.0]) == 2.0, "the mean of 1 and 3 is not 2"


def hunt(**changes):
    told = {"wrong": "total = value", "right": "total += value", "why": "Only the last value counts.", "test": means}
    return bug_hunt(HUNTED, **{**told, **changes})


def test_a_bug_hunt_says_of_each_line_whether_it_is_the_wrong_one(screen):
    hunt()
    (question,) = screen
    assert [text[4:] for text in question.buttons] == HUNTED.strip().splitlines()
    for text, button in question.buttons.items():
        button.click()
        said = words(question.answers[text].value)
        assert ("Right: Only the last value counts." in said) == (text.endswith("total = value"))
        assert "the mean of 1 and 3 is not 2" in said
    data, _ = question.twin
    assert HUNTED.splitlines()[2] in data["text/html"] and "<details>" in data["text/html"]


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"wrong": "total = values"}, "0 of the lines"),
        ({"right": "total -= value"}, "only one must fail"),
        ({"wrong": "total = 0.0", "right": "total = 0"}, "only one must fail"),
        ({"test": lambda names: None}, "only one must fail"),
    ],
)
def test_a_bug_hunt_whose_test_does_not_tell_the_two_apart_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        hunt(**changes)


# Guesses

OURS = Comparison((0, 1, 2), (0.4, 0.6, 0.5), "points")  # 0.50 ± 0.25
CHANGE = "Change, in <points>?"


def slider(guess):
    return guess.widget.children[1]


def group_of(guess):
    """The fields and buttons of a group: name, guess, Add, Take back the last."""
    return guess.widget.children[3].children[0].children


def enter(guess, name, value):
    fields = group_of(guess)
    fields[0].value, fields[1].value = name, value
    fields[2].click()


def answer_of(screen):
    (answer,) = (thing for thing in screen if isinstance(thing, Answer))
    return answer


def test_a_question_is_asked_as_it_is_written(screen):
    guess = predict(CHANGE, -2, 2)
    assert screen == [guess.widget]
    assert guess.widget.children[0].value == "Change, in &lt;points&gt;?"
    assert guess.value == 0 and not guess.touched


def test_the_slider_is_read_when_reveal_is_pressed_not_before(screen):
    guess = predict(CHANGE, -2, 2)
    guess.reveal(OURS)
    answer = answer_of(screen)
    assert not answer.line.value and not answer.picture.value
    slider(guess).value = 0.6
    answer.button.click()
    assert (
        words(answer.line.value)
        == "You guessed +0.6, measured +0.50 ± 0.25 points: 0.1 too high, inside the 95 % interval."
    )
    assert GOOD[1] in answer.line.value
    first = answer.picture.value
    slider(guess).value = -1
    answer.button.click()
    assert "You guessed −1.0" in words(answer.line.value)
    assert "1.5 too low, outside the 95 % interval." in words(answer.line.value) and OPEN[1] in answer.line.value
    assert answer.picture.value != first
    assert "You guessed −1.0" in html.unescape(re.search(r'alt="([^"]*)"', answer.picture.value)[1])


def test_a_guess_of_one_seed_and_on_the_spot(screen):
    guess = predict(CHANGE, -2, 2)
    guess.reveal(Comparison((0,), (0.4,), "points"))
    slider(guess).value = 0.4
    answer_of(screen).button.click()
    said = words(answer_of(screen).line.value)
    assert said == "You guessed +0.4, measured +0.40 points: on the spot (one seed has no interval)."


def test_without_a_guess_the_reader_is_asked_first_and_may_see_it_anyway(screen):
    guess = predict(CHANGE, -2, 2)
    guess.reveal(OURS)
    answer = answer_of(screen)
    assert answer.anyway.layout.display == "none"
    answer.button.click()
    assert words(answer.line.value).startswith("You have not guessed yet. Move the slider of “Change, in <points>?”")
    assert not answer.picture.value and not guess.revealed
    assert answer.anyway.layout.display != "none"
    answer.anyway.click()
    assert words(answer.line.value) == "Measured +0.50 ± 0.25 points."
    assert answer.picture.value and guess.revealed
    assert answer.anyway.layout.display == "none"


def test_a_groups_guesses_are_entered_shown_and_held_against_the_measurement(screen):
    guess = predict(CHANGE, -2, 2)
    together = guess.widget.children[3]
    assert together.layout.display == "none"
    guess.widget.children[2].value = True
    assert together.layout.display == "flex"
    for name, value in (("Mina", 1.0), ("", -0.5), (" José  M ", 9), ("", 0.25), ("Mina", 0.5)):
        enter(guess, name, value)
    assert group_of(guess)[0].value == ""  # ready for the next name
    assert guess.group == {"1": -0.5, "José M": 2, "2": 0.25, "Mina": 0.5}  # 9 is beyond the slider's end
    said = words(together.children[1].value)
    assert said == "4 entered: 1 −0.5, José M +2.0, 2 +0.2, Mina +0.5. Mean +0.6"
    group_of(guess)[3].click()
    assert list(guess.group) == ["1", "José M", "2"]
    guess.reveal(OURS)
    answer = answer_of(screen)
    answer.button.click()
    said = words(answer.line.value)
    assert "The group guessed +0.6 on average, measured +0.50 ± 0.25 points: 0.1 too high, inside" in said
    assert "Nearest: 2, +0.2." in said
    slider(guess).value = 1
    answer.button.click()
    assert words(answer.line.value).startswith("You guessed +1.0, measured +0.50 ± 0.25 points: 0.5 too high, outside")


def test_taking_back_from_nobody_does_nothing():
    guess = predict(CHANGE, -2, 2)
    group_of(guess)[3].click()
    assert guess.group == {}


def test_guesses_are_kept_when_the_cell_runs_again_and_each_question_has_its_own():
    guess = predict(CHANGE, -2, 2)
    slider(guess).value = 1.5
    enter(guess, "Mina", 0.5)
    again = predict(CHANGE, -2, 2)
    assert again.value == 1.5 and again.touched and again.group == {"Mina": 0.5}
    assert again.widget.children[3].layout.display == "flex"
    other = predict("Another?", -2, 2)
    assert not other.touched and other.group == {}


def test_what_is_veiled_is_not_seen_before_the_guess_is_revealed(screen):
    guess = predict(CHANGE, -2, 2)
    figure, table = optimal_gap(), Markdown("| a |\n| --- |\n| 0.5 |")
    guess.veil("the <answer>", figure, table)
    guess.reveal(OURS, Effect(0.4), label="cosine")
    answer, veiled = answer_of(screen), [thing for thing in screen if isinstance(thing, Veiled)]
    assert len(veiled) == 4  # the last is of `reveal`
    for thing in veiled:
        assert words(thing.children[0].value) == "Hidden until the guess is revealed."
    answer.button.click()
    answer.anyway.click()
    text, picture, output, details = (thing.children[0] for thing in veiled)
    assert words(text.value) == "the <answer>"
    assert f'alt="{html.escape(figure.alt)}"' in picture.value
    assert output.outputs[0]["data"]["text/markdown"] == table.data
    assert words(details.value).split("\n") == [
        f"measured: {OURS}",
        f"paper: {Effect(0.4)}",
        f"verdict: {OURS.against(Effect(0.4))}",
    ]
    guess.veil("later")
    assert words(screen[-1].children[0].value) == "later"


def test_a_saved_notebook_has_the_evidence_in_sight(screen):
    guess = predict(CHANGE, -2, 2)
    guess.reveal(OURS, Effect(0.4), label="cosine", caption="n = 3")
    guess.veil("the <answer>", optimal_gap(), Markdown("**bold**"))
    answer, details, text, picture, table = (thing._repr_mimebundle_()[0] for thing in screen[1:])
    assert base64.b64decode(answer["image/png"]).startswith(b"\x89PNG") and "n = 3" in answer["text/plain"]
    assert details["text/plain"].startswith("measured: +0.50 ± 0.25 points")
    assert (words(text["text/html"]), text["text/plain"]) == ("the <answer>", "the <answer>")
    assert "word-break: normal" in text["text/html"]  # JupyterLab breaks lines of a <pre> anywhere
    assert "image/png" in picture and table["text/markdown"] == "**bold**"
