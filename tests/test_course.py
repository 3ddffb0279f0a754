"""`./course`: which interpreter it takes, when it installs, and what it says. Nothing is downloaded here.

The installation is done for real once, in a copy of the tree whose pyproject.toml has no dependencies; its other turns
are played with a pip that only notes what it was asked.
"""

import ast
import errno
import importlib.machinery
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from packaging.requirements import Requirement

from tricks import ROOT

COMMANDS = ("lab", "test", "run", "deck", "site", "data", "study", "train", "info")
ECHO = """
import json, os, sys
print(json.dumps({"module": __spec__.name, "python": sys.executable, "arguments": sys.argv[1:], "cwd": os.getcwd()}))
sys.exit(7 if "fail" in sys.argv else 0)
"""
STUB_PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "stub"
version = "1"
"""
STUB_BACKEND = """
import zipfile

METADATA = "Metadata-Version: 2.1\\nName: stub\\nVersion: 1\\nProvides-Extra: dev\\nProvides-Extra: site\\n"

def build_editable(folder, config_settings=None, metadata_directory=None):
    with zipfile.ZipFile(f"{folder}/stub-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("stub-1.dist-info/METADATA", METADATA)
        wheel.writestr("stub-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("stub-1.dist-info/RECORD", "")
    return "stub-1-py3-none-any.whl"
"""
OURS = ("COURSE_", "CONDA_", "PYTHONPATH", "MALLOC_")
CLEAN = {key: value for key, value in os.environ.items() if not key.startswith(OURS)}


def make_tree(folder: Path) -> Path:
    """The course's script among stand-ins for tricks, pytest and jupyterlab, which say how they were called."""
    folder.mkdir()
    shutil.copy(ROOT / "course", folder)
    (folder / "pyproject.toml").write_text(STUB_PYPROJECT)
    (folder / "backend.py").write_text(STUB_BACKEND)
    for package in ("tricks", "pytest", "jupyterlab"):
        (folder / package).mkdir()
        (folder / package / "__init__.py").touch()
        (folder / package / "__main__.py").write_text(ECHO)
    return folder


@pytest.fixture
def tree(tmp_path):
    return make_tree(tmp_path / "course tree")  # a path with a space


def call(tree: Path, *arguments: str, cwd: Path | None = None, **variables: str) -> subprocess.CompletedProcess:
    """Run ./course as a shell would."""
    return subprocess.run(
        [sys.executable, str(tree / "course"), *arguments],
        cwd=cwd or tree,
        env={**CLEAN, **variables},
        capture_output=True,
        text=True,
        timeout=60,
    )


# what it says


def test_old_pythons_can_read_the_script():
    """Otherwise they answer with a SyntaxError instead of 'needs Python 3.11 or newer'."""
    ast.parse((ROOT / "course").read_text(encoding="utf8"), feature_version=(3, 6))


def test_script_can_be_executed():
    assert os.access(ROOT / "course", os.X_OK)
    assert (ROOT / "course").read_text(encoding="utf8").startswith("#!/usr/bin/env python3\n")


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_lists_the_commands_and_installs_nothing(tree, flag):
    done = call(tree, flag)
    assert done.returncode == 0
    assert [
        line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ") and "COURSE_" not in line
    ] == list(COMMANDS)
    assert not (tree / ".venv").exists()


def test_no_command_shows_the_help():
    done = call(ROOT)
    assert done.returncode == 2
    assert "usage: ./course COMMAND" in done.stderr


def test_unknown_command_names_the_nearest_and_lists_all(tree):
    done = call(tree, "lob")
    assert done.returncode == 2
    assert done.stdout == ""
    assert "There is no command 'lob'. Nearest: lab." in done.stderr
    assert all(f"  {name} " in done.stderr for name in COMMANDS)
    assert not (tree / ".venv").exists()


# an interpreter that is there already


@pytest.mark.parametrize(("command", "package"), [("lab", "jupyterlab"), ("test", "pytest"), ("run", "tricks")])
def test_folders_of_data_are_those_that_the_caller_means(tree, tmp_path, command, package):
    (tree / package / "__main__.py").write_text("import os\nprint(os.environ['TRICKS_DATA'])")
    own = {"COURSE_PYTHON": sys.executable, "cwd": tmp_path, "HOME": "/home/me"}
    for given, meant in (
        ("sets", f"{tmp_path}/sets"),
        ("~/sets:'../x' :/abs", f"/home/me/sets:{tmp_path.parent}/x:/abs"),
        ("$HOME/sets", "/home/me/sets"),
        (str(tmp_path), str(tmp_path)),
        ("", ""),
    ):
        done = call(tree, command, TRICKS_DATA=given, **own)
        assert done.stdout == f"{meant}\n", done.stderr


@pytest.mark.parametrize("command", ["run", "data", "study", "train", "info"])
def test_course_python_is_used_as_it_is(tree, tmp_path, command):
    done = call(tree, command, "some", "--flag", cwd=tmp_path, COURSE_PYTHON=sys.executable)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "module": "tricks.__main__",
        "python": sys.executable,
        "arguments": [command, "some", "--flag"],
        "cwd": str(tmp_path),  # a relative path among the arguments means the caller's
    }
    assert not (tree / ".venv").exists()


def test_test_calls_pytest_in_the_tree(tree, tmp_path):
    done = call(tree, "test", "-k", "smooth", cwd=tmp_path, COURSE_PYTHON=sys.executable)
    said = json.loads(done.stdout)
    assert (said["module"], said["arguments"], said["cwd"]) == ("pytest.__main__", ["-k", "smooth"], str(tree))


def test_lab_opens_the_first_lesson_on_loopback(tree, tmp_path):
    done = call(tree, "lab", "--no-browser", cwd=tmp_path, COURSE_PYTHON=sys.executable)
    said = json.loads(done.stdout)
    assert (said["module"], said["cwd"]) == ("jupyterlab.__main__", str(tree))
    assert "--ServerApp.ip=127.0.0.1" in said["arguments"]
    assert "--LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb" in said["arguments"]
    assert ("--allow-root" in said["arguments"]) == (hasattr(os, "geteuid") and os.geteuid() == 0)
    assert "--ServerApp.kernel_spec_manager_class=tricks.course.kernel.CourseKernels" in said["arguments"]
    assert not any("token" in argument for argument in said["arguments"])  # JupyterLab makes its own
    assert said["arguments"][-1] == "--no-browser"  # later arguments win


def test_allocator_is_told_to_keep_its_memory_unless_the_user_said_otherwise(tree):
    (tree / "tricks" / "__main__.py").write_text("import json, os\nprint(json.dumps(dict(os.environ)))\n")
    said = json.loads(call(tree, "info", COURSE_PYTHON=sys.executable, MALLOC_MMAP_MAX_="65536").stdout)
    assert (said["MALLOC_MMAP_MAX_"], said["MALLOC_TRIM_THRESHOLD_"]) == ("65536", "-1")


def test_exit_status_is_the_commands(tree):
    assert call(tree, "train", "fail", COURSE_PYTHON=sys.executable).returncode == 7


def test_course_python_that_does_not_exist(tree):
    done = call(tree, "info", COURSE_PYTHON="/no/such/python")
    assert done.returncode == 1
    assert done.stderr == (
        "COURSE_PYTHON = '/no/such/python': there is no such program. Name another one, COURSE_PYTHON=/path/to/python, "
        "or none: then ./course makes an environment of its own.\n"
    )


@pytest.mark.skipif(os.name == "nt", reason="makes a symbolic link")
def test_active_conda_environment_is_used_as_it_is(tree, tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    done = call(tree, "info", CONDA_DEFAULT_ENV="tricks", CONDA_PREFIX=str(tmp_path))
    assert json.loads(done.stdout)["python"] == str(tmp_path / "bin" / "python")
    assert not (tree / ".venv").exists()


@pytest.fixture
def stand_in(tmp_path):
    """A program that answers what it is told to, in the place of a Python."""

    def make(*lines: str) -> str:
        path = tmp_path / "bin" / "python"
        path.parent.mkdir()
        path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
        path.chmod(0o755)
        return str(path)

    return make


@pytest.mark.skipif(os.name == "nt", reason="runs a shell script")
@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("echo '[[3, 8], []]'", "this is Python 3.8, and the course needs 3.11 or newer"),
        ("echo 'pyenv: python3.10: command not found' >&2; exit 127", "(pyenv: python3.10: command not found)"),
        ("echo hello", "is no Python that starts (it answers 'hello"),
        ("exit 0", "is no Python that starts (it answers '')"),
        ("echo '[1, 2, 3]'", "is no Python that starts"),
        ("echo 7", "is no Python that starts"),
    ],
)
@pytest.mark.parametrize("how", ["COURSE_PYTHON", "CONDA_PREFIX"])
def test_an_interpreter_that_will_not_do_is_named(tree, stand_in, line, said, how):
    program = Path(stand_in(line))
    named = {"COURSE_PYTHON": str(program)}
    conda = {"CONDA_DEFAULT_ENV": "tricks", "CONDA_PREFIX": str(program.parent.parent)}
    done = call(tree, "info", **(named if how == "COURSE_PYTHON" else conda))
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr and "Name another one, COURSE_PYTHON=/path/to/python, or none" in done.stderr
    what = (
        f"COURSE_PYTHON = {str(program)!r}: " if how == "COURSE_PYTHON" else "The active conda environment 'tricks': "
    )
    assert done.stderr.startswith(what) and "Traceback" not in done.stderr


def test_missing_packages_are_named_with_the_command_that_installs_them(tree):
    wanted = ["pytest>=1", "no-such-package>=2", "another.one[extra]; python_version > '3'"]
    extra = f'dependencies = {wanted}\noptional-dependencies = {{dev = ["not-for-reading"]}}\n'
    (tree / "pyproject.toml").write_text(STUB_PYPROJECT + extra)
    done = call(tree, "lab", COURSE_PYTHON=sys.executable)
    assert (done.returncode, done.stdout) == (1, "")
    assert "these packages are missing: no-such-package, another.one. Install them:" in done.stderr
    assert f'  "{sys.executable}" -m pip install -e "{tree}[dev,site]"\n' in done.stderr
    done = call(tree, "test", COURSE_PYTHON=sys.executable)
    assert "no-such-package, another.one, not-for-reading." in done.stderr


# the installation, for real


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A tree whose environment two first calls wanted at the same moment, and what they printed."""
    tree = make_tree(tmp_path_factory.mktemp("made") / "course tree")
    command = [sys.executable, str(tree / "course"), "info"]
    environment = {**CLEAN, "PIP_NO_INDEX": "1"}
    calls = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=300) for process in calls]
    assert [process.returncode for process in calls] == [0, 0], outputs
    return tree, outputs


def test_concurrent_first_calls_install_once(made):
    tree, outputs = made
    assert sum("Making" in err for _, err in outputs) == 1
    assert sum("Waiting for it to finish" in err for _, err in outputs) <= 1
    for out, _ in outputs:
        assert Path(json.loads(out)["python"]).parent.parent == tree / ".venv"


def test_first_call_says_how_much_it_downloads(made):
    (text,) = [err for _, err in made[1] if "Making" in err]
    assert ("up to 3 GB, 6 GB on disk" in text) == (sys.platform == "linux")
    assert "GB free" in text


def test_second_call_is_fast_and_silent(made):
    """Under a second of processor time, with the stand-in for tricks: a clock would also measure what else runs."""
    before = os.times()
    done = call(made[0], "info")
    after = os.times()
    assert (done.returncode, done.stderr) == (0, "")
    assert after.children_user + after.children_system - before.children_user - before.children_system < 1


def test_changed_pyproject_is_installed_again_in_place(made):
    tree, _ = made
    (tree / ".venv" / "kept").touch()
    (tree / "pyproject.toml").write_text(STUB_PYPROJECT + 'description = "changed"\n')
    done = call(tree, "info", PIP_NO_INDEX="1")
    assert done.returncode == 0, done.stderr
    assert "bringing" in done.stderr
    assert (tree / ".venv" / "kept").exists()
    assert call(tree, "info").stderr == ""


# the installation, played


@pytest.fixture
def played(tree, monkeypatch):
    """The script as a module, with a venv that is a link and a pip that notes its arguments and does as it is told."""
    loader = importlib.machinery.SourceFileLoader("course_script", str(tree / "course"))
    course = importlib.util.module_from_spec(importlib.util.spec_from_loader("course_script", loader))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    loader.exec_module(course)
    for name in ("COURSE_PYTHON", "COURSE_TORCH", "CONDA_DEFAULT_ENV"):
        monkeypatch.delenv(name, raising=False)
    state = SimpleNamespace(course=course, tree=tree, pip=[], cleared=0, error=None)

    def create(folder, clear, **_):
        assert clear
        state.cleared += 1
        shutil.rmtree(folder, ignore_errors=True)
        course.VENV_PYTHON.parent.mkdir(parents=True)
        course.VENV_PYTHON.symlink_to(sys.executable)

    def check_call(command, **_):
        assert not course.STAMP.exists()
        state.pip.append(command)
        if state.error:
            raise state.error

    monkeypatch.setattr("venv.create", create)
    monkeypatch.setattr(course.subprocess, "check_call", check_call)
    return state


def test_stamp_comes_after_success_only(played):
    played.error = subprocess.CalledProcessError(1, "pip")
    for attempt in (1, 2):  # a broken installation is redone from nothing
        with pytest.raises(SystemExit, match="did not finish"):
            played.course.made_python()
        assert not played.course.STAMP.exists()
        assert played.cleared == attempt
    played.error = None
    assert played.course.made_python() == played.course.VENV_PYTHON
    assert played.course.STAMP.exists()
    played.course.made_python()
    assert len(played.pip) == 3  # and none for the last call


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_interrupted_installation_leaves_no_stamp(played, error):
    played.error = error
    with pytest.raises(type(error)):
        played.course.made_python()
    assert not played.course.STAMP.exists()


def test_failed_update_is_redone_from_nothing(played):
    played.course.made_python()
    (played.tree / "pyproject.toml").write_text(STUB_PYPROJECT + "\n")
    played.error = subprocess.CalledProcessError(1, "pip")
    with pytest.raises(SystemExit):
        played.course.made_python()
    assert not played.course.STAMP.exists()
    assert played.cleared == 1
    played.error = None
    played.course.made_python()
    assert played.cleared == 2


def test_pip_installs_the_tree_with_its_development_tools(played):
    played.course.made_python()
    (command,) = played.pip
    assert command[1:4] == ["-m", "pip", "install"]
    assert command[-2:] == ["-e", f"{played.tree}[dev,site]"]
    assert "--upgrade" not in command


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere PyTorch's usual build has no CUDA")
def test_course_torch_cpu(played, monkeypatch):
    course = played.course
    course.made_python()
    assert not any("index" in part for part in played.pip[0])
    monkeypatch.setenv("COURSE_TORCH", "cpu")
    course.made_python()
    assert played.cleared == 2  # the other build has to go
    assert played.pip[1][-2] == "--extra-index-url"  # in addition to the usual index
    monkeypatch.delenv("COURSE_TORCH")
    course.made_python()
    assert len(played.pip) == 2  # what is there will do
    (played.tree / "pyproject.toml").write_text(STUB_PYPROJECT + "\n")
    course.made_python()
    assert (played.cleared, played.pip[2][-2]) == (2, "--extra-index-url")  # an update keeps the build


def test_course_torch_refuses_other_values(played, monkeypatch):
    monkeypatch.setenv("COURSE_TORCH", "cuda")
    with pytest.raises(SystemExit, match="COURSE_TORCH = 'cuda': must be 'cpu'"):
        played.course.made_python()


@pytest.mark.parametrize("change", ["gone", "another"])
def test_upgraded_system_python_starts_over(played, tmp_path, change):
    """The link in .venv then leads nowhere, or to another version that lacks the packages."""
    played.course.made_python()
    played.course.VENV_PYTHON.unlink()
    if change == "another":
        shutil.copy(sys.executable, tmp_path / "python3.99")
        played.course.VENV_PYTHON.symlink_to(tmp_path / "python3.99")
    played.course.made_python()
    assert played.cleared == 2


def test_environment_of_someone_else_is_left_alone(played):
    (played.tree / ".venv").mkdir()
    (played.tree / ".venv" / "precious").touch()
    with pytest.raises(SystemExit, match="was not made by ./course"):
        played.course.made_python()
    assert (played.tree / ".venv" / "precious").exists()
    assert played.pip == []


def test_waits_while_another_call_installs(played, monkeypatch, capfd):
    """The lock is free only at the third look; the environment is made by then."""
    looks = []

    def third_time(_):
        looks.append(1)
        if len(looks) == 3:
            played.course.install("")
        return len(looks) == 3

    monkeypatch.setattr(played.course, "_try_lock", third_time)
    monkeypatch.setattr(played.course.time, "sleep", lambda _: None)
    played.course.made_python()
    assert "Another ./course is installing" in capfd.readouterr().err
    assert len(played.pip) == 1


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EACCES, "If you may not write there, copy the course, or use an"),
        (errno.EROFS, "COURSE_PYTHON=/path/to/python"),
        (errno.ENOSPC, "The disk is full. Free some space; the same command then starts over."),
        (errno.EIO, ""),
    ],
)
def test_a_folder_that_cannot_be_written_to_says_what_to_do(played, number, said):
    """Someone else's checkout: the lock, which comes first, cannot be opened."""
    assert said in played.course.advice(OSError(number, "why"))
    assert (str(played.tree) in played.course.advice(OSError(number, "why"))) == (number in (errno.EACCES, errno.EROFS))


# an old Python


@pytest.fixture
def old_python(played, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    (tmp_path / "path").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    return tmp_path / "path"


def test_old_python_says_what_to_do(played, old_python):
    with pytest.raises(SystemExit, match="needs Python 3.11 or newer; this is 3.9"):
        played.course.made_python()
    assert not (played.tree / ".venv").exists()


@pytest.mark.skipif(os.name == "nt", reason="runs a shell script")
def test_old_python_becomes_the_newest_that_starts(played, old_python, monkeypatch):
    for name, status in (("python3.13", 1), ("python3.12", 0), ("python3.11", 0)):  # the first does not start
        (old_python / name).write_text(f"#!/bin/sh\nexit {status}\n")
        (old_python / name).chmod(0o755)
    became = []
    monkeypatch.setattr(played.course, "become", lambda command, _: became.append(command) or 0)
    monkeypatch.setattr(sys, "argv", ["course", "lab"])
    with pytest.raises(SystemExit):
        played.course.made_python()
    assert became == [[str(old_python / "python3.12"), "course", "lab"]]


def test_old_python_may_use_a_finished_environment(played, monkeypatch):
    """Only making one needs a new Python."""
    played.course.made_python()
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    assert played.course.made_python() == played.course.VENV_PYTHON


# what is installed


THE_SIX = ("torch", "torchvision", "jupyterlab", "matplotlib", "seaborn", "ipywidgets")


def pyproject():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf8"))


def from_pip() -> list[str]:
    """What environment.yml has pip install."""
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf8"))
    return environment["dependencies"][-1]["pip"]


def test_environment_yml_leaves_packages_to_pip__parsed_not_executed():
    """conda supplies Python and pip; no conda was there to try it with."""
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf8"))
    assert environment["name"] == "tricks"  # what ./course looks for
    python, pip, _ = environment["dependencies"]
    assert python.startswith("python=3.") and int(python.removeprefix("python=3.")) >= 11
    assert pip == "pip"
    assert from_pip()[-1] == "-e .[dev,site]"


def test_environment_yml_and_pyproject_name_the_six_packages_alike():
    wanted = {package.name: package for package in map(Requirement, pyproject()["project"]["dependencies"])}
    assert [Requirement(line) for line in from_pip()[:-1]] == [wanted[name] for name in THE_SIX]
    assert not wanted["ipywidgets"].specifier.contains("8.1.9")  # draws nothing in VS Code


def test_no_index_is_named():
    """Where packages come from is the reader's pip's business."""
    for name in ("pyproject.toml", "environment.yml"):
        text = (ROOT / name).read_text(encoding="utf8")
        assert "://" not in text
        assert "index" not in text


def test_packages_and_their_data_are_declared():
    assert pyproject()["project"]["requires-python"] == ">=3.11"
    assert {"torch>=2.9", "torchvision>=0.24", "jupyterlab>=4"} <= set(pyproject()["project"]["dependencies"])
    declared = set()
    for package, patterns in pyproject()["tool"]["setuptools"]["package-data"].items():
        for pattern in patterns:
            found = set((ROOT / package.replace(".", "/")).glob(pattern))
            assert found, f"{package}: {pattern}"
            declared |= found
    files = {path for path in (ROOT / "tricks").rglob("*.*") if path.suffix not in {".py", ".pyc"} and path.is_file()}
    assert declared == files
