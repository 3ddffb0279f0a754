"""`python3` is the interpreter that serves the lessons, whatever kernels there are; what JupyterLab is told besides."""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
from jupyter_client.manager import KernelManager
from jupyter_server.services.contents.manager import ContentsManager
from jupyterlab.commands import get_app_dir

from tricks import ROOT
from tricks.course.kernel import DISPLAY_NAME, LANGUAGE, CourseKernels

# what `./course lab` makes, up to the point where it would listen
SERVER = """
import json, runpy, sys
from jupyterlab.labapp import LabApp
options = runpy.run_path("course")["lab_options"](sys.argv[1:])
app = LabApp.initialize_server(argv=[*options, "--no-browser", "--ServerApp.port=0", *sys.argv[1:]])
spec = app.kernel_spec_manager.get_kernel_spec("python3")
specs = {name: about["spec"]["argv"][0] for name, about in app.kernel_spec_manager.get_all_specs().items()}
same = app.kernel_manager.kernel_spec_manager is app.kernel_spec_manager
print(json.dumps([spec.argv[0], spec.display_name, specs, same]))
"""


@pytest.fixture
def foreign(tmp_path):
    """The variables under which Jupyter finds kernels of others first, one of them with a name of its own."""
    homes = {"JUPYTER_PATH": tmp_path / "path", "JUPYTER_DATA_DIR": tmp_path / "data", "HOME": tmp_path / "home"}
    folders = [homes["JUPYTER_PATH"], homes["JUPYTER_DATA_DIR"], homes["HOME"] / ".local" / "share" / "jupyter"]
    for number, folder in enumerate(folders):
        for name in ("python3", f"other{number}"):
            path = folder / "kernels" / name
            path.mkdir(parents=True)
            about = {"argv": ["/no/such/python", "{connection_file}"], "display_name": "mine", "language": "python"}
            (path / "kernel.json").write_text(json.dumps(about))
    return {name: str(path) for name, path in homes.items()}


@pytest.mark.parametrize("config", [[], ["--KernelSpecManager.allowed_kernelspecs=other0"]], ids=["plain", "allowed"])
def test_the_lab_offers_the_courses_kernel_before_others_of_its_name(foreign, config):
    environment = {**os.environ, **foreign, "PYTHONPATH": str(ROOT), "JUPYTER_PREFER_ENV_PATH": "0"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", SERVER, *config], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    program, name, specs, same = json.loads(done.stdout)
    assert program == sys.executable and name == DISPLAY_NAME and same
    assert specs["python3"] == sys.executable and specs["other0"] == "/no/such/python"  # others stay


def test_other_kernels_are_found_as_before(foreign, monkeypatch):
    for name, value in foreign.items():
        monkeypatch.setenv(name, value)
    assert KernelSpecManager().get_kernel_spec("python3").argv[0] == "/no/such/python"
    kernels = CourseKernels()
    assert kernels.get_kernel_spec("Python3").argv[0] == sys.executable
    assert kernels.get_kernel_spec("other0").argv[0] == "/no/such/python"
    with pytest.raises(NoSuchKernel):
        kernels.get_kernel_spec("nothing")


def test_a_kernel_says_of_itself_what_the_notebooks_were_built_with(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    manager = KernelManager(kernel_spec_manager=CourseKernels())
    manager.start_kernel()
    try:
        client = manager.client()
        client.start_channels()
        client.wait_for_ready(60)
        reply = client.kernel_info(reply=True, timeout=60)["content"]
        client.stop_channels()
    finally:
        manager.shutdown_kernel(now=True)
    assert reply["language_info"] == LANGUAGE and reply["implementation"] == "ipython"
    assert manager.kernel_spec.display_name == DISPLAY_NAME  # without what differs from machine to machine


def test_the_settings_for_jupyterlab_are_some_that_it_has():
    settings = json.loads((ROOT / "tricks" / "course" / "jupyterlab" / "overrides.json").read_text())
    for plugin, values in settings.items():
        package, name = plugin.split(":")
        schema = json.loads((Path(get_app_dir()) / "schemas" / package / f"{name}.json").read_text())
        assert values.items() and values.keys() <= schema["properties"].keys()


def test_what_the_caller_gives_goes_before_the_courses_options():
    options = runpy.run_path(str(ROOT / "course"))["lab_options"]
    own = options([])
    assert "--ServerApp.ip=127.0.0.1" in own
    for given in ("--ip=0.0.0.0", "--ServerApp.ip=0.0.0.0", "--ip"):
        assert set(own) - set(options([given, "x"])) == {"--ServerApp.ip=127.0.0.1"}
    assert not [option for option in options(["--ContentsManager.hide_globs=x"]) if "hide_globs" in option]


def test_jupyters_own_unlisted_files_stay_so():
    unlisted = runpy.run_path(str(ROOT / "course"))["UNLISTED"]
    assert set(ContentsManager().hide_globs) < set(unlisted)
