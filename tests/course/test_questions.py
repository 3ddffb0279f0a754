"""What asks the reader: checks that never raise, guesses that are held against a measurement."""

import math

import numpy as np
import pytest
import torch

from tricks.course import questions
from tricks.course.questions import check, predict
from tricks.records.statistics import Comparison


@pytest.fixture
def screen(monkeypatch):
    screen = []
    monkeypatch.setattr(questions, "display", screen.append)
    return screen


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
        (..., 1, "[not yet] x: put your answer in place of the ..."),
        (None, 1, "[not yet] x: put your answer in place of the ..."),
        (3, 3.0, "[exact] x"),
        (True, 1, "[exact] x"),
        (math.nan, math.nan, "[exact] x"),
        (math.inf, math.inf, "[exact] x"),
        ("cosine", "cosine", "[exact] x"),
        ([1, [2, 3]], [1, [2, 3]], "[exact] x"),
        (torch.ones(2, 3), np.ones((2, 3)), "[exact] x"),
        (torch.ones(2, dtype=torch.bfloat16, requires_grad=True), [1, 1], "[exact] x"),
        ([], [], "[exact] x"),
        (1.0000005, 1.0, "[close] x: largest difference 5e-07"),
        ([1, 2.5, 3], [1, 2, 3], "[different] x: at [1]: yours is 2.5, expected 2"),
        ([[1, 2], [3, math.nan]], [[1, 2], [3, 4]], "[different] x: at [1, 1]: yours is nan, expected 4"),
        (math.inf, 1.0, "[different] x: yours is inf, expected 1"),
        (torch.ones(2, 3), torch.ones(3, 2), "[different] x: your shape is (2, 3), expected (3, 2)"),
        ({"a": 1, "b": [2, 5]}, {"a": 1, "b": [2, 3]}, "[different] x: at ['b'][1]: yours is 5, expected 3"),
        ({"a": 1}, {"b": 1}, "[different] x: yours is {'a': 1}, expected {'b': 1}"),
        ("cosine", "step", "[different] x: yours is 'cosine', expected 'step'"),
        ("0.1", 0.1, "[different] x: yours is '0.1', expected 0.1"),
        ([1, [2]], [1, [2, 3]], "[different] x: at [1]: your shape is (1,), expected (2,)"),
    ],
)
def test_check_of_values(yours, theirs, expected, capsys):
    check("x", yours, theirs)
    assert capsys.readouterr().out == expected + "\n"


def test_check_says_close_to_another_order_of_float32_arithmetic(capsys):
    x = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    check("sum", x.sum(), x.double().sum())
    check("sum", x.flip(0).cumsum(0)[-1] + 1e-2, x.double().sum())
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("[close] sum: largest difference ")
    assert second.startswith("[different] sum: ")


@pytest.mark.parametrize(
    "yours, expected",
    [
        (lambda x, y: y + x, "[exact] f: on 3 inputs"),
        (lambda x, y: (x + y) * (1 + 1e-7), "[close] f: largest difference 1.1e-06"),
        (lambda x, y: x + y if x < 2 else 0, "[different] f: at input (2, 3): yours is 0, expected 5"),
        (lambda x, y: ..., "[not yet] f: your function returns nothing"),
        (lambda x: x, "[different] f: yours raises TypeError: "),
        (lambda x, y: x / (x - 2), "[different] f: at input (1, 2): yours is -1, expected 3"),
        (5, "[different] f: yours raises TypeError: 'int' object is not callable, at input (1, 2)"),
    ],
)
def test_check_of_functions_names_the_first_input_where_they_part(yours, expected, capsys):
    check("f", yours, lambda x, y: x + y, [(1, 2), (2, 3), (5, 6)])
    assert capsys.readouterr().out.startswith(expected)


def test_check_of_functions_without_inputs_is_not_a_pass(capsys):
    check("f", abs, abs, [])
    assert capsys.readouterr().out == "[different] f: there are no inputs to compare them on\n"


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
def test_check_never_raises_and_writes_nothing_to_stderr(yours, theirs, capfd, recwarn):
    check("odd", yours, theirs)
    check("odd", yours, theirs, [1, (2, 3)])
    out, err = capfd.readouterr()
    assert out.count("\n") == 2 and all(line.startswith("[") for line in out.splitlines())
    assert err == "" and not recwarn.list


# Guesses


def test_a_guess_is_held_against_the_measured_interval(screen, capsys):
    guess = predict("How much, in <points>?", -2, 2)
    comparison = Comparison((0, 1, 2), (0.4, 0.6, 0.5), "points")
    guess.reveal(comparison)
    assert capsys.readouterr().out == f"measured: {comparison}\nYou have not guessed: the slider is where it was.\n"
    question, slider = screen[0].children
    assert question.value == "How much, in &lt;points&gt;?"
    slider.value = 0.6
    assert guess.value == 0.6
    guess.reveal(comparison)
    assert capsys.readouterr().out.endswith("your guess: +0.60 points, inside the 95 % interval\n")
    slider.value = -1
    guess.reveal(comparison)
    assert capsys.readouterr().out.endswith("your guess: -1.00 points, outside the 95 % interval\n")
    slider.value = -0.0
    guess.reveal(Comparison((0,), (0.4,), "points"))
    assert capsys.readouterr().out.endswith("your guess: +0.00 points; one seed has no interval\n")
