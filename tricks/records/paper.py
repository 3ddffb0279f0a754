"""The paper's numbers: Tables 1–9, Fig. 3 and Fig. 4b of arXiv:1812.01187v2, read from two CSV files beside this one.

"6 (CVPR)" is Table 6 of the CVPR 2019 version, which gives means and standard deviations for ResNet-50-D. The curves
are digitised from the PDF's vector graphics; Fig. 3b is a fraction, not per cent.
"""

import csv
import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path

SOURCE = "He et al. 2018, arXiv:1812.01187v2"
# ResNet-50 on ImageNet beside Table 6: one run each, of the network whose spread "6 (CVPR)" has for six other recipes.
RESNET_50_TOP1 = {("4", "BS256_top1"), ("4", "BS1024_top1"), ("5", "top1")}


@dataclass(frozen=True)
class Effect:
    """What a change did in the paper, in points, and how far two runs of one recipe may be apart there."""

    delta: float
    sd: float | None = None  # of the difference of two single runs; None where nobody knows it
    single: bool = True  # one run on either side, and not the means of several
    unlike: str = ""  # why no difference of ours may be held against it: something else changes in one of the two

    @property
    def noise(self) -> float:
        """What 95 % of the differences of two single runs stay below, 1.96 sd; 0 where nobody knows it."""
        return 1.96 * (self.sd or 0)

    def __str__(self) -> str:
        noise = f" ± {self.noise:.2f}" if self.sd else ""
        return f"{self.delta:+z.2f}{noise}{', one run each' if self.single else ''}"


def _rows(file: str) -> csv.DictReader:
    return csv.DictReader((Path(__file__).parent / file).read_text(encoding="utf8").splitlines())


@cache
def table(name: str) -> dict[str, dict[str, float]]:
    """Row -> column -> value of one of the paper's tables, "1" to "9" or "6 (CVPR)". KeyError lists the tables."""
    tables: dict[str, dict[str, dict[str, float]]] = {}
    for cell in _rows("paper_tables.csv"):
        tables.setdefault(cell["table"], {}).setdefault(cell["row"], {})[cell["column"]] = float(cell["value"])
    if name not in tables:
        raise KeyError(f"the paper has no table {name!r}; there are {', '.join(tables)}")
    return tables[name]


def delta(name: str, row: str, reference: str, column: str) -> float:
    """How much `row` is above `reference` in a column of a table, rounded to the two decimals that the paper prints."""
    rows = table(name)
    return round(rows[row][column] - rows[reference][column], 2)


def effect(name: str, row: str, reference: str, column: str, *, unlike: str = "") -> Effect:
    """What the paper says of `row` beside `reference`, with its noise.

    Where the CVPR version repeats the rows (Table 6, ResNet-50-D), it is the difference of its means. The paper does
    not say how many runs are behind them, so the noise is that of a single pair, √(s₁² + s₂²): too wide rather than too
    narrow. Elsewhere it is one run each, with a noise as in `resnet_50`, or with one that nobody knows.
    """
    repeated = f"{name} (CVPR)", f"{column}_mean", f"{column}_std"
    if name == "6" and repeated[1] in table(repeated[0])[row]:
        sd = math.hypot(*(table(repeated[0])[each][repeated[2]] for each in (row, reference)))
        return Effect(delta(repeated[0], row, reference, repeated[1]), sd, single=False, unlike=unlike)
    difference = delta(name, row, reference, column)
    return (
        resnet_50(difference, unlike=unlike) if (name, column) in RESNET_50_TOP1 else Effect(difference, unlike=unlike)
    )


def resnet_50(difference: float, *, unlike: str = "") -> Effect:
    """A difference in top-1 of two single runs of ResNet-50 on ImageNet, with the noise of the CVPR version's Table 6.

    The tables that it is read from have no standard deviation. The six that there are, of the same network and test
    set, are 0.04 to 0.13; pooled, a single run has 0.09 and a difference √2 times that.
    """
    spreads = [cells["ResNet-50-D_top1_std"] for cells in table("6 (CVPR)").values()]
    return Effect(difference, math.sqrt(2 * math.fsum(s**2 for s in spreads) / len(spreads)), unlike=unlike)


@cache
def curve(figure: str, series: str) -> tuple[list[float], list[float]]:
    """(x, y) of a digitised curve: figure "3a", "3b" or "4b". KeyError lists the curves."""
    curves: dict[tuple[str, str], tuple[list[float], list[float]]] = {}
    for point in _rows("paper_figures.csv"):
        xs, ys = curves.setdefault((point["figure"], point["series"]), ([], []))
        xs.append(float(point["x"]))
        ys.append(float(point["y"]))
    if (figure, series) not in curves:
        raise KeyError(f"no curve {series!r} in figure {figure!r}; there are {', '.join(map(' '.join, curves))}")
    return curves[figure, series]
