"""Frames of runs say what the records say."""

import math
import subprocess
import sys

import pytest

from tricks.recipe import BASELINE
from tricks.records.frame import frame, rows
from tricks.records.statistics import value
from tricks.records.store import Run, load_all


def run(seed: int, accuracy: float) -> Run:
    """A made-up record with a nested number, and with lists, which are no numbers."""
    final = {"accuracy": accuracy, "gap": {"mean": 8.5, "edges": [0, 1]}, "reliability": {"count": [1, 2]}}
    return Run("name", BASELINE, seed, [{"epoch": e, "test_accuracy": accuracy + e} for e in (1, 2)], final, {})


ARMS = {"b": [run(1, 70.0), run(0, 71.0)], "a": [run(0, 60.0)]}


def test_a_frame_has_a_row_per_run_in_their_order_and_the_numbers_of_final():
    table = frame(ARMS)
    assert list(table.columns) == ["arm", "seed", "source", "accuracy", "gap.mean"]
    assert table[["arm", "seed", "accuracy"]].values.tolist() == [["b", 1, 70.0], ["b", 0, 71.0], ["a", 0, 60.0]]
    assert list(frame({"none yet": []}).columns) == ["arm", "seed", "source"]


def test_rows_are_those_of_each_epoch_with_or_without_a_record():
    table = rows(ARMS)
    assert table["test_accuracy"].tolist() == [71, 72, 72, 73, 61, 62]
    assert table["seed"].tolist() == [1, 1, 0, 0, 0, 0] and table["epoch"].tolist() == [1, 2] * 3
    bare = rows({arm: [one.rows for one in runs] for arm, runs in ARMS.items()})
    assert bare.drop(columns="seed").equals(table.drop(columns="seed"))
    assert bare["seed"].tolist() == [0, 0, 1, 1, 0, 0]  # numbered


def test_every_number_of_the_committed_records_is_under_its_dotted_name():
    runs = load_all()
    table = frame({str(number): [one] for number, one in enumerate(runs)})
    for column in table.columns[3:]:
        for one, cell in zip(runs, table[column], strict=True):
            assert math.isnan(cell) or cell == value(one, column)
    cells = table[table.columns[3:]].count(axis=1)
    assert cells.min() >= 1 and {"accuracy", "nll", "ece", "gap.mean", "map_50", "miou"} <= set(table.columns)


@pytest.mark.parametrize("library", ["pandas", "torch"])
def test_pandas_is_imported_where_a_frame_is_made(library):
    code = f"import sys, tricks.records.frame; print({library!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
