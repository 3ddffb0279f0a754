"""Recorded runs as a pandas frame, for plots. pandas is imported where the frame is made, and not before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tricks.records.store import Run

if TYPE_CHECKING:
    from pandas import DataFrame


def rows(arms: Mapping[str, Sequence[Run] | Sequence[Sequence[Mapping[str, float]]]]) -> DataFrame:
    """A row per run and epoch: arm, seed, and what `Run.rows` has. Bare rows are numbered instead."""
    from pandas import DataFrame

    runs = [
        (arm, run.seed, run.rows) if isinstance(run, Run) else (arm, number, run)
        for arm, group in arms.items()
        for number, run in enumerate(group)
    ]
    return DataFrame([{"arm": arm, "seed": seed, **row} for arm, seed, epochs in runs for row in epochs])
