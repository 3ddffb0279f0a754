"""Every lesson runs from top to bottom in the smoke budget: its solutions here, and its blanks in tests/browser.

Where there is no Chromium, the blanks are run here too.
"""

import asyncio

import build_notebooks as tool
import pytest


@pytest.mark.any_device
@pytest.mark.timeout(900)
@pytest.mark.parametrize("solutions", [False, True], ids=["lesson", "solutions"])
@pytest.mark.parametrize("source", tool.sources([]), ids=lambda path: path.stem)
def test_a_lesson_runs(source, solutions, chromium, tmp_path):
    if chromium and not solutions:
        pytest.skip("tests/browser runs it, in JupyterLab")
    asyncio.run(tool.built(source, solutions, "smoke", figures=tmp_path))
