"""Every quiz of the lessons: its data stand in the call, and each choice, when chosen, says why."""

import ast
from collections.abc import Iterator

import build_notebooks as tool
import pytest

from tricks.course.questions import Quiz


def quizzes(text: str) -> Iterator[tuple]:
    """The arguments of each call of `quiz` in a lesson. ValueError if they are more than text and truth values."""
    for cell in tool.parse(text, solutions=True).cells:
        if cell.cell_type == "code":
            for node in ast.walk(ast.parse(cell.source)):
                if isinstance(node, ast.Call) and ast.unparse(node.func) == "quiz":
                    assert "hide-input" in cell.metadata.get("tags", []), "the code of a quiz has its answers: fold it"
                    yield tuple(map(ast.literal_eval, node.args))


QUIZZES = [(source.stem, *each) for source in tool.sources([]) for each in quizzes(source.read_text(encoding="utf8"))]


def test_there_are_quizzes():
    assert len({lesson for lesson, *_ in QUIZZES}) >= 2


@pytest.mark.parametrize(
    "lesson, question, choices", QUIZZES, ids=[f"{name}-{asked[:40]}" for name, asked, _ in QUIZZES]
)
def test_every_choice_says_why(lesson, question, choices):
    shown = Quiz(question, choices)
    assert len(choices) >= 3
    for text, (right, why) in choices.items():
        shown.buttons[text].click()
        assert shown.buttons[text].description == f"{'✓' if right else '✗'} {text}"
        assert len(why.split()) >= 5 and why.strip().endswith(".")
        assert ("✓ Right: " if right else "✗ Not this one: ") in shown.answers[text].value
