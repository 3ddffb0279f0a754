"""What all tests share."""

import os
import shutil

import pytest
import torch

from tricks import process


@pytest.fixture(autouse=True)
def one_thread():
    """Batches as small as the tests' only lose by being shared among threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def small_numbers():
    """What `process.set_up` does to a thread that trains does not last: hypothesis wants numbers as IEEE has them."""
    yield
    torch.set_flush_denormal(False)


@pytest.fixture(scope="session")
def chromium() -> str | None:
    """The path of this machine's Chromium, or None: pip's Playwright brings none.

    Where there is one, tests/browser executes the lessons, in JupyterLab; elsewhere tests/notebooks does.
    """
    names = (os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if name and (path := shutil.which(name))), None)


@pytest.fixture(autouse=True)
def on_the_cpu(request, monkeypatch):
    """References are computed on the CPU, so that is where tests train, on a machine with a GPU too.

    Those marked `any_device` take what there is: the tests of the GPU, and the lessons. So do the lessons in the
    browser, whose server is started before this.
    """
    if request.node.get_closest_marker("any_device") is None:
        monkeypatch.setattr(process, "device", lambda: torch.device("cpu"))
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # for the processes that a test starts
