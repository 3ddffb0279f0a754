"""The package's shape: who may import whom, what is imported where it is defined, and what opens without torch."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tricks import ROOT

LAYERS = (  # a module imports only from layers above its own; tricks and the loop first, then the machinery
    {"tricks"},
    {"values", "data.files"},  # data/files.py imports nothing of ours, and everything may stand on it
    {"recipe", "process", "metrics", "augment", "parameters", "precision", "models", "targets"}
    | {"label_smoothing", "distillation", "mixup", "after"},
    {"schedules", "state"},
    {"train"},
    {"data"},
    {"records"},
    {"transfer", "plots"},
    {"studies"},
    {"course"},
    {"__main__"},
)
WITHOUT_TORCH = ("recipe", "values", "schedules", "precision", "label_smoothing", "mixup", "plots", "records.store")
WITHOUT_TORCH += ("records.statistics", "records.paper", "studies.studies", "data.sets", "data.pennfudan", "course.cli")
NOT_A_TRICK = {"__init__", "__main__", "recipe", "values", "targets", "train", "state", "metrics", "process", "nets"}


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted((ROOT / "tricks").rglob("*.py"))}
TREES = {name: ast.parse(path.read_text(encoding="utf8")) for name, path in MODULES.items()}


def part_of(module: str) -> str:
    """'tricks.data.loader' -> 'data'; the package itself is 'tricks', and data/files.py a part of its own."""
    name = module.removeprefix("tricks.")
    return name if name == "data.files" else name.split(".")[0]


def layer_of(module: str) -> int:
    found = [index for index, layer in enumerate(LAYERS) if part_of(module) in layer]
    assert found, f"{module}: say in tests/test_layers.py which layer it belongs to"
    return found[0]


def imports(tree: ast.Module) -> Iterator[tuple[str, str | None]]:
    """(module, name) of every import of our own, also those inside functions; name None for `import tricks.x`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import does not say where to look"
            for alias in node.names:
                if f"{node.module}.{alias.name}" in MODULES:
                    yield f"{node.module}.{alias.name}", None
                elif (node.module or "").split(".")[0] == "tricks":
                    yield str(node.module), alias.name
        elif isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names if alias.name.split(".")[0] == "tricks")


def defined(tree: ast.Module) -> set[str]:
    """Names that a module defines itself at its top level."""
    names = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {leaf.id for target in targets for leaf in ast.walk(target) if isinstance(leaf, ast.Name)}
    return names


def test_all_modules_are_seen():
    assert {"tricks.recipe", "tricks.train", "tricks.data.loader", "tricks.models.resnet"} <= set(MODULES)
    assert len(MODULES) >= 18
    assert {part_of(module) for module in MODULES} == set().union(*LAYERS)


def test_the_map_has_every_trick():
    """The table in `tricks/__init__.py` names the files of the tricks, all of them, and lessons that exist."""
    table = str(ast.get_docstring(TREES["tricks"])).split("\n\n")[1].splitlines()[1:]
    rows = [re.split(r"\s{2,}", line.strip()) for line in table]
    assert len(rows) >= 12 and {len(row) for row in rows} == {4}
    tricks = [path.name for path in (ROOT / "tricks").glob("*.py") if path.stem not in NOT_A_TRICK]
    for folder in ("models", "after"):
        files = (ROOT / "tricks" / folder).glob("[!_]*.py")
        tricks += [f"{folder}/{path.name}" for path in files if path.stem not in NOT_A_TRICK]
    assert {file for _, file, _, _ in rows} == set(tricks)
    lessons = {lesson for *_, lesson in rows} - {"none yet"}
    assert all(list((ROOT / "notebooks" / "src").glob(f"{lesson}_*.py")) for lesson in lessons) and len(lessons) > 5
    assert all(re.match(r"§\d|later", section) for _, _, section, _ in rows)


@pytest.mark.parametrize("module", MODULES)
def test_imports_only_from_layers_above(module):
    for target, _ in imports(TREES[module]):
        same = part_of(module) == part_of(target)
        assert same or layer_of(target) < layer_of(module), f"{module} imports {target}"


def test_what_everything_may_stand_on_needs_the_standard_library_alone():
    nodes = [node for node in ast.walk(TREES["tricks.data.files"]) if isinstance(node, ast.Import | ast.ImportFrom)]
    modules = {getattr(node, "module", None) or alias.name for node in nodes for alias in node.names}
    assert modules and {module.split(".")[0] for module in modules} <= sys.stdlib_module_names


def test_no_cycles():
    edges = {name: {target for target, _ in imports(tree)} - {name, "tricks"} for name, tree in TREES.items()}
    while leaves := [name for name, targets in edges.items() if not targets]:
        for name in leaves:
            del edges[name]
        edges = {name: targets - set(leaves) for name, targets in edges.items()}
    assert edges == {}


def test_names_are_imported_from_where_they_are_defined():
    """No re-exports: the import line says in which file to look. Lessons, tests and tools are held to it as well."""
    others = [path for folder in ("tests", "tools", "notebooks/src") for path in (ROOT / folder).rglob("*.py")]
    trees = {**TREES, **{str(path.relative_to(ROOT)): ast.parse(path.read_text(encoding="utf8")) for path in others}}
    checked = 0
    for file, tree in trees.items():
        for module, name in imports(tree):
            if name is not None:
                assert module in MODULES, f"{file} imports {module}, which does not exist"
                assert name in defined(TREES[module]), f"{file}: {name} is not defined in {module}"
                checked += 1
    assert checked > 50


def test_third_party_imports_are_declared():
    """What `tricks` imports is what pyproject.toml installs, not what some other package happens to bring along."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf8"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["site"]]
    declared = {re.match(r"[\w-]+", requirement)[0] for requirement in wanted}
    imported = set()
    for node in (node for tree in TREES.values() for node in ast.walk(tree)):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(str(node.module).split(".")[0])
    called = {
        "PIL": "pillow",
        "pptx": "python-pptx",
        "IPython": "ipykernel",
        "jupyter_client": "ipykernel",
        "cycler": "matplotlib",
        "docutils": "sphinx",
    }  # by their package, or the one they belong to
    others = {called.get(name, name) for name in imported - sys.stdlib_module_names}
    assert {"torch", "numpy", "matplotlib"} <= others
    assert others - declared - {"tricks"} == set()


def test_packages_import_nothing_of_ours():
    packages = [name for name, path in MODULES.items() if path.name == "__init__.py"]
    assert len(packages) >= 3
    for name in packages:
        assert list(imports(TREES[name])) == [], f"{name}/__init__.py re-exports"


def test_no_star_imports_and_no_changed_path():
    """Names can be found by reading; the package is installed, so nobody edits sys.path."""
    files = [path for folder in ("tricks", "tests", "tools", "notebooks/src") for path in (ROOT / folder).rglob("*.py")]
    assert len(files) > 20
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))):
            if isinstance(node, ast.ImportFrom):
                assert all(alias.name != "*" for alias in node.names), f"{path}:{node.lineno}"
            if isinstance(node, ast.Attribute) and node.attr == "path":
                assert getattr(node.value, "id", "") != "sys", f"{path}:{node.lineno}"


def test_no_torch_where_only_numbers_and_pictures_are_needed():
    """Lessons about schedules and records open at once: importing torch alone takes seconds."""
    parts = tuple(f"tricks.{name}" for name in WITHOUT_TORCH)
    modules = {name for name in MODULES if name in parts or name.startswith(tuple(f"{part}." for part in parts))}
    code = (
        f"import sys, json, {', '.join(sorted(modules))}\n"
        "print(json.dumps([name for name in sys.modules if name.split('.')[0] in ('tricks', 'torch', 'torchvision')]))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = json.loads(done.stdout)
    assert modules <= set(loaded) and len(modules) > 20
    assert [name for name in loaded if not name.startswith("tricks")] == []
