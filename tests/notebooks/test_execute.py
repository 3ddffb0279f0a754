"""Every lesson runs from top to bottom without a browser, in the smoke budget, with blanks and with solutions."""

import asyncio

import build_notebooks as tool
import pytest


@pytest.mark.any_device
@pytest.mark.timeout(900)
@pytest.mark.parametrize("solutions", [False, True], ids=["lesson", "solutions"])
@pytest.mark.parametrize("source", tool.sources([]), ids=lambda path: path.stem)
def test_a_lesson_runs(source, solutions, tmp_path):
    asyncio.run(tool.built(source, solutions, "smoke", figures=tmp_path))
