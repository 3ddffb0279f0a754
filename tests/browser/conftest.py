"""A real JupyterLab and a real browser, one of each for a module of tests.

Not for the whole session: while Playwright is open, no other test of this process can run an event loop.
"""

import json
import os
import runpy
import secrets
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import build_notebooks as tool
import nbformat
import pytest

from tricks import ROOT

ARTIFACTS = Path(os.environ.get("TRICKS_ARTIFACTS") or ROOT / "artifacts")
LATENCIES = pytest.StashKey[dict[str, list[float]]]()

WINDOW = {"width": 1280, "height": 1000}  # px
TALLEST = 16_000  # px, of a picture that Chromium makes

SETTINGS = {
    "apputils-extension/notification": {"checkForUpdates": False, "fetchNews": "false", "doNotDisturbMode": True},
    "notebook-extension/tracker": {"windowingMode": "none"},  # every cell stays in the page, seen or not
}
FLAGS = ["--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update"]
FLAGS += ["--disable-sync", "--no-first-run", "--force-color-profile=srgb", "--font-render-hinting=none"]

IDLE = """() => {
    const widget = window.jupyterapp?.shell.currentWidget;
    const kernel = widget?.sessionContext?.session?.kernel;
    return kernel?.connectionStatus === 'connected' && kernel.status === 'idle';
}"""
# An error in a widget's callback shows nowhere in the notebook: it is only a message of the kernel. The listener is on
# sessionContext, because the kernel object is replaced after a start.
LISTEN = """() => {
    window.kernelErrors = [];
    window.jupyterapp.shell.currentWidget.sessionContext.iopubMessage.connect((_, message) => {
        if (message.header.msg_type === 'error')
            window.kernelErrors.push(`${message.content.ename}: ${message.content.evalue}`);
    });
}"""
# The window's height that shows the whole of a part, or of a notebook from its title to its last cell
UP_TO_ITS_END = """(notebook, part) => {
    const around = window.innerHeight - notebook.clientHeight;
    if (part) return around + part.scrollHeight;
    notebook.scrollTop = 0;
    const cells = notebook.querySelectorAll('.jp-Cell');
    return Math.ceil(around + cells[cells.length - 1].getBoundingClientRect().bottom
        - notebook.getBoundingClientRect().top);
}"""
# After an error the other cells are never run.
ALL_RUN = """() => window.kernelErrors.length || window.jupyterapp.shell.currentWidget.content.model.sharedModel.cells
    .filter(cell => cell.cell_type === 'code' && cell.source.trim()).every(cell => cell.execution_count !== null)"""
EXECUTED = "() => JSON.stringify(window.jupyterapp.shell.currentWidget.content.model.toJSON())"


@dataclass
class Lab:
    """A running JupyterLab and a page of the browser."""

    url: str
    token: str
    root: Path  # its notebooks
    page: Any
    problems: list[str] = field(default_factory=list)  # errors of the page, requests that leave this machine

    def watch(self, request: Any) -> None:
        """Note a request that leaves this machine: the course has to work without a network."""
        if not request.url.startswith((self.url, self.url.replace("http", "ws"), "data:", "blob:")):
            self.problems.append(f"request to {request.url}")

    def run_lesson(self, source: Path) -> None:
        """Execute a lesson as a reader gets it, and hold it to what `tool.built` does: BuildError with its faults."""
        self.run(tool.parse(source.read_text(encoding="utf8"), solutions=False), source.stem, timeout=800)
        tool.publish(nbformat.reads(self.page.evaluate(EXECUTED), as_version=4))
        self.page.evaluate("() => window.jupyterapp.commands.execute('notebook:expand-all-headings')")  # "Deeper" parts

    def run(self, notebook: nbformat.NotebookNode, name: str, timeout: float = 400) -> None:
        """Open a notebook and run all its cells; AssertionError if one of them fails."""
        self.open(notebook, name)
        self.start_cells()
        self.page.wait_for_function(ALL_RUN, timeout=timeout * 1000)
        assert self.errors() == []

    def start_cells(self) -> None:
        """Start all cells of the open notebook, and do not wait for them."""
        self.page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }")

    def wait_until_idle(self) -> None:
        """Wait until the open notebook has a kernel that waits."""
        self.page.wait_for_function(IDLE, timeout=120_000)

    def open(self, notebook: nbformat.NotebookNode, name: str) -> None:
        """Open a notebook, with a kernel that waits."""
        nbformat.write(notebook, self.root / f"{name}.ipynb")
        self.page.goto("about:blank")
        self.end_kernels()
        self.problems.clear()
        self.page.goto(f"{self.url}/doc/tree/{name}.ipynb?token={self.token}&reset", wait_until="domcontentloaded")
        self.page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=120_000)
        self.wait_until_idle()
        self.page.evaluate(LISTEN)

    def end_kernels(self) -> None:
        """End the kernels of notebooks that were opened before: each of them keeps a gigabyte."""
        headers = {"Authorization": f"token {self.token}"}
        with urllib.request.urlopen(urllib.request.Request(f"{self.url}/api/kernels", headers=headers)) as answer:
            for kernel in json.load(answer):
                address = f"{self.url}/api/kernels/{kernel['id']}"
                urllib.request.urlopen(urllib.request.Request(address, headers=headers, method="DELETE")).close()

    def errors(self) -> list[str]:
        """Everything that went wrong since the notebook was opened, after the kernel has come to rest."""
        self.page.wait_for_timeout(200)  # the message follows the picture
        self.page.wait_for_function(IDLE, timeout=60_000)
        return self.page.evaluate("() => window.kernelErrors") + self.problems

    @contextmanager
    def window(self, width: int, height: int) -> Iterator[None]:
        """A window of another size, in px."""
        self.page.set_viewport_size({"width": width, "height": height})
        try:
            self.page.wait_for_timeout(200)  # for a new layout
            yield
        finally:
            self.page.set_viewport_size(WINDOW)

    def seen(self, name: str) -> None:
        """What the window shows, into artifacts/."""
        ARTIFACTS.mkdir(exist_ok=True)
        self.page.screenshot(path=ARTIFACTS / f"{name}.png")

    def screenshot(self, name: str, part: Any = None) -> None:
        """A part of the open notebook, or all of it, as far as a window can be tall, into artifacts/."""
        ARTIFACTS.mkdir(exist_ok=True)
        notebook = self.page.locator(".jp-WindowedPanel-outer").first
        needed = notebook.evaluate(UP_TO_ITS_END, part and part.element_handle())
        self.page.set_viewport_size({**WINDOW, "height": min(max(needed, WINDOW["height"]), TALLEST)})
        (part or self.page).screenshot(path=ARTIFACTS / f"{name}.png")
        self.page.set_viewport_size(WINDOW)


def start(
    root: Path, home: Path, port: int, token: str, settings: dict[str, Any], as_the_course: bool
) -> subprocess.Popen[bytes]:
    """JupyterLab on loopback with settings, data and home of its own, so that nothing of the reader's is touched.

    `as_the_course` gives it the options of `./course lab` as well.
    """
    for name, values in settings.items():
        path = home / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    folders = {"HOME": "", "IPYTHONDIR": "ipython", "MPLCONFIGDIR": "mpl", "JUPYTER_CONFIG_DIR": "config"}
    folders |= {"JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "runtime"}
    folders |= {"JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces"}
    environment = {**os.environ, **{name: str(home / folder) for name, folder in folders.items()}}
    environment |= {"TRICKS_BUDGET": "smoke", "TRICKS_FIGURES": str(home / "figures")}
    environment.pop("JUPYTER_TOKEN", None)
    options = ["--no-browser", "--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0"]
    options += [f"--ServerApp.root_dir={root}", f"--IdentityProvider.token={token}"]
    options += ["--LabApp.expose_app_in_browser=True", "--LabApp.extension_manager=readonly"]
    options.append("--ServerApp.kernel_spec_manager_class=tricks.course.kernel.CourseKernels")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        options.append("--allow-root")
    if as_the_course:
        options += runpy.run_path(str(ROOT / "course"))["lab_options"](options)
    command = [sys.executable, "-m", "jupyterlab", *options]
    with open(home / "lab.log", "wb") as log:
        return subprocess.Popen(command, cwd=root, env=environment, stdout=log, stderr=log, start_new_session=True)


def wait_until_it_answers(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    pytest.fail(f"JupyterLab does not answer:\n{log.read_text(errors='replace')[-2000:]}")


def stop(process: subprocess.Popen[bytes]) -> None:
    """Let the server end its kernels; end its process group if it does not."""
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def running(
    tmp_path_factory: pytest.TempPathFactory, chromium: str | None, settings: dict[str, Any], as_the_course: bool
) -> Iterator[Lab]:
    """A JupyterLab with an empty folder, open in a browser."""
    chromium = needed(chromium)
    from playwright.sync_api import sync_playwright

    tool.prepare_data()
    root, home = tmp_path_factory.mktemp("notebooks"), tmp_path_factory.mktemp("home")
    token = secrets.token_hex(16)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    process = start(root, home, port, token, settings, as_the_course)
    try:
        wait_until_it_answers(f"{url}/api/status?token={token}", process, home / "lab.log")
        with sync_playwright() as playwright:
            browser = launched(playwright, chromium)
            page = browser.new_page(viewport=WINDOW)
            lab = Lab(url, token, root, page)
            page.on("pageerror", lambda error: lab.problems.append(f"page: {error}"))
            page.on("request", lab.watch)
            yield lab
            browser.close()
    finally:
        stop(process)


def needed(chromium: str | None) -> str:
    """The browser's path; without one the test is skipped, or fails where all are to run."""
    if chromium:
        return chromium
    message = "no Chromium: apt-get install chromium, or set CHROMIUM to one"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


def launched(playwright: Any, chromium: str) -> Any:
    """A Chromium that asks nothing of the network by itself."""
    flags = FLAGS + (["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else [])
    return playwright.chromium.launch(executable_path=chromium, args=flags)


@pytest.fixture(scope="module")
def browser(chromium: str | None) -> Iterator[Any]:
    """A browser for pages that need no JupyterLab."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = launched(playwright, needed(chromium))
        yield browser
        browser.close()


@pytest.fixture
def opened(browser: Any, files: Path) -> Iterator[Callable[..., Any]]:
    """Opens one of a module's `files` at a link; at the end no page may have made an error or asked for others."""
    contexts, problems = [], []

    def opened(name: str, link: str = "", start: str = files.as_uri(), **settings: Any) -> Any:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 720}, **settings})
        context.set_offline(start.startswith("file:"))
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(f"{name}: error: {error}"))
        page.on("console", lambda line: problems.append(f"{name}: {line.text}") if line.type == "error" else None)
        page.on("request", lambda r: None if r.url.startswith(start) else problems.append(f"{name} asks for {r.url}"))
        page.goto(f"{start}/{name}{link}")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert problems == []


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, chromium: str | None) -> Iterator[Lab]:
    """A JupyterLab whose pages have all their cells at once, for lessons and panels."""
    with running(tmp_path_factory, chromium, SETTINGS, as_the_course=False) as found:
        yield found


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory, chromium: str | None) -> Iterator[Lab]:
    """The JupyterLab of `./course lab` as one finds it who has never opened one."""
    with running(tmp_path_factory, chromium, {}, as_the_course=True) as found:
        yield found


@pytest.fixture
def latencies(request: pytest.FixtureRequest) -> dict[str, list[float]]:
    """Seconds from a key to the new picture, by panel; their medians are printed at the end of the session."""
    return request.config.stash.setdefault(LATENCIES, {})


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    for name, seconds in config.stash.get(LATENCIES, {}).items():
        median = f"median {1000 * statistics.median(seconds):.0f} ms of {len(seconds)}" if seconds else "no new picture"
        terminalreporter.write_line(f"key to new picture, {name}: {median}")
