"""A frame of runs says what the records say."""

import subprocess
import sys

import pytest

from tricks.recipe import BASELINE
from tricks.records.frame import rows
from tricks.records.store import Run


def run(seed: int, accuracy: float) -> Run:
    """A made-up record."""
    return Run("name", BASELINE, seed, [{"epoch": e, "test_accuracy": accuracy + e} for e in (1, 2)], {})


ARMS = {"b": [run(1, 70.0), run(0, 71.0)], "a": [run(0, 60.0)]}


def test_rows_are_those_of_each_epoch_with_or_without_a_record():
    table = rows(ARMS)
    assert table["test_accuracy"].tolist() == [71, 72, 72, 73, 61, 62]
    assert table["seed"].tolist() == [1, 1, 0, 0, 0, 0] and table["epoch"].tolist() == [1, 2] * 3
    bare = rows({arm: [one.rows for one in runs] for arm, runs in ARMS.items()})
    assert bare.drop(columns="seed").equals(table.drop(columns="seed"))
    assert bare["seed"].tolist() == [0, 0, 1, 1, 0, 0]  # numbered


@pytest.mark.parametrize("library", ["pandas", "torch"])
def test_pandas_is_imported_where_a_frame_is_made(library):
    code = f"import sys, tricks.records.frame; print({library!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
