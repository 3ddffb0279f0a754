"""What lessons import, few modules in one folded place; source that they show; what panels read; guesses in order."""

import ast
import symtable

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


def assigned(statement: ast.stmt) -> set[str]:
    """The names that a statement gives a value in the notebook itself, not within a function or a comprehension."""
    table = symtable.symtable(ast.unparse(statement), "cell", "exec")
    return {symbol.get_name() for symbol in table.get_symbols() if symbol.is_assigned()}


def read_late(table: symtable.SymbolTable) -> set[str]:
    """The notebook's names that functions and lambdas within it read when they are called."""
    inner = (read_late(child) for child in table.get_children())
    own = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_global() and not symbol.is_assigned()}
    return set().union(own if table.get_type() == "function" else set(), *inner)


@pytest.mark.parametrize("source", LESSONS, ids=lambda path: path.stem)
def test_what_a_panel_reads_when_it_is_moved_is_not_given_another_value_further_down(source):
    """After Run All the panels of the first cells still have to draw what they drew."""
    notebook = tool.parse(source.read_text(encoding="utf8"), solutions=True)
    cells = (cell for cell in notebook.cells if cell.cell_type == "code")
    statements = [statement for cell in cells for statement in ast.parse(cell.source).body]
    functions = {s.name: s for s in statements if isinstance(s, ast.FunctionDef)}
    wrong, panels = [], 0
    for place, statement in enumerate(statements):
        if "sliders(" not in ast.unparse(statement) or isinstance(statement, ast.FunctionDef | ast.ImportFrom):
            continue
        panels += 1
        table = symtable.symtable(ast.unparse(statement), "cell", "exec")
        names = read_late(table)
        called = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_referenced()} | names
        while new := [functions[name] for name in called & functions.keys() if name not in names]:
            names |= {function.name for function in new}
            for function in new:
                names |= read_late(symtable.symtable(ast.unparse(function), "cell", "exec"))
            called |= names
        later = set().union(*map(assigned, statements[place + 1 :]))
        wrong += sorted(names & later)
    assert wrong == [] and bool(panels) == ("sliders(" in source.read_text(encoding="utf8"))


@pytest.mark.parametrize("source", LESSONS, ids=lambda path: path.stem)
def test_a_guess_is_revealed_before_what_gives_it_away(source):
    """What is veiled appears where it stands: above the button that is out of sight; in print it tells too early."""
    places: dict[str, dict[str, int]] = {"reveal": {}, "veil": {}}
    for statement in ast.parse(source.read_text(encoding="utf8")).body:
        for node in [] if isinstance(statement, ast.FunctionDef) else ast.walk(statement):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="reveal" | "veil" as what)):
                    places[what].setdefault(name, statement.lineno)
    early = {name for name, line in places["veil"].items() if line < places["reveal"].get(name, 0)}
    assert not early
