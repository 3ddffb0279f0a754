"""What lessons take from the module: imports that are few, in one folded place, and source to show that is there."""

import ast

import build_notebooks as tool
import pytest

MOST = 8
LESSONS = tool.sources([])


def imports(code: str) -> list[ast.Import | ast.ImportFrom]:
    """Every import in the code, also those inside functions."""
    return [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Import | ast.ImportFrom)]


def of_ours(code: str) -> set[str]:
    """What stands after `from` or `import` where it is ours; `from tricks import mixup, targets` is one."""
    found: set[str] = set()
    for node in imports(code):
        found |= {str(node.module)} if isinstance(node, ast.ImportFrom) else {alias.name for alias in node.names}
    return {name for name in found if name.split(".")[0] == "tricks"}


def test_there_are_lessons():
    assert LESSONS


@pytest.mark.parametrize(
    "code, found",
    [
        ("from tricks import mixup, targets\nfrom tricks.records import paper", {"tricks", "tricks.records"}),
        ("def f():\n    import tricks.train, math\n    from tricks.train import epochs", {"tricks.train"}),
        ("import numpy as np", set()),
    ],
)
def test_imports_of_ours_are_found(code, found):
    assert of_ours(code) == found


@pytest.mark.parametrize("source", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_imports_from_few_modules_in_its_first_cell_which_is_folded(source):
    notebook = tool.parse(source.read_text(encoding="utf8"), solutions=True)
    first, *others = (cell for cell in notebook.cells if cell.cell_type == "code")
    assert first.metadata == {"tags": ["hide-input"], "jupyter": {"source_hidden": True}}
    assert 0 < len(of_ours(first.source)) <= MOST
    assert [ast.unparse(node) for cell in others for node in imports(cell.source)] == []


@pytest.mark.parametrize("source", LESSONS, ids=lambda path: path.stem)
def test_what_a_lesson_shows_of_the_module_is_there(source):
    """Its imports work, and each `show(...)` finds its function and its lines. Nothing else of it is executed."""
    notebook = tool.parse(source.read_text(encoding="utf8"), solutions=True)
    names: dict[str, object] = {}
    for cell in (cell for cell in notebook.cells if cell.cell_type == "code"):
        exec("\n".join(map(ast.unparse, imports(cell.source))), names)
        for line in ast.parse(cell.source).body:
            call = line.value if isinstance(line, ast.Expr) else None
            if isinstance(call, ast.Call) and ast.unparse(call.func) in tool.SHOW:
                assert eval(ast.unparse(call), {**names, **tool.SHOW})
