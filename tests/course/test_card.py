"""The decision card: its numbers against the record files and the summary, read without its code; its words."""

import csv
import json
import math
import re
import statistics
from functools import cache

import pytest

import tricks
from tricks import ROOT
from tricks.course import card
from tricks.records.statistics import Comparison

T = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776}  # Student's t, 95 %, by degrees of freedom; from a printed table
RUNS = ROOT / "data" / "runs"
PAIRS = [pair for trick in card.CARD.values() for pair in (trick.short, trick.long) if pair]


@cache
def accuracies(name: str) -> dict[int, float]:
    """Seed -> accuracy out of the files whose record has this name."""
    found = [json.loads(path.read_text(encoding="utf8")) for path in RUNS.glob(f"*/{name}-*.json")]
    return {run["seed"]: run["final"]["accuracy"] for run in found if run["name"] == name}


@cache
def summary() -> dict[str, tuple[int, float]]:
    """Arm -> (seeds, mean accuracy) of summary.csv."""
    rows = csv.DictReader((RUNS / "summary.csv").read_text(encoding="utf8").splitlines())
    return {row["arm"]: (int(row["seeds"]), float(row["mean"])) for row in rows if row["metric"] == "accuracy"}


@cache
def paper_tables() -> dict[tuple[str, str, str], float]:
    text = (ROOT / "tricks" / "records" / "paper_tables.csv").read_text(encoding="utf8")
    return {(c["table"], c["row"], c["column"]): float(c["value"]) for c in csv.DictReader(text.splitlines())}


@pytest.mark.parametrize("new, old", PAIRS, ids=[new for new, _ in PAIRS])
def test_a_gain_is_that_of_the_files_and_of_the_summary(new, old):
    found, (a, b) = card.gain(new, old), map(accuracies, (new, old))
    shared = sorted(a.keys() & b.keys())
    if not shared:
        assert found is None and card.words(found) == "not recorded"
        return
    assert found is not None and found.seeds == tuple(shared)
    differences = [a[seed] - b[seed] for seed in shared]
    assert found.mean == pytest.approx(statistics.fmean(differences))
    if len(shared) > 1:
        half = T[len(shared) - 1] * statistics.stdev(differences) / math.sqrt(len(shared))
        assert found.half == pytest.approx(half, rel=1e-3)
    counts, means = zip(*(summary()[name] for name in (new, old)), strict=True)
    if counts == (len(shared), len(shared)):
        assert found.mean == pytest.approx(means[0] - means[1], abs=2e-3)


def test_most_of_the_card_is_recorded():
    assert sum(card.gain(*trick.short) is not None for trick in card.CARD.values()) == len(card.CARD)
    assert sum(bool(trick.long and card.gain(*trick.long)) for trick in card.CARD.values()) >= 8


def test_every_trick_of_the_papers_tables_has_a_row():
    rows = {trick.rows[:2] for trick in card.CARD.values() if trick.rows}
    stacked = {(table, row) for table, row, _ in paper_tables() if table in ("4", "5", "6")}
    starts = {("4", "Linear scaling"), ("5", "ResNet-50"), ("6", "Efficient")}
    assert rows == stacked - starts - {("6", "+ distill w/ mixup")}  # two tricks in one row


def test_every_trick_of_the_map_has_a_row():
    lines = re.findall(r"^ {4}(.+?) {2,}\S+\.py +(§[345]\S*)", tricks.__doc__ or "", re.MULTILINE)
    networks = {"Inception-V3", "MobileNet"}
    named = {name for names, _ in lines for name in names.split(", ")} - networks
    of_card = {"ResNet-B": "tweak B", "-C": "tweak C", "-D": "tweak D", "knowledge distillation": "distillation"}
    assert {of_card.get(name, name) for name in named} == set(card.CARD)


@pytest.mark.parametrize("name", card.CARD)
def test_what_the_paper_gained_is_the_difference_of_two_cells(name):
    trick = card.CARD[name]
    effect = card.in_paper(trick)
    if not trick.rows:
        assert effect is None and name == "linear scaling"
        return
    table, row, reference, column = trick.rows
    if table == "6":
        table, column = "6 (CVPR)", f"{column}_mean"
    cells = paper_tables()
    assert effect is not None
    assert effect.delta == pytest.approx(cells[table, row, column] - cells[table, reference, column], abs=1e-9)
    (shown,) = [line["paper"] for line in card.card() if line["trick"] == name]
    assert shown.startswith(f"{effect.delta:+.2f}".replace("-", "−"))
    assert ("epochs" in shown) == (name == "mixup")


def test_costs_at_the_papers_scale_are_those_that_it_prints():
    flops = {name: paper_tables()["5", f"ResNet-50{name}", "FLOPs"] for name in ("", "-B", "-C", "-D")}
    costs = {name: card.added_cost(*trick.there, classes=1000) for name, trick in card.CARD.items()}
    for tweak, above, below in (("B", "-B", ""), ("C", "-C", "-B"), ("D", "-D", "-C")):
        rounding = 0.1 / flops[below]  # two numbers with one decimal
        assert costs[f"tweak {tweak}"].training == pytest.approx(flops[above] / flops[below] - 1, abs=rounding)
    assert costs["mixup"].training == pytest.approx(200 / 120 - 1)
    assert costs["distillation"].training == pytest.approx(11.8 / (3 * 4.34), abs=0.02)  # a ResNet-152-D forward
    free = costs.keys() - {"tweak B", "tweak C", "mixup", "distillation"}
    assert all(abs(costs[name].training) < 1e-3 for name in free)
    assert all(abs(cost.parameters) < 2e-3 for cost in costs.values())


def test_the_card_answers_every_question_in_few_words():
    rows = card.card()
    assert len(rows) == len(card.CARD) and len({tuple(row) for row in rows}) == 1
    for row in rows:
        assert all(row.values()) and all(len(row[column]) <= 70 for column in ("needs", "harms when", "check first"))


@pytest.mark.parametrize(
    "differences, said",
    [
        ((1.0, 1.1, 1.2), "↑ +1.10 ± 0.25 (n = 3)"),
        ((-1.0, -1.1, -1.2), "↓ −1.10 ± 0.25 (n = 3)"),
        ((1.0, -1.0), "+0.00 ± 12.71 (n = 2)"),
        ((2.5,), "+2.50 (n = 1)"),
    ],
)
def test_a_gain_in_words(differences, said):
    shown = card.words(Comparison(tuple(range(len(differences))), differences, "points"))
    assert shown.replace("\N{NO-BREAK SPACE}", " ") == said


def test_costs_in_words():
    costs = {row["trick"]: row["cost"].replace("\N{NO-BREAK SPACE}", " ") for row in card.card()}
    assert {name for name, said in costs.items() if said != "none"} == {"tweak B", "tweak C", "distillation", "mixup"}
    assert costs["mixup"] == "training +66.7 %, here 0"
    assert costs["tweak C"].startswith("training +") and "; parameters +0.1 %, here −0.1 %" in costs["tweak C"]


def test_an_arm_without_records_has_no_gain_and_a_wrong_name_is_an_error():
    assert card.gain("paper-large", "paper-small") is None
    with pytest.raises(ValueError, match="no arm"):
        card.gain("smoothin-0.1", "cosine")
