"""The paper's numbers: Tables 1–9, Fig. 3 and Fig. 4b of arXiv:1812.01187v2, read from two CSV files beside this one.

"6 (CVPR)" is Table 6 of the CVPR 2019 version, which gives means and standard deviations for ResNet-50-D. The curves
are digitised from the PDF's vector graphics; Fig. 3b is a fraction, not per cent.
"""

import csv
from functools import cache
from pathlib import Path

SOURCE = "He et al. 2018, arXiv:1812.01187v2"


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
