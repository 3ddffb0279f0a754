"""Recorded runs as pandas frames, for tables and plots. pandas is imported where a frame is made, and not before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tricks.records.store import Run

if TYPE_CHECKING:
    from pandas import DataFrame


def frame(arms: Mapping[str, Sequence[Run]]) -> DataFrame:
    """A row per run: arm, seed, source of the data, and every number of `final` under its dotted name (see `value`)."""
    from pandas import DataFrame

    rows = [
        {"arm": arm, "seed": run.seed, "source": run.meta.get("source"), **_numbers(run.final)}
        for arm, runs in arms.items()
        for run in runs
    ]
    return DataFrame(rows, columns=None if rows else ["arm", "seed", "source"])


def rows(arms: Mapping[str, Sequence[Run] | Sequence[Sequence[Mapping[str, float]]]]) -> DataFrame:
    """A row per run and epoch: arm, seed, and what `Run.rows` has. Bare rows are numbered instead."""
    from pandas import DataFrame

    runs = [
        (arm, run.seed, run.rows) if isinstance(run, Run) else (arm, number, run)
        for arm, group in arms.items()
        for number, run in enumerate(group)
    ]
    return DataFrame([{"arm": arm, "seed": seed, **row} for arm, seed, epochs in runs for row in epochs])


def _numbers(values: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    found = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found |= _numbers(value, f"{prefix}{key}.")
        elif isinstance(value, int | float):
            found[prefix + key] = value
    return found
